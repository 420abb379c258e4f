//! From segments of bytes to an engine.

use std::sync::Arc;

use super::{OF_ACCOUNTS, OF_FEATURE, key_check, tag};
use crate::engine::{Engine, EngineOptions};
use crate::event::SubjectKind;
use crate::ruleset::program::RuleSet;
use crate::state::{Broken, ByteReader, Class, ClassMap, FeatureTable};

/// No log has so many events.
const SEQUENCE_MAX: u64 = 1 << 62;

/// Why bytes are no checkpoint of this installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// They are damaged, or were never written by this version.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// Identifiers were hashed under another key.
    #[error("it was made under another key")]
    ForeignKey,
}

/// What a checkpoint was, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// How many events had been taken in.
    pub sequence: u64,
    /// Hash of the rule set that was in force.
    pub ruleset: String,
    /// Features that begin empty, because the checkpoint has none of this name and definition.
    pub empty: Vec<String>,
    /// Facts about accounts that begin empty.
    pub empty_facts: Vec<&'static str>,
    /// Features and facts of the checkpoint that are not taken over.
    pub left_out: Vec<String>,
}

/// What the segments that come belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Current {
    Nothing,
    LeftOut,
    Feature(usize),
    Accounts(usize),
    Referrers,
    Dedup,
    Decisions,
}

/// An engine that is being read, segment by segment.
#[derive(Debug)]
pub struct Restoring {
    engine: Engine,
    current: Current,
    has_head: bool,
    has_ended: bool,
    /// What the classes of keys are now.
    classes: ClassMap,
    /// The features of the checkpoint, in its order: where they are now.
    places: Vec<Option<u32>>,
    /// By feature, then by table of accounts: whether it was taken over.
    features: Vec<bool>,
    accounts: Vec<bool>,
    has_dedup: bool,
    /// What decisions refuse, and how far they may grow.
    decisions: Option<(bool, usize)>,
    /// The rule whose breaker's counters come.
    breaker: Option<usize>,
    restored: Restored,
}

impl Restoring {
    /// Begins with an engine of these rules and options that knows nothing.
    pub fn new(rules: Arc<RuleSet>, options: EngineOptions) -> Restoring {
        let engine = Engine::new(rules, options);
        Restoring {
            features: vec![false; engine.tables.len()],
            accounts: vec![false; engine.accounts.tables().len()],
            engine,
            current: Current::Nothing,
            has_head: false,
            has_ended: false,
            classes: [Class::NONE; 256],
            places: Vec::new(),
            has_dedup: false,
            decisions: None,
            breaker: None,
            restored: Restored::default(),
        }
    }

    /// Reads the next segment.
    ///
    /// # Errors
    ///
    /// [`RestoreError`]: then the rest is worthless too.
    pub fn take(&mut self, segment: &[u8]) -> Result<(), RestoreError> {
        let classes = self.classes;
        let has_classes = segment.first().is_some_and(|tag| [tag::TABLE, tag::KEYS, tag::WAITING].contains(tag));
        // Keys of identities are given no class: there these bits say nothing.
        let mut reader =
            if has_classes { ByteReader::with_classes(segment, &classes) } else { ByteReader::new(segment) };
        let tag = reader.byte()?;
        if self.has_ended || self.has_head == (tag == tag::HEAD) {
            return Err(Broken("segments are out of order").into());
        }
        let engine = &mut self.engine;
        match (tag, self.current) {
            (tag::HEAD, _) => self.take_head(&mut reader)?,
            (tag::KEYS, Current::Feature(place)) => engine.tables[place].restore_keys(&mut reader)?,
            (tag::KEYS, Current::Accounts(place)) => engine.accounts.tables_mut()[place].restore_keys(&mut reader)?,
            (tag::REFERRALS, Current::Referrers) => {
                let referrers = engine.accounts.referrers_mut();
                referrers.map_or(Ok(()), |referrers| referrers.restore_records(&mut reader))?;
            }
            (tag::IDENTITIES, Current::Dedup) => engine.dedup.restore_identities(&mut reader)?,
            (tag::SUBJECTS, Current::Decisions) => engine.decisions.restore(&mut reader)?,
            (tag::KEYS | tag::REFERRALS, Current::LeftOut) => return Ok(()),
            (tag::WAITING, _) => {
                let place = |feature: u32| self.places.get(feature as usize).copied().flatten();
                engine.waiting.restore(place, &mut reader)?;
            }
            (tag::VERDICTS, _) => engine.remembered.restore(&mut reader)?,
            (tag::BREAKERS, _) => engine.breakers.restore(&engine.rules, &mut self.breaker, &mut reader)?,
            _ => self.begin(tag, &mut reader)?,
        }
        if reader.is_empty() { Ok(()) } else { Err(Broken("a segment is longer than what is in it").into()) }
    }

    fn take_head(&mut self, reader: &mut ByteReader<'_>) -> Result<(), RestoreError> {
        let engine = &mut self.engine;
        if reader.wide()? != key_check(&engine.hasher).bits() {
            return Err(RestoreError::ForeignKey);
        }
        engine.sequence = reader.word()?;
        if engine.sequence > SEQUENCE_MAX {
            return Err(Broken("there were more events than can be").into());
        }
        engine.started_ms = reader.maybe_time()?;
        self.restored.sequence = engine.sequence;
        self.restored.ruleset = reader.text()?.to_owned();
        engine.clock.restore(reader)?;
        self.classes = engine.quotas.restore(&engine.policy, reader)?;
        for _ in 0..reader.count(1)? {
            let kind = SubjectKind::from_name(reader.text()?).ok_or(Broken("a subject of no known kind"))?;
            kind.signal().into_iter().for_each(|signal| engine.plan.signals.insert(signal));
        }
        self.has_head = true;
        Ok(())
    }

