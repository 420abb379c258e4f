//! That an event was judged, and its verdict: the record by which a repeat is told, and a delivery that comes again.
//!
//! It is: event time ([`order_bytes`]), fingerprint, and the event's place in the log, which together tell it from another;
//! then, unless the verdict is a plain `allow`, the verdict with its texts, as it went out and as repeats have it, and the
//! alerts that it calls for. A rule goes by its id, since its place is another under other rules.

use super::Origin;
use super::records::{order_bytes, ordered_ms};
use crate::engine::judgement::{Judgement, Judgements, Outcome, Piece, Raised};
use crate::engine::remembered::is_plain;
use crate::engine::remembered::stored::{restore_judgement, restore_verdict, store_judgement, store_verdict};
use crate::event::Verdict;
use crate::ruleset::program::RuleSet;
use crate::state::{Broken, ByteReader, ByteWriter};

/// What tells one from another.
pub(super) const HEAD_BYTES: usize = 32;

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) time_ms: i64,
    pub(super) fingerprint: u64,
    pub(super) origin: Origin,
}

impl Head {
    /// Reads it; `None`: there is no record.
    pub(super) fn read(record: &[u8]) -> Result<Option<Head>, Broken> {
        if record.is_empty() {
            return Ok(None);
        }
        let (time, rest) = record.split_first_chunk().ok_or(Broken("an identity is cut short"))?;
        let mut reader = ByteReader::new(rest);
        let fingerprint = reader.word()?;
        let origin = Origin { partition: reader.word()?, offset: reader.word()? };
        Ok(Some(Head { time_ms: ordered_ms(*time), fingerprint, origin }))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&order_bytes(self.time_ms));
        for word in [self.fingerprint, self.origin.partition, self.origin.offset] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
}

/// A verdict that was just given.
pub(super) struct Given<'a> {
    pub(super) judgement: &'a Judgement,
    pub(super) judgements: &'a Judgements,
    /// The elements of `rules` without messages.
    pub(super) bare_rules: &'a [u8],
    /// The alerts that it calls for.
    pub(super) raised: &'a [Raised],
    pub(super) rules: &'a RuleSet,
}

/// Appends the record of an event and its verdict.
pub(super) fn write(head: &Head, given: &Given<'_>, out: &mut Vec<u8>) {
    head.write(out);
    let Given { judgement, judgements, bare_rules, raised, rules } = given;
    let piece = |piece: Piece| judgements.piece(piece);
    let texts = [judgement.rules, judgement.evidence, judgement.decisions, judgement.created].map(piece);
    if is_plain(judgement) && texts.iter().all(|text| text.is_empty()) {
        return;
    }
    let mut writer = ByteWriter::default();
    store_judgement(judgement, &mut writer);
    writer.bytes(bare_rules);
    texts.iter().for_each(|text| writer.bytes(text));
    writer.count(raised.len());
    for of in *raised {
        writer.text(rules.rules.get(of.rule as usize).map_or("", |rule| &rule.id));
        writer.byte(u8::from(of.unnamed));
        writer.time(of.as_of_ms);
        store_verdict(of.verdict, &mut writer);
        writer.bytes(piece(of.group));
        writer.bytes(piece(of.message));
    }
    out.extend_from_slice(writer.as_bytes());
}

/// How a remembered verdict is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// As it went out, for a delivery that comes again; else as repeats have it.
    pub(super) again: bool,
    /// Whether the event has a referrer and a referee.
    pub(super) parties: bool,
    /// Whether its program is only observed.
    pub(super) observe_only: bool,
    /// The event's place among those of the judgements.
    pub(super) event: u32,
}

/// The verdict of a record.
pub(super) fn recall(record: &[u8], told: Told, rules: &RuleSet, out: &mut Judgements) -> Result<Judgement, Broken> {
    let outcome = if told.again { Outcome::Judged } else { Outcome::Repeat };
    let body = record.get(HEAD_BYTES..).unwrap_or_default();
    if body.is_empty() {
        return Ok(Judgement {
            outcome,
            parties: told.parties.then_some((Verdict::Allow, Verdict::Allow)),
            would_be: told.observe_only.then_some(Verdict::Allow),
            ..Judgement::default()
        });
    }
    let mut reader = ByteReader::new(body);
    let judgement = restore_judgement(&mut reader)?;
    let bare = reader.bytes()?;
    let [rules_text, evidence, decisions, created] =
        [reader.bytes()?, reader.bytes()?, reader.bytes()?, reader.bytes()?];
    let (rules_text, evidence) = if told.again { (rules_text, evidence) } else { (bare, &[][..]) };
    let judgement = Judgement {
        outcome,
        rules: out.add_bytes(rules_text),
        evidence: out.add_bytes(evidence),
        decisions: out.add_bytes(decisions),
        created: out.add_bytes(created),
        ..judgement
    };
    for _ in 0..reader.count(13)? {
        let rule = reader.text()?;
        let (unnamed, as_of_ms, verdict) = (reader.flag()?, reader.time()?, restore_verdict(&mut reader)?);
        let [group, message] = [reader.bytes()?, reader.bytes()?];
        // A rule that is gone calls for nothing.
        let place = rules.rules.binary_search_by(|known| known.id.as_str().cmp(rule)).ok();
        if let (true, Some(place)) = (told.again, place) {
            let (group, message) = (out.add_bytes(group), out.add_bytes(message));
            let rule = place as u32;
            out.raised.push(Raised { event: told.event, rule, unnamed, as_of_ms, verdict, group, message });
        }
    }
    Ok(judgement)
}
