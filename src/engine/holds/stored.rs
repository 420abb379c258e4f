//! Holds in a checkpoint: one record each, in any order.

use super::{HeldEvent, Hold, HoldDecision, HoldEnd, HoldParty, HoldRule, HoldState, Holds};
use crate::engine::remembered::stored::{restore_verdict, store_verdict};
use crate::event::Cause;
use crate::ruleset::program::OnExpiry;
use crate::state::{Broken, ByteReader, ByteWriter, Cuttable, OrderedCut, Segments};

/// A cut through holds.
#[derive(Debug)]
pub(crate) struct HoldsCut {
    numbers: OrderedCut<u64>,
    segments: Segments,
}

impl Cuttable for Holds {
    type Cut = HoldsCut;

    fn new_cut(&self, prefix: &[u8]) -> HoldsCut {
        HoldsCut { numbers: OrderedCut::default(), segments: Segments::new(prefix) }
    }

    fn cut_mut(&mut self) -> &mut Option<Box<HoldsCut>> {
        &mut self.cut
    }

    fn walk(&self, cut: &mut HoldsCut, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
        let HoldsCut { numbers, segments } = cut;
        let start = segments.bytes();
        for (number, hold) in self.all.range(numbers.rest()) {
            if segments.bytes() - start >= *budget_bytes {
                *budget_bytes = 0;
                segments.hand_over(put);
                return false;
            }
            if numbers.walk(*number) {
                store_hold(hold, segments.item());
            }
        }
        *budget_bytes = budget_bytes.saturating_sub(segments.bytes() - start);
        segments.finish(put);
        true
    }
}

impl Holds {
    /// Writes one as it is before it changes, if the cut has yet to.
    pub(super) fn keep(&mut self, number: u64) {
        if let Some(cut) = &mut self.cut
            && cut.numbers.take(number)
            && let Some(hold) = self.all.get(&number)
        {
            store_hold(hold, cut.segments.item());
        }
    }

    pub(in crate::engine) fn restore(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        while !reader.is_empty() {
            let hold = restore_hold(reader)?;
            let place = (hold.review_by_ms, hold.number);
            match &hold.end {
                Some(end) => drop(self.share(&hold.event.program).ended.insert((end.forget_ms, hold.number))),
                None => {
                    self.reviews.insert(place);
                    if hold.is_overdue {
                        self.overdue += 1;
                    } else {
                        self.due.insert(place);
                    }
                }
            }
            self.add_bytes(&hold.event.program, hold.bytes());
            if self.all.insert(hold.number, hold).is_some() {
                return Err(Broken("a hold stands there twice"));
            }
        }
        Ok(())
    }

    pub(in crate::engine) fn store_head(&self, writer: &mut ByteWriter) {
        writer.word(self.refused);
    }

    pub(in crate::engine) fn restore_head(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        self.refused = reader.word()?;
        Ok(())
    }
}

fn store_hold(hold: &Hold, writer: &mut ByteWriter) {
    let Hold { number, event, party, rules, decisions, ruleset, subjects, .. } = hold;
    writer.word(*number);
    store_event(event, writer);
    writer.byte(*party as u8);
    writer.count(rules.len());
    for rule in rules {
        writer.text(&rule.id);
        writer.byte(u8::from(rule.action.is_some()));
        store_verdict(rule.action.unwrap_or_default(), writer);
        writer.short(rule.score);
        writer.text(&rule.customer);
    }
    writer.count(decisions.len());
    for decision in decisions {
        writer.text(&decision.id);
        writer.text(&decision.rule);
        store_verdict(decision.verdict, writer);
    }
    writer.text(ruleset);
    writer.count(subjects.len());
    subjects.iter().for_each(|key| writer.key(*key));
    store_verdict(hold.verdict, writer);
    writer.byte(hold.cause as u8);
    writer.time(hold.score);
    writer.byte(u8::from(hold.parties.is_some()));
    if let Some((referrer, referee)) = hold.parties {
        store_verdict(referrer, writer);
        store_verdict(referee, writer);
    }
    writer.time(hold.created_ms);
    writer.time(hold.review_by_ms);
    writer.byte(match hold.on_expiry {
        OnExpiry::Keep => 0,
        OnExpiry::Release => 1,
        OnExpiry::Block => 2,
    });
    writer.byte(u8::from(hold.is_overdue));
    writer.byte(hold.state as u8);
    store_verdict(hold.now, writer);
    writer.byte(u8::from(hold.end.is_some()));
    if let Some(HoldEnd { at_ms, forget_ms, reason, by }) = &hold.end {
        writer.time(*at_ms);
        writer.time(*forget_ms);
        writer.text(reason);
        writer.text(by);
    }
}

