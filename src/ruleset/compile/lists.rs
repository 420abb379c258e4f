//! Lists: values in place or from a file, each checked for what the list's kind wants.

use super::ListText;
use crate::ruleset::pack::ListDef;
use crate::ruleset::program::NamedList;
use crate::ruleset::yaml::Reader;

/// Makes one list; what is wrong with its values is reported and left out.
pub(super) fn list(definition: &ListDef, text_of: &mut ListText<'_>, reader: &mut Reader) -> NamedList {
    let mut values = Vec::new();
    for node in &definition.values {
        if let Some(value) = reader.filled_text(node) {
            values.push(value.to_owned());
        }
    }
    if let Some(node) = &definition.file
        && let Some(path) = reader.filled_text(node)
    {
        match text_of(path) {
            Ok(text) => values.extend(lines(&text).map(str::to_owned)),
            Err(why) => {
                reader.push(node.error("list-file", why).hint("the path is relative to the folder of the rules"))
            }
        }
    }
    NamedList { name: definition.name.text.clone(), managed: definition.managed, kind: definition.kind, values }
}

/// The lines of a list file: comments after `#` and blank lines left out.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split('#').next().unwrap_or("").trim()).filter(|line| !line.is_empty())
}
