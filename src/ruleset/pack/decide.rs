//! What a rule's `decide` says: who is remembered beyond the event, and for how long.

use super::{Name, choice, expression, optional, types};
use crate::event::{SubjectKind, Verdict};
use crate::ruleset::cel::{Role, Source};
use crate::ruleset::program::OnExpiry;
use crate::ruleset::yaml::{Fields, Node, Reader};

/// A decision as written.
pub(in crate::ruleset) struct DecideDef {
    pub(in crate::ruleset) subject: SubjectDef,
    pub(in crate::ruleset) verdict: Verdict,
    pub(in crate::ruleset) ttl_ms: Option<i64>,
    pub(in crate::ruleset) on_expiry: OnExpiry,
    pub(in crate::ruleset) on: Option<Vec<String>>,
}

/// Who or what it is about, as written.
pub(in crate::ruleset) enum SubjectDef {
    Role(Role),
    Thing(SubjectKind),
    ById(SubjectKind, Source),
    /// Every member of the component of this name.
    Each(Name),
}

const KEYS: &[&str] = &["subject", "id", "each", "verdict", "ttl", "on_expiry", "on"];

pub(super) fn read(reader: &mut Reader, node: &Node) -> Vec<DecideDef> {
    let items = reader.list(node).unwrap_or_default();
    items.iter().filter_map(|item| decide(reader, item)).collect()
}

fn decide(reader: &mut Reader, node: &Node) -> Option<DecideDef> {
    const ON_EXPIRY: &[(&str, OnExpiry)] =
        &[("keep", OnExpiry::Keep), ("release", OnExpiry::Release), ("block", OnExpiry::Block)];
    let fields = reader.fields(node, "a decision", KEYS)?;
    let subject = subject(reader, &fields);
    let verdict = fields.required("verdict", reader).and_then(|node| verdict(reader, node));
    let ttl_ms = optional(&fields, "ttl", |node| reader.positive_duration_ms(node));
    let on_expiry = fields
        .get("on_expiry")
        .map_or(Some(OnExpiry::Keep), |node| reader.choice(node, "value of `on_expiry`", ON_EXPIRY));
    let on = optional(&fields, "on", |node| types(reader, node));
    if fields.get("on_expiry").is_some() && fields.get("ttl").is_none() {
        let message =
            "`on_expiry` says what follows when the decision ends by itself, and without a `ttl` it never does";
        reader.push(fields.error_at_key("on_expiry", "unused-key", message).hint("add `ttl`, such as `ttl: 7d`"));
    }
    Some(DecideDef { subject: subject?, verdict: verdict?, ttl_ms: ttl_ms?, on_expiry: on_expiry?, on: on? })
}

fn verdict(reader: &mut Reader, node: &Node) -> Option<Verdict> {
    let verdict = choice(reader, node, "verdict", Verdict::ALL, Verdict::name)?;
    if verdict == Verdict::Allow {
        let diagnostic = node.error("unknown-value", "a rule cannot decide `allow`");
        reader.push(diagnostic.hint("to spare some events write `except`; to allow a subject is a person's override"));
        return None;
    }
    Some(verdict)
}

fn subject(reader: &mut Reader, fields: &Fields<'_>) -> Option<SubjectDef> {
    let roles = Role::ALL.iter().map(|role| (role.name(), Subject::Role(*role)));
    let things = SubjectKind::ALL.iter().filter(|kind| **kind != SubjectKind::Account);
    let things = things.map(|kind| (kind.name(), Subject::Thing(*kind)));
    let words: Vec<(&str, Subject)> = roles.chain(things).collect();
    let subject = fields.required("subject", reader).and_then(|node| reader.choice(node, "subject", &words));
    if let Some(node) = fields.get("each") {
        return each(reader, fields, node, subject?);
    }
    match (subject?, fields.get("id")) {
        (Subject::Role(role), None) => Some(SubjectDef::Role(role)),
        (Subject::Thing(kind), None) => Some(SubjectDef::Thing(kind)),
        (Subject::Role(_), Some(node)) => Some(SubjectDef::ById(SubjectKind::Account, expression(reader, node)?)),
        (Subject::Thing(kind), Some(node)) => Some(SubjectDef::ById(kind, expression(reader, node)?)),
    }
}

/// `each: NAME`: everybody in a component.
fn each(reader: &mut Reader, fields: &Fields<'_>, node: &Node, subject: Subject) -> Option<SubjectDef> {
    let feature = reader.filled_text(node)?;
    if !matches!(subject, Subject::Role(Role::Account)) {
        let message = "`each` decides about accounts";
        reader.push(fields.error_at_key("subject", "type", message).hint("write `subject: account`"));
        return None;
    }
    if fields.get("id").is_some() {
        reader.push(fields.error_at_key("id", "unused-key", "a decision has an `id` or is about `each`, not both"));
        return None;
    }
    Some(SubjectDef::Each(Name {
        text: feature.to_owned(),
        file: std::sync::Arc::clone(&node.file),
        span: node.span.clone(),
    }))
}

#[derive(Clone, Copy)]
enum Subject {
    Role(Role),
    Thing(SubjectKind),
}
