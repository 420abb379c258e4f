//! A component in a checkpoint: its marks, one record a node in the order of slots, and who stands below whom.
//!
//! The nodes come to stand without gaps, under their number as slot, so that edges can name them by it.

use super::{Components, name_bytes};
use crate::state::Limit;
use crate::state::checkpoint::{Broken, ByteReader, ByteWriter, Segments};
use crate::state::index::SLOT_MAX;
use crate::state::table::stored::{restore_limit, store_limit};

/// What an item is.
const NODE: u8 = 0;
const NAMED_NODE: u8 = 1;
const CHILD: u8 = 2;

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

    pub(in crate::state) fn store_keys(&self, segments: &mut Segments<'_>) {
        let numbers = self.forest.numbers();
        for slot in self.forest.slots_in_use() {
            let name = self.names.get(&slot);
            let writer = segments.item();
            writer.byte(if name.is_some() { NAMED_NODE } else { NODE });
            self.forest.store_node(slot, &numbers, writer);
            name.into_iter().for_each(|name| writer.text(name));
        }
        self.forest.store_kin(&numbers, |child| {
            let writer = segments.item();
            writer.byte(CHILD);
            writer.short(child);
        });
    }

    pub(in crate::state) fn restore_keys(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        while !reader.is_empty() {
            match reader.byte()? {
                CHILD => self.children.push(reader.short()?),
                kind @ (NODE | NAMED_NODE) => {
                    if self.forest.nodes.slots() >= SLOT_MAX as usize {
                        return Err(Broken("a component has more nodes than there are slots"));
                    }
                    let slot = self.forest.restore_node(reader)?;
                    let key = self.forest.nodes.get(slot).key;
                    let found = self.index.find(key, |slot| self.forest.nodes.get(slot).key == key);
                    let Err(vacancy) = found else { return Err(Broken("a node stands there twice")) };
                    self.index.insert(key, vacancy, slot);
                    self.classes.came(key);
                    if kind == NAMED_NODE {
                        let name = reader.text()?;
                        self.name_bytes += name_bytes(name);
                        self.names.insert(slot, name.into());
                    }
                }
                _ => return Err(Broken("a part of a component of no known kind")),
            }
        }
        Ok(())
    }

    /// All nodes are there.
    pub(in crate::state) fn restored(&mut self) -> Result<(), Broken> {
        self.forest.restored()?;
        let children = std::mem::take(&mut self.children);
        if self.forest.kin.is_some() {
            let mut is_in = vec![false; self.index.keys()];
            children.into_iter().try_for_each(|child| self.forest.restore_kin(child, &mut is_in))?;
            let has_all = (0..).zip(is_in).all(|(slot, is_in)| is_in || !self.forest.has_parent(slot));
            if !has_all {
                return Err(Broken("a node is in no list of children"));
            }
        }
        for slot in self.forest.slots_in_use() {
            let name = self.names.get(&slot).map_or(0, |name| name_bytes(name));
            self.classes.grew(self.forest.nodes.get(slot).key, 0, self.forest.outside(slot) + name);
        }
        self.grown_max = if self.limit >= Limit::Busy { 0 } else { self.grown().saturating_add(self.grown_max) };
        Ok(())
    }
}
