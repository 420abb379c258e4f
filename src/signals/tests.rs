//! What all groups of signals have in common. The tables of each group stand beside its module.

use super::*;
use proptest::prelude::*;
use std::sync::Arc;

use crate::lists::{List, ListKind};

/// Every signal, and every field that is checked.
pub(super) fn everything() -> Wanted {
    let mut wanted = Wanted { signals: SignalSet::ALL, ..Wanted::default() };
    for field in [Field::Email, Field::ReferrerEmail, Field::Ip, Field::Phone] {
        wanted.fields.insert(field);
    }
    wanted
}

/// One event after deriving, with its batch.
pub(super) struct Derived {
    batch: EventBatch,
    row: Signals,
}

impl Derived {
    pub(super) fn text(&self, signal: Signal) -> &str {
        self.batch.text(self.row.text(signal))
    }

    pub(super) fn flag(&self, signal: Signal) -> bool {
        self.row.flag(signal)
    }

    pub(super) fn int(&self, signal: Signal) -> i64 {
        self.row.int(signal)
    }

    pub(super) fn double(&self, signal: Signal) -> f64 {
        self.row.double(signal)
    }

    pub(super) fn event(&self) -> &Event {
        &self.batch.events[0]
    }

    pub(super) fn field(&self, field: Field) -> &str {
        self.batch.field(self.event(), field)
    }
}

/// An event with these texts.
pub(super) fn push_event(batch: &mut EventBatch, fields: &[(Field, &str)]) {
    let mut event = Event::default();
    for (field, text) in fields {
        let span = batch.make(text);
        event.set_span(*field, span);
    }
    batch.events.push(event);
}

pub(super) fn derive_with(config: &SignalConfig, fields: &[(Field, &str)]) -> Derived {
    let cache = CacheSizes { phones: 4, user_agents: 4, addresses: 4 };
    let mut deriver = Deriver::new(everything(), &SignalConfig { cache, ..config.clone() }).unwrap();
    let (mut batch, mut rows) = (EventBatch::default(), Vec::new());
    push_event(&mut batch, fields);
    deriver.derive(&mut batch, &mut rows);
    Derived { batch, row: rows[0] }
}

pub(super) fn derive(fields: &[(Field, &str)]) -> Derived {
    derive_with(&SignalConfig::default(), fields)
}

#[test]
fn a_country_is_written_in_upper_case_or_taken_away() {
    for (raw, kept, unreadable) in
        [("SA", "SA", false), (" sa ", "SA", false), ("", "", false), ("Saudi Arabia", "", true), ("ZZ", "", true)]
    {
        // Nothing is read by any rule: a country is checked all the same.
        let mut deriver = Deriver::new(Wanted::default(), &SignalConfig::default()).unwrap();
        let (mut batch, mut rows) = (EventBatch::default(), Vec::new());
        push_event(&mut batch, &[(Field::Country, raw)]);
        deriver.derive(&mut batch, &mut rows);
        let event = &batch.events[0];
        assert_eq!(batch.field(event, Field::Country), kept, "{raw}");
        assert_eq!(event.presence.has(Field::Country), !kept.is_empty(), "{raw}");
        assert_eq!(event.unreadable.has(Field::Country), unreadable, "{raw}");
    }
}

#[test]
fn a_field_with_a_closed_set_of_words_keeps_these() {
    let cases = [
        (Field::Label, "fraud", "fraud"),
        (Field::Label, " Legitimate", "legitimate"),
        (Field::Label, "maybe", ""),
        (Field::Result, "OK", "ok"),
        (Field::Result, "failed", ""),
        (Field::Changed, "payout", "payout"),
        (Field::Changed, "avatar", ""),
        (Field::SurveyKind, "NPS", "nps"),
        (Field::SurveyKind, "ces", ""),
        (Field::Currency, "SAR", "SAR"),
        (Field::Currency, "sar ", "SAR"),
        (Field::Currency, "PTS", "PTS"),
        (Field::Currency, "riyal", ""),
        (Field::Currency, "ر.س", ""),
    ];
    for (field, raw, kept) in cases {
        let derived = derive(&[(field, raw)]);
        assert_eq!(derived.field(field), kept, "{field}: {raw}");
        assert_eq!(derived.event().unreadable.has(field), kept.is_empty(), "{field}: {raw}");
    }
}

