//! Counts what was written, batch by batch, in the writer's thread.
//!
//! Events are counted into plain arrays first, and each counter that a batch touched is moved once: a batch costs a few
//! nanoseconds an event, whatever the number of families. Invariant: every input of a batch is counted once in
//! `events_total` or in `dead_letters_total`, and every event of the former once in `verdicts_total` or in
//! `duplicates_total`.

mod alerts;

use std::sync::Arc;
use std::time::Instant;

use prometheus::local::LocalHistogram;
use prometheus::{IntCounter, IntCounterVec};

use self::alerts::ShownAlerts;
use super::table::Families;
use super::{OTHER, seconds};
use crate::engine::{Clock, Judgement, Outcome, program_name};
use crate::event::{Event, Field, KINDS, Reason, Verdict};
use crate::ruleset::program::{RuleSet, TypeIndex};
use crate::stream::inbox::ACTS;
use crate::stream::pipeline::{Notice, Observer, Work};

/// Counts every batch that is written.
#[derive(Debug)]
pub struct BatchObserver {
    families: Arc<Families>,
    rules: Arc<RuleSet>,
    monotonic: fn() -> Instant,
    sources: Vec<SourceCounts>,
    /// The configured programs, sorted.
    programs: Vec<String>,
    /// The program asked for last, by its place: events of one program come in a row.
    last_program: usize,
    /// By program, then verdict; the last program is `other`.
    verdicts: Counts,
    /// By field.
    invalid_fields: Counts,
    alerts: ShownAlerts,
}

/// What is counted of one source.
#[derive(Debug)]
struct SourceCounts {
    name: String,
    /// By [`TypeIndex`]; the last is `other`.
    types: Counts,
    /// By the place of the reason in [`Reason::CODES`].
    dead_letters: Counts,
    late: Counts,
    duplicates: Counts,
    latency: LocalHistogram,
    /// Event time over the source's own partitions.
    clock: Clock,
}

impl BatchObserver {
    pub(super) fn new(
        families: Arc<Families>,
        sources: impl IntoIterator<Item = String>,
        programs: impl IntoIterator<Item = String>,
        rules: Arc<RuleSet>,
        monotonic: fn() -> Instant,
    ) -> BatchObserver {
        let mut programs: Vec<String> = programs.into_iter().collect();
        programs.sort_unstable();
        programs.dedup();
        let source = |name| SourceCounts::new(name, &families, &rules);
        let mut observer = BatchObserver {
            sources: sources.into_iter().map(source).collect(),
            verdicts: Counts::new((programs.len() + 1) * Verdict::ALL.len()),
            invalid_fields: Counts::new(Field::ALL.len()),
            alerts: ShownAlerts::start(&families),
            last_program: programs.len(),
            families,
            rules,
            monotonic,
            programs,
        };
        observer.start();
        observer
    }

    /// Shows the counters that a first increment must not be missed of: a rate is computed from two samples.
    fn start(&mut self) {
        let BatchObserver { families, programs, .. } = self;
        self.verdicts.show(&families.verdicts_total, |at| verdict_labels(programs, at));
        // Nobody sends events by what people do.
        for source in self.sources.iter_mut().filter(|source| source.name != ACTS) {
            let name = source.name.as_str();
            source.late.show(&families.late_events_total, |_| [name]);
            source.duplicates.show(&families.duplicates_total, |_| [name]);
            source.dead_letters.show(&families.dead_letters_total, |at| [name, Reason::CODES[at].0]);
        }
    }

    /// Goes over to another rule set, between two batches: nothing waits to be counted then.
    fn renew(&mut self, rules: &Arc<RuleSet>) {
        self.rules = Arc::clone(rules);
        self.sources.iter_mut().for_each(|source| source.types = type_counts(rules));
    }

    fn count(&mut self, work: &Work, event: &Event, judgement: &Judgement) {
        let source = &mut self.sources[work.source];
        if judgement.outcome == Outcome::IdReused {
            // It is among the dead letters.
            return;
        }
        let event_type = self.rules.type_index(event.kind, work.batch.field(event, Field::Type));
        let other = source.types.len() - 1;
        source.types.add(event_type.map_or(other, |of| of.0 as usize), 1);
        if judgement.outcome == Outcome::Repeat {
            source.duplicates.add(0, 1);
            return;
        }
        source.late.add(0, u64::from(judgement.late));
        if !event.unreadable.is_empty() {
            event.unreadable.iter().for_each(|field| self.invalid_fields.add(field as usize, 1));
        }
        let program = self.program(program_name(&work.batch, event));
        self.verdicts.add(program * Verdict::ALL.len() + judgement.verdict as usize, 1);
    }

    /// The place of a program; that behind the last for one that is not configured.
    fn program(&mut self, name: &str) -> usize {
        if self.programs.get(self.last_program).is_none_or(|last| last != name) {
            let known = self.programs.binary_search_by(|program| program.as_str().cmp(name));
            self.last_program = known.unwrap_or(self.programs.len());
        }
        self.last_program
    }