    /// Something else begins.
    fn begin(&mut self, tag: u8, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        self.close()?;
        let engine = &mut self.engine;
        self.current = match tag {
            tag::TABLE => self.begin_table(reader)?,
            tag::REFERRERS => {
                let keeps = match engine.accounts.referrers_mut() {
                    Some(referrers) => referrers.restore_head(reader)?,
                    None => reader.time().map(|_| false)?,
                };
                if keeps { Current::Referrers } else { Current::LeftOut }
            }
            tag::DEDUP if !self.has_dedup => {
                self.has_dedup = true;
                engine.dedup.restore_head(reader)?;
                Current::Dedup
            }
            tag::DECISIONS if self.decisions.is_none() => {
                self.decisions = Some(engine.decisions.restore_head(reader)?);
                Current::Decisions
            }
            tag::WATCH => {
                self.restore_watch(reader)?;
                Current::Nothing
            }
            tag::END => {
                self.has_ended = true;
                Current::Nothing
            }
            _ => return Err(Broken("a segment of no known kind, or out of order")),
        };
        Ok(())
    }

    /// Tables are whole once something else begins.
    fn close(&mut self) -> Result<(), Broken> {
        match std::mem::replace(&mut self.current, Current::Nothing) {
            Current::Feature(place) => self.engine.tables[place].restored(),
            Current::Accounts(place) => self.engine.accounts.tables_mut()[place].restored(),
            _ => Ok(()),
        }
    }

    fn begin_table(&mut self, reader: &mut ByteReader<'_>) -> Result<Current, Broken> {
        let engine = &mut self.engine;
        let owner = reader.byte()?;
        let name = reader.text()?;
        let (table, taken, current): (&mut FeatureTable, &mut bool, Current) = match owner {
            OF_FEATURE => {
                // Until it is known where it is now.
                self.places.push(None);
                let (definition, since_ms) = (reader.text()?, reader.maybe_time()?);
                let features = &engine.rules.features;
                let place = features.binary_search_by(|feature| feature.name.as_str().cmp(name)).ok();
                let Some(place) = place.filter(|place| features[*place].definition == definition) else {
                    return Ok(self.leave_out(name, reader));
                };
                engine.plan.features[place].since_ms = since_ms;
                (&mut engine.tables[place], &mut self.features[place], Current::Feature(place))
            }
            OF_ACCOUNTS => {
                let place = (0..self.accounts.len()).find(|place| engine.accounts.name(*place) == name);
                let Some(place) = place else { return Ok(self.leave_out(name, reader)) };
                (&mut engine.accounts.tables_mut()[place], &mut self.accounts[place], Current::Accounts(place))
            }
            _ => return Err(Broken("a table of nothing that is known")),
        };
        if std::mem::replace(taken, true) {
            return Err(Broken("a table stands there twice"));
        }
        if table.restore_head(reader)? {
            if let Current::Feature(place) = current {
                self.places.pop();
                self.places.push(Some(place as u32));
            }
            return Ok(current);
        }
        *taken = false;
        Ok(self.leave_out(name, reader))
    }

    /// What follows in the segment, and the keys after it, are not looked at.
    fn leave_out(&mut self, name: &str, reader: &mut ByteReader<'_>) -> Current {
        self.restored.left_out.push(name.to_owned());
        *reader = ByteReader::new(&[]);
        Current::LeftOut
    }

    fn restore_watch(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        let names = self.engine.part_names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let taken: Vec<bool> = self.features.iter().chain(&self.accounts).copied().collect();
        // What stands behind the tables is always taken over.
        self.engine.watch.restore(&names, |part| taken.get(part).copied().unwrap_or(true), reader)
    }

    /// The engine, once every segment was read; and what became of what.
    ///
    /// # Errors
    ///
    /// Something is missing.
    pub fn finish(mut self) -> Result<(Engine, Restored), RestoreError> {
        if !self.has_ended || !self.has_dedup {
            return Err(Broken("its end is missing").into());
        }
        let limits = self.decisions.ok_or(Broken("its decisions are missing"))?;
        let engine = &mut self.engine;
        engine.decisions.restored(limits);
        // An event at the very time of the newest may have been among those that were missed.
        let since_ms = engine.clock.latest_ms().map(|latest_ms| latest_ms.saturating_add(1));
        for (place, _) in self.features.iter().enumerate().filter(|(_, taken)| !**taken) {
            engine.plan.features[place].since_ms = since_ms;
            self.restored.empty.push(engine.rules.features[place].name.clone());
        }
        for (place, _) in self.accounts.iter().enumerate().filter(|(_, taken)| !**taken) {
            self.restored.empty_facts.push(engine.accounts.name(place));
        }
        engine.swept_keys = engine.tables.iter().chain(engine.accounts.tables()).map(FeatureTable::keys).collect();
        // What keys take is known now.
        engine.look_at_quotas();
        Ok((self.engine, self.restored))
    }
}
