//! An engine with its state in Redis, as a test drives it: event by event, of one partition.

use std::time::Duration;

use refguard::engine::{Engine, EngineOptions, Judgements, write_verdict};
use refguard::event::{EventBatch, ParseOptions, Parser, Place, Position};
use refguard::signals::{Deriver, SignalConfig};
use refguard::stream::redis::{RedisOptions, SharedState};

#[path = "../support/pack.rs"]
mod pack;

/// How much longer than event time asks for records stay.
pub(super) const SPARE_MS: i64 = 86_400_000;
/// How long an event is remembered, and how late one may be.
pub(super) const HOUR_MS: i64 = 3_600_000;

/// A login, as far as the tests tell them apart.
pub(super) struct Login {
    pub(super) account: String,
    pub(super) device: String,
    /// Seconds since the first of May.
    pub(super) at_s: u64,
}

pub(super) struct Judge {
    engine: Engine,
    pub(super) state: SharedState,
    partition: u32,
    offset: u64,
}

impl Judge {
    pub(super) fn new(nodes: &[u16], rules: &str, partition: u32) -> Judge {
        let options =
            EngineOptions { dedup_span_ms: HOUR_MS, allowed_lateness_ms: HOUR_MS, ..EngineOptions::default() };
        let mut engine = Engine::new(pack::rules(rules), options);
        let options = RedisOptions {
            nodes: nodes.iter().map(|port| ("127.0.0.1".to_owned(), *port)).collect(),
            user: None,
            password: None,
            tls: None,
            prefix: "test".to_owned(),
            shards: 4,
            replicas: 0,
            patience: Duration::from_secs(20),
            spare_ms: SPARE_MS,
            temporary: false,
        };
        let state = SharedState::open(options, &mut engine).unwrap();
        Judge { engine, state, partition, offset: 0 }
    }

    /// Judges the next events of its partition together. Answers the last verdict.
    pub(super) fn judge(&mut self, logins: &[Login]) -> String {
        let mut parser = Parser::new(ParseOptions { allow_future: true });
        let mut batch = EventBatch::default();
        for Login { account, device, at_s } in logins {
            let (start, partition, offset) = (batch.input.len(), self.partition, self.offset);
            let time = format!(
                "2026-05-{:02}T{:02}:{:02}:{:02}Z",
                1 + at_s / 86_400,
                at_s / 3600 % 24,
                at_s / 60 % 60,
                at_s % 60
            );
            batch.input.push_str(&format!(
                r#"{{"specversion":"1.0","id":"{partition}-{offset}","source":"/s","type":"login.succeeded","time":"{time}","data":{{"account_id":"{account}","device_id":"{device}","country":"SA","amount_minor":1}}}}"#
            ));
            let at = Place { position: Position { partition, offset, item: 0 }, ingest_time_ms: 0 };
            let end = batch.input.len();
            parser.parse_structured(&mut batch, start..end, at).unwrap();
            self.offset += 1;
        }
        let mut signals = Vec::new();
        Deriver::new(self.engine.wanted(), &SignalConfig::default()).unwrap().derive(&mut batch, &mut signals);
        let mut judgements = Judgements::default();
        let name = |partition: u32| (format!("t/{partition}"), true);
        self.state.judge(&mut self.engine, (&batch, &signals), &name, &mut judgements, &|| false).unwrap();
        let mut line = Vec::new();
        let (event, judgement) = (batch.events.last().unwrap(), judgements.events.last().unwrap());
        write_verdict(&mut line, &batch, event, judgement, &judgements, "");
        String::from_utf8(line).unwrap()
    }

    /// What is done between works.
    pub(super) fn idle(&mut self) {
        self.state.idle(&mut self.engine).unwrap();
    }
}
