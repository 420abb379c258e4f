//! What to say after a name that is not known.

use crate::event::nearest;

/// The nearest of the known names, if one is near, as a question.
pub(super) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean `{near}`?"))
}

/// What stands in rules for a function that people know from elsewhere and that is none here.
pub(super) fn instead_of(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "lower" | "lowerascii" | "tolower" | "tolowercase" | "lowercase" | "upper" | "upperascii" | "toupper"
        | "touppercase" | "uppercase" => {
            "there is no change of case: signals such as `email.normalized` and `email.domain` are in lower case already, \
             and `(?i)` in a pattern of `matches` looks past the case"
        }
        "len" | "length" | "count" => "write `size(...)`",
        "now" | "today" | "currenttime" => "write `event.time`: rules know no other clock",
        "hours" | "hour" | "minutes" | "minute" | "seconds" | "second" => {
            "write a span of time as `duration(\"90s\")`, `duration(\"2h\")` or `days(7)`"
        }
        "weeks" | "week" => "write `days(7)`",
        "not" => "CEL writes `!(...)`",
        "and" => "CEL writes `a && b`",
        "or" => "CEL writes `a || b`",
        "if" | "iif" | "ifelse" => "CEL writes `condition ? this : that`",
        "includes" => "write `x in list`, or `text.contains(part)`",
        "isempty" | "isblank" => "write `... == \"\"`, or `!has(event.x)`",
        "isnull" | "exist" | "defined" => "write `!has(event.x)` or `has(event.x)`",
        "any" | "some" => "write `list.exists(x, ...)`",
        "every" => "write `list.all(x, ...)`",
        "regex" | "regexp" | "match" | "like" => "write `text.matches(\"^...$\")`",
        _ => return None,
    })
}
