//! Which nodes are linked at which strength: a forest that answers for every generation at once.
//!
//! A link has a weight: the last generation in which it counts. Two nodes belong together at a threshold if a chain of
//! links joins them, each at least as heavy. A maximum spanning forest has the same answers as all links, so it is all
//! that is kept: a node has one edge, to a parent. Which of two nodes becomes the parent is settled by the order of their
//! keys, which are keyed hashes and so a random order that nobody can aim at; thus paths are of logarithmic length,
//! whatever comes in which order. A heavier link takes the place of the lightest edge on the circle that it closes: the
//! edge that its lower end had is put in again further up. Nothing is ever rebuilt, a link that has faded is an edge that
//! is too light for every reader, and a reader of an earlier generation climbs by a lower threshold.
//!
//! A component's size at a threshold is that of a subtree without what hangs on lighter edges. For that a node has shares:
//! by weight, how many accounts below it have this as the least weight on their way up to it. A change is told to the
//! ancestors as a few such differences, which soon cancel out.
//!
//! Invariants: a parent's key is greater than its child's; a node's shares from the floor on are those of a recount over
//! edges from the floor on; what is below the floor, edge or share, is never looked at, so the parent that such an edge
//! names may be gone, or another.

pub(super) mod stored;

use std::collections::BTreeMap;

use super::KeyHash;
use super::few::{Few, Vacant};
use super::kin::Kin;
use super::slab::Slab;
use stored::ForestCut;

/// How many nodes are looked at for each member that is listed.
const NODES_A_MEMBER: usize = 16;
/// The weight of an edge that is none.
pub(super) const NEVER: i32 = i32::MIN;

/// An account, or a value that accounts are linked by.
#[derive(Debug)]
pub(super) struct Node {
    parent: u32,
    /// Of the edge to the parent.
    weight: i32,
    /// The last generation in which it counts as seen.
    pub(super) seen: i32,
    pub(super) is_account: bool,
    /// A value is put into the forest when a second account is seen with it: alone it links nothing.
    pub(super) joined: bool,
    shares: Few<Share>,
    /// Of a value: the accounts that it was seen with.
    pub(super) sightings: Few<Sighting>,
}

impl Default for Node {
    fn default() -> Node {
        Node {
            parent: 0,
            weight: NEVER,
            seen: NEVER,
            is_account: false,
            joined: false,
            shares: Few::default(),
            sightings: Few::default(),
        }
    }
}

/// How many accounts are below a node by a way of this least weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    weight: i32,
    accounts: u32,
}

impl Vacant for Share {
    const NONE: Share = Share { weight: NEVER, accounts: 0 };

    fn is_vacant(&self, floor: i32) -> bool {
        self.accounts == 0 || self.weight < floor
    }
}

/// An account that a value was seen with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) account: u32,
    /// The last generation in which it counts.
    pub(super) weight: i32,
}

impl Vacant for Sighting {
    const NONE: Sighting = Sighting { account: 0, weight: NEVER };

    fn is_vacant(&self, floor: i32) -> bool {
        self.weight < floor
    }
}

/// A change of shares that the nodes above are still to be told.
#[derive(Debug, Default)]
struct Change(Vec<(i32, i64)>);

impl Change {
    fn add(&mut self, weight: i32, accounts: i64) {
        match self.0.iter().position(|(known, _)| *known == weight) {
            Some(place) => {
                self.0[place].1 += accounts;
                if self.0[place].1 == 0 {
                    self.0.swap_remove(place);
                }
            }
            None if accounts != 0 => self.0.push((weight, accounts)),
            None => {}
        }
    }

    /// Adds another change, which is empty then.
    fn take(&mut self, other: &mut Change) {
        other.0.drain(..).for_each(|(weight, accounts)| self.add(weight, accounts));
    }

    /// What it is above an edge: no way is heavier than its lightest edge.
    fn cap(&mut self, weight: i32) {
        let mut capped = 0;
        self.0.retain(|(known, accounts)| {
            let heavier = *known > weight;
            if heavier {
                capped += accounts;
            }
            !heavier
        });
        self.add(weight, capped);
    }
}

/// The nodes with their edges.
#[derive(Debug)]
pub(super) struct Forest {
    pub(super) nodes: Slab<Node>,
    /// The children of each node, for those who list members.
    pub(super) kin: Option<Kin>,
    /// What the accounts are called, by slot, for the same.
    pub(super) names: BTreeMap<u32, Box<str>>,
    /// While the nodes are written as of a place that was passed.
    cut: Option<Box<ForestCut>>,
    /// No reader asks for less.
    floor: i32,
    /// Bytes outside the slots.
    pub(super) spilled: usize,
    /// Scratch: what the two ends of a link still have to tell, and what the new edge brings.
    changes: [Change; 3],
    /// Scratch of a walk over members.
    walk: Vec<u32>,
}

