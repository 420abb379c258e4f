//! Rule sets on their way into the engine, with what deriving for them needs.
//!
//! Events are derived in the readers' threads, some batches ahead of the engine. Those that were derived for the rules
//! before and are judged by the new ones are derived once more, in the engine's thread: deriving again gives what deriving
//! once would have given. Everything costly is made before, by whoever hands a rule set over.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::work::Work;
use crate::engine::Engine;
use crate::ruleset::program::RuleSet;
use crate::signals::{Deriver, SignalConfig, SignalError, Wanted};
use crate::stream::StreamError;

/// A rule set, ready to be put in force.
pub struct Reload {
    rules: Arc<RuleSet>,
    /// What they are read from: paths below their folder, and texts.
    files: Vec<(String, String)>,
    /// It changes nothing where the same rules are in force.
    unless_in_force: bool,
    /// One for the engine's thread, then one for each reader.
    derivers: Vec<Deriver>,
    taken: Sender<Taken>,
}

/// A rule set is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How many events were judged by those before it.
    pub events: u64,
    /// The features that began empty, and what they need to be whole; `None` before the first event.
    pub empty: Option<Empty>,
}

/// Features that began empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Empty {
    /// Their names.
    pub features: Vec<String>,
    /// History from this instant on makes them whole: the newest event time less their longest reach.
    pub since_ms: i64,
}

impl Reload {
    /// Makes a rule set ready for a pipeline with so many readers. `wanted` is what
    /// [`wanted_after`](crate::engine::wanted_after) says.
    ///
    /// The other value tells when the rule set is in force.
    ///
    /// # Errors
    ///
    /// If a database or list that signals need is broken.
    pub fn new(
        rules: Arc<RuleSet>,
        wanted: Wanted,
        signals: &SignalConfig,
        readers: usize,
    ) -> Result<(Reload, Receiver<Taken>), SignalError> {
        let derivers = (0..=readers).map(|_| Deriver::new(wanted, signals)).collect::<Result<Vec<_>, _>>()?;
        let (taken, told) = bounded(1);
        Ok((Reload { rules, files: Vec::new(), unless_in_force: false, derivers, taken }, told))
    }

    /// The same with what the rules are read from, for a journal: paths below their folder, and texts.
    #[must_use]
    pub fn with_files(self, files: Vec<(String, String)>) -> Reload {
        Reload { files, ..self }
    }

    /// The same, which changes nothing where rules of the same hash are in force by then.
    #[must_use]
    pub fn unless_in_force(self) -> Reload {
        Reload { unless_in_force: true, ..self }
    }
}

/// The engine thread's end of reloads.
pub(super) struct Reloads {
    waiting: Receiver<Reload>,
    /// By reader: where its next deriver goes.
    renew: Vec<Sender<Deriver>>,
    /// For batches that were derived for an earlier rule set; `None` before the first reload.
    deriver: Option<Deriver>,
    /// What the readers derive, and what signals need for more; `None`: nobody asks for more.
    derives: Option<(Wanted, SignalConfig)>,
}

impl Reloads {
    pub(super) fn new(waiting: Receiver<Reload>, renew: Vec<Sender<Deriver>>) -> Reloads {
        Reloads { waiting, renew, deriver: None, derives: None }
    }

    /// The same for readers with derivers like this.
    pub(super) fn from(mut self, deriver: Option<&Deriver>) -> Reloads {
        self.derives = deriver.map(|deriver| (deriver.wanted(), deriver.config().clone()));
        self
    }

    /// How many readers there are.
    pub(super) fn readers(&self) -> usize {
        self.renew.len()
    }

    /// Puts what waits in force. Answers the hashes and files of what was.
    pub(super) fn take(&mut self, engine: &mut Engine) -> Vec<(String, Vec<(String, String)>)> {
        let mut took = Vec::new();
        while let Ok(Reload { rules, files, unless_in_force, derivers, taken }) = self.waiting.try_recv() {
            took.push((rules.hash.clone(), files));
            let stays = unless_in_force && engine.rules().hash == rules.hash;
            let features = if stays { Vec::new() } else { engine.reload(rules) };
            let mut derivers = derivers.into_iter();
            self.deriver = derivers.next();
            if let (Some((derived, _)), Some(deriver)) = (&mut self.derives, &self.deriver) {
                *derived = deriver.wanted();
            }
            for (renew, deriver) in self.renew.iter().zip(derivers) {
                // A reader that has ended derives nothing more.
                drop(renew.send(deriver));
            }
            // Who handed it over may have stopped waiting.
            taken.send(Taken { events: engine.taken_in(), empty: empty(engine, features) }).ok();
        }
        took
    }

    /// Has everything derived that the engine wants: an override may stand on what no rule looks at. It takes as long as a start
    /// does, once for a kind of subject.
    ///
    /// # Errors
    ///
    /// [`StreamError::Recovery`]: what signals need was there when the process began, and is broken.
    pub(super) fn cover(&mut self, engine: &Engine) -> Result<(), StreamError> {
        let wanted = engine.wanted();
        let Some((derived, config)) = self.derives.as_mut().filter(|(derived, _)| !derived.covers(wanted)) else {
            return Ok(());
        };
        let deriver = || {
            Deriver::new(wanted, config).map_err(|error| StreamError::Recovery {
                detail: error.to_string(),
                hint: "mend the files that `signals` names",
            })
        };
        self.deriver = Some(deriver()?);
        for renew in &self.renew {
            // A reader that has ended derives nothing more.
            drop(renew.send(deriver()?));
        }
        *derived = wanted;
        Ok(())
    }

