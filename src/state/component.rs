//! `component`: the accounts that are linked with one through any chain of shared values.
//!
//! Accounts and values are nodes of a forest (see [`super::forest`]); an event links its account with the values that it
//! brings. A link counts in all generations whose window it lies in, so its weight is the last of them, and a reading
//! climbs by the generation of its own time. What lies after that time and was counted before counts too: an event is told
//! of all links that are known when it comes.
//!
//! A value stops linking at its `hub`-th account: an event makes no link, and renews none, if its account would be one of
//! so many that the value was seen with in the window, in order of arrival. For that a value keeps the `hub` accounts
//! that it was seen with latest, each with the last generation in which that counts: as many as that are known to be in
//! the window or not by these alone.
//!
//! Invariant: a node is kept as long as it counts as seen in some generation from the horizon's on; so are its links.

mod stored;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::classes::Classes;
use super::forest::{Forest, NEVER, Node, Sighting};
use super::index::{Index, SLOT_MAX};
use super::slab::Slot;
use super::table::NO_SLOT;
use super::window::feed;
use super::{KeyHash, Limit, Links, Op, Reading, Readings, Value};

/// Operations whose memory accesses overlap.
const PASS: usize = 32;
/// How many members are listed at most.
const MEMBERS_MAX: usize = 1000;

/// What is the same for all accounts of a feature.
#[derive(Clone, Copy, Debug)]
pub(super) struct ComponentRule {
    pub(super) window_ms: i64,
    pub(super) generation_ms: i64,
    pub(super) hub: u32,
    /// Whether members are listed, by their names.
    pub(super) lists_members: bool,
}

impl ComponentRule {
    /// The shortest generation: 2^31 of them reach 4085 years this way and that.
    pub(super) const GENERATION_MS_LEAST: i64 = 60_000;
    /// The least hub: at its second account a value would never link any two.
    pub(super) const HUB_LEAST: u32 = 3;
}

/// Everything that one feature of this kind remembers.
#[derive(Debug)]
pub(super) struct Components {
    rule: ComponentRule,
    index: Index,
    forest: Forest,
    name_bytes: usize,
    /// The generation that others are counted from.
    origin: Option<i64>,
    /// The last generation in which something that was refused would count.
    refused: i32,
    /// How many events were refused, or links of them.
    refusals: u64,
    limit: Limit,
    /// How many nodes there may be.
    keys_max: usize,
    /// Once nodes take so many bytes outside their slots, nothing is counted.
    grown_max: usize,
    classes: Classes,
    next_swept: usize,
    /// By operation of a pass and the keys that it brings: the slot that it probably needs.
    guesses: Vec<Option<u32>>,
    /// While it is read from a checkpoint.
    read: stored::Read,
}

impl Components {
    pub(super) fn new(rule: ComponentRule) -> Components {
        Components {
            rule,
            index: Index::new(),
            forest: Forest::new(rule.lists_members),
            name_bytes: 0,
            origin: None,
            refused: NEVER,
            refusals: 0,
            limit: Limit::None,
            keys_max: SLOT_MAX as usize,
            grown_max: usize::MAX,
            classes: Classes::default(),
            next_swept: 0,
            guesses: Vec::new(),
            read: stored::Read::default(),
        }
    }

    /// First step: asks for the index words of accounts; what they bring is asked for when it is known.
    pub(super) fn fetch_index(&self, ops: &[Op]) {
        ops.iter().for_each(|op| self.index.prefetch(op.key));
    }

    /// Second step: guesses the slots of accounts, and asks for them.
    pub(super) fn fetch_slots(&self, ops: &[Op], guesses: &mut Vec<u32>) {
        guesses.clear();
        guesses.extend(ops.iter().map(|op| self.guess(op.key).unwrap_or(NO_SLOT)));
    }

    /// Third step: nothing, since what is outside the slots is rarely needed.
    pub(super) fn fetch_spilled(&self, _guesses: &[u32]) {}

    /// Executes operations that bring nothing.
    pub(super) fn apply(&mut self, ops: &[Op], _guesses: &[u32], _ids: &[[u8; 16]], out: &mut Readings) {
        self.apply_links(ops, &Links::default(), out);
    }

    pub(super) fn apply_links(&mut self, ops: &[Op], links: &Links, out: &mut Readings) {
        out.readings.reserve(ops.len());
        for pass in ops.chunks(PASS) {
            self.locate(pass, links);
            let mut first = 0;
            for op in pass {
                let reading = self.execute(op, links, first, &mut out.members);
                first += 1 + links.keys(op.value).len();
                out.readings.push(reading);
            }
        }
    }