#[test]
fn a_rating_has_the_bounds_of_its_survey() {
    for (survey, rating, fits) in [
        ("nps", 0.0, true),
        ("nps", 10.0, true),
        ("nps", 10.5, false),
        ("csat", 1.0, true),
        ("csat", 0.0, false),
        ("csat", 5.5, false),
        ("", 7.0, true),
        ("", -1.0, false),
    ] {
        let mut deriver = Deriver::new(Wanted::default(), &SignalConfig::default()).unwrap();
        let (mut batch, mut rows) = (EventBatch::default(), Vec::new());
        push_event(&mut batch, &[(Field::SurveyKind, survey)]);
        batch.events[0].rating = rating;
        batch.events[0].presence.insert(Field::Rating);
        deriver.derive(&mut batch, &mut rows);
        let event = &batch.events[0];
        let kept = if fits { rating } else { 0.0 };
        assert_eq!((event.presence.has(Field::Rating), event.unreadable.has(Field::Rating)), (fits, !fits), "{rating}");
        assert_eq!(event.rating, kept);
    }
}

#[test]
fn a_text_that_its_field_does_not_want_reads_as_absent_where_it_is_read() {
    let bad = [(Field::Email, "nobody"), (Field::ReferrerEmail, "@x"), (Field::Ip, "10.0.0"), (Field::Phone, "12")];
    let derived = derive(&bad);
    for (field, _) in bad {
        assert!(derived.event().unreadable.has(field), "{field}");
        assert!(!derived.event().presence.has(field) && derived.field(field).is_empty(), "{field}");
    }
    for signal in Signal::ALL.iter().filter(|signal| signal.kind() == SignalKind::Text) {
        assert_eq!(derived.text(*signal), "", "{signal:?}");
    }

    let mut deriver = Deriver::new(Wanted::default(), &SignalConfig::default()).unwrap();
    let (mut batch, mut rows) = (EventBatch::default(), Vec::new());
    push_event(&mut batch, &bad);
    deriver.derive(&mut batch, &mut rows);
    assert!(batch.events[0].unreadable.is_empty());
    assert_eq!(batch.field(&batch.events[0], Field::Ip), "10.0.0");
}

