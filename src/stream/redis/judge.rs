//! Judging over Redis: a chunk is fetched, judged and written, and once more where somebody else was faster.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::clock::{self, Pace, Shown};
use super::error::RedisError;
use super::store::{Outcome, Places, Store};
use super::sweep::Sweeper;
use super::{RedisOptions, agree};
use crate::engine::{Engine, Judgements, Next, Origin, SharedChunk};
use crate::event::{EventBatch, Signals};
use crate::stream::StreamError;

/// The most events of a chunk, and the fewest when others write the same records all the time.
const CHUNK_MAX: usize = 256;
const CHUNK_MIN: usize = 8;
/// By how much chunks grow again after each that was written at once.
const CHUNK_STEP: usize = 8;
/// A partition that was read by another before may have been left in the middle of a chunk: of so many of its events that have
/// no verdict it is asked what was written of them.
const DOUBTED_EVENTS: u32 = CHUNK_MAX as u32;
/// How long is waited between two tries to reach servers that are away: at first, and at most.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How many chunks are judged at most before the others are told how far event time has come.
const CHUNKS_UNTOLD: u32 = 16;

/// What is counted while a state is shared.
#[derive(Debug, Default)]
pub struct SharedCounts {
    /// Whether the servers answer.
    pub is_up: AtomicBool,
    /// How many chunks were judged again because somebody else had written one of their records.
    pub conflicts: AtomicU64,
    /// How many records were taken away because nobody sees them any more.
    pub swept: AtomicU64,
}

/// A partition that this engine reads.
#[derive(Clone, Copy, Debug)]
struct Own {
    /// The engine's number.
    number: u32,
    /// Hash of its name.
    name: u64,
    /// Whether its places are kept, so that another may go on with it.
    is_kept: bool,
}

/// State that is shared in Redis, as one engine reaches it.
#[derive(Debug)]
pub struct SharedState {
    options: RedisOptions,
    /// `None`: the servers are away.
    pub(super) store: Option<Store>,
    /// What the state is known by, once it was found.
    identity: Option<String>,
    /// The token of the next try.
    token: u64,
    chunk_max: usize,
    own: Vec<Own>,
    /// By partition: of how many events it is not known whether a try has written something of them.
    doubted: HashMap<u64, u32>,
    untold: u32,
    /// How many events were judged since the last look at what nobody sees any more.
    unswept: usize,
    sweeper: Sweeper,
    counts: Arc<SharedCounts>,
}

