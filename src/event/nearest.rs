//! The nearest known name to one that is not known: for hints, wherever people write names.
//!
//! One rule for packs, conditions, mappings and the configuration, so that they suggest alike. It imports the table of
//! types only. Invariant: the answer does not depend on anything but the name and the order of those that are known.

use super::KINDS;

/// The longest name that is compared, in characters: the work grows with its square.
const NAME_CHARS_MAX: usize = 64;

/// How many letters of an event's type may differ before it is taken for a type of its own.
const TYPE_DISTANCE_MAX: usize = 2;

/// The nearest of the known names, if one is near: a third of the letters differ at most, or one, whatever their case, or it is
/// the one name of which only the beginning was written, three letters of it or more. Of equally near ones the first.
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_lowercase();
    let length = name.chars().count();
    if length > NAME_CHARS_MAX {
        return None;
    }
    let (mut near, mut begun): (Option<(usize, &str)>, Vec<&str>) = (None, Vec::new());
    for candidate in known {
        let lower = candidate.to_lowercase();
        let distance = strsim::osa_distance(&name, &lower);
        let allowed = (length.max(lower.chars().count()) / 3).max(1);
        if distance <= allowed && near.is_none_or(|(least, _)| distance < least) {
            near = Some((distance, candidate));
        }
        if length >= 3 && lower.starts_with(&name) {
            begun.push(candidate);
        }
    }
    match (near, begun.as_slice()) {
        (Some((_, near)), _) => Some(near),
        (None, [one]) => Some(one),
        (None, _) => None,
    }
}

/// The type that refguard knows and that this one, which it does not know, is probably meant to be.
pub fn nearest_type(name: &str) -> Option<&'static str> {
    let near = KINDS.iter().map(|kind| (strsim::osa_distance(name, kind.name), kind.name)).min();
    near.filter(|(distance, _)| (1..=TYPE_DISTANCE_MAX).contains(distance)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_letters_and_beginnings() {
        let known = ["account_id", "distance_km", "id", "speed_kmh", "country"];
        for (name, near) in [
            ("acount_id", Some("account_id")),
            ("ACCOUNT_ID", Some("account_id")),
            ("ID", Some("id")),
            ("speed", Some("speed_kmh")),
            ("contry", Some("country")),
            ("zzz", None),
            ("ix", Some("id")),
            ("cuntri", Some("country")),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), near, "{name}");
        }
        assert_eq!(nearest("ema", ["email_local", "email_domain"].into_iter()), None, "which of them?");
        assert_eq!(nearest(&"x".repeat(10_000), known.into_iter()), None);
    }

    #[test]
    fn a_type_that_is_nearly_ours() {
        assert_eq!(nearest_type("reward.requestd"), Some("reward.requested"));
        assert_eq!(nearest_type("reward.requested"), None, "it is ours");
        assert_eq!(nearest_type("spaceship.landed"), None);
    }
}