    /// Moves the counters that the batch touched.
    fn flush(&mut self, source: usize) {
        let BatchObserver { families, rules, programs, .. } = self;
        self.verdicts.flush(&families.verdicts_total, |at| verdict_labels(programs, at));
        self.invalid_fields.flush(&families.invalid_fields_total, |at| [Field::ALL[at].name()]);
        let source = &mut self.sources[source];
        let name = source.name.as_str();
        let other = source.types.len() - 1;
        let type_name = |at: usize| if at == other { OTHER } else { rules.type_name(TypeIndex(at as u16)) };
        source.types.flush(&families.events_total, |at| [name, type_name(at)]);
        source.late.flush(&families.late_events_total, |_| [name]);
        source.duplicates.flush(&families.duplicates_total, |_| [name]);
        source.dead_letters.flush(&families.dead_letters_total, |at| [name, Reason::CODES[at].0]);
        source.latency.flush();
    }
}

impl Observer for BatchObserver {
    fn written(&mut self, work: &Work) {
        if !Arc::ptr_eq(&self.rules, &work.rules) {
            self.renew(&work.rules);
        }
        for (event, judgement) in work.batch.events.iter().zip(&work.judgements.events) {
            self.count(work, event, judgement);
        }
        let source = &mut self.sources[work.source];
        for (_, code) in work.dead_letters.iter() {
            let known = Reason::CODES.iter().position(|(known, _)| *known == code);
            source.dead_letters.add(known.expect("the codes of reasons are those of their table"), 1);
        }
        if let Some(arrived) = work.arrived {
            let latency_seconds = (self.monotonic)().saturating_duration_since(arrived).as_secs_f64();
            let is_answered = |judgement: &&Judgement| judgement.outcome != Outcome::IdReused;
            let answered = work.judgements.events.iter().filter(is_answered).count();
            (0..answered).for_each(|_| source.latency.observe(latency_seconds));
        }
        source.follow(work);
        source.show_time(&self.families);
        self.alerts.show(&self.families, &work.alerts.counts);
        self.flush(work.source);
    }
}

impl SourceCounts {
    fn new(name: String, families: &Families, rules: &RuleSet) -> SourceCounts {
        SourceCounts {
            types: type_counts(rules),
            dead_letters: Counts::new(Reason::CODES.len()),
            late: Counts::new(1),
            duplicates: Counts::new(1),
            latency: families.event_latency_seconds.with_label_values(&[name.as_str()]).local(),
            // Only lateness depends on how much of it is allowed, and that is the engine's to say.
            clock: Clock::new(0),
            name,
        }
    }

    /// Moves the source's event time on.
    fn follow(&mut self, work: &Work) {
        for notice in &work.notices {
            match *notice {
                Notice::Assigned(partition) => self.clock.assign(partition),
                Notice::Revoked(partition) => self.clock.revoke(partition),
                Notice::Tick(partition, clock_ms) => self.clock.tick(partition, clock_ms),
            }
        }
        // Events of one partition come in a row: the clock, which looks at every partition, is asked once a row.
        for row in work.batch.events.chunk_by(|a, b| a.position.partition == b.position.partition) {
            if let Some(newest_ms) = row.iter().map(|event| event.event_time_ms).max() {
                self.clock.observe(row[0].position.partition, newest_ms);
            }
        }
    }

    fn show_time(&self, families: &Families) {
        if let Some(watermark_ms) = self.clock.watermark_ms() {
            let name = [self.name.as_str()];
            families.source_watermark_seconds.with_label_values(&name).set(seconds(watermark_ms));
            families.source_skew_seconds.with_label_values(&name).set(seconds(self.clock.skew_ms()));
        }
    }
}

/// By type that some rule of the set can name, and one for all others.
fn type_counts(rules: &RuleSet) -> Counts {
    Counts::new(KINDS.len() + rules.types.len() + 1)
}

/// Counts of one batch by place, and the counters that they are added to. A counter is looked up by its labels once.
#[derive(Debug)]
struct Counts {
    pending: Vec<u64>,
    counters: Vec<Option<IntCounter>>,
}

impl Counts {
    fn new(len: usize) -> Counts {
        Counts { pending: vec![0; len], counters: vec![None; len] }
    }

    fn len(&self) -> usize {
        self.pending.len()
    }

    #[inline]
    fn add(&mut self, at: usize, count: u64) {
        self.pending[at] += count;
    }

    fn flush<'l, const N: usize>(&mut self, family: &IntCounterVec, labels: impl Fn(usize) -> [&'l str; N]) {
        for (at, (pending, counter)) in self.pending.iter_mut().zip(&mut self.counters).enumerate() {
            if *pending > 0 {
                let counter = counter.get_or_insert_with(|| family.with_label_values(&labels(at)));
                counter.inc_by(std::mem::take(pending));
            }
        }
    }

    /// Makes every counter, at 0.
    fn show<'l, const N: usize>(&mut self, family: &IntCounterVec, labels: impl Fn(usize) -> [&'l str; N]) {
        for (at, counter) in self.counters.iter_mut().enumerate() {
            counter.get_or_insert_with(|| family.with_label_values(&labels(at)));
        }
    }
}

