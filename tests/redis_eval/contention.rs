//! Two engines that count at the same keys at the same time: each is overtaken again and again, and no event is lost or counted
//! twice. On a server alone, where one call writes a chunk, and on a cluster, where each shard is written by itself.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use refguard::engine::{Engine, EngineOptions, Judgements, write_verdict};
use refguard::event::{EventBatch, ParseOptions, Parser, Place, Position};
use refguard::signals::{Deriver, SignalConfig};
use refguard::stream::redis::{RedisOptions, SharedState};

#[path = "../support/pack.rs"]
mod pack;

use super::support::redis::{Cluster, Redis};

/// All at one device; windows that know their events, and some that do not.
const RULES: &str = r#"
version: 1
pack: contention
features:
  logins: {on: [login.succeeded], key: [event.device_id], aggregate: count, window: 24h}
  buckets: {on: [login.succeeded], key: [event.device_id], aggregate: count, window: 24h, bucket: 1h}
  spent: {on: [login.succeeded], key: [event.device_id], aggregate: sum, value: event.amount_minor, window: 24h}
  accounts: {on: [login.succeeded], key: [event.country], aggregate: distinct, value: event.account_id, window: 24h}
rules:
  - {id: all, on: [login.succeeded], when: logins > 0, score: 1, message: "{logins} {buckets} {spent} {accounts}"}
"#;

/// How many batches each judges, and events a batch.
const BATCHES: u64 = 60;
const EVENTS: u64 = 32;

struct Judge {
    engine: Engine,
    state: SharedState,
    partition: u32,
}

impl Judge {
    fn new(nodes: &[u16], partition: u32) -> Judge {
        let mut engine = Engine::new(pack::rules(RULES), EngineOptions::default());
        let options = RedisOptions {
            nodes: nodes.iter().map(|port| ("127.0.0.1".to_owned(), *port)).collect(),
            user: None,
            password: None,
            tls: None,
            prefix: "contention".to_owned(),
            shards: 4,
            replicas: 0,
            patience: Duration::from_secs(20),
            spare_ms: 86_400_000,
            temporary: false,
        };
        let state = SharedState::open(options, &mut engine).unwrap();
        Judge { engine, state, partition }
    }

    /// Judges so many events of its partition from an offset on. Answers the last verdict.
    fn judge(&mut self, from: u64, events: u64) -> String {
        let mut parser = Parser::new(ParseOptions { allow_future: true });
        let mut batch = EventBatch::default();
        for offset in from..from + events {
            let start = batch.input.len();
            let partition = self.partition;
            batch.input.push_str(&format!(
                r#"{{"specversion":"1.0","id":"{partition}-{offset}","source":"/s","type":"login.succeeded","time":"2026-05-01T10:00:00Z","data":{{"account_id":"a{partition}-{offset}","device_id":"d","country":"SA","amount_minor":1}}}}"#
            ));
            let at = Place { position: Position { partition, offset, item: 0 }, ingest_time_ms: 0 };
            let end = batch.input.len();
            parser.parse_structured(&mut batch, start..end, at).unwrap();
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
}

/// Two judge at once, and a third is told what they have counted.
fn check(nodes: &[u16]) {
    let conflicts: u64 = thread::scope(|scope| {
        let judged = [0, 1].map(|partition| {
            scope.spawn(move || {
                let mut judge = Judge::new(nodes, partition);
                for batch in 0..BATCHES {
                    judge.judge(batch * EVENTS, EVENTS);
                }
                judge.state.counts().conflicts.load(Ordering::Relaxed)
            })
        });
        judged.into_iter().map(|judged| judged.join().unwrap()).sum()
    });
    assert!(conflicts > 10, "they met {conflicts} times: nothing was tried");
    let all = 2 * BATCHES * EVENTS + 1;
    let told = Judge::new(nodes, 2).judge(0, 1);
    assert!(
        told.contains(&format!("\"{all} {all} {all} {all}\"")),
        "of {all} events, with {conflicts} conflicts: {told}"
    );
}

#[test]
fn two_at_the_same_keys_lose_and_double_nothing_on_one_server() {
    let redis = Redis::start();
    check(&[redis.port]);
}

#[test]
fn two_at_the_same_keys_lose_and_double_nothing_on_a_cluster() {
    let cluster = Cluster::start();
    check(&[cluster.nodes[0].port]);
}
