//! The `rules` of a pack: conditions, and what follows when they hold.

use super::decide::{self, DecideDef};
use super::{Name, choice, expression, expressions, mode, name, types};
use crate::event::{Mode, RuleKind, Severity, Verdict};
use crate::ruleset::cel::Source;
use crate::ruleset::program::{AppliesTo, Breaker, BreakerThen, WhenIncomplete};
use crate::ruleset::yaml::{Fields, Node, Reader};

/// A rule as written.
pub(in crate::ruleset) struct RuleDef {
    pub(in crate::ruleset) id: Name,
    pub(in crate::ruleset) title: String,
    pub(in crate::ruleset) on: Vec<String>,
    pub(in crate::ruleset) when: Source,
    pub(in crate::ruleset) except: Vec<Source>,
    pub(in crate::ruleset) score: u32,
    pub(in crate::ruleset) action: Option<Verdict>,
    pub(in crate::ruleset) applies_to: AppliesTo,
    pub(in crate::ruleset) severity: Severity,
    pub(in crate::ruleset) kind: RuleKind,
    pub(in crate::ruleset) decide: Vec<DecideDef>,
    pub(in crate::ruleset) message: Option<Source>,
    pub(in crate::ruleset) customer: Option<String>,
    pub(in crate::ruleset) tags: Vec<String>,
    pub(in crate::ruleset) mode: Mode,
    pub(in crate::ruleset) rollout_permille: u32,
    pub(in crate::ruleset) when_incomplete: WhenIncomplete,
    pub(in crate::ruleset) owner: Option<String>,
    pub(in crate::ruleset) expires_ms: Option<i64>,
    pub(in crate::ruleset) group_by: Vec<Source>,
    pub(in crate::ruleset) breaker: Option<Breaker>,
}

const KEYS: &[&str] = &[
    "id",
    "title",
    "on",
    "when",
    "except",
    "score",
    "action",
    "applies_to",
    "severity",
    "kind",
    "decide",
    "message",
    "customer",
    "tags",
    "mode",
    "rollout",
    "breaker",
    "when_incomplete",
    "owner",
    "expires",
    "group_by",
];

const SCORE_MAX: i64 = 100;
/// How many events a breaker waits for, unless its rule says otherwise: the first match of a morning opens none.
const BREAKER_EVENTS: i64 = 100;
const BREAKER_EVENTS_MAX: i64 = 1_000_000_000;
/// A rule without a title is called by its id; without a severity it is this.
const SEVERITY: Severity = Severity::Medium;

pub(super) fn read(reader: &mut Reader, node: &Node) -> Vec<RuleDef> {
    let items = reader.list(node).unwrap_or_default();
    items.iter().filter_map(|item| rule(reader, item)).collect()
}

fn rule(reader: &mut Reader, node: &Node) -> Option<RuleDef> {
    let fields = reader.fields(node, "a rule", KEYS)?;
    // Everything is read before anything is given up, so that every fault is told at once.
    let id = fields.required("id", reader).and_then(|node| name(reader, node, "a rule"));
    let on = fields.required("on", reader).and_then(|node| types(reader, node));
    let when = fields.required("when", reader).and_then(|node| expression(reader, node));
    let except = fields.get("except").map(|node| expressions(reader, node)).unwrap_or_default();
    let title = fields.get("title").and_then(|node| reader.filled_text(node)).map(str::to_owned);
    let score = fields.get("score").and_then(|node| reader.int(node, 0..=SCORE_MAX)).unwrap_or(0) as u32;
    let action = fields.get("action").and_then(|node| choice(reader, node, "verdict", Verdict::ALL, Verdict::name));
    let decide = fields.get("decide").map(|node| decide::read(reader, node)).unwrap_or_default();
    let message = fields.get("message").and_then(|node| expression(reader, node));
    let customer = fields.get("customer").and_then(|node| customer(reader, node));
    let tags = fields.get("tags").and_then(|node| reader.texts(node)).unwrap_or_default();
    let owner = fields.get("owner").and_then(|node| reader.filled_text(node)).map(str::to_owned);
    let expires_ms = fields.get("expires").and_then(|node| reader.date_ms(node));
    let group_by = fields.get("group_by").map(|node| expressions(reader, node)).unwrap_or_default();
    let breaker = fields.get("breaker").and_then(|node| breaker(reader, node, action));
    let words = words(reader, &fields);
    warn_without_effect(reader, &fields);
    let id = id?;
    let Words { applies_to, severity, kind, mode, rollout_permille, when_incomplete } = words;
    Some(RuleDef {
        title: title.unwrap_or_else(|| id.text.clone()),
        id,
        on: on?,
        when: when?,
        except,
        score,
        action,
        applies_to,
        severity,
        kind,
        decide,
        message,
        customer,
        tags,
        mode,
        rollout_permille,
        when_incomplete,
        owner,
        expires_ms,
        group_by,
        breaker,
    })
}