    /// Finds the slots that the operations probably need, their memory on the way to the cache.
    fn locate(&mut self, ops: &[Op], links: &Links) {
        let keys = || ops.iter().flat_map(|op| std::iter::once(&op.key).chain(links.keys(op.value)));
        keys().for_each(|key| self.index.prefetch(*key));
        let mut guesses = std::mem::take(&mut self.guesses);
        guesses.clear();
        guesses.extend(keys().map(|key| self.guess(*key)));
        self.guesses = guesses;
    }

    /// The slot that a key probably has, asked for.
    fn guess(&self, key: KeyHash) -> Option<u32> {
        let slot = self.index.guess(key)?;
        self.forest.nodes.prefetch(slot);
        Some(slot)
    }

    /// The generation of an instant, from the first one that was seen on.
    #[inline]
    fn generation(&self, time_ms: i64) -> i32 {
        let generation = time_ms.div_euclid(self.rule.generation_ms).saturating_sub(self.origin.unwrap_or(0));
        generation.clamp(i64::from(NEVER + 1), i64::from(i32::MAX)) as i32
    }

    /// The last generation in which an instant counts.
    #[inline]
    fn counts_until(&self, time_ms: i64) -> i32 {
        self.generation(time_ms.saturating_add(self.rule.window_ms))
    }

    fn execute(&mut self, op: &Op, links: &Links, guess: usize, members: &mut Vec<u64>) -> Reading {
        self.origin.get_or_insert(op.time_ms.div_euclid(self.rule.generation_ms));
        let as_of_ms = op.time_ms.max(op.horizon_ms);
        let now = self.generation(as_of_ms);
        self.forest.raise_floor(self.generation(op.horizon_ms));
        let account = if op.add && op.time_ms >= op.horizon_ms {
            let before = self.grown();
            let account = self.count(op, links, guess, now);
            self.classes.grew(op.key, before, self.grown());
            account
        } else {
            self.find(op.key, guess)
        };
        let lost_ms = self.classes.lost_ms(op.key);
        let exact = self.refused < now && lost_ms.is_none_or(|lost_ms| self.counts_until(lost_ms) < now);
        let Some(account) = account.filter(|account| self.forest.node(*account).seen >= now) else {
            return Reading { exact, ..self.nothing_of(op) };
        };
        let top = self.forest.top(account, now);
        let value = if op.compare {
            let other = links.keys(op.value).first().and_then(|key| self.find(*key, guess + 1));
            let other = other.filter(|other| self.forest.node(*other).seen >= now);
            Value::Flag(other.is_some_and(|other| self.forest.top(other, now) == top))
        } else {
            let size = self.forest.accounts(top, now);
            if op.members {
                let start = members.len();
                self.forest.members(top, now, MEMBERS_MAX, members);
                Value::Set { size, kept: (members.len() - start) as u32, start: Some(start as u32) }
            } else {
                Value::Int(i64::from(size))
            }
        };
        Reading { value, known: true, exact }
    }

    /// Counts an event: its account is seen, and linked with the values that it brings. Answers the account's node, if it
    /// has one.
    fn count(&mut self, op: &Op, links: &Links, guess: usize, now: i32) -> Option<u32> {
        let weight = self.counts_until(op.time_ms);
        if self.grown() >= self.grown_max {
            // Any link may make lists longer, here or at nodes above.
            self.note_refused(weight);
            return self.find(op.key, guess);
        }
        if !self.classes.may_grow(op.key) {
            self.classes.curb(op.key, op.time_ms);
            return self.find(op.key, guess);
        }
        let Some(account) = self.find_or_insert(op.key, guess) else {
            self.refuse(op, weight);
            return None;
        };
        let node = self.forest.node_mut(account);
        node.seen = node.seen.max(weight);
        if !node.is_account {
            node.is_account = true;
            self.name(account, links.name(op.value));
        }
        for (place, key) in links.keys(op.value).iter().enumerate() {
            match self.find_or_insert(*key, guess + 1 + place) {
                Some(value) => self.link(account, value, weight, now),
                None => self.refuse(op, weight),
            }
        }
        Some(account)
    }

    /// Notes that a node was refused, and for whose sake.
    #[cold]
    fn refuse(&mut self, op: &Op, weight: i32) {
        if self.is_full() {
            self.note_refused(weight);
        } else {
            self.classes.refuse(op.key, op.time_ms);
        }
    }

    /// Whether new nodes are refused: by order, or because slot numbers have run out.
    fn is_full(&self) -> bool {
        self.index.keys() >= self.keys_max || self.forest.nodes.slots() >= SLOT_MAX as usize
    }

