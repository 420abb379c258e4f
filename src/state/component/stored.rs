//! A component in a checkpoint: its marks, one record a node in the order of slots, and who stands below whom.
//!
//! The nodes come to stand without gaps, in the order of reading, and name others by numbers. Lists of siblings run
//! through the nodes, as in memory: so what changes with a link is a few records, however long a list.

use super::{Components, name_bytes};
use crate::state::Limit;
use crate::state::checkpoint::{Broken, ByteReader, ByteWriter};
use crate::state::cut::Cuttable;
use crate::state::forest::stored::{EDGE, ForestCut, GONE, NAMED, NUMBERED_NODE};
use crate::state::index::SLOT_MAX;
use crate::state::table::stored::{restore_limit, store_limit};

/// What an item of the first format is; of later ones it is a numbered node.
const NODE: u8 = 0;
const NAMED_NODE: u8 = 1;
const CHILD: u8 = 2;

/// What was read of nodes and is to be looked at together.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// By slot: the number by which others name it.
    numbers: Vec<u32>,
    /// By slot: who stands behind it among its siblings.
    behind: Vec<u32>,
    /// Who is the first of each list of siblings.
    firsts: Vec<u32>,
    /// Who stands below whom, in the order of joining: of the first format.
    children: Vec<u32>,
}

impl Read {
    /// The slots by number.
    fn slots(&self) -> Result<Vec<u32>, Broken> {
        let mut slots = vec![GONE; self.numbers.len()];
        for (slot, number) in (0..).zip(&self.numbers) {
            match slots.get_mut(*number as usize) {
                Some(place) if *place == GONE => *place = slot,
                _ => return Err(Broken("a node has a number that cannot be")),
            }
        }
        Ok(slots)
    }

    /// The slots of children, in the order of joining: the last of a list first.
    fn children(self, slots: &[u32]) -> Result<Vec<u32>, Broken> {
        let mut children = self.children;
        for first in self.firsts {
            let start = children.len();
            let mut next = first;
            while next != GONE {
                let child = slots.get(next as usize).copied().filter(|_| children.len() < slots.len());
                let child = child.ok_or(Broken("a list of children has no end"))?;
                children.push(child);
                // A node of the first format has nobody behind it here.
                next = self.behind.get(child as usize).copied().unwrap_or(GONE);
            }
            children[start..].reverse();
        }
        Ok(children)
    }
}

impl Cuttable for Components {
    type Cut = ForestCut;

    fn new_cut(&self, prefix: &[u8]) -> ForestCut {
        self.forest.new_cut(prefix)
    }

    fn cut_mut(&mut self) -> &mut Option<Box<ForestCut>> {
        self.forest.cut_mut()
    }

    fn walk(&self, cut: &mut ForestCut, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
        self.forest.walk(cut, budget_bytes, put)
    }
}

impl Components {
    pub(in crate::state) fn store_head(&self, writer: &mut ByteWriter) {
        writer.maybe_time(self.origin);
        writer.int(self.refused);
        writer.word(self.refusals);
        writer.int(self.forest.floor());
        let room = if self.grown_max == usize::MAX { usize::MAX } else { self.grown_max.saturating_sub(self.grown()) };
        store_limit(self.limit, self.keys_max, room, writer);
        self.classes.store(writer);
    }

    pub(in crate::state) fn restore_head(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        self.origin = reader.maybe_time()?;
        self.refused = reader.int()?;
        self.refusals = reader.word()?;
        self.forest.restore_floor(reader.int()?);
        // Until the nodes are there, what they may grow to is the room alone.
        (self.limit, self.keys_max, self.grown_max) = restore_limit(reader)?;
        self.classes.restore(reader)
    }

    pub(in crate::state) fn restore_keys(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        while !reader.is_empty() {
            match reader.byte()? {
                CHILD => self.read.children.push(reader.short()?),
                kind @ (NODE | NAMED_NODE) => {
                    let (slot, _) = self.restore_node(self.read.numbers.len() as u32, reader)?;
                    if kind == NAMED_NODE {
                        self.restore_name(slot, reader)?;
                    }
                }
                NUMBERED_NODE => {
                    let number = reader.short()?;
                    let (slot, marks) = self.restore_node(number, reader)?;
                    if self.forest.kin.is_some() {
                        for _ in 0..reader.count(4)? {
                            self.read.firsts.push(reader.short()?);
                        }
                        let behind = if marks & EDGE != 0 { reader.short()? } else { GONE };
                        self.read.behind.push(behind);
                    }
                    if marks & NAMED != 0 {
                        self.restore_name(slot, reader)?;
                    }
                }
                _ => return Err(Broken("a part of a component of no known kind")),
            }
        }
        Ok(())
    }

    fn restore_node(&mut self, number: u32, reader: &mut ByteReader<'_>) -> Result<(u32, u8), Broken> {
        if self.forest.nodes.slots() >= SLOT_MAX as usize {
            return Err(Broken("a component has more nodes than there are slots"));
        }
        let (slot, marks) = self.forest.restore_node(reader)?;
        let key = self.forest.nodes.get(slot).key;
        let found = self.index.find(key, |slot| self.forest.nodes.get(slot).key == key);
        let Err(vacancy) = found else { return Err(Broken("a node stands there twice")) };
        self.index.insert(key, vacancy, slot);
        self.classes.came(key);
        self.read.numbers.push(number);
        Ok((slot, marks))
    }

    fn restore_name(&mut self, slot: u32, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        let name = reader.text()?;
        self.name_bytes += name_bytes(name);
        self.forest.names.insert(slot, name.into());
        Ok(())
    }

    /// All nodes are there.
    pub(in crate::state) fn restored(&mut self) -> Result<(), Broken> {
        let read = std::mem::take(&mut self.read);
        let slots = read.slots()?;
        self.forest.restore_numbers(&slots)?;
        self.forest.restored()?;
        if self.forest.kin.is_some() {
            let mut is_in = vec![false; slots.len()];
            read.children(&slots)?.into_iter().try_for_each(|child| self.forest.restore_kin(child, &mut is_in))?;
            let has_all = (0..).zip(is_in).all(|(slot, is_in)| is_in || !self.forest.has_parent(slot));
            if !has_all {
                return Err(Broken("a node is in no list of children"));
            }
        }
        for slot in self.forest.slots_in_use() {
            let name = self.forest.names.get(&slot).map_or(0, |name| name_bytes(name));
            self.classes.grew(self.forest.nodes.get(slot).key, 0, self.forest.outside(slot) + name);
        }
        self.grown_max = if self.limit >= Limit::Busy { 0 } else { self.grown().saturating_add(self.grown_max) };
        Ok(())
    }
}