#[test]
fn a_signal_that_is_read_alone_is_what_it_is_among_all() {
    let fields = [
        (Field::Email, "Maria.Garcia92+x@googlemail.com"),
        (Field::Ip, "2001:DB8:0:12::1"),
        (Field::Phone, "٠٥٠١٢٣٤٥٦٧"),
        (Field::UserAgent, "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        (Field::Device, r#"{"model":"sdk_gphone64","os":"Android"}"#),
    ];
    let all = derive(&fields);
    for signal in Signal::ALL.iter().copied() {
        let mut wanted = Wanted::default();
        wanted.signals.insert(signal);
        let mut deriver = Deriver::new(wanted, &SignalConfig::default()).unwrap();
        let (mut batch, mut rows) = (EventBatch::default(), Vec::new());
        push_event(&mut batch, &fields);
        deriver.derive(&mut batch, &mut rows);
        match signal.kind() {
            SignalKind::Text => assert_eq!(batch.text(rows[0].text(signal)), all.text(signal), "{signal:?}"),
            SignalKind::Int => assert_eq!(rows[0].int(signal), all.int(signal), "{signal:?}"),
            SignalKind::Double => assert_eq!(rows[0].double(signal), all.double(signal), "{signal:?}"),
            SignalKind::Flag => assert_eq!(rows[0].flag(signal), all.flag(signal), "{signal:?}"),
        }
    }
}

#[test]
fn rows_stand_in_the_order_of_events() {
    let mut deriver = Deriver::new(everything(), &SignalConfig::default()).unwrap();
    let (mut batch, mut rows) = (EventBatch::default(), vec![Signals::default(); 9]);
    for ip in ["192.0.2.1", "", "192.0.2.3"] {
        push_event(&mut batch, &[(Field::Ip, ip)]);
    }
    deriver.derive(&mut batch, &mut rows);
    let addresses: Vec<&str> = rows.iter().map(|row| batch.text(row.text(Signal::IpAddress))).collect();
    assert_eq!(addresses, ["192.0.2.1", "", "192.0.2.3"]);
}

#[test]
fn a_configuration_that_cannot_be_used_says_why() {
    let texts = || Some(Arc::new(List::from_values(ListKind::Text, ["x"]).unwrap()));
    let error = |config: SignalConfig| Deriver::new(Wanted::default(), &config).unwrap_err().to_string();
    assert_eq!(
        error(SignalConfig { tor: texts(), ..SignalConfig::default() }),
        "the list for ip.tor is of kind `string`: use one of kind `cidr`"
    );
    assert_eq!(
        error(SignalConfig { disposable: texts(), ..SignalConfig::default() }),
        "the list for email.disposable is of kind `string`: use one of kind `domain`"
    );
    assert_eq!(
        error(SignalConfig { regions: [("shop".to_owned(), "KSA".to_owned())].into(), ..SignalConfig::default() }),
        "`KSA` (program `shop`) is no region of telephone numbers: use an ISO 3166-1 alpha-2 code, such as SA"
    );
}

/// Texts near what the fields want, so that random ones get past the first check.
fn near_texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9.+_\"-]{0,12}@[a-z.]{0,8}(gmail\\.com|yahoo\\.com|fastmail\\.com|pm\\.me|xn--a)?",
        "\\PC{0,8}@\\PC{0,8}",
        "[+0٠]{0,2}[0-9٠-٩ ()-]{0,16}",
        "[0-9a-f:.]{0,20}(%[a-z]{1,3})?",
        "(Mozilla/5\\.0 )?\\PC{0,40}",
        "\\{(\"[a-z]{1,5}\":\"\\PC{0,5}\",?){0,4}\\}",
    ]
}

proptest! {
    #[test]
    fn no_text_panics_and_nothing_depends_on_what_was_remembered(text in near_texts()) {
        fuzz_signals(&text);
    }

    #[test]
    fn a_cache_changes_no_answer(
        picks in prop::collection::vec((0..12usize, 0..12usize, 0..12usize), 1..120),
        phones in prop::collection::vec(near_texts(), 12),
        agents in prop::collection::vec(near_texts(), 12),
    ) {
        let sizes = [CacheSizes { phones: 0, user_agents: 0, addresses: 0 }, CacheSizes { phones: 4, user_agents: 4, addresses: 4 }];
        let outcomes = sizes.map(|cache| {
            let config = SignalConfig {
                cache,
                regions: [("uk".to_owned(), "GB".to_owned())].into(),
                ..SignalConfig::default()
            };
            let mut deriver = Deriver::new(everything(), &config).unwrap();
            let (mut batch, mut rows) = (EventBatch::default(), Vec::new());
            for (program, phone, agent) in &picks {
                let program = if program % 2 == 0 { "uk" } else { "" };
                let fields = [
                    (Field::Program, program),
                    (Field::Phone, phones[*phone].as_str()),
                    (Field::UserAgent, agents[*agent].as_str()),
                ];
                push_event(&mut batch, &fields);
            }
            deriver.derive(&mut batch, &mut rows);
            let derived: Vec<String> = rows
                .iter()
                .zip(&batch.events)
                .map(|(row, event)| {
                    let texts: Vec<&str> = Signal::ALL
                        .iter()
                        .filter(|signal| signal.kind() == SignalKind::Text)
                        .map(|signal| batch.text(row.text(*signal)))
                        .collect();
                    format!("{texts:?} {} {} {:?}", row.flag(Signal::DeviceBot), row.flag(Signal::PhoneValid), event.unreadable)
                })
                .collect();
            (derived, deriver.cache_counts())
        });
        prop_assert_eq!(&outcomes[0].0, &outcomes[1].0);
        prop_assert_eq!(outcomes[0].1.phones.hits, 0);
    }
}
