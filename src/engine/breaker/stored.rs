//! Breakers in a checkpoint: for each rule that has one what it judges by, then its counters.

use super::{Breakers, COUNTERS_MAX, Counter, Counters, SLICES};
use crate::engine::decide::derived_id;
use crate::ruleset::difference::breaker_print;
use crate::ruleset::program::{Rule, RuleSet};
use crate::state::{Broken, ByteReader, ByteWriter, PartHash, Segments};

/// What an item is.
const RULE: u8 = 0;
const COUNTER: u8 = 1;

/// Tells whether a rule judges as before, under the same breaker.
fn print(rules: &RuleSet, rule: &Rule) -> String {
    let parts = breaker_print(rules, rule);
    derived_id("breaker", parts.iter().map(String::as_str))
}

impl Breakers {
    pub(in crate::engine) fn store(&self, rules: &RuleSet, segments: &mut Segments) {
        for (rule, counters) in rules.rules.iter().zip(&self.rules) {
            let Some(counters) = counters else { continue };
            let writer = segments.item();
            writer.byte(RULE);
            writer.text(&rule.id);
            writer.text(&print(rules, rule));
            store_counter(&counters.shared, writer);
            for (program, counter) in &counters.by_program {
                let writer = segments.item();
                writer.byte(COUNTER);
                writer.wide(program.bits());
                store_counter(counter, writer);
            }
        }
    }

    /// Reads what was kept of the rules that judge as before; `current` is the place of the one that counters are of, if
    /// they are wanted.
    pub(in crate::engine) fn restore(
        &mut self,
        rules: &RuleSet,
        current: &mut Option<usize>,
        reader: &mut ByteReader<'_>,
    ) -> Result<(), Broken> {
        while !reader.is_empty() {
            match reader.byte()? {
                RULE => {
                    let (id, known) = (reader.text()?, reader.text()?);
                    let shared = restore_counter(reader)?;
                    let place = rules.rules.binary_search_by(|rule| rule.id.as_str().cmp(id)).ok();
                    let place = place.filter(|place| print(rules, &rules.rules[*place]) == known);
                    *current = place.filter(|place| self.watches(*place as u32));
                    if let Some(counters) = self.current(*current) {
                        counters.shared = shared;
                    }
                }
                COUNTER => {
                    let program = PartHash::from_bits(reader.wide()?);
                    let counter = restore_counter(reader)?;
                    if self.counters >= COUNTERS_MAX {
                        return Err(Broken("there are more counters than can be"));
                    }
                    let Some(counters) = self.current(*current) else { continue };
                    if counters.by_program.insert(program, counter).is_some() {
                        return Err(Broken("a counter stands there twice"));
                    }
                    self.counters += 1;
                }
                _ => return Err(Broken("a part of the breakers of no known kind")),
            }
        }
        Ok(())
    }

    fn current(&mut self, place: Option<usize>) -> Option<&mut Counters> {
        self.rules.get_mut(place?)?.as_deref_mut()
    }
}

fn store_counter(counter: &Counter, writer: &mut ByteWriter) {
    writer.time(counter.newest);
    writer.time(counter.now_ms);
    writer.maybe_time(counter.opened_ms);
    let slices = || counter.slices.iter().enumerate().filter(|(_, slice)| **slice != [0; 2]);
    writer.count(slices().count());
    for (place, [judged, matched]) in slices() {
        writer.byte(place as u8);
        writer.short(*judged);
        writer.short(*matched);
    }
}

fn restore_counter(reader: &mut ByteReader<'_>) -> Result<Counter, Broken> {
    let mut counter = Counter { newest: reader.time()?, now_ms: reader.time()?, ..Counter::new() };
    counter.opened_ms = reader.maybe_time()?;
    for _ in 0..reader.count(9)? {
        let place = usize::from(reader.byte()?);
        let slice = [reader.short()?, reader.short()?];
        if place >= SLICES || counter.slices[place] != [0; 2] {
            return Err(Broken("a slice of a breaker that cannot be"));
        }
        counter.slices[place] = slice;
        counter.judged += u64::from(slice[0]);
        counter.matched += u64::from(slice[1]);
    }
    Ok(counter)
}