fn store_event(event: &HeldEvent, writer: &mut ByteWriter) {
    let HeldEvent { program, source, id, kind, account, referrer, reward, reward_kind, referral, currency, .. } = event;
    for text in [program, source, id, kind, account, referrer, reward, reward_kind, referral, currency] {
        writer.text(text);
    }
    writer.maybe_time(event.amount_minor);
}

fn restore_event(reader: &mut ByteReader<'_>) -> Result<HeldEvent, Broken> {
    let mut text = || reader.text().map(Box::<str>::from);
    let (program, source, id, kind) = (text()?, text()?, text()?, text()?);
    let (account, referrer, reward, reward_kind) = (text()?, text()?, text()?, text()?);
    let (referral, currency) = (text()?, text()?);
    let amount_minor = reader.maybe_time()?;
    Ok(HeldEvent {
        program,
        source,
        id,
        kind,
        account,
        referrer,
        reward,
        reward_kind,
        referral,
        amount_minor,
        currency,
    })
}

fn restore_hold(reader: &mut ByteReader<'_>) -> Result<Hold, Broken> {
    let number = reader.word()?;
    let event = restore_event(reader)?;
    let party = HoldParty::ALL.get(usize::from(reader.byte()?)).copied().ok_or(Broken("a hold of no known party"))?;
    let rules = (0..reader.count(8)?).map(|_| {
        let id = reader.text()?.into();
        let (has_action, action) = (reader.flag()?, restore_verdict(reader)?);
        let (score, customer) = (reader.short()?, reader.text()?.into());
        Ok(HoldRule { id, action: has_action.then_some(action), score, customer })
    });
    let rules = rules.collect::<Result<_, Broken>>()?;
    let decisions = (0..reader.count(3)?).map(|_| {
        let (id, rule) = (reader.text()?.into(), reader.text()?.into());
        Ok(HoldDecision { id, rule, verdict: restore_verdict(reader)? })
    });
    let decisions = decisions.collect::<Result<_, Broken>>()?;
    let ruleset = reader.text()?.into();
    let subjects = (0..reader.count(16)?).map(|_| reader.key()).collect::<Result<_, Broken>>()?;
    let (verdict, cause) = (restore_verdict(reader)?, usize::from(reader.byte()?));
    let cause = Cause::ALL.get(cause).copied().ok_or(Broken("a hold of no known cause"))?;
    let score = reader.time()?;
    let parties = if reader.flag()? { Some((restore_verdict(reader)?, restore_verdict(reader)?)) } else { None };
    let (created_ms, review_by_ms) = (reader.time()?, reader.time()?);
    let on_expiry = match reader.byte()? {
        0 => OnExpiry::Keep,
        1 => OnExpiry::Release,
        2 => OnExpiry::Block,
        _ => return Err(Broken("a hold expires in no known way")),
    };
    let is_overdue = reader.flag()?;
    let state = HoldState::ALL.get(usize::from(reader.byte()?)).copied().ok_or(Broken("a hold of no known state"))?;
    let now = restore_verdict(reader)?;
    let end = if reader.flag()? {
        let (at_ms, forget_ms) = (reader.time()?, reader.time()?);
        Some(HoldEnd { at_ms, forget_ms, reason: reader.text()?.into(), by: reader.text()?.into() })
    } else {
        None
    };
    if (state == HoldState::Open) == end.is_some() || state != HoldState::Open && is_overdue {
        return Err(Broken("a hold is open and has ended"));
    }
    Ok(Hold {
        number,
        event,
        party,
        rules,
        decisions,
        subjects,
        verdict,
        cause,
        score,
        parties,
        ruleset,
        created_ms,
        review_by_ms,
        on_expiry,
        is_overdue,
        state,
        now,
        end,
    })
}
