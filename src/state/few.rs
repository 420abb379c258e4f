//! A handful of small values: the first lies in place, the others behind one word.
//!
//! Most nodes of a component have one share and most linked values one account, so this is a third of a `Vec`. Invariant:
//! what is vacant is what [`Vacant`] says; a vacant value counts as not there.

/// A value that can say that it is none.
pub(super) trait Vacant: Copy {
    /// What stands where nothing does.
    const NONE: Self;

    /// Whether it counts for nothing from this weight on.
    fn is_vacant(&self, floor: i32) -> bool;
}

/// The values, in no order.
#[derive(Debug)]
pub(super) struct Few<T> {
    first: T,
    #[expect(clippy::box_collection, reason = "one word, since most have no more than the first")]
    more: Option<Box<Vec<T>>>,
}

impl<T: Vacant> Default for Few<T> {
    fn default() -> Few<T> {
        Few { first: T::NONE, more: None }
    }
}

impl<T: Vacant> Few<T> {
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(self.more.iter().flat_map(|more| more.iter()))
    }

    #[inline]
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        std::iter::once(&mut self.first).chain(self.more.iter_mut().flat_map(|more| more.iter_mut()))
    }

    /// Adds a value, in the place of a vacant one if there is one. Answers how many bytes that took.
    pub(super) fn add(&mut self, value: T, floor: i32) -> usize {
        if let Some(place) = self.iter_mut().find(|known| known.is_vacant(floor)) {
            *place = value;
            return 0;
        }
        let before = self.spilled_bytes();
        self.more.get_or_insert_default().push(value);
        self.spilled_bytes() - before
    }

    /// Gives back the memory of vacant values. Answers how many bytes that were.
    pub(super) fn trim(&mut self, floor: i32) -> usize {
        let before = self.spilled_bytes();
        let Some(more) = &mut self.more else { return 0 };
        more.retain(|value| !value.is_vacant(floor));
        if self.first.is_vacant(floor) {
            self.first = more.pop().unwrap_or(T::NONE);
        }
        if more.is_empty() {
            self.more = None;
        } else if more.len() * 4 <= more.capacity() {
            more.shrink_to(more.len() * 2);
        }
        before - self.spilled_bytes()
    }

    pub(super) fn spilled_bytes(&self) -> usize {
        self.more.as_ref().map_or(0, |more| size_of::<Vec<T>>() + more.capacity() * size_of::<T>())
    }
}
