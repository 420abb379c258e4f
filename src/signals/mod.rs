//! Pure facts of one event: normalised e-mail addresses, networks of addresses, devices, telephone numbers.
//!
//! Rules compare people by what reaches them, not by how they spelt it, so spellings are undone here, once, before
//! anything is counted. Imports `event`, `lists` and pure crates. Invariants: no state that an answer could depend on
//! (what is remembered only saves work), no clock, no I/O, no panic for any text, no allocation an event once the
//! buffers have grown and a value is remembered; only what some rule reads is derived. What each signal says is in
//! docs/signals.md.

mod cache;
mod closed;
mod config;
mod device;
mod email;
mod geo;
mod gibberish;
mod ip;
mod networks;
mod phone;
mod plans;
mod providers;
mod subject;
mod text;
mod user_agent;

pub use cache::{CacheCounts, CacheUse};
pub use config::{CacheSizes, DEFAULT_REGION, PUBLIC_DEVICE_KEY, SignalConfig, SignalError, Wanted};
pub use subject::SubjectReader;

use std::sync::Arc;

use crate::event::{
    Attributes, Event, EventBatch, Field, Signal, SignalKind, SignalSet, Signals, country, country_text,
};

use device::DeviceReader;
use email::EmailReader;
use geo::GeoReader;
use ip::AddressReader;
use networks::NetworkMarks;
use phone::PhoneReader;
use user_agent::UserAgentReader;

/// Derives the signals of events, batch by batch.
#[derive(Debug)]
pub struct Deriver {
    wanted: Wanted,
    config: SignalConfig,
    plan: Plan,
    email: EmailReader,
    address: AddressReader,
    phone: PhoneReader,
    device: DeviceReader,
    user_agent: UserAgentReader,
    attributes: Arc<Attributes>,
}

/// Which steps are needed, so that an event asks single bits.
#[derive(Clone, Copy, Debug)]
struct Plan {
    signals: SignalSet,
    /// The address is checked; its signals are derived.
    check_email: bool,
    derive_email: bool,
    check_referrer_email: bool,
    derive_referrer_email: bool,
    check_ip: bool,
    derive_ip: bool,
    check_phone: bool,
    derive_phone: bool,
    derive_device: bool,
    derive_user_agent: bool,
    check_attributes: bool,
}

impl Plan {
    fn new(wanted: Wanted) -> Plan {
        let signals = wanted.signals;
        let any = |needed: &[Signal]| needed.iter().any(|signal| signals.contains(*signal));
        let derive_email = signals.needs_group("email");
        let derive_referrer_email = signals.needs_group("referrer_email");
        let derive_ip = signals.needs_group("ip");
        let derive_phone = signals.needs_group("phone");
        Plan {
            signals,
            check_email: derive_email || wanted.fields.has(Field::Email),
            derive_email,
            check_referrer_email: derive_referrer_email || wanted.fields.has(Field::ReferrerEmail),
            derive_referrer_email,
            check_ip: derive_ip || wanted.fields.has(Field::Ip),
            derive_ip,
            check_phone: derive_phone || wanted.fields.has(Field::Phone),
            derive_phone,
            check_attributes: wanted.fields.has(Field::Attributes),
            derive_device: any(&[Signal::DeviceId, Signal::DeviceEmulator]),
            derive_user_agent: any(&[
                Signal::DevicePlatform,
                Signal::DeviceBrowser,
                Signal::DeviceUaFamily,
                Signal::DeviceBot,
            ]),
        }
    }
}

impl Deriver {
    /// Makes a deriver of what is wanted. Databases and lists are checked here, wanted or not, so that deriving cannot
    /// fail. What an older deriver remembered is not taken over.
    ///
    /// # Errors
    ///
    /// [`SignalError`]: a damaged database, a list of the wrong kind, a region without telephone numbers.
    pub fn new(wanted: Wanted, config: &SignalConfig) -> Result<Deriver, SignalError> {
        let plan = Plan::new(wanted);
        let marks = NetworkMarks::new(wanted.signals, config)?;
        let geo = GeoReader::new(wanted.signals, config)?;
        Ok(Deriver {
            wanted,
            config: config.clone(),
            plan,
            email: EmailReader::new(config.disposable_domains()?),
            address: AddressReader::new(marks, geo),
            phone: PhoneReader::new(plan.check_phone, config)?,
            device: DeviceReader::new(config.device_key, if plan.derive_device { config.cache.user_agents } else { 0 }),
            attributes: Arc::clone(&config.attributes),
            user_agent: UserAgentReader::new(if plan.derive_user_agent { config.cache.user_agents } else { 0 }),
        })
    }

    /// What it derives and checks.
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// What it was made with, for one that derives more.
    pub fn config(&self) -> &SignalConfig {
        &self.config
    }

    /// Derives the wanted signals of every event: afterwards `rows` has one row an event, in their order.
    ///
    /// A text that is not what its field wants (no country, a word that its field does not know, an address that does not
    /// parse, an impossible telephone number) is taken out of its event and noted in [`Event::unreadable`]; a country and a
    /// currency become upper case. Texts that are made go into the batch. What was not wanted is unknown, or true all the
    /// same. Deriving again, by this deriver or another one, gives what deriving once would have given: what was taken out is
    /// what the other would take out too, or what nobody reads.
    pub fn derive(&mut self, batch: &mut EventBatch, rows: &mut Vec<Signals>) {
        rows.clear();
        rows.resize(batch.events.len(), Signals::default());
        // The events step aside while the texts of their batch grow.
        let mut events = std::mem::take(&mut batch.events);
        for (event, row) in events.iter_mut().zip(rows) {
            self.derive_event(event, batch, row);
        }
        batch.events = events;
    }

