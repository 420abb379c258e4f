//! One event of a chunk, as conditions see it.

use jiff::tz::TimeZone;

use super::managed::ManagedLists;
use super::policy::Rates;
use crate::event::{Event, EventBatch, Field, Signal, Signals};
use crate::ruleset::cel::{Facts, ListIndex, ReadIndex, Reading};
use crate::ruleset::program::RuleSet;
use crate::state::{KeyHasher, Scalar};

/// An event with its signals and readings: slots, looked up by index.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub batch: &'a EventBatch,
    pub event: &'a Event,
    pub signals: &'a Signals,
    pub program: &'a str,
    pub timezone: &'a TimeZone,
    pub rates: &'a Rates,
    pub rules: &'a RuleSet,
    pub managed: &'a ManagedLists,
    /// The instant that the event is judged as of.
    pub as_of_ms: i64,
    pub hasher: &'a KeyHasher,
    /// By [`ReadIndex`]; empty before the first round.
    pub readings: &'a [Reading],
    /// By [`ReadIndex`]: where a set's members stand in `members`, or a text in `texts`.
    pub ranges: &'a [(u32, u32)],
    pub members: &'a [u64],
    pub texts: &'a str,
}

impl Row<'_> {
    #[inline]
    fn hash(&self, scalar: Scalar<'_>) -> u64 {
        self.hasher.part(scalar).value()
    }
}

impl Facts for Row<'_> {
    #[inline]
    fn has(&self, field: Field) -> bool {
        self.event.presence.has(field)
    }

    #[inline]
    fn text(&self, field: Field) -> &str {
        self.batch.field(self.event, field)
    }

    #[inline]
    fn int(&self, field: Field) -> i64 {
        match field {
            Field::AmountMinor => self.event.amount_minor,
            _ => 0,
        }
    }

    #[inline]
    fn double(&self, field: Field) -> f64 {
        match field {
            Field::Latitude => self.event.latitude,
            Field::Longitude => self.event.longitude,
            Field::Rating => self.event.rating,
            _ => 0.0,
        }
    }

    #[inline]
    fn timestamp_ms(&self, field: Field) -> i64 {
        match field {
            Field::AccountCreatedAt => self.event.account_created_at_ms,
            _ => self.event.event_time_ms,
        }
    }

    fn amount_base(&self) -> Option<f64> {
        let given = self.event.presence.has(Field::AmountMinor);
        given.then(|| self.rates.in_base(self.event.amount_minor, self.text(Field::Currency))).flatten()
    }

    #[inline]
    fn program(&self) -> &str {
        self.program
    }

    #[inline]
    fn signal_text(&self, signal: Signal) -> &str {
        self.batch.text(self.signals.text(signal))
    }

    #[inline]
    fn signal_int(&self, signal: Signal) -> i64 {
        self.signals.int(signal)
    }

    #[inline]
    fn signal_double(&self, signal: Signal) -> f64 {
        self.signals.double(signal)
    }

    #[inline]
    fn signal_flag(&self, signal: Signal) -> bool {
        self.signals.flag(signal)
    }

    #[inline]
    fn reading(&self, read: ReadIndex) -> Reading {
        self.readings[read.0 as usize]
    }

    #[inline]
    fn set_members(&self, read: ReadIndex) -> &[u64] {
        let (start, len) = self.ranges[read.0 as usize];
        &self.members[start as usize..start as usize + len as usize]
    }

    fn reading_text(&self, read: ReadIndex) -> &str {
        let (start, len) = self.ranges[read.0 as usize];
        &self.texts[start as usize..start as usize + len as usize]
    }

    fn hash_text(&self, text: &str) -> u64 {
        self.hash(Scalar::Text(text))
    }

    fn hash_int(&self, value: i64) -> u64 {
        self.hash(Scalar::Int(value))
    }

    fn hash_double(&self, value: f64) -> u64 {
        self.hash(Scalar::Double(value))
    }

    fn hash_bool(&self, value: bool) -> u64 {
        self.hash(Scalar::Bool(value))
    }

    fn in_text_list(&self, list: ListIndex, text: &str) -> bool {
        self.rules.lists[list.0 as usize].list.contains_text(text)
            || self.managed.list(list).is_some_and(|list| list.contains_text(text, self.as_of_ms))
    }

    fn in_domain_list(&self, list: ListIndex, domain: &str) -> bool {
        self.rules.lists[list.0 as usize].list.contains_domain(domain)
            || self.managed.list(list).is_some_and(|list| list.contains_domain(domain, self.as_of_ms))
    }

    fn in_network_list(&self, list: ListIndex, address: &str) -> bool {
        let (written, managed) = (&self.rules.lists[list.0 as usize].list, self.managed.list(list));
        address.parse().is_ok_and(|address| {
            written.contains_address(address)
                || managed.is_some_and(|list| list.contains_address(address, self.as_of_ms))
        })
    }

    fn in_date_list(&self, list: ListIndex, timestamp_ms: i64) -> bool {
        let (written, managed) = (&self.rules.lists[list.0 as usize].list, self.managed.list(list));
        jiff::Timestamp::from_millisecond(timestamp_ms).is_ok_and(|instant| {
            let date = self.timezone.to_datetime(instant).date();
            written.contains_date(date) || managed.is_some_and(|list| list.contains_date(date, self.as_of_ms))
        })
    }
}