/// The labels of a place in the counts of verdicts.
fn verdict_labels(programs: &[String], at: usize) -> [&str; 2] {
    let program = programs.get(at / Verdict::ALL.len()).map_or(OTHER, String::as_str);
    [Verdict::ALL[at % Verdict::ALL.len()].name(), program]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::metrics::Metrics;
    use crate::event::{EventKind, Position};

    fn observer() -> BatchObserver {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let sources = names(&["orders", "returns"]);
        Metrics::default().observer(
            sources,
            names(&["default", "gold"]),
            &Arc::default(),
            crate::daemon::clock::monotonic,
        )
    }

    /// A work of a source with events at these partitions and times, and what the source says before them.
    fn work(source: usize, notices: &[Notice], events: &[(u32, i64)]) -> Work {
        let mut work = Work::default();
        work.source = source;
        work.notices.extend_from_slice(notices);
        for (partition, event_time_ms) in events.iter().copied() {
            let mut event = Event::default();
            event.position = Position { partition, offset: 0, item: 0 };
            event.event_time_ms = event_time_ms;
            event.kind = EventKind::from_name("order.placed");
            work.batch.events.push(event);
            work.judgements.events.push(Judgement::default());
        }
        work
    }

    fn times(observer: &BatchObserver, source: usize) -> (Option<i64>, i64) {
        let clock = &observer.sources[source].clock;
        (clock.watermark_ms(), clock.skew_ms())
    }

    #[test]
    fn the_watermark_of_a_source_is_that_of_its_own_partitions_in_use() {
        let mut observer = observer();
        observer.written(&work(0, &[Notice::Assigned(0), Notice::Assigned(1)], &[(0, 5000), (0, 4000)]));
        assert_eq!(times(&observer, 0).0, None, "partition 1 has shown nothing");
        assert_eq!(observer.families.source_watermark_seconds.with_label_values(&["returns"]).get(), 0.0);
        observer.written(&work(1, &[], &[(2, 9000)]));
        assert_eq!(times(&observer, 1), (Some(9000), 0), "another source does not hold it back");
        observer.written(&work(0, &[], &[(1, 2000), (0, 6000), (1, 3000), (1, 2500)]));
        assert_eq!(times(&observer, 0), (Some(3000), 3000));
        observer.written(&work(0, &[Notice::Tick(1, 5500)], &[]));
        assert_eq!(times(&observer, 0), (Some(5500), 500));
        let shown = |family: &prometheus::GaugeVec| family.with_label_values(&["orders"]).get();
        assert_eq!(shown(&observer.families.source_watermark_seconds), 5.5);
        assert_eq!(shown(&observer.families.source_skew_seconds), 0.5);
        observer.written(&work(0, &[Notice::Revoked(1)], &[(0, 7000)]));
        assert_eq!(times(&observer, 0), (Some(7000), 0));
    }

    #[test]
    fn latency_is_counted_for_every_event_that_was_answered() {
        let mut observer = observer();
        let mut work = work(0, &[], &[(0, 1), (0, 2), (0, 3)]);
        work.arrived = Some(crate::daemon::clock::monotonic());
        work.judgements.events[1].outcome = Outcome::IdReused;
        work.judgements.events[2].outcome = Outcome::Repeat;
        observer.written(&work);
        let latency = observer.families.event_latency_seconds.with_label_values(&["orders"]);
        assert_eq!(latency.get_sample_count(), 2);
        assert_eq!(observer.families.events_total.with_label_values(&["orders", "order.placed"]).get(), 2);
        assert_eq!(observer.families.duplicates_total.with_label_values(&["orders"]).get(), 1);
        assert_eq!(observer.families.verdicts_total.with_label_values(&["allow", "default"]).get(), 1);
    }

    #[test]
    fn types_that_only_a_later_rule_set_names_are_counted_by_name_from_then_on() {
        let mut observer = observer();
        let mut work = work(0, &[], &[(0, 1)]);
        let event = &mut work.batch.events[0];
        event.kind = EventKind::OTHER;
        let mut named = |rules: RuleSet| {
            work.rules = Arc::new(rules);
            let span = work.batch.make("shop.visited");
            work.batch.events[0].set_span(Field::Type, span);
            observer.written(&work);
        };
        named(RuleSet::default());
        named(RuleSet { types: vec!["shop.closed".to_owned(), "shop.visited".to_owned()], ..RuleSet::default() });
        named(RuleSet { types: vec!["shop.visited".to_owned()], ..RuleSet::default() });
        let counted = |name: &str| observer.families.events_total.with_label_values(&["orders", name]).get();
        assert_eq!((counted("other"), counted("shop.visited"), counted("shop.closed")), (1, 2, 0));
    }

    #[test]
    fn a_program_is_one_of_the_configured_or_the_other() {
        let mut observer = observer();
        let places = ["gold", "gold", "tin", "tin", "default", "", "golf"].map(|name| observer.program(name));
        assert_eq!(places, [1, 1, 2, 2, 0, 2, 2]);
        let labels = places.map(|place| verdict_labels(&observer.programs, place * Verdict::ALL.len())[1].to_owned());
        assert_eq!(labels, ["gold", "gold", "other", "other", "default", "other", "other"]);
    }
}
