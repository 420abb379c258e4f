//! A forest in a checkpoint: its nodes, whose edges name others by their number in the order of slots at the cut.
//!
//! Edges and sightings below the floor are left out, since nobody looks at them. Shares are not written: they follow from
//! the edges. So a forest that is read holds all its invariants, or is refused.

use super::{Forest, NEVER, Node, Sighting};
use crate::state::checkpoint::{Broken, ByteReader, ByteWriter};
use crate::state::cut::{Cuttable, SlotCut};
use crate::state::few::Vacant as _;

/// The number of a node that is gone.
pub(in crate::state) const GONE: u32 = u32::MAX;
/// What the item of a node begins with.
pub(in crate::state) const NUMBERED_NODE: u8 = 3;
/// Marks of a node.
const ACCOUNT: u8 = 1;
const JOINED: u8 = 2;
pub(in crate::state) const EDGE: u8 = 4;
pub(in crate::state) const NAMED: u8 = 8;

/// A cut through a forest.
#[derive(Debug)]
pub(crate) struct ForestCut {
    slots: SlotCut,
    then: Then,
}

/// What was there at the cut.
#[derive(Debug)]
struct Then {
    /// A bit a slot.
    live: Vec<u64>,
    /// By word of these: how many bits are set before it.
    before: Vec<u32>,
    floor: i32,
}

impl Then {
    /// The number of a node in the order of slots.
    fn number(&self, slot: u32) -> u32 {
        let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
        match self.live.get(word) {
            Some(live) if live & bit != 0 => self.before[word] + (live & (bit - 1)).count_ones(),
            _ => GONE,
        }
    }
}

impl Cuttable for Forest {
    type Cut = ForestCut;

    fn new_cut(&self, prefix: &[u8]) -> ForestCut {
        let live = self.nodes.live();
        let before = live.iter().scan(0, |sum, word| {
            let before = *sum;
            *sum += word.count_ones();
            Some(before)
        });
        let then = Then { before: before.collect(), floor: self.floor, live: live.clone() };
        ForestCut { slots: SlotCut::new(live, prefix), then }
    }

    fn cut_mut(&mut self) -> &mut Option<Box<ForestCut>> {
        &mut self.cut
    }

    fn walk(&self, cut: &mut ForestCut, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
        let ForestCut { slots, then } = cut;
        slots.walk(budget_bytes, put, |slot, writer| self.store_node(slot, then, writer))
    }
}

impl Forest {
    /// Writes a node as it is, if the cut has yet to.
    #[inline]
    pub(super) fn keep(&mut self, node: u32) {
        if self.cut.is_some() {
            self.keep_node(node);
        }
    }

    #[cold]
    fn keep_node(&mut self, node: u32) {
        let Some(mut cut) = self.cut.take() else { return };
        if let Some(writer) = cut.slots.take(node) {
            self.store_node(node, &cut.then, writer);
        }
        self.cut = Some(cut);
    }

    /// Writes a node that gets another parent, and those whose places in lists of children change with that.
    #[cold]
    pub(super) fn keep_kin(&mut self, node: u32, parent: u32) {
        let Some(kin) = &self.kin else { return };
        let before = kin.beside(node).0;
        let left = self.parent(node).map(|(parent, _)| parent);
        // The sibling before it in a list below the floor may be another by now, which is written early for nothing.
        before.into_iter().chain(left).chain([node, parent]).for_each(|node| self.keep(node));
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

    fn store_node(&self, slot: u32, then: &Then, writer: &mut ByteWriter) {
        let entry = self.nodes.get(slot);
        let node = &entry.window;
        let has_edge = node.weight >= then.floor;
        let name = self.names.get(&slot);
        writer.byte(NUMBERED_NODE);
        writer.short(then.number(slot));
        writer.key(entry.key);
        let mark = |is: bool, mark: u8| if is { mark } else { 0 };
        let marks = mark(node.is_account, ACCOUNT) | mark(node.joined, JOINED) | mark(has_edge, EDGE);
        writer.byte(marks | mark(name.is_some(), NAMED));
        writer.int(node.seen);
        if has_edge {
            writer.short(then.number(node.parent));
            writer.int(node.weight);
        }
        let sightings = || node.sightings.iter().filter(|sighting| !sighting.is_vacant(then.floor));
        writer.count(sightings().count());
        for sighting in sightings() {
            writer.short(then.number(sighting.account));
            writer.int(sighting.weight);
        }
        if let Some(kin) = &self.kin {
            writer.count(kin.firsts(slot, then.floor).count());
            kin.firsts(slot, then.floor).for_each(|first| writer.short(then.number(first)));
            if has_edge {
                writer.short(kin.beside(slot).1.map_or(GONE, |behind| then.number(behind)));
            }
        }
        name.into_iter().for_each(|name| writer.text(name));
    }

    /// Reads a node; the numbers that it names are not looked at before [`Forest::restored`]. Answers its slot and marks.
    pub(in crate::state) fn restore_node(&mut self, reader: &mut ByteReader<'_>) -> Result<(u32, u8), Broken> {
        let key = reader.key()?;
        let marks = reader.byte()?;
        if marks > ACCOUNT | JOINED | EDGE | NAMED {
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
        Ok((slot, marks))
    }

    /// Puts slots in place of the numbers that nodes name; `slots` has them by number.
    pub(in crate::state) fn restore_numbers(&mut self, slots: &[u32]) -> Result<(), Broken> {
        let slot_of = |number: u32| slots.get(number as usize).copied().ok_or(Broken("a node names what is no node"));
        let floor = self.floor;
        for slot in self.slots_in_use().collect::<Vec<_>>() {
            let node = self.node_mut(slot);
            if node.weight >= floor {
                node.parent = slot_of(node.parent)?;
            }
            for sighting in node.sightings.iter_mut().filter(|sighting| !sighting.is_vacant(floor)) {
                sighting.account = slot_of(sighting.account)?;
            }
        }
        Ok(())
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