    fn derive_event(&mut self, event: &mut Event, batch: &mut EventBatch, row: &mut Signals) {
        check_country(event, batch);
        closed::check(event, batch);
        self.derive_emails(event, batch, row);
        self.derive_ip(event, batch, row);
        self.derive_phone(event, batch, row);
        if self.plan.check_attributes && self.attributes.has_misfit(batch.field(event, Field::Attributes)) {
            // The others of its attributes stand: only the one that does not fit reads as absent.
            event.unreadable.insert(Field::Attributes);
        }
        if self.plan.derive_device {
            self.device.derive(event, self.plan.signals, batch, row);
        }
        if self.plan.derive_user_agent && event.presence.has(Field::UserAgent) {
            let span = event.span(Field::UserAgent);
            self.user_agent.derive(span, self.plan.signals, batch, row);
        }
    }

    fn derive_emails(&mut self, event: &mut Event, batch: &mut EventBatch, row: &mut Signals) {
        if self.plan.check_referrer_email && event.presence.has(Field::ReferrerEmail) {
            if !self.email.read(batch.field(event, Field::ReferrerEmail)) {
                refuse(event, Field::ReferrerEmail);
            } else if self.plan.derive_referrer_email {
                self.email.derive(&email::REFERRER_EMAIL, self.plan.signals, batch, row);
            }
        }
        if !self.plan.check_email || !event.presence.has(Field::Email) {
            return;
        }
        if !self.email.read(batch.field(event, Field::Email)) {
            refuse(event, Field::Email);
        } else if self.plan.derive_email {
            self.email.derive(&email::EMAIL, self.plan.signals, batch, row);
        }
    }

    fn derive_ip(&mut self, event: &mut Event, batch: &mut EventBatch, row: &mut Signals) {
        if !self.plan.check_ip || !event.presence.has(Field::Ip) {
            return;
        }
        match ip::parse(batch.field(event, Field::Ip)) {
            None => refuse(event, Field::Ip),
            Some(address) if self.plan.derive_ip => {
                self.address.derive(address, event, self.plan.signals, batch, row);
            }
            Some(_) => {}
        }
    }

    fn derive_phone(&mut self, event: &mut Event, batch: &mut EventBatch, row: &mut Signals) {
        if !self.plan.check_phone || !event.presence.has(Field::Phone) {
            return;
        }
        match self.phone.read(batch.field(event, Field::Program), batch.field(event, Field::Phone)) {
            None => refuse(event, Field::Phone),
            Some(number) if self.plan.derive_phone => self.phone.derive(number, self.plan.signals, batch, row),
            Some(_) => {}
        }
    }

    /// How often what was remembered could be used, since this deriver was made.
    pub fn cache_counts(&self) -> CacheCounts {
        CacheCounts {
            phones: self.phone.counts(),
            user_agents: self.user_agent.counts(),
            devices: self.device.counts(),
            addresses: self.address.geo().counts(),
        }
    }
}

/// Writes a country in upper case, or takes it away.
fn check_country(event: &mut Event, batch: &mut EventBatch) {
    if !event.presence.has(Field::Country) {
        return;
    }
    let raw = batch.field(event, Field::Country);
    match country(raw) {
        None => refuse(event, Field::Country),
        Some(code) if raw.as_bytes() == code => {}
        Some(code) => {
            let span = batch.make(country_text(&code));
            event.set_span(Field::Country, span);
        }
    }
}

/// Takes away a field whose text is not what it wants. An empty text is simply nothing: it is not counted.
fn refuse(event: &mut Event, field: Field) {
    if !event.span(field).is_empty() {
        event.unreadable.insert(field);
    }
    event.clear_span(field);
}

/// The body of a fuzz target: any text in every field that is read, derived twice, with and without what was remembered.
///
/// # Panics
///
/// If an answer depends on what was remembered.
pub fn fuzz_signals(text: &str) {
    const FIELDS: [Field; 7] =
        [Field::Email, Field::ReferrerEmail, Field::Ip, Field::Phone, Field::Country, Field::UserAgent, Field::Device];
    let mut wanted = Wanted { signals: SignalSet::ALL, ..Wanted::default() };
    for field in FIELDS {
        wanted.fields.insert(field);
    }
    let cache = CacheSizes { phones: 4, user_agents: 4, addresses: 4 };
    let config = SignalConfig { cache, ..SignalConfig::default() };
    let mut deriver = Deriver::new(wanted, &config).expect("the configuration is a good one");
    let mut batch = EventBatch::default();
    let span = batch.make(text);
    let mut event = Event::default();
    for field in FIELDS {
        event.set_span(field, span);
    }
    batch.events = vec![event.clone(), event];
    let mut rows = Vec::new();
    deriver.derive(&mut batch, &mut rows);
    assert_eq!(batch.events[0].unreadable, batch.events[1].unreadable, "the same text is read alike");
    for signal in Signal::ALL.iter().copied() {
        let (first, again) = (&rows[0], &rows[1]);
        let alike = match signal.kind() {
            SignalKind::Text => batch.text(first.text(signal)) == batch.text(again.text(signal)),
            SignalKind::Int => first.int(signal) == again.int(signal),
            SignalKind::Double => first.double(signal) == again.double(signal),
            SignalKind::Flag => first.flag(signal) == again.flag(signal),
        };
        assert!(alike, "{signal:?} of {text:?} depends on what was remembered");
    }
}

#[cfg(test)]
mod tests;