/// The words of a rule that have a default.
struct Words {
    applies_to: AppliesTo,
    severity: Severity,
    kind: RuleKind,
    mode: Mode,
    rollout_permille: u32,
    when_incomplete: WhenIncomplete,
}

fn words(reader: &mut Reader, fields: &Fields<'_>) -> Words {
    const APPLIES_TO: &[(&str, AppliesTo)] =
        &[("referrer", AppliesTo::Referrer), ("referee", AppliesTo::Referee), ("both", AppliesTo::Both)];
    const INCOMPLETE: &[(&str, WhenIncomplete)] =
        &[("enforce", WhenIncomplete::Enforce), ("shadow", WhenIncomplete::Shadow)];
    let applies_to = fields.get("applies_to").and_then(|node| reader.choice(node, "value of `applies_to`", APPLIES_TO));
    let severity =
        fields.get("severity").and_then(|node| choice(reader, node, "severity", Severity::ALL, Severity::name));
    let kind = fields.get("kind").and_then(|node| choice(reader, node, "kind of rule", RuleKind::ALL, RuleKind::name));
    let mode = fields.get("mode").and_then(|node| mode(reader, node));
    let rollout_permille = fields.get("rollout").and_then(|node| reader.permille(node));
    let incomplete =
        fields.get("when_incomplete").and_then(|node| reader.choice(node, "value of `when_incomplete`", INCOMPLETE));
    Words {
        applies_to: applies_to.unwrap_or(AppliesTo::Both),
        severity: severity.unwrap_or(SEVERITY),
        kind: kind.unwrap_or(RuleKind::Fraud),
        mode: mode.unwrap_or(Mode::Enforce),
        rollout_permille: rollout_permille.unwrap_or(1000),
        when_incomplete: incomplete.unwrap_or(WhenIncomplete::Enforce),
    }
}

/// A code such as `self_referral`: a key into the texts for customers.
fn customer(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = reader.filled_text(node)?;
    if text.len() > 100 || !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    {
        let message = format!("{} is no code of a text for customers", node.describe());
        reader.push(node.error("bad-name", message).hint("use a-z, 0-9 and `_`, such as `self_referral`"));
        return None;
    }
    Some(text.to_owned())
}

fn breaker(reader: &mut Reader, node: &Node, action: Option<Verdict>) -> Option<Breaker> {
    const THEN: &[(&str, BreakerThen)] =
        &[("hold", BreakerThen::Hold), ("challenge", BreakerThen::Challenge), ("shadow", BreakerThen::Shadow)];
    let fields = reader.fields(node, "a breaker", &["share", "over", "then", "rearm", "min_events"])?;
    let share = fields.required("share", reader).and_then(|node| {
        let share = reader.permille(node)?;
        if share == 0 {
            reader.push(node.error("type", "a breaker that opens at 0% is always open"));
        }
        Some(share)
    });
    let over_ms = fields.required("over", reader).and_then(|node| reader.positive_duration_ms(node));
    // What stops a customer is held for review instead; what is less than that is not made more.
    let stops = action.is_some_and(|action| action >= Verdict::Hold);
    let default = if stops { BreakerThen::Hold } else { BreakerThen::Shadow };
    let then = fields.get("then").map_or(Some(default), |node| reader.choice(node, "value of `then`", THEN));
    let min_events =
        fields.get("min_events").map_or(Some(BREAKER_EVENTS), |node| reader.int(node, 1..=BREAKER_EVENTS_MAX));
    let rearm_ms = fields.required("rearm", reader).and_then(|node| reader.positive_duration_ms(node));
    let min_events = u32::try_from(min_events?).ok()?;
    Some(Breaker { share_permille: share?, over_ms: over_ms?, then: then?, rearm_ms: rearm_ms?, min_events })
}

fn warn_without_effect(reader: &mut Reader, fields: &Fields<'_>) {
    let effects = ["score", "action", "decide"];
    if !effects.iter().any(|key| fields.get(key).is_some()) {
        let warning = fields.warning_at_key("id", "no-effect", "this rule has neither `score` nor `action`");
        reader.push(warning.hint("give it `score: 20` to add to the score, or `action: flag` for an alert"));
    }
}
