//! The children of the nodes of a forest: lists by weight, so that a reader walks only those that count for it.
//!
//! Kept only where members are listed. A list runs through its members; all of one list are below one parent by edges of
//! one weight, so a list whose weight is below the floor is never walked and may lead anywhere.

use super::few::{Few, Vacant};
use super::forest::NEVER;

/// The end of a list.
const END: u32 = u32::MAX;

/// The lists, by slot of the nodes.
#[derive(Debug, Default)]
pub(super) struct Kin {
    places: Vec<Place>,
    spilled: usize,
}

#[derive(Debug)]
struct Place {
    before: u32,
    behind: u32,
    children: Few<Children>,
}

/// The first child by an edge of this weight.
#[derive(Clone, Copy, Debug)]
struct Children {
    weight: i32,
    first: u32,
}

impl Vacant for Children {
    const NONE: Children = Children { weight: NEVER, first: END };

    fn is_vacant(&self, floor: i32) -> bool {
        self.first == END || self.weight < floor
    }
}

impl Kin {
    /// A node without children and siblings.
    pub(super) fn reset(&mut self, node: u32) {
        let empty = || Place { before: END, behind: END, children: Few::default() };
        let node = node as usize;
        if node >= self.places.len() {
            self.places.resize_with(node + 1, empty);
        }
        self.spilled -= self.places[node].children.spilled_bytes();
        self.places[node] = empty();
    }

    /// Bytes of all lists.
    pub(super) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Place>() + self.spilled
    }

    /// The siblings next to a node in its list: the one before it and the one behind.
    pub(super) fn beside(&self, node: u32) -> (Option<u32>, Option<u32>) {
        let of = &self.places[node as usize];
        let some = |node: u32| (node != END).then_some(node);
        (some(of.before), some(of.behind))
    }

    /// The first child of each list of a node, by edges from the floor on.
    pub(super) fn firsts(&self, parent: u32, floor: i32) -> impl Iterator<Item = u32> {
        let children = self.places[parent as usize].children.iter();
        children.filter(move |list| !list.is_vacant(floor)).map(|list| list.first)
    }

    /// Takes a child out of the list of its parent.
    pub(super) fn leave(&mut self, node: u32, parent: u32, weight: i32) {
        let Place { before, behind, .. } = self.places[node as usize];
        if behind != END {
            self.places[behind as usize].before = before;
        }
        if before != END {
            self.places[before as usize].behind = behind;
        } else if let Some(list) = self.list(parent, weight) {
            list.first = behind;
        }
    }

    /// Puts a child before the others of its weight.
    pub(super) fn join(&mut self, node: u32, parent: u32, weight: i32, floor: i32) {
        let behind = match self.list(parent, weight) {
            Some(list) => std::mem::replace(&mut list.first, node),
            None => {
                let children = &mut self.places[parent as usize].children;
                self.spilled += children.add(Children { weight, first: node }, floor);
                END
            }
        };
        if behind != END {
            self.places[behind as usize].before = node;
        }
        let place = &mut self.places[node as usize];
        (place.before, place.behind) = (END, behind);
    }

    fn list(&mut self, parent: u32, weight: i32) -> Option<&mut Children> {
        self.places[parent as usize].children.iter_mut().find(|list| list.weight == weight && list.first != END)
    }

    /// Appends the children by edges of at least this weight, at most `most` of them.
    pub(super) fn children(&self, parent: u32, threshold: i32, most: usize, out: &mut Vec<u32>) {
        let end = out.len() + most;
        for list in self.places[parent as usize].children.iter().filter(|list| list.weight >= threshold) {
            let mut child = list.first;
            while child != END && out.len() < end {
                out.push(child);
                child = self.places[child as usize].behind;
            }
        }
    }

    /// Gives back the memory of lists below the floor.
    pub(super) fn trim(&mut self, node: u32, floor: i32) {
        self.spilled -= self.places[node as usize].children.trim(floor);
    }
}
