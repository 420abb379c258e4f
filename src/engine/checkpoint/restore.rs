//! From segments of bytes to an engine.

use std::sync::Arc;

use super::{OF_ACCOUNTS, OF_FEATURE, key_check, tag};
use crate::engine::{Engine, EngineOptions};
use crate::event::SubjectKind;
use crate::ruleset::program::RuleSet;
use crate::state::{Broken, ByteReader, Class, ClassMap, FeatureTable};

/// No log has so many events.
pub(super) const SEQUENCE_MAX: u64 = 1 << 62;

const OUT_OF_ORDER: Broken = Broken("a segment of no known kind, or out of order");

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

/// Where the keys of a table go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Nobody,
    Feature(usize),
    Accounts(usize),
}

/// An engine that is being read, segment by segment.
#[derive(Debug)]
pub struct Restoring {
    engine: Engine,
    /// By number of a table.
    tables: Vec<Owner>,
    /// Whether referrers are taken over, once they have begun.
    referrers: Option<bool>,
    has_head: bool,
    has_ended: bool,
    /// What the classes of keys are now.
    classes: ClassMap,
    /// By feature, then by table of accounts: whether it was taken over.
    features: Vec<bool>,
    accounts: Vec<bool>,
    has_dedup: bool,
    /// What decisions refuse, and how far they may grow.
    decisions: Option<(bool, usize)>,
    /// Whether decisions have their numbers.
    has_log: bool,
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
            tables: Vec::new(),
            referrers: None,
            has_head: false,
            has_ended: false,
            classes: [Class::NONE; 256],
            has_dedup: false,
            decisions: None,
            has_log: false,
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
        let has_classes =
            segment.first().is_some_and(|tag| [tag::TABLE, tag::KEYS, tag::KEYS_OF, tag::WAITING].contains(tag));
        // Keys of identities are given no class: there these bits say nothing.
        let mut reader =
            if has_classes { ByteReader::with_classes(segment, &classes) } else { ByteReader::new(segment) };
        let tag = reader.byte()?;
        if self.has_ended || self.has_head == (tag == tag::HEAD) {
            return Err(OUT_OF_ORDER.into());
        }
        let engine = &mut self.engine;
        match tag {
            tag::HEAD => self.take_head(&mut reader)?,
            tag::TABLE => self.begin_table(&mut reader)?,
            tag::KEYS => self.take_keys(self.tables.len().checked_sub(1), &mut reader)?,
            tag::KEYS_OF => {
                let table = reader.count(0)?;
                self.take_keys(Some(table), &mut reader)?;
            }
            tag::WAITING => {
                let place = |feature: u32| match self.tables.get(feature as usize) {
                    Some(Owner::Feature(place)) => Some(*place as u32),
                    _ => None,
                };
                engine.waiting.restore(place, &mut reader)?;
            }
            tag::REFERRERS if self.referrers.is_none() => {
                self.referrers = Some(match engine.accounts.referrers_mut() {
                    Some(referrers) => referrers.restore_head(&mut reader)?,
                    None => reader.time().map(|_| false)?,
                });
            }
            tag::REFERRALS => match (self.referrers, engine.accounts.referrers_mut()) {
                (None, _) => return Err(OUT_OF_ORDER.into()),
                (Some(true), Some(referrers)) => referrers.restore_records(&mut reader)?,
                _ => return Ok(()),
            },
            tag::DEDUP if !self.has_dedup => {
                self.has_dedup = true;
                engine.dedup.restore_head(&mut reader)?;
            }
            tag::IDENTITIES if self.has_dedup => engine.dedup.restore_identities(&mut reader)?,
            tag::VERDICTS => engine.remembered.restore(&mut reader)?,
            tag::EVIDENCE => engine.recorded.restore(&mut reader)?,
            tag::LISTS => engine.managed.restore(&mut reader)?,
            tag::DECISIONS if self.decisions.is_none() => {
                self.decisions = Some(engine.decisions.restore_head(&mut reader)?);
            }
            tag::DECISION_LOG if !self.has_log => {
                self.has_log = true;
                engine.decisions.restore_log(&mut reader)?;
            }
            tag::SUBJECTS if self.decisions.is_some() => engine.decisions.restore(&mut reader)?,
            tag::HOLDS => engine.holds.restore_head(&mut reader)?,
            tag::REVIEWS => engine.holds.restore(&mut reader)?,
            tag::BREAKERS => engine.breakers.restore(&engine.rules, &mut self.breaker, &mut reader)?,
            tag::WATCH => self.restore_watch(&mut reader)?,
            tag::END => self.has_ended = true,
            _ => return Err(OUT_OF_ORDER.into()),
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

    /// A table begins.
    fn begin_table(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        let (owner, name) = self.owner(reader)?;
        let table: Option<(&mut FeatureTable, &mut bool)> = match owner {
            Owner::Nobody => None,
            Owner::Feature(place) => Some((&mut self.engine.tables[place], &mut self.features[place])),
            Owner::Accounts(place) => Some((&mut self.engine.accounts.tables_mut()[place], &mut self.accounts[place])),
        };
        let is_taken = match table {
            Some((_, true)) => return Err(Broken("a table stands there twice")),
            Some((table, taken)) => {
                *taken = table.restore_head(reader)?;
                *taken
            }
            None => false,
        };
        self.tables.push(if is_taken { owner } else { Owner::Nobody });
        if !is_taken {
            self.restored.left_out.push(name.to_owned());
            // What follows in the segment, and the keys after it, are not looked at.
            *reader = ByteReader::new(&[]);
        }
        Ok(())
    }

    /// Whose table it is, by what it begins with, and its name.
    fn owner<'a>(&mut self, reader: &mut ByteReader<'a>) -> Result<(Owner, &'a str), Broken> {
        let engine = &mut self.engine;
        let owner = reader.byte()?;
        let name = reader.text()?;
        let owner = match owner {
            OF_FEATURE => {
                let (definition, since_ms) = (reader.text()?, reader.maybe_time()?);
                let features = &engine.rules.features;
                let place = features.binary_search_by(|feature| feature.name.as_str().cmp(name)).ok();
                let place = place.filter(|place| features[*place].definition == definition);
                place.into_iter().for_each(|place| engine.plan.features[place].since_ms = since_ms);
                place.map_or(Owner::Nobody, Owner::Feature)
            }
            OF_ACCOUNTS => {
                let place = (0..self.accounts.len()).find(|place| engine.accounts.name(*place) == name);
                place.map_or(Owner::Nobody, Owner::Accounts)
            }
            _ => return Err(Broken("a table of nothing that is known")),
        };
        Ok((owner, name))
    }

    /// Keys of the table of a number come.
    fn take_keys(&mut self, table: Option<usize>, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        match table.and_then(|table| self.tables.get(table)).ok_or(OUT_OF_ORDER)? {
            Owner::Feature(place) => self.engine.tables[*place].restore_keys(reader),
            Owner::Accounts(place) => self.engine.accounts.tables_mut()[*place].restore_keys(reader),
            Owner::Nobody => {
                *reader = ByteReader::new(&[]);
                Ok(())
            }
        }
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
        for owner in &self.tables {
            match owner {
                Owner::Feature(place) => self.engine.tables[*place].restored()?,
                Owner::Accounts(place) => self.engine.accounts.tables_mut()[*place].restored()?,
                Owner::Nobody => {}
            }
        }
        self.engine.dedup.restored();
        let limits = self.decisions.ok_or(Broken("its decisions are missing"))?;
        let engine = &mut self.engine;
        engine.decisions.restored(limits, self.has_log)?;
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
