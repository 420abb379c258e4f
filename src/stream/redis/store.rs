//! Records, fetched and written: grouped by what one call reaches, a command a group, all of them in one round trip.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use redis::Value;

use super::RedisOptions;
use super::error::{RedisError, answered};
use super::names::{Group, Names, Shard};
use super::nodes::Nodes;
use super::script;
use super::wire::{Commands, bytes, list, number};
use crate::engine::{Change, Origin, RecordName};

/// Records up to so many bytes are compared whole, many by one call; longer ones by their beginnings, a call for each: these take more time
/// to hand over than a call does.
const SHORT_BYTES_MAX: usize = 1024;

/// A record by its place among those that are asked for or written, and its shard.
type Item = (usize, Shard);

/// Records by group.
#[derive(Debug, Default)]
struct Grouped {
    /// By group: its place among `groups`.
    places: HashMap<Group, usize>,
    groups: Vec<(Group, Vec<Item>)>,
}

impl Grouped {
    fn clear(&mut self) {
        self.places.clear();
        self.groups.clear();
    }

    /// The records of a group, which is there from then on.
    fn of(&mut self, group: Group) -> &mut Vec<Item> {
        let groups = &mut self.groups;
        let place = *self.places.entry(group).or_insert_with(|| {
            groups.push((group, Vec::new()));
            groups.len() - 1
        });
        &mut groups[place].1
    }
}

/// The places up to which groups were written, by partition.
pub(super) type Places = HashMap<Group, HashMap<u64, u64>>;

/// What has come of a chunk.
pub(super) struct Outcome<'c> {
    /// Records of everything but verdicts.
    pub(super) state: Vec<Change<'c>>,
    /// Those of verdicts.
    pub(super) verdicts: Vec<Change<'c>>,
    /// The places of its events.
    pub(super) origins: &'c [Origin],
    /// What no event is judged before.
    pub(super) horizon_ms: i64,
    /// What nobody else signs with, nor did before.
    pub(super) token: u64,
}

/// The servers, and how records are called there.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) nodes: Nodes,
    pub(super) names: Names,
    /// Names of the scripts, as the servers give them.
    write: Vec<u8>,
    pub(super) sweep: Vec<u8>,
    pub(super) clock: Vec<u8>,
    spare_ms: i64,
    replicas: u16,
    /// How long replicas may take.
    patience: Duration,
    /// The groups that were read since the last chunk, where replicas are to have what was found.
    touched: BTreeSet<Group>,
    /// What the last write signed each group with, where it was whole.
    signed: HashMap<Group, u64>,
    grouped: Grouped,
    commands: Vec<Commands>,
    key: Vec<u8>,
}

impl Store {
    /// Connects, and gives the servers the scripts.
    pub(super) fn connect(options: &RedisOptions) -> Result<Store, RedisError> {
        let mut nodes = Nodes::connect(options)?;
        let mut load = |text: &str| -> Result<Vec<u8>, RedisError> {
            let mut name = Vec::new();
            for node in 0..nodes.len() {
                name = bytes(nodes.ask(node, &[b"SCRIPT", b"LOAD", text.as_bytes()])?)?.unwrap_or_default();
            }
            Ok(name)
        };
        let (write, sweep, clock) = (load(script::WRITE)?, load(script::SWEEP)?, load(script::CLOCK)?);
        let names = Names::new(&options.prefix, options.shards, !nodes.is_cluster());
        let commands = (0..nodes.len()).map(|_| Commands::default()).collect();
        Ok(Store {
            nodes,
            names,
            write,
            sweep,
            clock,
            spare_ms: options.spare_ms,
            replicas: options.replicas,
            patience: options.patience / 2,
            touched: BTreeSet::new(),
            signed: HashMap::new(),
            grouped: Grouped::default(),
            commands,
            key: Vec::new(),
        })
    }

    /// Begins a chunk.
    pub(super) fn begin(&mut self) {
        if self.names.trim() {
            self.signed.clear();
        }
        self.touched.clear();
    }

