//! What a person does to verdicts, as an input among events: one line of JSON, written by the API and read again wherever the
//! log is.
//!
//! An act is recorded before anything comes of it, with everything that it depends on: who, when by the clock, and under
//! which id. So it means the same whenever it is read. Invariant: one that was read keeps the bounds that are told here, and its subject is
//! spelt as events spell it, which is for whoever writes it to see to. Tested below and in `tests/oracle_acts.rs`.

use serde::{Deserialize, Serialize};

use super::{SubjectKind, Verdict};

/// The longest name of a program or subject, in bytes.
pub const ACT_NAME_BYTES_MAX: usize = 1024;
/// The longest reason, in bytes.
pub const ACT_REASON_BYTES_MAX: usize = 4096;

/// What a person does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// Derived from the audit record of it: no two acts have the same.
    pub id: String,
    /// The clock when it was taken, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who, as the audit record has it.
    pub by: String,
    /// What.
    pub what: Deed,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// An override is put on a subject, in the place of one that stands there.
    #[serde(rename = "override.put")]
    PutOverride(PutOverride),
    /// The override on a subject is taken away.
    #[serde(rename = "override.delete")]
    DeleteOverride(ActSubject),
    /// An entry is put into a managed list, in the place of one with the same value.
    #[serde(rename = "list.put")]
    PutEntry(PutEntry),
    /// An entry is taken out of a managed list.
    #[serde(rename = "list.delete")]
    DeleteEntry(ListValue),
    /// A review of a hold ends.
    #[serde(rename = "hold.end")]
    EndHold(EndHold),
    /// What rules have decided and held is undone together.
    #[serde(rename = "decisions.lift")]
    Lift(Lift),
}

/// Whom an act is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActSubject {
    /// The program.
    pub program: String,
    /// What the subject is.
    pub kind: SubjectKind,
    /// Its id, as events spell it.
    pub subject: String,
}

/// An override.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutOverride {
    /// On whom.
    pub of: ActSubject,
    /// `allow` or `block`.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
    /// Event time at which it ends; `None`: it stays until it is taken away.
    pub expires_ms: Option<i64>,
}

/// A value of a managed list, in the form that the list's kind gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListValue {
    /// The name of the list.
    pub list: String,
    /// The value.
    pub value: String,
}

/// An entry of a managed list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutEntry {
    /// What is put into which list.
    pub of: ListValue,
    /// Who answers for it, in words.
    pub owner: String,
    /// Why, in words.
    pub reason: String,
    /// Event time at which it ends; `None`: it stays until it is taken out.
    pub expires_ms: Option<i64>,
}

/// The end of a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndHold {
    /// The id of the hold.
    pub hold: String,
    /// How it ends.
    pub end: HoldEnding,
    /// Why, in words.
    pub reason: String,
}

/// How a review ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldEnding {
    /// The reward may be paid.
    #[serde(rename = "release")]
    Release,
    /// It is blocked for good.
    #[serde(rename = "uphold")]
    Uphold,
}

/// What is undone: what fits all that is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lift {
    /// Of this program; `None`: of all.
    pub program: Option<String>,
    /// By this rule.
    pub rule: Option<String>,
    /// Under the rule set of this hash.
    pub ruleset: Option<String>,
    /// From this event time on.
    pub from_ms: Option<i64>,
    /// Before this event time.
    pub to_ms: Option<i64>,
    /// Why, in words.
    pub reason: String,
}

