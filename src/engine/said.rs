//! What refguard itself says of what people and time do: events in JSON, for the sink `events`.
//!
//! Each is a CloudEvent of the source `refguard` with an id derived from its cause, so that saying it again is a repeat. Their data
//! are flat, as docs/events.md has it, so that `reward.released` can be read back as an input.

use super::decide::derived_id;
use super::holds::{Hold, HoldParty, HoldState};
use super::named::Named;
use crate::event::Verdict;
use crate::event::json::{write_int, write_string, write_timestamp};

/// The source of what refguard says.
pub(super) const SOURCE: &str = "refguard";

/// The types of what it says.
pub(super) const SAID: &[&str] = &["hold.ended", "verdict.corrected", "reward.released"];

/// Something that is said, and whose account it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The account, so that what is said of one stays in order; empty: it is about none.
    pub key: Box<str>,
    /// A CloudEvent in JSON, without a line feed.
    pub line: Vec<u8>,
}

/// Writes a CloudEvent, and then the members of its data.
struct Line {
    out: Vec<u8>,
    /// No member is written.
    is_empty: bool,
}

impl Line {
    fn new(kind: &str, cause: &[&str], time_ms: i64) -> Line {
        let mut out = b"{\"specversion\":\"1.0\",\"id\":".to_vec();
        write_string(&mut out, &derived_id("evt", std::iter::once(kind).chain(cause.iter().copied())));
        out.extend_from_slice(b",\"source\":");
        write_string(&mut out, SOURCE);
        out.extend_from_slice(b",\"type\":");
        write_string(&mut out, kind);
        out.extend_from_slice(b",\"time\":");
        write_timestamp(&mut out, time_ms);
        out.extend_from_slice(b",\"datacontenttype\":\"application/json\",\"data\":{");
        Line { out, is_empty: true }
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        write_string(&mut self.out, name);
        self.out.push(b':');
        &mut self.out
    }

    /// A text; an empty one is left out.
    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            write_string(self.name(name), text);
        }
    }

    fn correction(&mut self, of: &Correction) {
        self.text("was", of.was.name());
        self.text("verdict", of.now.name());
        self.text("why", of.why);
    }

    fn end(mut self, key: &str) -> Said {
        self.out.extend_from_slice(b"}}");
        Said { key: key.into(), line: self.out }
    }
}

/// What a verdict was and is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Correction {
    pub was: Verdict,
    pub now: Verdict,
    /// In a word.
    pub why: &'static str,
    pub at_ms: i64,
}

/// That the verdict on an event that made a hold is another now.
pub(super) fn corrected_hold(hold: &Hold, cause: &[&str], of: &Correction) -> Said {
    let mut line = Line::new("verdict.corrected", cause, of.at_ms);
    about(hold, &hold.id(), &mut line);
    line.correction(of);
    line.end(account_of(hold))
}

/// The same of an event that made none.
pub(super) fn corrected(event: &Named<'_>, cause: &[&str], of: &Correction) -> Said {
    let Named { program, source, id, kind, account, referrer, reward, referral, .. } = *event;
    let cause: Vec<&str> = cause.iter().copied().chain([program, source, id]).collect();
    let mut line = Line::new("verdict.corrected", &cause, of.at_ms);
    for (name, text) in [
        ("program", program),
        ("account_id", account),
        ("referrer_id", referrer),
        ("reward_id", reward),
        ("referral_id", referral),
        ("event_source", source),
        ("event_id", id),
        ("event_type", kind),
    ] {
        line.text(name, text);
    }
    line.correction(of);
    line.end(if account.is_empty() { referrer } else { account })
}

/// Whose it is.
fn account_of(hold: &Hold) -> &str {
    if hold.event.account.is_empty() { &hold.event.referrer } else { &hold.event.account }
}

/// What is said of a hold that has just ended: that it has, how the verdict on its event has changed, and that the reward is
/// released where it is.
pub(super) fn of_end(hold: &Hold, [was, now]: [Verdict; 2], moves_value: bool, say: &mut Vec<Said>) {
    let Some(end) = &hold.end else { return };
    let id = hold.id();
    let created = hold.created_ms.to_string();
    let cause = [id.as_str(), created.as_str(), hold.state.name()];
    let mut line = Line::new("hold.ended", &cause, end.at_ms);
    about(hold, &id, &mut line);
    line.text("state", hold.state.name());
    line.text("verdict", hold.now.name());
    line.text("reason", &end.reason);
    line.text("by", &end.by);
    say.push(line.end(account_of(hold)));

    if was != now {
        say.push(corrected_hold(hold, &cause, &Correction { was, now, why: why(hold.state), at_ms: end.at_ms }));
    }

    if hold.now < Verdict::Challenge && moves_value {
        let event = &hold.event;
        let [referrer, referee] =
            [(&event.referrer, HoldParty::Referrer), (&event.account, HoldParty::Referee)].map(Some);
        let sides = match hold.party {
            HoldParty::Account => [Some((&event.account, HoldParty::Account)), None],
            HoldParty::Referrer => [referrer, None],
            HoldParty::Referee => [None, referee],
            HoldParty::Both => [referrer, referee],
        };
        let sides = sides.into_iter().flatten().filter(|(account, _)| !account.is_empty());
        sides.for_each(|(account, party)| say.push(released(hold, &id, &cause, (account, party), end.at_ms)));
    }
}

/// That the reward of an account is released.
fn released(hold: &Hold, id: &str, cause: &[&str], (account, party): (&str, HoldParty), at_ms: i64) -> Said {
    let event = &hold.event;
    // One of each side is an event of its own.
    let side = (party != HoldParty::Account).then(|| party.name());
    let cause: Vec<&str> = cause.iter().copied().chain(side).collect();
    let mut line = Line::new("reward.released", &cause, at_ms);
    let referrer = if party == HoldParty::Referrer { "" } else { &*event.referrer };
    about_side(hold, id, (account, referrer, party), &mut line);
    line.text("reward_kind", &event.reward_kind);
    if let Some(amount_minor) = event.amount_minor {
        write_int(line.name("amount_minor"), amount_minor);
    }
    line.text("currency", &event.currency);
    line.end(account)
}

/// What all of them have in common.
fn about(hold: &Hold, id: &str, line: &mut Line) {
    about_side(hold, id, (&hold.event.account, &hold.event.referrer, hold.party), line);
}

/// The same with an account in the place of the event's.
fn about_side(hold: &Hold, id: &str, (account, referrer, party): (&str, &str, HoldParty), line: &mut Line) {
    let event = &hold.event;
    for (name, text) in [
        ("program", &*event.program),
        ("account_id", account),
        ("referrer_id", referrer),
        ("reward_id", &event.reward),
        ("referral_id", &event.referral),
        ("hold_id", id),
        ("party", party.name()),
        ("event_source", &event.source),
        ("event_id", &event.id),
        ("event_type", &event.kind),
    ] {
        line.text(name, text);
    }
}

fn why(state: HoldState) -> &'static str {
    match state {
        HoldState::Open => "",
        HoldState::Released => "hold.released",
        HoldState::Upheld => "hold.upheld",
        HoldState::Expired => "hold.expired",
        HoldState::Lifted => "hold.lifted",
    }
}