    #[cold]
    fn note_refused(&mut self, weight: i32) {
        self.refused = self.refused.max(weight);
        self.refusals += 1;
    }

    fn name(&mut self, account: u32, name: &str) {
        if self.rule.lists_members {
            self.name_bytes += name_bytes(name);
            self.forest.names.insert(account, name.into());
        }
    }

    /// A value was seen with an account: it links, unless it is a hub by now.
    fn link(&mut self, account: u32, value: u32, weight: i32, now: i32) {
        let floor = self.forest.floor();
        let node = self.forest.node_mut(value);
        node.seen = node.seen.max(weight);
        // Others in the window, and those that still count for some reader.
        let (mut others, mut alive, mut own) = (0, 0, None);
        let mut least: Option<&mut Sighting> = None;
        let mut only = NEVER;
        for sighting in node.sightings.iter_mut().filter(|sighting| sighting.weight >= floor) {
            if sighting.account == account {
                own = Some(sighting);
                continue;
            }
            others += u32::from(sighting.weight >= now);
            alive += 1;
            only = sighting.weight;
            if least.as_ref().is_none_or(|least| sighting.weight < least.weight) {
                least = Some(sighting);
            }
        }
        let joined = node.joined;
        let other = if alive == 1 { least.as_ref().map(|sighting| sighting.account) } else { None };
        match (own, least) {
            (Some(own), _) => own.weight = own.weight.max(weight),
            // Whoever is left out was seen before so many others that the value is a hub as long as it would count.
            (None, Some(least)) if alive >= self.rule.hub => {
                if least.weight <= weight {
                    *least = Sighting { account, weight };
                }
            }
            (None, _) => {
                let taken = node.sightings.add(Sighting { account, weight }, floor);
                self.forest.spilled += taken;
            }
        }
        if others + 1 >= self.rule.hub {
            return;
        }
        if joined {
            self.forest.link(account, value, weight);
        } else if let Some(other) = other {
            self.forest.node_mut(value).joined = true;
            self.forest.link(other, value, only);
            self.forest.link(account, value, weight);
        }
    }

    #[inline]
    fn find(&self, key: KeyHash, guess: usize) -> Option<u32> {
        let is_it = |slot: u32| self.forest.nodes.get(slot).key == key;
        match self.guesses.get(guess).copied().flatten() {
            Some(slot) if is_it(slot) => Some(slot),
            _ => self.index.find(key, is_it).ok(),
        }
    }

    /// `None` when it is new and refused.
    fn find_or_insert(&mut self, key: KeyHash, guess: usize) -> Option<u32> {
        if let Some(slot) = self.find(key, guess) {
            return Some(slot);
        }
        if self.is_full() || !self.classes.takes(key) {
            return None;
        }
        let found = self.index.find(key, |slot| self.forest.nodes.get(slot).key == key);
        let vacancy = found.err()?;
        let slot = self.forest.insert(key);
        self.index.insert(key, vacancy, slot);
        self.classes.came(key);
        Some(slot)
    }

    fn nothing_of(&self, op: &Op) -> Reading {
        let value = if op.compare { Value::Flag(false) } else { Value::Int(0) };
        Reading { value, known: false, exact: true }
    }

    /// What an account that was not seen reads.
    pub(super) fn nothing(&self) -> Reading {
        Reading { value: Value::Int(0), known: false, exact: true }
    }

    /// What a member is called; for a member that the last batch of operations listed.
    pub(super) fn member_name(&self, member: u64) -> &str {
        self.forest.names.get(&(member as u32)).map_or("", |name| name)
    }