    /// Derives a batch again that was derived for less than the rules in force want.
    pub(super) fn derive_again(&mut self, engine: &Engine, work: &mut Work) {
        let wanted = engine.wanted();
        if let Some(deriver) = self.deriver.as_mut().filter(|_| !work.wanted.covers(wanted)) {
            deriver.derive(&mut work.batch, &mut work.signals);
            work.wanted = deriver.wanted();
        }
    }
}

/// What these features, which began empty, need to be whole.
fn empty(engine: &Engine, features: Vec<String>) -> Option<Empty> {
    let reach_ms = engine.backfill_reach_ms(&engine.begin_backfill(&features))?;
    let since_ms = engine.clock().latest_ms()?.saturating_sub(reach_ms);
    Some(Empty { features, since_ms })
}

#[cfg(test)]
mod tests {
    use super::super::engine_thread::{Judge, Stage};
    use super::super::history::Fills;
    use super::super::{Intake, Probe};
    use super::*;
    use crate::engine::{EngineOptions, wanted_after};
    use crate::event::{ParseOptions, Parser, Place, Position};
    use crate::ruleset::load::{Files, load_from};

    struct One(String);

    impl Files for One {
        fn packs(&self) -> Result<Vec<String>, String> {
            Ok(vec!["p.yaml".to_owned()])
        }

        fn read(&self, _path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
            Ok(self.0.clone().into_bytes())
        }
    }

    fn rules(condition: &str) -> Arc<RuleSet> {
        let rule = format!("  - {{id: r, on: [login.succeeded], when: '{condition}', action: flag}}\n");
        let loaded = load_from(&One(format!("version: 1\npack: p\nrules:\n{rule}"))).expect("the pack is right");
        Arc::new(loaded.set)
    }

    struct Nobody;

    impl Probe for Nobody {
        fn look(&mut self, _engine: &mut Engine) {}
    }

    /// A batch of one event, derived for this.
    fn work(id: &str, wanted: Wanted) -> Work {
        let mut work = Work::default();
        let event = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"login.succeeded","time":"2026-05-01T10:00:00Z","data":{{"account_id":"a","ip":"::ffff:198.51.100.7","phone":"0501234567"}}}}"#
        );
        let at = Place { position: Position::default(), ingest_time_ms: 0 };
        work.batch.input.push_str(&event);
        let mut parser = Parser::new(ParseOptions { allow_future: true });
        parser.parse_structured(&mut work.batch, 0..event.len(), at).expect("it is a valid event");
        let mut deriver = Deriver::new(wanted, &SignalConfig::default()).expect("the defaults need no file");
        deriver.derive(&mut work.batch, &mut work.signals);
        work.wanted = wanted;
        work
    }

    #[test]
    fn what_was_derived_for_the_rules_before_is_derived_again_for_the_new_ones() {
        let (by_ip, by_phone) =
            (rules(r#"ip.address == "198.51.100.7""#), rules(r#"phone.normalized == "+966501234567""#));
        let mut engine = Engine::new(Arc::clone(&by_ip), EngineOptions::default());
        let before = engine.wanted();
        let after = wanted_after(before, &by_phone);
        assert!(!before.covers(after));
        let (hand_over, waiting) = crossbeam_channel::unbounded();
        let (renew, renewed) = crossbeam_channel::unbounded();
        let mut nobody = Nobody;
        let mut judge = Judge::new(
            &mut engine,
            &mut nobody,
            Reloads::new(waiting, vec![renew]),
            Fills::new(crossbeam_channel::never()),
        );
        let intake = Intake::of_lines("lines");
        let judged = |judge: &mut Judge<'_>, id: &str, wanted| {
            let mut work = work(id, wanted);
            judge.pass(&mut work, &intake);
            judge.idle();
            work.write_verdicts();
            let line = String::from_utf8_lossy(work.verdicts.text()).into_owned();
            (line.contains("\"verdict\":\"flag\""), line.contains(&by_phone.hash), work.wanted)
        };
        assert_eq!(judged(&mut judge, "1", before), (true, false, before));
        let (reload, told) =
            Reload::new(Arc::clone(&by_phone), after, &SignalConfig::default(), 1).expect("nothing is broken");
        hand_over.send(reload).expect("the queue is open");
        // It waits until the work that is under way is done.
        assert_eq!(judged(&mut judge, "2", before), (true, false, before));
        assert_eq!(told.try_recv(), Ok(Taken { events: 2, empty: None }), "events before it");
        assert_eq!(judged(&mut judge, "3", before), (true, true, after), "derived by a reader for the rules before");
        assert_eq!(renewed.try_recv().map(|deriver| deriver.wanted()), Ok(after), "the reader's next deriver");
        assert_eq!(judged(&mut judge, "4", after), (true, true, after));
    }
}
