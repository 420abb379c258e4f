//! Keys: a prefix, the hash tag of a virtual shard, what the record holds, and the name of its own key.
//!
//! `refguard:{default/17}:w` and 15 bytes: the windows of a key of the program `default`. A tag without a program is of what
//! all programs share. A shard lies in one slot of a cluster, and what lies in one slot can be written by one call: it is a
//! group by itself. A server that is no cluster takes all shards in one call: there they are one group. Keys are the same.

use std::collections::HashMap;

use crate::engine::{RecordKind, RecordName};

/// How many slots a cluster has.
pub(super) const SLOTS: u16 = 16_384;
/// How many programs are kept in mind at once: a producer writes the name.
const PROGRAMS_MAX: usize = 4096;

/// A shard of a program: its number among those that were named.
pub(super) type Shard = usize;

/// Shards that one call reaches, by the number of one of them.
pub(super) type Group = Shard;

/// The group of all shards.
const ALL: Group = 0;

#[derive(Debug)]
struct Tagged {
    /// The prefix and the tag, up to the record's kind.
    start: Vec<u8>,
    slot: u16,
}

/// Names of keys.
#[derive(Debug)]
pub(super) struct Names {
    prefix: String,
    shards: u16,
    /// All shards are one group.
    is_one_group: bool,
    /// By program: the number of its first shard.
    programs: HashMap<Box<str>, Shard>,
    /// The same of what all programs share.
    shared: Option<Shard>,
    tagged: Vec<Tagged>,
}

impl Names {
    pub(super) fn new(prefix: &str, shards: u16, is_one_group: bool) -> Names {
        Names {
            prefix: prefix.to_owned(),
            shards: shards.max(1),
            is_one_group,
            programs: HashMap::new(),
            shared: None,
            tagged: Vec::new(),
        }
    }

    /// What a key of what there is once begins with: it lies in a slot of its own.
    pub(super) fn once(&self, what: &str) -> Vec<u8> {
        format!("{}:{{state}}:{what}", self.prefix).into_bytes()
    }

    /// A pattern that all keys match.
    pub(super) fn pattern(&self) -> Vec<u8> {
        let mut pattern = Vec::new();
        for byte in self.prefix.bytes() {
            if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\') {
                pattern.push(b'\\');
            }
            pattern.push(byte);
        }
        pattern.extend_from_slice(b":{*");
        pattern
    }

    /// The shard that a record lies in. Numbers hold until the next [`Names::trim`].
    pub(super) fn shard(&mut self, name: &RecordName<'_>) -> Shard {
        let within = shard_of(name.key, self.shards);
        let first = self.first(name).unwrap_or_else(|| self.add(name.program));
        first + usize::from(within)
    }

    /// Whether all shards are one group.
    pub(super) fn is_one_group(&self) -> bool {
        self.is_one_group
    }

    /// The group of a shard.
    pub(super) fn group(&self, shard: Shard) -> Group {
        if self.is_one_group { ALL } else { shard }
    }

    /// The group that a record lies in, if its program was named before.
    pub(super) fn known_group(&self, name: &RecordName<'_>) -> Option<Group> {
        self.first(name).map(|first| self.group(first + usize::from(shard_of(name.key, self.shards))))
    }

    fn first(&self, name: &RecordName<'_>) -> Option<Shard> {
        name.program.map_or(self.shared, |program| self.programs.get(program).copied())
    }

    fn add(&mut self, program: Option<&str>) -> Shard {
        let first = self.tagged.len();
        for shard in 0..self.shards {
            let tag = format!("{}/{shard}", encoded(program.unwrap_or_default()));
            let start = format!("{}:{{{tag}}}:", self.prefix).into_bytes();
            self.tagged.push(Tagged { start, slot: slot_of_tag(tag.as_bytes()) });
        }
        match program {
            Some(program) => drop(self.programs.insert(program.into(), first)),
            None => self.shared = Some(first),
        }
        first
    }

    /// Forgets programs beyond the bound, between two chunks. Answers whether it did: numbers are others then.
    pub(super) fn trim(&mut self) -> bool {
        let is_over = self.programs.len() > PROGRAMS_MAX;
        if is_over {
            self.programs.clear();
            self.shared = None;
            self.tagged.clear();
        }
        is_over
    }

    /// A slot of a group.
    pub(super) fn slot(&self, group: Group) -> u16 {
        self.tagged.get(group).map_or(0, |tagged| tagged.slot)
    }

    /// Replaces bytes by the key of a record.
    pub(super) fn write_key(&self, shard: Shard, name: &RecordName<'_>, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.tagged[shard].start);
        out.push(kind_byte(name.kind));
        out.extend_from_slice(&name.key.to_be_bytes()[1..]);
    }

    /// The key of the places up to which a group was written.
    pub(super) fn places(&self, group: Group) -> Vec<u8> {
        match self.tagged.get(group) {
            Some(tagged) if !self.is_one_group => [&tagged.start, &b"p"[..]].concat(),
            _ => self.once("p"),
        }
    }
}

fn kind_byte(kind: RecordKind) -> u8 {
    match kind {
        RecordKind::Windows => b'w',
        RecordKind::Identity => b'i',
        RecordKind::Decisions => b'd',
    }
}

/// What the record of a key holds; `None`: it is no record's.
pub(super) fn kind_of(key: &[u8]) -> Option<RecordKind> {
    let end_of_tag = key.iter().position(|byte| *byte == b'}')?;
    match key.get(end_of_tag + 2)? {
        b'w' => Some(RecordKind::Windows),
        b'i' => Some(RecordKind::Identity),
        b'd' => Some(RecordKind::Decisions),
        _ => None,
    }
}

/// By bits that no index of a table looks at first.
fn shard_of(key: u128, shards: u16) -> u16 {
    ((key >> 64) as u64 % u64::from(shards)) as u16
}

/// A name without the characters that end a tag or part it.
fn encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The slot of a key.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    let open = key.iter().position(|byte| *byte == b'{');
    let tag = open.and_then(|open| {
        let rest = &key[open + 1..];
        rest.iter().position(|byte| *byte == b'}').filter(|length| *length > 0).map(|length| &rest[..length])
    });
    slot_of_tag(tag.unwrap_or(key))
}

/// CRC-16/XMODEM, as Redis Cluster's specification has it, over the tag.
fn slot_of_tag(tag: &[u8]) -> u16 {
    let crc = tag.iter().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot_of_tag(b"123456789"), 0x31c3 % SLOTS);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"foo{}{bar}"), slot_of_tag(b"foo{}{bar}"));
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of_tag(b"{bar"));
    }

    #[test]
    fn a_shard_is_one_slot_and_programs_are_apart() {
        let mut names = Names::new("refguard", 64, false);
        let name = |program, key| RecordName { kind: RecordKind::Windows, program, key };
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for key in 0..1000u128 {
            let key = key << 64 | 7;
            let shard = names.shard(&name(Some("gold}x"), key));
            names.write_key(shard, &name(Some("gold}x"), key), &mut one);
            assert_eq!(slot_of(&one), names.slot(shard));
            assert_eq!(slot_of(&names.places(shard)), names.slot(shard));
            let shared = names.shard(&name(None, key));
            names.write_key(shared, &name(None, key), &mut other);
            assert_ne!(one, other);
            assert!(one.starts_with(b"refguard:{gold%7Dx/"), "{}", String::from_utf8_lossy(&one));
            assert!(other.starts_with(b"refguard:{/"));
        }
        assert_eq!(names.tagged.len(), 2 * 64);
    }
}