    /// The keys of all accounts that are linked with one, itself included, as of an instant from the horizon on.
    pub(super) fn linked_with(&self, account: KeyHash, as_of_ms: i64) -> Vec<KeyHash> {
        let now = self.generation(as_of_ms);
        let found = self.index.find(account, |slot| self.forest.nodes.get(slot).key == account);
        match found {
            Ok(node) if self.forest.node(node).seen >= now => self.forest.linked_with(node, now).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn sweep(&mut self, horizon_ms: i64, budget_slots: usize) {
        if self.origin.is_none() {
            return;
        }
        self.forest.raise_floor(self.generation(horizon_ms));
        let slots = self.forest.nodes.slots();
        let budget = budget_slots.min(slots);
        let (start, end) = (self.next_swept, self.next_swept + budget);
        self.sweep_range(start, end.min(slots));
        self.sweep_range(0, end.saturating_sub(slots));
        self.next_swept = if end >= slots { end - slots } else { end };
    }

    fn sweep_range(&mut self, mut from: usize, end: usize) {
        while let Some(slot) = self.forest.nodes.next_live(from, end) {
            from = slot as usize + 1;
            let (key, before) = (self.forest.nodes.get(slot).key, self.grown());
            self.forest.trim(slot);
            self.drop_unseen(slot, key);
            self.classes.grew(key, before, self.grown());
        }
    }

    /// Drops a node that counts as seen in no generation from the floor on.
    fn drop_unseen(&mut self, slot: u32, key: KeyHash) {
        let node = self.forest.node(slot);
        if node.seen < self.forest.floor() {
            if node.is_account
                && let Some(name) = self.forest.names.remove(&slot)
            {
                self.name_bytes -= name_bytes(&name);
            }
            self.index.remove(key, slot);
            self.forest.remove(slot);
            self.classes.left(key);
        }
    }

    /// The node of an account, or of a value that it was seen with.
    pub(super) fn entry_bytes(&self) -> usize {
        size_of::<Node>()
    }

    pub(super) fn keys(&self) -> usize {
        self.index.keys()
    }

    pub(super) fn keys_from(&self, from: usize, slots: usize, keys: &mut Vec<KeyHash>) -> Option<usize> {
        self.forest.nodes.keys_from(from, slots, keys)
    }

    pub(super) fn slots(&self) -> usize {
        self.forest.nodes.slots()
    }

    pub(super) fn bytes(&self) -> usize {
        let kin = self.forest.kin.as_ref().map_or(0, |kin| kin.bytes());
        size_of::<Components>()
            + self.index.bytes()
            + self.forest.nodes.bytes()
            + self.forest.spilled
            + kin
            + self.name_bytes
            + self.classes.bytes()
    }

    pub(super) fn truncated_keys(&self) -> usize {
        0
    }

    pub(super) fn classes(&self) -> &Classes {
        &self.classes
    }

    pub(super) fn classes_mut(&mut self) -> &mut Classes {
        &mut self.classes
    }

    /// What a node takes however few its links.
    pub(super) fn key_bytes(&self) -> usize {
        size_of::<Slot<Node>>() + Index::key_bytes()
    }

    pub(super) fn limit(&self) -> Limit {
        self.limit
    }

    pub(super) fn set_limit(&mut self, limit: Limit) {
        if limit == Limit::None {
            self.keys_max = SLOT_MAX as usize;
        } else if self.limit == Limit::None {
            self.keys_max = self.index.keys();
        }
        self.limit = limit;
        self.allow(usize::MAX);
    }

    pub(super) fn allow(&mut self, bytes: usize) {
        self.grown_max = if self.limit >= Limit::Busy { 0 } else { self.grown().saturating_add(bytes) };
    }

    /// What nodes take outside their slots.
    fn grown(&self) -> usize {
        self.forest.spilled + self.name_bytes
    }

    pub(super) fn keys_max(&self) -> usize {
        self.keys_max
    }

    pub(super) fn refused(&self) -> u64 {
        self.refusals
    }

    pub(super) fn step_bytes(&self) -> usize {
        self.forest.nodes.chunk_bytes() + Index::step_bytes()
    }

    /// Hash of what was seen of which account and value; not of the forest's shape, which the order of readings decides.
    pub(super) fn digest(&self) -> u64 {
        let mut sum = 0u64;
        let mut from = 0;
        while let Some(slot) = self.forest.nodes.next_live(from, self.slots()) {
            from = slot as usize + 1;
            let entry = self.forest.nodes.get(slot);
            let mut hasher = SipHasher13::new();
            feed(&mut hasher, entry.key.low);
            feed(&mut hasher, entry.key.high);
            self.feed_node(&entry.window, &mut hasher);
            sum = sum.wrapping_add(hasher.finish128().h1);
        }
        sum
    }

    fn feed_node(&self, node: &Node, hasher: &mut SipHasher13) {
        feed(hasher, node.seen as u64);
        let alive = node.sightings.iter().filter(|sighting| sighting.weight >= self.forest.floor());
        let mut seen: Vec<(KeyHash, i32)> =
            alive.map(|sighting| (self.forest.nodes.get(sighting.account).key, sighting.weight)).collect();
        seen.sort_unstable();
        for (key, weight) in seen {
            feed(hasher, key.high);
            feed(hasher, weight as u64);
        }
    }
}

/// What a name takes: the text, its entry, and a share of the tree's nodes.
fn name_bytes(name: &str) -> usize {
    name.len() + 2 * size_of::<(u32, Box<str>)>()
}

#[cfg(test)]
#[path = "component/tests.rs"]
mod tests;