/// Why a line is no act.
#[derive(Debug, thiserror::Error)]
pub enum NoAct {
    /// It does not read as one.
    #[error("it does not read as an act: {0}")]
    Json(#[from] serde_json::Error),
    /// It is out of bounds.
    #[error("{0}")]
    Bounds(&'static str),
}

impl Act {
    /// Reads a line.
    ///
    /// # Errors
    ///
    /// [`NoAct`].
    pub fn read(line: &str) -> Result<Act, NoAct> {
        let act: Act = serde_json::from_str(line)?;
        let names = [&act.id, &act.by];
        if names.into_iter().any(|name| !fits(name)) {
            return Err(NoAct::Bounds("an act has an id and somebody who did it"));
        }
        match &act.what {
            Deed::PutOverride(put) => put.check()?,
            Deed::DeleteOverride(of) => of.check()?,
            Deed::PutEntry(put) => put.check()?,
            Deed::DeleteEntry(of) => of.check()?,
            Deed::EndHold(end) => check_reason(&end.reason)?,
            Deed::Lift(lift) => lift.check()?,
        }
        Ok(act)
    }

    /// Its line, without a line feed.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("an act is text, numbers and words")
    }
}

impl ActSubject {
    fn check(&self) -> Result<(), NoAct> {
        if fits(&self.program) && fits(&self.subject) {
            return Ok(());
        }
        Err(NoAct::Bounds("programs and subjects have 1 to 1024 bytes"))
    }
}

impl PutOverride {
    fn check(&self) -> Result<(), NoAct> {
        self.of.check()?;
        if !matches!(self.verdict, Verdict::Allow | Verdict::Block) {
            return Err(NoAct::Bounds("an override allows or blocks"));
        }
        check_reason(&self.reason)
    }
}

impl Lift {
    /// Whether it says what it is about.
    ///
    /// # Errors
    ///
    /// [`NoAct::Bounds`].
    pub fn check(&self) -> Result<(), NoAct> {
        let Lift { program, rule, ruleset, from_ms, to_ms, reason } = self;
        if rule.is_none() && ruleset.is_none() && from_ms.is_none() && to_ms.is_none() {
            return Err(NoAct::Bounds("it takes a rule, a rule set or a time: all at once is never meant"));
        }
        if [program, rule, ruleset].into_iter().flatten().any(|name| !fits(name)) {
            return Err(NoAct::Bounds("programs, rules and hashes have 1 to 1024 bytes"));
        }
        check_reason(reason)
    }
}

impl ListValue {
    fn check(&self) -> Result<(), NoAct> {
        if fits(&self.list) && fits(&self.value) {
            return Ok(());
        }
        Err(NoAct::Bounds("lists and their values have 1 to 1024 bytes"))
    }
}

impl PutEntry {
    fn check(&self) -> Result<(), NoAct> {
        self.of.check()?;
        if self.owner.trim().is_empty() || !fits(&self.owner) {
            return Err(NoAct::Bounds("an owner has 1 to 1024 bytes"));
        }
        check_reason(&self.reason)
    }
}

fn check_reason(reason: &str) -> Result<(), NoAct> {
    if reason.trim().is_empty() || reason.len() > ACT_REASON_BYTES_MAX {
        return Err(NoAct::Bounds("a reason has 1 to 4096 bytes"));
    }
    Ok(())
}

fn fits(name: &str) -> bool {
    (1..=ACT_NAME_BYTES_MAX).contains(&name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put() -> Act {
        let of = ActSubject { program: "default".into(), kind: SubjectKind::Email, subject: "a\"b@example.org".into() };
        let reason = "a customer of ten years\nعميل".into();
        let what = Deed::PutOverride(PutOverride { of, verdict: Verdict::Allow, reason, expires_ms: Some(7) });
        Act { id: "act-1".into(), at_ms: 5, by: "token:t".into(), what }
    }

    #[test]
    fn what_is_written_is_read() {
        let line = put().line();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(Act::read(&line).unwrap(), put());
        let Deed::PutOverride(of) = put().what else { unreachable!("it is one") };
        let delete = Act { what: Deed::DeleteOverride(of.of), ..put() };
        assert_eq!(Act::read(&delete.line()).unwrap(), delete);
        let end = EndHold { hold: "hold-1".into(), end: HoldEnding::Uphold, reason: "r".into() };
        let end = Act { what: Deed::EndHold(end), ..put() };
        assert_eq!(Act::read(&end.line()).unwrap(), end);
        let (program, rule, reason) = (None, Some("r".to_owned()), "wrong".to_owned());
        let lift = Lift { program, rule, ruleset: None, from_ms: Some(1), to_ms: None, reason };
        let lifted = Act { what: Deed::Lift(lift.clone()), ..put() };
        assert_eq!(Act::read(&lifted.line()).unwrap(), lifted);
        let all = Lift { rule: None, from_ms: None, ..lift };
        assert!(Act::read(&Act { what: Deed::Lift(all), ..put() }.line()).is_err(), "all at once");
    }

    #[test]
    fn what_is_out_of_bounds_is_no_act() {
        let line = put().line();
        for (from, to) in [
            ("\"allow\"", "\"hold\""),
            ("\"allow\"", "\"alow\""),
            ("\"email\"", "\"mail\""),
            ("\"default\"", "\"\""),
            ("act-1", ""),
            ("override.put", "override.post"),
            ("a customer of ten years\\nعميل", "  "),
            ("\"at_ms\":5", "\"at_ms\":5,\"more\":1"),
            ("}", ""),
        ] {
            assert!(line.contains(from), "{from}");
            assert!(Act::read(&line.replace(from, to)).is_err(), "{from} -> {to}");
        }
        assert!(Act::read(&line.replace("default", &"d".repeat(ACT_NAME_BYTES_MAX + 1))).is_err());
    }
}
