//! From the written mapping to the checked one: every fault is listed, not only the first.

use super::{FieldConfig, Format, Mapping, MappingConfig, MappingError, Origin, Part, PartConfig, Pointer, Rule};
use crate::event::{Field, FieldType, nearest};
use serde_json::Value;
use std::collections::BTreeMap;

impl Mapping {
    /// Checks a mapping.
    ///
    /// # Errors
    ///
    /// Every fault: a field that events do not have, a pointer that is none, a rule that does not fit its field, an
    /// envelope field that is not built.
    pub fn compile(config: &MappingConfig) -> Result<Mapping, Vec<MappingError>> {
        let mut faults = Faults::default();
        let mut rules = BTreeMap::new();
        for (name, written) in &config.0 {
            let Some(field) = Field::from_name(name) else {
                faults.unknown_field(name);
                continue;
            };
            if let Some(rule) = rule_of(field, written, &mut faults) {
                rules.insert(field, rule);
            }
        }
        for field in Field::ALL.iter().filter(|field| field.is_envelope()) {
            if !config.0.contains_key(field.name()) {
                faults.add(&[], format!("it does not build `{field}`, which every event needs"), None);
            }
        }
        if faults.0.is_empty() { Ok(Mapping { rules }) } else { Err(faults.0) }
    }
}

/// The faults found so far.
#[derive(Default)]
struct Faults(Vec<MappingError>);

impl Faults {
    fn add(&mut self, path: &[&str], message: String, hint: Option<String>) {
        self.0.push(MappingError { path: path.iter().map(|key| (*key).to_owned()).collect(), message, hint });
    }

    fn unknown_field(&mut self, name: &str) {
        let near = nearest(name, Field::ALL.iter().map(|field| field.name()));
        let hint =
            near.map_or("docs/events.md lists the fields".to_owned(), |field| format!("did you mean `{field}`?"));
        self.add(&[name], format!("events have no field `{name}`"), Some(hint));
    }
}

/// The checked rule of a field; `None` when it has faults.
fn rule_of(field: Field, written: &FieldConfig, faults: &mut Faults) -> Option<Rule> {
    let before = faults.0.len();
    let name = field.name();
    let origin = match (&written.pointer, &written.constant, &written.concat) {
        (Some(pointer), None, None) => pointer_of(pointer, &[name, "pointer"], faults).map(Origin::Pointer),
        (None, Some(constant), None) => constant_of(field, constant, faults),
        (None, None, Some(parts)) => concat_of(field, parts, faults),
        _ => {
            faults.add(
                &[name],
                "exactly one of `pointer`, `const` and `concat` says where the value comes from".into(),
                None,
            );
            None
        }
    };
    let fitting = match written.format {
        Some(Format::UnixMs | Format::UnixS) => Some((FieldType::Timestamp, "an instant")),
        Some(Format::Decimal) => Some((FieldType::Int, "an amount")),
        None => None,
    };
    if let Some((_, what)) = fitting.filter(|(fits, _)| *fits != field.field_type()) {
        faults.add(&[name, "format"], format!("this format makes {what}, which `{field}` is not"), None);
    }
    if !written.alias.is_empty() && field.field_type() != FieldType::Text {
        faults.add(&[name, "alias"], format!("an alias table makes a text, which `{field}` is not"), None);
    }
    let origin = origin.filter(|_| faults.0.len() == before)?;
    Some(Rule { origin, format: written.format, alias: written.alias.clone() })
}

fn pointer_of(text: &str, path: &[&str], faults: &mut Faults) -> Option<Pointer> {
    let problem = match Pointer::parse(text) {
        Ok(pointer) => return Some(pointer),
        Err(problem) => problem,
    };
    let hint =
        (!text.starts_with('/')).then(|| format!("write `/{}`", text.trim_start_matches("$.").replace('.', "/")));
    faults.add(path, format!("`{text}` is not a JSON pointer: {problem}"), hint);
    None
}

fn constant_of(field: Field, constant: &Value, faults: &mut Faults) -> Option<Origin> {
    let fits = match field.field_type() {
        FieldType::Map => constant.is_object(),
        _ => constant.is_string() || constant.is_number(),
    };
    if !fits {
        let wanted = if field.field_type() == FieldType::Map { "an object" } else { "a string or a number" };
        faults.add(&[field.name(), "const"], format!("`{field}` needs {wanted}"), None);
        return None;
    }
    Some(Origin::Constant(constant.clone()))
}

fn concat_of(field: Field, parts: &[PartConfig], faults: &mut Faults) -> Option<Origin> {
    if field.field_type() != FieldType::Text {
        faults.add(&[field.name(), "concat"], format!("a `concat` makes a text, which `{field}` is not"), None);
        return None;
    }
    if parts.is_empty() {
        faults.add(&[field.name(), "concat"], "it has no pieces".into(), None);
    }
    let mut checked = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        checked.extend(match part {
            PartConfig::Text(text) => Some(Part::Text(text.clone())),
            PartConfig::Pointer(place) => {
                let index = index.to_string();
                pointer_of(&place.pointer, &[field.name(), "concat", &index, "pointer"], faults).map(Part::Pointer)
            }
        });
    }
    Some(Origin::Concat(checked))
}
