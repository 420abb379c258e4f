//! What a `component` says beyond other features: what links accounts, and what does not.

use super::{expression, expressions};
use crate::ruleset::cel::Source;
use crate::ruleset::program::{Component, LINKS_MAX, Reach};
use crate::ruleset::yaml::{Fields, Kind, Node, Reader};

/// The keys of a component, as written.
pub(in crate::ruleset) struct ComponentDef {
    /// The expressions whose values link.
    pub(in crate::ruleset) links: Vec<Source>,
    /// What links nothing: declared lists (`lists.NAME`) and texts.
    pub(in crate::ruleset) ignore: Vec<Source>,
    pub(in crate::ruleset) shape: Component,
}

/// A generation when nothing else is said: a day.
const GENERATION_MS: i64 = 86_400_000;
/// The shortest generation: a minute.
const GENERATION_MS_LEAST: i64 = 60_000;
/// How many generations a window has at most: a component has a number for each that it has links of.
const GENERATIONS_MAX: i64 = 1000;
/// At which of its accounts a value stops linking when nothing else is said.
const HUB: i64 = 20;
/// At 2 no value would ever link two accounts; a value keeps as many accounts as this.
const HUB_LEAST: i64 = 3;
const HUB_MOST: i64 = 1000;
/// How many lists and texts `ignore` takes.
const IGNORED_MAX: usize = 1000;

/// Reads them; `reach` is that of the feature, `None` when it is faulty.
pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>, reach: Option<Reach>) -> Option<ComponentDef> {
    let key = fields.get("key").and_then(|node| match &node.kind {
        Kind::List(parts) if parts.len() > 1 => Some(node),
        _ => None,
    });
    if let Some(node) = key {
        let message = "the key of a `component` has one part, the account";
        reader.push(node.error("type", message).hint("such as `key: [event.account_id]`"));
    }
    let links = fields.required("links", reader).and_then(|node| links(reader, node));
    let ignore = fields.get("ignore").map_or(Some(Vec::new()), |node| ignore(reader, node));
    let hub = fields.get("hub").map_or(Some(HUB), |node| reader.int(node, HUB_LEAST..=HUB_MOST));
    let generation_ms = generation_ms(reader, fields, reach);
    let shape = Component { generation_ms: generation_ms?, hub: hub? as u32 };
    key.is_none().then_some(ComponentDef { links: links?, ignore: ignore?, shape })
}

fn links(reader: &mut Reader, node: &Node) -> Option<Vec<Source>> {
    let number = reader.list(node)?.len();
    if number == 0 || number > LINKS_MAX {
        let message = format!("accounts are linked by 1 to {LINKS_MAX} values, here by {number}");
        reader.push(node.error("type", message).hint("such as `links: [device.id, event.payment_fingerprint]`"));
        return None;
    }
    let links = expressions(reader, node);
    (links.len() == number).then_some(links)
}

/// One list or text, or several.
fn ignore(reader: &mut Reader, node: &Node) -> Option<Vec<Source>> {
    let items = match &node.kind {
        Kind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if items.len() > IGNORED_MAX {
        let message = format!("more than {IGNORED_MAX} values to ignore");
        reader.push(node.error("too-large", message).hint("declare a list with a `file`"));
        return None;
    }
    let read: Vec<Source> = items.iter().filter_map(|item| expression(reader, item)).collect();
    (read.len() == items.len()).then_some(read)
}

fn generation_ms(reader: &mut Reader, fields: &Fields<'_>, reach: Option<Reach>) -> Option<i64> {
    let given = fields.get("generation");
    let generation_ms = given.map_or(Some(GENERATION_MS), |node| reader.positive_duration_ms(node))?;
    if let Some(node) = given
        && generation_ms < GENERATION_MS_LEAST
    {
        reader.push(node.error("type", "a `generation` is a minute or longer"));
        return None;
    }
    match reach? {
        Reach::Window(window_ms) if window_ms / generation_ms > GENERATIONS_MAX => {
            let message = format!("the `window` has more than {GENERATIONS_MAX} generations");
            let hint = "links fade by generations, a day long unless said otherwise: make `generation` longer";
            reader.push(fields.error_at_key("window", "too-large", message).hint(hint));
            None
        }
        Reach::Calendar(_) => {
            let message = "the `window` of a `component` is a span: its links fade by generations, not by the calendar";
            reader.push(fields.error_at_key("window", "type", message).hint("such as `window: 30d`"));
            None
        }
        _ => Some(generation_ms),
    }
}