impl Forest {
    /// An empty forest; `lists_members`: whether [`Forest::members`] is asked.
    pub(super) fn new(lists_members: bool) -> Forest {
        Forest {
            nodes: Slab::new(),
            kin: lists_members.then(Kin::default),
            names: BTreeMap::new(),
            cut: None,
            floor: NEVER + 1,
            spilled: 0,
            changes: Default::default(),
            walk: Vec::new(),
        }
    }

    /// The least weight that anybody can still ask for.
    pub(super) fn floor(&self) -> i32 {
        self.floor
    }

    /// Nobody will ask for less than this any more. It never goes back.
    pub(super) fn raise_floor(&mut self, floor: i32) {
        self.floor = self.floor.max(floor);
    }

    #[inline]
    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes.get(node).window
    }

    /// A node, to be changed: what a checkpoint has of nodes changes only here and where edges are set.
    #[inline]
    pub(super) fn node_mut(&mut self, node: u32) -> &mut Node {
        self.keep(node);
        &mut self.nodes.get_mut(node).window
    }

    fn rank(&self, node: u32) -> KeyHash {
        self.nodes.get(node).key
    }

    #[inline]
    fn edge(&self, node: u32) -> (u32, i32) {
        let node = self.node(node);
        (node.parent, node.weight)
    }

    /// A node without links.
    pub(super) fn insert(&mut self, key: KeyHash) -> u32 {
        let node = self.nodes.insert(key);
        if let Some(kin) = &mut self.kin {
            kin.reset(node);
        }
        node
    }

    /// Forgets a node that counts as seen in no generation from the floor on: no edge from the floor on leads to it.
    pub(super) fn remove(&mut self, node: u32) {
        self.keep(node);
        let of = self.node(node);
        self.spilled -= of.shares.spilled_bytes() + of.sightings.spilled_bytes();
        if let Some(kin) = &mut self.kin {
            kin.reset(node);
        }
        self.nodes.remove(node);
    }

    /// Gives back memory of a node's shares and sightings that nobody can ask for.
    pub(super) fn trim(&mut self, node: u32) {
        let floor = self.floor;
        let of = self.node_mut(node);
        let freed = of.shares.trim(floor) + of.sightings.trim(floor);
        self.spilled -= freed;
        if let Some(kin) = &mut self.kin {
            kin.trim(node, floor);
        }
    }

    /// The node that stands for all that are linked with this one at a threshold from the floor on. Paths become shorter
    /// on the way: past an edge that is no lighter, a node's own edge may as well end.
    pub(super) fn top(&mut self, mut node: u32, threshold: i32) -> u32 {
        loop {
            let (parent, weight) = self.edge(node);
            if weight < threshold {
                return node;
            }
            let (above, next) = self.edge(parent);
            if next < weight {
                node = parent;
                continue;
            }
            let mut moved = std::mem::take(&mut self.changes[0]);
            self.profile(node, weight, -1, &mut moved);
            self.tell(parent, &moved);
            self.set_edge(node, above, weight);
            moved.0.clear();
            self.changes[0] = moved;
            node = above;
        }
    }

    /// As [`Forest::top`], and nothing changes.
    fn top_as_it_is(&self, mut node: u32, threshold: i32) -> u32 {
        while self.node(node).weight >= threshold {
            node = self.node(node).parent;
        }
        node
    }

    /// Every account that is linked with a node at a threshold from the floor on; looks at all nodes.
    pub(super) fn linked_with(&self, node: u32, threshold: i32) -> impl Iterator<Item = KeyHash> {
        let top = self.top_as_it_is(node, threshold);
        let mut from = 0;
        let all = std::iter::from_fn(move || {
            let slot = self.nodes.next_live(from, self.nodes.slots())?;
            from = slot as usize + 1;
            Some(slot)
        });
        let linked = move |slot: &u32| self.node(*slot).is_account && self.top_as_it_is(*slot, threshold) == top;
        all.filter(linked).map(|slot| self.nodes.get(slot).key)
    }

    /// How many accounts belong to a node that [`Forest::top`] answered for this threshold.
    pub(super) fn accounts(&self, top: u32, threshold: i32) -> u32 {
        let top = self.node(top);
        let below: u32 = top.shares.iter().filter(|share| share.weight >= threshold).map(|share| share.accounts).sum();
        below + u32::from(top.is_account)
    }

    /// Links two nodes: at every threshold up to this weight they belong together.
    pub(super) fn link(&mut self, a: u32, b: u32, weight: i32) {
        if weight < self.floor {
            return;
        }
        let (mut low, mut high) = (self.top(a, weight), self.top(b, weight));
        if low == high {
            return;
        }
        let [mut of_low, mut of_high, mut gained] = std::mem::take(&mut self.changes);
        let mut weight = weight;
        loop {
            if self.rank(low) > self.rank(high) {
                std::mem::swap(&mut low, &mut high);
                std::mem::swap(&mut of_low, &mut of_high);
            }
            let (parent, old) = self.edge(low);
            // What goes up by the new edge, and then by all others above it.
            self.profile(low, weight, 1, &mut gained);
            self.tell(high, &gained);
            of_high.take(&mut gained);
            self.set_edge(low, high, weight);
            if old < self.floor {
                break;
            }
            // What no longer goes up by the old one: its ends are still linked, at the old weight.
            of_low.cap(old);
            self.profile(low, old, -1, &mut of_low);
            // The parent was told nothing of what changed below; so what it loses is what it knew.
            self.tell(parent, &of_low);
            (low, weight) = (parent, old);
            low = self.climb(low, weight, &mut of_low);
            high = self.climb(high, weight, &mut of_high);
            if low == high {
                of_high.take(&mut of_low);
                break;
            }
        }
        self.tell_all(high, &mut of_high);
        of_low.0.clear();
        of_high.0.clear();
        self.changes = [of_low, of_high, gained];
    }

    /// As [`Forest::top`], telling a change on the way.
    fn climb(&mut self, mut node: u32, threshold: i32, change: &mut Change) -> u32 {
        loop {
            let (parent, weight) = self.edge(node);
            if weight < threshold {
                return node;
            }
            change.cap(weight);
            self.tell(parent, change);
            node = parent;
        }
    }

    /// Tells a change to all above, until nothing is left of it.
    fn tell_all(&mut self, mut node: u32, change: &mut Change) {
        while !change.0.is_empty() {
            let (parent, weight) = self.edge(node);
            if weight < self.floor {
                return;
            }
            change.cap(weight);
            self.tell(parent, change);
            node = parent;
        }
    }

    /// Adds what a node and all below it are to a parent by an edge of this weight; `sign` -1 takes it away.
    fn profile(&self, node: u32, weight: i32, sign: i64, change: &mut Change) {
        let of = self.node(node);
        change.add(weight, sign * i64::from(of.is_account));
        for share in of.shares.iter().filter(|share| !share.is_vacant(self.floor)) {
            change.add(share.weight.min(weight), sign * i64::from(share.accounts));
        }
    }

    /// Changes the shares of a node.
    fn tell(&mut self, node: u32, change: &Change) {
        let floor = self.floor;
        let shares = &mut self.nodes.get_mut(node).window.shares;
        for (weight, accounts) in change.0.iter().filter(|(weight, _)| *weight >= floor) {
            let known = shares.iter_mut().find(|share| share.weight == *weight && share.accounts > 0);
            let before = known.as_ref().map_or(0, |share| i64::from(share.accounts));
            let after = u32::try_from(before + accounts).expect("a node loses no more accounts than it has");
            if let Some(share) = known {
                share.accounts = after;
            } else {
                self.spilled += shares.add(Share { weight: *weight, accounts: after }, floor);
            }
        }
    }

    fn set_edge(&mut self, node: u32, parent: u32, weight: i32) {
        if self.cut.is_some() {
            self.keep_kin(node, parent);
        }
        if let Some(kin) = &mut self.kin {
            let of = &self.nodes.get(node).window;
            // The siblings by an edge below the floor may be gone, or others.
            if of.weight >= self.floor {
                kin.leave(node, of.parent, of.weight);
            }
            kin.join(node, parent, weight, self.floor);
        }
        let of = self.node_mut(node);
        (of.parent, of.weight) = (parent, weight);
    }

    /// Appends the accounts that belong to a node that [`Forest::top`] answered, at most `most` of them; of the values that
    /// link them, a bounded number is looked at.
    pub(super) fn members(&mut self, top: u32, threshold: i32, most: usize, out: &mut Vec<u64>) {
        let Some(kin) = &self.kin else { return };
        let end = out.len() + most;
        let mut budget = most * NODES_A_MEMBER;
        let nodes = &mut self.walk;
        nodes.clear();
        nodes.push(top);
        while let Some(node) = nodes.pop()
            && out.len() < end
        {
            if self.nodes.get(node).window.is_account {
                out.push(u64::from(node));
            }
            let before = nodes.len();
            kin.children(node, threshold, budget, nodes);
            budget -= nodes.len() - before;
        }
    }
}

#[cfg(test)]
#[path = "forest/tests.rs"]
mod tests;
