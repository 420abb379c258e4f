//! A forest in a checkpoint: its nodes, whose edges name others by their number in the order of slots.
//!
//! Edges and sightings below the floor are left out, since nobody looks at them. Shares are not written: they follow from
//! the edges. So a forest that is read holds all its invariants, or is refused.

use super::{Forest, NEVER, Node, Sighting};
use crate::state::checkpoint::{Broken, ByteReader, ByteWriter};
use crate::state::few::Vacant as _;

/// The number of a node that is gone.
const GONE: u32 = u32::MAX;
/// Marks of a node.
const ACCOUNT: u8 = 1;
const JOINED: u8 = 2;
const EDGE: u8 = 4;

impl Forest {
    /// By slot: the number of its node in the order of slots.
    pub(in crate::state) fn numbers(&self) -> Vec<u32> {
        let mut numbers = vec![GONE; self.nodes.slots()];
        for (number, slot) in self.slots_in_use().enumerate() {
            numbers[slot as usize] = number as u32;
        }
        numbers
    }

    pub(in crate::state) fn slots_in_use(&self) -> impl Iterator<Item = u32> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let slot = self.nodes.next_live(from, self.nodes.slots())?;
            from = slot as usize + 1;
            Some(slot)
        })
    }

    /// The parent of a node by an edge that somebody can still ask for.
    fn parent(&self, node: u32) -> Option<(u32, i32)> {
        Some(self.edge(node)).filter(|(_, weight)| *weight >= self.floor)
    }

    pub(in crate::state) fn store_node(&self, slot: u32, numbers: &[u32], writer: &mut ByteWriter) {
        let entry = self.nodes.get(slot);
        let node = &entry.window;
        let edge = self.parent(slot);
        writer.key(entry.key);
        let mark = |is: bool, mark: u8| if is { mark } else { 0 };
        writer.byte(mark(node.is_account, ACCOUNT) | mark(node.joined, JOINED) | mark(edge.is_some(), EDGE));
        writer.int(node.seen);
        if let Some((parent, weight)) = edge {
            writer.short(numbers[parent as usize]);
            writer.int(weight);
        }
        let sightings = || node.sightings.iter().filter(|sighting| !sighting.is_vacant(self.floor));
        writer.count(sightings().count());
        for sighting in sightings() {
            writer.short(numbers[sighting.account as usize]);
            writer.int(sighting.weight);
        }
    }

    /// Reads a node; the numbers that it names are not looked at before [`Forest::restored`]. Answers its slot, which is
    /// its number.
    pub(in crate::state) fn restore_node(&mut self, reader: &mut ByteReader<'_>) -> Result<u32, Broken> {
        let key = reader.key()?;
        let marks = reader.byte()?;
        if marks > ACCOUNT | JOINED | EDGE {
            return Err(Broken("a node has marks of no known kind"));
        }
        let mut node = Node { seen: reader.int()?, ..Node::default() };
        (node.is_account, node.joined) = (marks & ACCOUNT != 0, marks & JOINED != 0);
        if marks & EDGE != 0 {
            (node.parent, node.weight) = (reader.short()?, reader.int()?);
        }
        for _ in 0..reader.count(8)? {
            let sighting = Sighting { account: reader.short()?, weight: reader.int()? };
            if sighting.is_vacant(self.floor) {
                return Err(Broken("a value was seen with nobody"));
            }
            self.spilled += node.sightings.add(sighting, self.floor);
        }
        let slot = self.insert(key);
        *self.node_mut(slot) = node;
        Ok(slot)
    }

    /// Who stands below whom, for those who list members: the children of a parent by edges of one weight, the last of the
    /// list first, so that they are put there again in the order of the list.
    pub(in crate::state) fn store_kin(&self, numbers: &[u32], mut put: impl FnMut(u32)) {
        let Some(kin) = &self.kin else { return };
        let mut children = Vec::new();
        for slot in self.slots_in_use() {
            children.clear();
            kin.children(slot, self.floor, numbers.len(), &mut children);
            let same_weight = |a: &u32, b: &u32| self.node(*a).weight == self.node(*b).weight;
            for list in children.chunk_by(same_weight) {
                list.iter().rev().for_each(|child| put(numbers[*child as usize]));
            }
        }
    }

    /// Puts a child into the list of its parent; `is_in` tells by node which ones are.
    pub(in crate::state) fn restore_kin(&mut self, child: u32, is_in: &mut [bool]) -> Result<(), Broken> {
        let nodes = is_in.len();
        let place = is_in.get_mut(child as usize).filter(|is_in| !**is_in);
        let (Some(place), Some(kin)) = (place, &mut self.kin) else {
            return Err(Broken("a list of children names what is no child"));
        };
        *place = true;
        let Node { parent, weight, .. } = self.nodes.get(child).window;
        if weight < self.floor || parent as usize >= nodes {
            return Err(Broken("a list of children names what has no parent"));
        }
        kin.join(child, parent, weight, self.floor);
        Ok(())
    }

    /// Bytes that a node takes outside its slot.
    pub(in crate::state) fn outside(&self, slot: u32) -> usize {
        let node = self.node(slot);
        node.shares.spilled_bytes() + node.sightings.spilled_bytes()
    }

    /// All nodes are there: looks at what they name, and counts the shares.
    pub(in crate::state) fn restored(&mut self) -> Result<(), Broken> {
        let mut nodes: Vec<u32> = self.slots_in_use().collect();
        let is_node = |number: u32| (number as usize) < nodes.len();
        for slot in &nodes {
            if let Some((parent, _)) = self.parent(*slot)
                && (!is_node(parent) || self.rank(parent) <= self.rank(*slot))
            {
                return Err(Broken("a node stands below one that cannot be its parent"));
            }
            let sightings = self.node(*slot).sightings.iter().filter(|sighting| !sighting.is_vacant(self.floor));
            if !sightings.map(|sighting| sighting.account).all(is_node) {
                return Err(Broken("a value was seen with what is no node"));
            }
        }
        // A parent's key is greater, so that what is below a node is counted before it is told further.
        nodes.sort_unstable_by_key(|slot| self.rank(*slot));
        let mut change = std::mem::take(&mut self.changes[0]);
        for slot in nodes {
            if let Some((parent, weight)) = self.parent(slot) {
                change.0.clear();
                self.profile(slot, weight, 1, &mut change);
                self.tell(parent, &change);
            }
        }
        change.0.clear();
        self.changes[0] = change;
        Ok(())
    }

    /// Whether a node has an edge that counts.
    pub(in crate::state) fn has_parent(&self, slot: u32) -> bool {
        self.parent(slot).is_some()
    }

    /// Sets the floor of a forest that is read.
    pub(in crate::state) fn restore_floor(&mut self, floor: i32) {
        self.floor = floor.max(NEVER + 1);
    }
}
