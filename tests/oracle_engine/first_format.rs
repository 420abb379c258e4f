//! The first format of checkpoints, in which the keys of a table stood behind its head, in the order of slots, and the
//! nodes of a component named others by their places: what is written now is put into it, and must be read as the same.

use refguard::state::{ByteReader, ByteWriter};

use super::{MORE, RULES, restored, say, segments};
use crate::random::Random;
use crate::{options, pack, replay, world};

const TABLE: u8 = 2;
const KEYS: u8 = 3;
const KEYS_OF: u8 = 14;
/// Subjects of decisions, which have their places in the log of them; holds, their order; that log.
const NEWER: [u8; 4] = [10, 16, 17, 18];
const COMPONENT: u8 = 12;
const EDGE: u8 = 4;
const NAMED: u8 = 8;
const NOBODY: u32 = u32::MAX;

/// Of the table that a head begins: whether it is a component, and one that lists members.
fn component(head: &[u8]) -> Option<bool> {
    let mut reader = ByteReader::new(&head[1..]);
    if reader.byte().unwrap() == 0 {
        reader.text().unwrap();
        reader.text().unwrap();
        reader.maybe_time().unwrap();
    } else {
        reader.text().unwrap();
    }
    let spec = reader.bytes().unwrap();
    (spec[0] == COMPONENT).then(|| spec[1 + 8 + 4] == 1)
}

/// Appends a node as it was, and answers its first children and the sibling behind it.
fn put_node(reader: &mut ByteReader<'_>, lists_members: bool, at: u32, out: &mut ByteWriter) -> (Vec<u32>, u32) {
    assert_eq!((reader.byte(), reader.short()), (Ok(3), Ok(at)), "nodes are numbered in the order of slots");
    let (key, marks) = (reader.key().unwrap(), reader.byte().unwrap());
    out.byte(u8::from(marks & NAMED != 0));
    out.key(key);
    out.byte(marks & !NAMED);
    out.int(reader.int().unwrap());
    if marks & EDGE != 0 {
        out.short(reader.short().unwrap());
        out.int(reader.int().unwrap());
    }
    let sightings = reader.count(8).unwrap();
    out.count(sightings);
    for _ in 0..sightings {
        out.short(reader.short().unwrap());
        out.int(reader.int().unwrap());
    }
    let (mut firsts, mut behind) = (Vec::new(), NOBODY);
    if lists_members {
        let lists = reader.count(4).unwrap();
        firsts.extend((0..lists).map(|_| reader.short().unwrap()));
        if marks & EDGE != 0 {
            behind = reader.short().unwrap();
        }
    }
    if marks & NAMED != 0 {
        out.text(reader.text().unwrap());
    }
    (firsts, behind)
}

fn component_keys(keys: &[&[u8]], lists_members: bool) -> Vec<u8> {
    let mut out = ByteWriter::default();
    out.byte(KEYS);
    let mut nodes = Vec::new();
    for segment in keys {
        let mut reader = ByteReader::new(&segment[2..]);
        while !reader.is_empty() {
            nodes.push(put_node(&mut reader, lists_members, nodes.len() as u32, &mut out));
        }
    }
    for first in nodes.iter().flat_map(|(firsts, _)| firsts) {
        let next = |node: &u32| Some(nodes[*node as usize].1).filter(|next| *next != NOBODY);
        let mut list: Vec<u32> = std::iter::successors(Some(*first), next).collect();
        list.reverse();
        for child in list {
            out.byte(2);
            out.short(child);
        }
    }
    out.into_bytes()
}

fn first_format(segments: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let of = |tag: u8| segments.iter().filter(move |segment| segment[0] == tag);
    let mut out: Vec<Vec<u8>> = of(1).cloned().collect();
    for (number, head) in of(TABLE).enumerate() {
        out.push(head.clone());
        let keys: Vec<&[u8]> =
            of(KEYS_OF).filter(|keys| usize::from(keys[1]) == number).map(|keys| &keys[..]).collect();
        match component(head) {
            Some(lists_members) => out.push(component_keys(&keys, lists_members)),
            None => out.extend(keys.iter().map(|keys| [&[KEYS], &keys[2..]].concat())),
        }
    }
    // Referrers, identities, verdicts, decisions, breakers, the watch over memory, the end.
    (4..=13).for_each(|tag| out.extend(of(tag).cloned()));
    out
}

#[test]
fn the_first_format_is_read_as_what_is_written_now() {
    for (text, seed) in [(RULES, 970), (MORE, 971), (MORE, 972)] {
        let rules = pack::rules(text);
        let mut replay = replay(&rules);
        say(&mut replay, &world::history(&mut Random(seed), 3000), &mut Vec::new());
        let written = segments(replay.engine());
        let first = first_format(&written);
        assert!(first.iter().any(|segment| segment[0] == KEYS && segment.len() > 1000));
        assert!(first.iter().all(|segment| segment[0] < KEYS_OF));
        let read = restored(&first, &rules, options()).unwrap();
        // It knew nothing of holds, nor of the log of decisions.
        let known =
            |all: Vec<Vec<u8>>| -> Vec<Vec<u8>> { all.into_iter().filter(|of| !NEWER.contains(&of[0])).collect() };
        let (read, written) = (known(segments(&read)), known(written));
        let other: Vec<u8> =
            read.iter().zip(&written).filter(|(one, other)| one != other).map(|(one, _)| one[0]).collect();
        assert!(read == written, "seed {seed}: of {} and {} parts those of {other:?}", read.len(), written.len());
    }
}
