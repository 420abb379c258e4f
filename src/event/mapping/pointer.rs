//! JSON pointers (RFC 6901), taken apart once.

use serde_json::Value;

/// A checked pointer: the names and indexes that lead from the whole to a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    tokens: Vec<String>,
}

impl Pointer {
    /// Reads a pointer; `Err` says what is wrong with it, as a clause for a person.
    pub(super) fn parse(text: &str) -> Result<Pointer, &'static str> {
        let Some(path) = text.strip_prefix('/') else {
            return if text.is_empty() { Ok(Pointer { tokens: Vec::new() }) } else { Err("it does not begin with /") };
        };
        let tokens: Result<Vec<String>, _> = path.split('/').map(unescape).collect();
        Ok(Pointer { tokens: tokens? })
    }

    /// What the pointer leads to; `None` if nothing is there, or `null`.
    pub(super) fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        let found = self.tokens.iter().try_fold(value, |value, token| match value {
            Value::Object(members) => members.get(token),
            Value::Array(elements) => elements.get(index_of(token)?),
            _ => None,
        })?;
        (!found.is_null()).then_some(found)
    }
}

/// An array's index: digits without a leading zero.
fn index_of(token: &str) -> Option<usize> {
    let is_index = token == "0" || (token.bytes().all(|byte| byte.is_ascii_digit()) && !token.starts_with('0'));
    if is_index { token.parse().ok() } else { None }
}

/// `~1` stands for `/` and `~0` for `~`.
fn unescape(token: &str) -> Result<String, &'static str> {
    let mut name = String::with_capacity(token.len());
    let mut characters = token.chars();
    while let Some(character) = characters.next() {
        name.push(match character {
            '~' => match characters.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err("a ~ in it is not ~0 (for ~) or ~1 (for /)"),
            },
            other => other,
        });
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn follows_rfc_6901() {
        let value = json!({"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "m~n": 8, "~1": 9, "no": null});
        for (text, found) in [
            ("", Some(&value)),
            ("/foo/0", Some(&json!("bar"))),
            ("/", Some(&json!(0))),
            ("/a~1b", Some(&json!(1))),
            ("/c%d", Some(&json!(2))),
            ("/m~0n", Some(&json!(8))),
            ("/~01", Some(&json!(9))),
            ("/no", None),
            ("/foo/2", None),
            ("/foo/00", None),
            ("/foo/-", None),
            ("/foo/+1", None),
            ("/foo/bar", None),
            ("/foo/99999999999999999999999", None),
            ("/a~1b/c", None),
        ] {
            assert_eq!(Pointer::parse(text).unwrap().find(&value), found, "{text}");
        }
        assert_eq!(Pointer::parse("a/b"), Err("it does not begin with /"));
        assert_eq!(Pointer::parse("/a~"), Err("a ~ in it is not ~0 (for ~) or ~1 (for /)"));
        assert_eq!(Pointer::parse("/a~2"), Err("a ~ in it is not ~0 (for ~) or ~1 (for /)"));
    }
}