impl SharedState {
    /// Connects, and lets the engine judge over what is there.
    ///
    /// # Errors
    ///
    /// [`StreamError::RedisAway`], [`StreamError::RedisRefused`].
    pub fn open(options: RedisOptions, engine: &mut Engine) -> Result<SharedState, StreamError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| StreamError::RedisRefused {
            detail: format!("the system has no random bytes: {error}"),
            hint: "check /dev/urandom".to_owned(),
        })?;
        let mut shared = SharedState {
            options,
            store: None,
            identity: None,
            token: u64::from_le_bytes(random),
            chunk_max: CHUNK_MAX,
            own: Vec::new(),
            doubted: HashMap::new(),
            untold: 0,
            unswept: 0,
            sweeper: Sweeper::default(),
            counts: Arc::default(),
        };
        shared.connect(engine)?;
        shared.agree(engine)?;
        Ok(shared)
    }

    /// The same, and waits for servers that are away: so many tries, until `is_over`.
    ///
    /// # Errors
    ///
    /// As [`SharedState::open`].
    pub fn open_patiently(
        options: &RedisOptions,
        engine: &mut Engine,
        mut tries: u32,
        is_over: &dyn Fn() -> bool,
    ) -> Result<SharedState, StreamError> {
        let mut pause = PAUSE;
        loop {
            tries = tries.saturating_sub(1);
            match SharedState::open(options.clone(), engine) {
                Err(StreamError::RedisAway { detail }) if tries > 0 && wait(&mut pause, is_over) => {
                    tracing::warn!(target: "redis", why = detail, "Redis is away: waits before anything is read");
                }
                opened => return opened,
            }
        }
    }

    /// What is counted.
    pub fn counts(&self) -> &Arc<SharedCounts> {
        &self.counts
    }

    fn connect(&mut self, engine: &Engine) -> Result<(), RedisError> {
        let mut store = Store::connect(&self.options)?;
        agree::check_servers(&mut store)?;
        let identity = agree::check_state(&mut store, engine.key_check(), &self.options)?;
        self.recognise(identity)?;
        self.store = Some(store);
        self.counts.is_up.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Refuses a state that is not the one of before.
    fn recognise(&mut self, identity: String) -> Result<(), RedisError> {
        match &self.identity {
            Some(known) if *known != identity => Err(RedisError::refused(
                "the state is not the one that this instance began with: it was emptied, or these are other servers",
                "restore the state of before; or start every instance with --accept-empty-state, to judge on without it",
            )),
            _ => {
                self.identity = Some(identity);
                Ok(())
            }
        }
    }

    /// Agrees with the others on what the rule set in force needs.
    fn agree(&mut self, engine: &mut Engine) -> Result<(), RedisError> {
        let store = connected(&mut self.store)?;
        let shown = clock::exchange(store, &[])?;
        let latest_ms = shown.values().map(|pace| pace.newest_ms).filter(|newest| *newest != i64::MIN).max();
        agree::share(store, engine, latest_ms.max(engine.clock().latest_ms()))
    }

    /// The rule set is another one.
    ///
    /// # Errors
    ///
    /// [`StreamError::RedisRefused`]; [`StreamError::RedisAway`] once `is_over`.
    pub fn reloaded(&mut self, engine: &mut Engine, is_over: &dyn Fn() -> bool) -> Result<(), StreamError> {
        self.until_done(engine, is_over, |shared, engine| shared.agree(engine))
    }

    /// A partition comes into use: its number for the engine, its name, and whether its places are kept. It goes on where
    /// event time was for who read it before.
    ///
    /// # Errors
    ///
    /// As [`SharedState::reloaded`].
    pub fn assign(
        &mut self,
        engine: &mut Engine,
        (number, name, is_kept): (u32, &str, bool),
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), StreamError> {
        let name = self.know(number, name, is_kept);
        engine.assign(number);
        self.until_done(engine, is_over, |shared, engine| {
            let nothing = Pace { newest_ms: i64::MIN, watermark_ms: i64::MIN };
            let own = if is_kept { vec![(name, nothing)] } else { Vec::new() };
            let shown = clock::exchange(connected(&mut shared.store)?, &own)?;
            let newest_ms = shown.get(&name).map(|pace| pace.newest_ms);
            let newest_ms = newest_ms.filter(|newest| is_kept && *newest != i64::MIN);
            // How far the others are comes first: ours alone would take event time past them.
            shared.hear(engine, &shown);
            newest_ms.into_iter().for_each(|newest_ms| engine.resume(number, newest_ms));
            Ok(())
        })
    }

    /// A partition goes out of use; another may go on with it.
    pub fn revoke(&mut self, engine: &mut Engine, number: u32) {
        // How far it has come is told while it is still ours; if nobody answers, the next one goes back a little.
        drop(self.tell(engine));
        engine.revoke(number);
        self.own.retain(|own| own.number != number);
    }

    /// Notes the name of a partition. Answers its hash.
    fn know(&mut self, number: u32, name: &str, is_kept: bool) -> u64 {
        let name = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
        // What is not kept is another partition in another run.
        let name = if is_kept { name } else { name ^ self.token };
        if !self.own.iter().any(|own| own.number == number) {
            self.own.push(Own { number, name, is_kept });
            self.doubted.insert(name, DOUBTED_EVENTS);
        }
        self.own.iter().find(|own| own.number == number).map_or(name, |own| own.name)
    }

    /// The place of an event, by its partition's number for the engine.
    fn origin(&self, event: &crate::event::Event) -> Origin {
        const ITEM_BITS: u32 = 20;
        let at = event.position;
        let own = self.own.iter().find(|own| own.number == at.partition);
        let item = u64::from(at.item).min((1 << ITEM_BITS) - 1);
        Origin { partition: own.map_or(0, |own| own.name), offset: at.offset << ITEM_BITS | item }
    }

    /// Judges the events of a batch, in order, as [`Engine::judge`] does. `name` is what a partition is called that was not
    /// assigned, and whether its places are kept.
    ///
    /// # Errors
    ///
    /// [`StreamError::RedisRefused`]; [`StreamError::RedisAway`] once `is_over`: until then it waits.
    pub fn judge(
        &mut self,
        engine: &mut Engine,
        (batch, signals): (&EventBatch, &[Signals]),
        name: &dyn Fn(u32) -> (String, bool),
        out: &mut Judgements,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), StreamError> {
        for event in &batch.events {
            let number = event.position.partition;
            if !self.own.iter().any(|own| own.number == number) {
                let (name, is_kept) = name(number);
                self.assign(engine, (number, &name, is_kept), is_over)?;
            }
        }
        if let (None, Some(first)) = (engine.started_ms(), batch.events.first()) {
            let first_ms = first.event_time_ms;
            self.until_done(engine, is_over, |shared, engine| {
                let started_ms = agree::start(connected(&mut shared.store)?, first_ms)?;
                engine.begin_at(started_ms.unwrap_or(first_ms));
                Ok(())
            })?;
        }
        let origins: Vec<Origin> = batch.events.iter().map(|event| self.origin(event)).collect();
        let mut from = 0;
        while from < batch.events.len() {
            let size = engine.next_chunk(&batch.events[from..]).min(self.chunk_max);
            let part = from..from + size;
            self.judge_chunk(engine, (batch, signals), (part.clone(), &origins[part]), out, is_over)?;
            from += size;
            self.unswept += size;
            self.untold += 1;
            if self.untold >= CHUNKS_UNTOLD {
                self.until_done(engine, is_over, |shared, engine| shared.tell(engine))?;
            }
        }
        Ok(())
    }

    fn judge_chunk(
        &mut self,
        engine: &mut Engine,
        (batch, signals): (&EventBatch, &[Signals]),
        (part, origins): (std::ops::Range<usize>, &[Origin]),
        out: &mut Judgements,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), StreamError> {
        let mut in_doubt = origins.iter().any(|origin| self.doubted.contains_key(&origin.partition));
        let mut pause = PAUSE;
        if self.store.is_none() {
            self.until_done(engine, is_over, |_, _| Ok(()))?;
        }
        let check = engine.key_check();
        let mut chunk = SharedChunk::open(engine, batch, signals, (part, origins), out);
        loop {
            match self.attempt(&mut chunk, in_doubt, origins) {
                Ok(true) => break,
                Ok(false) => {
                    self.counts.conflicts.fetch_add(1, Ordering::Relaxed);
                    self.chunk_max = (self.chunk_max / 2).max(CHUNK_MIN);
                    // So the next chunk is smaller by more than a step.
                    self.chunk_max = self.chunk_max.saturating_sub(CHUNK_STEP).max(CHUNK_MIN);
                }
                Err(error @ RedisError::Refused { .. }) => {
                    chunk.give_up();
                    return Err(error.into());
                }
                Err(RedisError::Away(why)) => {
                    self.lose(&why);
                    if !self.reconnect(check, &mut pause, is_over)? {
                        chunk.give_up();
                        return Err(StreamError::RedisAway { detail: why });
                    }
                }
            }
            // A part of it may stand there already.
            in_doubt = true;
            chunk.again();
        }
        for (at, origin) in origins.iter().enumerate() {
            if let Some(left) = self.doubted.get_mut(&origin.partition).filter(|_| chunk.is_new(at)) {
                *left -= 1;
                if *left == 0 {
                    self.doubted.remove(&origin.partition);
                }
            }
        }
        self.chunk_max = (self.chunk_max + CHUNK_STEP).min(CHUNK_MAX);
        chunk.finish();
        Ok(())
    }

    /// Fetches, judges and writes a chunk; `false`: somebody else was faster.
    fn attempt(&mut self, chunk: &mut SharedChunk<'_>, in_doubt: bool, origins: &[Origin]) -> Result<bool, RedisError> {
        let store = connected(&mut self.store)?;
        self.token = self.token.wrapping_add(1);
        let mut places = Places::new();
        store.begin();
        loop {
            let values = store.fetch(chunk.wanted(), in_doubt.then_some(&mut places))?;
            let names = &store.names;
            let applied = |name: crate::engine::RecordName<'_>, origin: Origin| {
                let of_group = in_doubt.then(|| names.known_group(&name)).flatten().and_then(|at| places.get(&at));
                let place = of_group.and_then(|of_group| of_group.get(&origin.partition));
                place.is_some_and(|place| *place >= origin.offset)
            };
            let values = values.iter().map(|value| value.as_deref());
            if chunk.give(values, &applied, self.token).map_err(RedisError::broken)? == Next::Write {
                break;
            }
        }
        store.write(&Outcome {
            state: chunk.state_changes().collect(),
            verdicts: chunk.verdict_changes().collect(),
            origins,
            horizon_ms: chunk.horizon_ms(),
            token: self.token,
        })
    }

    /// Called between works: takes away what nobody sees, and, while nothing is judged, tells the others how far event time has
    /// come. While something is, that is told every `CHUNKS_UNTOLD` chunks.
    ///
    /// # Errors
    ///
    /// [`StreamError::RedisRefused`].
    pub fn idle(&mut self, engine: &mut Engine) -> Result<(), StreamError> {
        let judged = std::mem::take(&mut self.unswept);
        let done = match self.store {
            None => self.connect(engine),
            Some(_) if judged == 0 => self.tell(engine),
            Some(_) => Ok(()),
        };
        let swept = done.and_then(|()| {
            let horizons = (engine.forgotten_ms(), engine.identity_horizon_ms());
            for _ in 0..self.sweeper.due(judged) {
                let gone = self.sweeper.step(connected(&mut self.store)?, horizons)?;
                self.counts.swept.fetch_add(gone, Ordering::Relaxed);
            }
            Ok(())
        });
        match swept {
            Ok(()) => Ok(()),
            Err(RedisError::Away(why)) => {
                self.lose(&why);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells how far event time has come, and hears of the others.
    fn tell(&mut self, engine: &mut Engine) -> Result<(), RedisError> {
        self.untold = 0;
        let kept = self.own.iter().filter(|own| own.is_kept);
        let watermark_ms = engine.clock().watermark_ms().unwrap_or(i64::MIN);
        let pace = |own: &Own| Some(Pace { newest_ms: engine.clock().newest_ms(own.number)?, watermark_ms });
        let own: Vec<(u64, Pace)> = kept.filter_map(|own| Some((own.name, pace(own)?))).collect();
        let shown = clock::exchange(connected(&mut self.store)?, &own)?;
        self.hear(engine, &shown);
        Ok(())
    }

    fn hear(&self, engine: &mut Engine, shown: &Shown) {
        let is_own = |name: &u64| self.own.iter().any(|own| own.name == *name);
        let elsewhere = shown.iter().filter(|(name, _)| !is_own(name)).map(|(_, pace)| pace.newest_ms).min();
        let watermarks = || shown.values().map(|pace| pace.watermark_ms);
        engine.read_elsewhere(elsewhere, watermarks().max().zip(watermarks().min()));
    }

    /// Does something, and waits where the servers are away.
    fn until_done(
        &mut self,
        engine: &mut Engine,
        is_over: &dyn Fn() -> bool,
        mut task: impl FnMut(&mut SharedState, &mut Engine) -> Result<(), RedisError>,
    ) -> Result<(), StreamError> {
        let mut pause = PAUSE;
        loop {
            let done = if self.store.is_none() { self.connect(engine) } else { Ok(()) };
            match done.and_then(|()| task(self, engine)) {
                Ok(()) => return Ok(()),
                Err(error @ RedisError::Refused { .. }) => return Err(error.into()),
                Err(RedisError::Away(why)) => {
                    self.lose(&why);
                    if !wait(&mut pause, is_over) {
                        return Err(StreamError::RedisAway { detail: why });
                    }
                }
            }
        }
    }

    /// Connects again while a chunk is open; `false`: it is over.
    fn reconnect(
        &mut self,
        key_check: u128,
        pause: &mut Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<bool, StreamError> {
        loop {
            if !wait(pause, is_over) {
                return Ok(false);
            }
            let connected = Store::connect(&self.options).and_then(|mut store| {
                agree::check_servers(&mut store)?;
                let identity = agree::check_state(&mut store, key_check, &self.options)?;
                Ok((store, identity))
            });
            match connected {
                Ok((store, identity)) => {
                    self.recognise(identity)?;
                    self.store = Some(store);
                    self.counts.is_up.store(true, Ordering::Relaxed);
                    tracing::info!(target: "redis", "Redis answers again");
                    return Ok(true);
                }
                Err(error @ RedisError::Refused { .. }) => return Err(error.into()),
                Err(RedisError::Away(why)) => self.lose(&why),
            }
        }
    }

    /// The servers are away: what is known of them is forgotten.
    fn lose(&mut self, why: &str) {
        self.store = None;
        // Another may know better who has what.
        self.options.nodes.rotate_left(1);
        if self.counts.is_up.swap(false, Ordering::Relaxed) {
            tracing::warn!(target: "redis", why, "Redis is away: waits, and keeps its place");
        }
    }

    /// Ends it: a temporary state goes.
    ///
    /// # Errors
    ///
    /// [`StreamError::RedisAway`], [`StreamError::RedisRefused`].
    pub fn close(mut self) -> Result<(), StreamError> {
        if self.options.temporary {
            super::sweep::remove_all(connected(&mut self.store)?)?;
        }
        Ok(())
    }
}

pub(super) fn connected(store: &mut Option<Store>) -> Result<&mut Store, RedisError> {
    store.as_mut().ok_or_else(|| RedisError::Away("not connected".to_owned()))
}

/// Waits before the next try, longer each time; `false`: it is over.
fn wait(pause: &mut Duration, is_over: &dyn Fn() -> bool) -> bool {
    if is_over() {
        return false;
    }
    std::thread::park_timeout(*pause);
    *pause = (*pause * 2).min(PAUSE_MAX);
    true
}