    /// Reads records, in order; and, if asked for, the places of their groups.
    pub(super) fn fetch<'n>(
        &mut self,
        wanted: impl ExactSizeIterator<Item = RecordName<'n>>,
        places: Option<&mut Places>,
    ) -> Result<Vec<Option<Vec<u8>>>, RedisError> {
        let names: Vec<RecordName<'_>> = wanted.collect();
        self.grouped.clear();
        for (at, name) in names.iter().enumerate() {
            let shard = self.names.shard(name);
            self.grouped.of(self.names.group(shard)).push((at, shard));
        }
        if self.replicas > 0 {
            self.touched.extend(self.grouped.groups.iter().map(|(group, _)| *group));
        }
        self.commands.iter_mut().for_each(Commands::clear);
        let mut order: Vec<Vec<(usize, bool)>> = vec![Vec::new(); self.nodes.len()];
        for (at, (group, items)) in self.grouped.groups.iter().enumerate() {
            let node = self.nodes.of_slot(self.names.slot(*group));
            self.commands[node].begin(items.len() + 1);
            self.commands[node].word(b"MGET");
            for (item, shard) in items {
                self.names.write_key(*shard, &names[*item], &mut self.key);
                self.commands[node].word(&self.key);
            }
            order[node].push((at, false));
            if places.is_some() {
                self.commands[node].add(&[b"HGETALL", &self.names.places(*group)]);
                order[node].push((at, true));
            }
        }
        let answers = self.nodes.exchange(&self.commands)?;
        let mut values = vec![None; names.len()];
        let mut known = Places::new();
        for (of_node, order) in answers.into_iter().zip(order) {
            for (answer, (at, is_places)) in of_node.into_iter().zip(order) {
                let (group, items) = &self.grouped.groups[at];
                if is_places {
                    known.insert(*group, read_places(answer)?);
                    continue;
                }
                for (value, (item, _)) in list(answer)?.into_iter().zip(items) {
                    values[*item] = bytes(value)?;
                }
            }
        }
        places.into_iter().for_each(|places| places.extend(std::mem::take(&mut known)));
        Ok(values)
    }

    /// Writes what has come of a chunk, the verdicts last, where each record is as it was read; `false`: some group was not
    /// written, because one of its records is another.
    pub(super) fn write(&mut self, outcome: &Outcome<'_>) -> Result<bool, RedisError> {
        if self.names.is_one_group() {
            return self.write_groups(outcome, &outcome.state, &outcome.verdicts);
        }
        Ok(self.write_groups(outcome, &outcome.state, &[])? && self.write_groups(outcome, &[], &outcome.verdicts)?)
    }

    fn write_groups(
        &mut self,
        outcome: &Outcome<'_>,
        state: &[Change<'_>],
        verdicts: &[Change<'_>],
    ) -> Result<bool, RedisError> {
        self.grouped.clear();
        // What was found may be another's, or a try's before, and replicas may lack it: they do not once they have what comes now.
        for group in std::mem::take(&mut self.touched) {
            self.grouped.of(group);
        }
        let changes = || state.iter().chain(verdicts);
        for (at, change) in changes().enumerate() {
            let shard = self.names.shard(&change.name);
            self.grouped.of(self.names.group(shard)).push((at, shard));
        }
        let is_short = |at: usize| state.get(at).is_some_and(|change| change.held_bytes <= SHORT_BYTES_MAX);
        for (_, items) in &mut self.grouped.groups {
            // Short ones of state, long ones, verdicts.
            items.sort_by_key(|(at, _)| (*at >= state.len(), !is_short(*at)));
        }
        let (places, spare_ms) = (newest(outcome.origins), self.spare_ms);
        self.commands.iter_mut().for_each(Commands::clear);
        for (group, items) in &self.grouped.groups {
            let commands = &mut self.commands[self.nodes.of_slot(self.names.slot(*group))];
            // What is only there for the replicas to have all before it says nothing of places.
            let places = if items.is_empty() { &[][..] } else { &places[..] };
            commands.begin(3 + 1 + items.len() + 6 + 2 * places.len() + 3 * items.len());
            commands.word(b"EVALSHA");
            commands.word(&self.write);
            commands.number(items.len() as i64 + 1);
            commands.word(&self.names.places(*group));
            let of = |at: usize| if at < state.len() { &state[at] } else { &verdicts[at - state.len()] };
            for (at, shard) in items {
                self.names.write_key(*shard, &of(*at).name, &mut self.key);
                commands.word(&self.key);
            }
            commands.number(items.iter().filter(|(at, _)| *at < state.len()).count() as i64);
            commands.number(items.iter().filter(|(at, _)| is_short(*at)).count() as i64);
            commands.number(spare_ms.clamp(1, MILLIS_MAX));
            commands.number(places.len() as i64);
            match self.signed.remove(group) {
                Some(signature) => commands.word(&signature.to_be_bytes()),
                None => commands.word(b""),
            }
            commands.word(&outcome.token.to_be_bytes());
            for (partition, offset) in places {
                commands.word(&partition.to_be_bytes());
                commands.word(&offset.to_be_bytes());
            }
            for (at, _) in items {
                let Change { expected, value, until_ms, .. } = of(*at);
                commands.word(expected);
                commands.word(value);
                commands.number(ttl_ms(*until_ms, outcome.horizon_ms, spare_ms));
            }
        }
        let mut answers: Vec<_> = self.exchange_durably()?.into_iter().map(Vec::into_iter).collect();
        let mut is_all = true;
        for (group, _) in &self.grouped.groups {
            let answer = answers[self.nodes.of_slot(self.names.slot(*group))].next();
            if number(answer.unwrap_or(Value::Nil))? == 0 {
                self.signed.insert(*group, outcome.token);
            } else {
                is_all = false;
            }
        }
        Ok(is_all)
    }

    /// Sends the commands, which write, and waits until so many replicas as are asked for have what came of them.
    fn exchange_durably(&mut self) -> Result<Vec<Vec<Value>>, RedisError> {
        if self.replicas == 0 {
            return self.nodes.exchange(&self.commands);
        }
        let replicas = i64::from(self.replicas);
        for commands in self.commands.iter_mut().filter(|commands| commands.count > 0) {
            commands.begin(3);
            commands.word(b"WAIT");
            commands.number(replicas);
            commands.number(self.patience.as_millis() as i64);
        }
        let mut answers = self.nodes.exchange(&self.commands)?;
        for (node, of_node) in answers.iter_mut().enumerate() {
            let Some(have) = of_node.pop() else { continue };
            let have = number(have)?;
            if have < replicas {
                let address = self.nodes.address(node);
                return Err(RedisError::Away(format!(
                    "{address}: {have} of {replicas} replicas (`state.redis.replicas`) have what was written"
                )));
            }
        }
        Ok(answers)
    }

    /// Runs a script of what there is once, whose key begins so.
    pub(super) fn run_once(&mut self, script: &[u8], what: &str, arguments: &[&[u8]]) -> Result<Value, RedisError> {
        let key = self.names.once(what);
        let node = self.nodes.of_slot(super::names::slot_of(&key));
        let words: Vec<&[u8]> =
            [&b"EVALSHA"[..], script, b"1", &key].into_iter().chain(arguments.iter().copied()).collect();
        answered(self.nodes.ask(node, &words)?)
    }

    /// Runs a script's text on what there is once; it writes, and replicas have that then.
    pub(super) fn write_once(&mut self, script: &str, what: &str, arguments: &[&[u8]]) -> Result<Value, RedisError> {
        let key = self.names.once(what);
        let node = self.nodes.of_slot(super::names::slot_of(&key));
        let words: Vec<&[u8]> =
            [&b"EVAL"[..], script.as_bytes(), b"1", &key].into_iter().chain(arguments.iter().copied()).collect();
        self.commands.iter_mut().for_each(Commands::clear);
        self.commands[node].add(&words);
        let answer = self.exchange_durably()?.swap_remove(node).pop();
        answered(answer.unwrap_or(Value::Nil))
    }

    /// Asks for what there is once.
    pub(super) fn ask_once(&mut self, command: &[u8], what: &str, arguments: &[&[u8]]) -> Result<Value, RedisError> {
        let key = self.names.once(what);
        let node = self.nodes.of_slot(super::names::slot_of(&key));
        let words: Vec<&[u8]> = [command, &key].into_iter().chain(arguments.iter().copied()).collect();
        answered(self.nodes.ask(node, &words)?)
    }
}

/// A thousand years: the servers take no more than 64 bits with their clock added.
const MILLIS_MAX: i64 = 1000 * 365 * 86_400_000;

/// For how long a record is kept by the servers' clock: as long as event time needs from the horizon on, and some more, since
/// it may stand still. 0: for good, as before any partition has shown how far event time is.
fn ttl_ms(until_ms: i64, horizon_ms: i64, spare_ms: i64) -> i64 {
    if until_ms == i64::MAX || horizon_ms == i64::MIN {
        return 0;
    }
    until_ms.saturating_sub(horizon_ms).max(0).saturating_add(spare_ms).clamp(1, MILLIS_MAX)
}

/// The newest place of each partition.
fn newest(origins: &[Origin]) -> Vec<(u64, u64)> {
    let mut places: Vec<(u64, u64)> = Vec::new();
    for Origin { partition, offset } in origins {
        match places.iter_mut().find(|(known, _)| known == partition) {
            Some((_, known)) => *known = (*known).max(*offset),
            None => places.push((*partition, *offset)),
        }
    }
    places
}

fn read_places(answer: Value) -> Result<HashMap<u64, u64>, RedisError> {
    let mut places = HashMap::new();
    let mut words = list(answer)?.into_iter();
    while let (Some(partition), Some(offset)) = (words.next(), words.next()) {
        if partition == Value::BulkString(Vec::new()) {
            continue;
        }
        let word = |value| -> Result<u64, RedisError> {
            let bytes = bytes(value)?.unwrap_or_default();
            bytes.try_into().map(u64::from_be_bytes).map_err(|_| {
                RedisError::refused("a place is damaged", "something else writes keys below `state.redis.prefix`")
            })
        };
        places.insert(word(partition)?, word(offset)?);
    }
    Ok(places)
}
