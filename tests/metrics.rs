//! Metrics from outside: what a scrape says after a known stream, for whom it can be read, and what no stream can do to it.

#[path = "metrics/scrape.rs"]
mod scrape;

use std::collections::BTreeSet;
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use refguard::daemon::metrics::{self, BatchObserver, EngineProbe, Metric, Metrics, ReloadOutcome, TABLE};
use refguard::engine::{Engine, EngineOptions, EventQuota, Policy, ProgramPolicy, Quota};
use refguard::event::{KINDS, ParseOptions, Parser, Verdict};
use refguard::ruleset;
use refguard::ruleset::program::RuleSet;
use refguard::signals::{Deriver, SignalConfig};
use refguard::state::HashKey;
use refguard::stream::Sink;
use refguard::stream::disk::Folder;
use refguard::stream::file::{LineOptions, LineSink, LineSource, WriteMode};
use refguard::stream::journal::{Journal, Scan};
use refguard::stream::pipeline::{Input, Pipeline, Probe as _, Reader, Sinks};

use scrape::Scrape;

/// One rule for each thing that is counted of rules.
const RULES: &str = r#"
version: 1
pack: counted

features:
  logins_1h:
    on: [login.succeeded]
    key: [event.account_id]
    aggregate: count
    window: 1h
  visits_90d:
    on: [shop.visited]
    key: [event.account_id]
    aggregate: count
    window: 90d

rules:
  - id: second-login
    title: Logs in twice
    on: [login.succeeded]
    when: logins_1h > 1
    score: 20
    decide:
      - {subject: account, verdict: hold, ttl: 30d}
  - id: any-login
    title: Logs in
    on: [login.succeeded]
    when: event.account_id != ""
    score: 5
    mode: shadow
    breaker: {share: 50%, over: 1h, rearm: 1h}
  - id: overflows
    title: Cannot be computed
    on: [order.placed]
    when: event.amount_minor + 9223372036854775807 > 0
    score: 5
  - id: visits
    title: Visits a shop
    on: [shop.visited]
    when: visits_90d > 100 || event.ip == "198.51.100.7"
    score: 5
  - id: asleep
    title: Is off
    on: [order.placed]
    when: event.ip != ""
    score: 5
    mode: off
"#;

/// A clock that stands: 1 May 2026, noon.
fn noon_ms() -> i64 {
    1_777_636_800_000
}

fn rules() -> Arc<RuleSet> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(folder.path().join("counted.yaml"), RULES).expect("the folder can be written");
    let loaded = ruleset::load(folder.path(), &ruleset::Premises::default());
    let loaded = loaded.unwrap_or_else(|found| panic!("{}", ruleset::diagnostic::render(&found, false)));
    Arc::new(loaded.set)
}

/// A daemon's inside: an engine, and metrics that watch it.
struct Watched {
    metrics: Metrics,
    engine: Engine,
    observer: BatchObserver,
    probe: EngineProbe,
}

impl Watched {
    fn new(sources: &[&str], programs: &[&str]) -> Watched {
        Watched::with(sources, programs, Policy::default())
    }

    fn with(sources: &[&str], programs: &[&str], policy: Policy) -> Watched {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let rules = rules();
        let options = EngineOptions { hash_key: HashKey([7; 16]), policy, ..EngineOptions::default() };
        let metrics = Metrics::default();
        Watched {
            observer: metrics.observer(owned(sources), owned(programs), &rules, refguard::daemon::clock::monotonic),
            probe: metrics.probe(),
            engine: Engine::new(rules, options),
            metrics,
        }
    }

    /// Reads a file for each source, through the threads that a daemon has, into files.
    fn run(&mut self, sources: &[(&str, &str)]) -> (String, String) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let readers = sources.iter().enumerate().map(|(index, (name, lines))| {
            let path = folder.path().join(format!("{name}.jsonl"));
            std::fs::write(&path, lines).expect("the folder can be written");
            let input = LineSource::open(&path, LineOptions::default()).expect("the file was just written");
            reader(&self.engine, index, name, input)
        });
        let path = |name: &str| folder.path().join(name);
        let sink = |name| Sink::Lines(LineSink::open(&path(name), WriteMode::Append).expect("a file can be made"));
        let sinks = Sinks {
            verdicts: sink("verdicts"),
            dead_letters: sink("dead letters"),
            alerts: None,
            events: None,
            decisions: None,
        };
        let readers: Vec<Reader> = readers.collect();
        self.metrics.watch(&readers, &sinks);
        let pipeline = Pipeline {
            readers,
            engine: &mut self.engine,
            probe: &mut self.probe,
            sinks,
            observer: &mut self.observer,
            works_per_source: 2,
            stop: &AtomicBool::new(false),
        };
        pipeline.run().expect("files can be read and written");
        let text = |name| std::fs::read_to_string(path(name)).expect("the pipeline wrote it");
        (text("verdicts"), text("dead letters"))
    }

    /// A scrape during which the engine is looked at again and again, as its thread does.
    fn scrape(&mut self) -> Scrape {
        let Watched { metrics, engine, probe, .. } = self;
        let text = on_this_thread(async {
            let mut scrape = std::pin::pin!(metrics.scrape());
            loop {
                tokio::select! {
                    biased;
                    text = &mut scrape => return text,
                    () = tokio::task::yield_now() => probe.look(engine),
                }
            }
        });
        Scrape::parse(&text)
    }
}

fn reader(engine: &Engine, index: usize, name: &str, input: LineSource) -> Reader {
    Reader {
        index,
        name: name.to_owned(),
        input: Input::Lines(Box::new(input)),
        parser: Parser::new(ParseOptions::default()),
        mapping: None,
        deriver: Deriver::new(engine.wanted(), &SignalConfig::default()).expect("the defaults need no file"),
        wall_clock_ms: noon_ms,
        monotonic: refguard::daemon::clock::monotonic,
        ticks: false,
    }
}

fn on_this_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(work)
}

/// An event as a line; `time` is a time of day on 1 May 2026.
fn event(id: &str, event_type: &str, time: &str, data: serde_json::Value) -> String {
    let time = format!("2026-05-01T{time}Z");
    let event = serde_json::json!({
        "specversion": "1.0", "id": id, "source": "/shop", "type": event_type, "time": time, "data": data,
    });
    format!("{event}\n")
}

/// A stream in which everything that is counted happens. The parts are told apart by their numbers.
fn known_stream() -> String {
    let login = |id: &str, time: &str| {
        event(id, "login.succeeded", time, serde_json::json!({"program": "gold", "account_id": "a"}))
    };
    let order = |id: &str, time: &str, ip: &str| {
        event(id, "order.placed", time, serde_json::json!({"account_id": "b", "amount_minor": 1, "ip": ip}))
    };
    [
        login("1", "10:00:00"),
        login("2", "10:00:01"),
        login("2", "10:00:01"),
        login("1", "10:00:02"),
        order("3", "10:00:03", "not an address"),
        event("4", "shop.visited", "10:00:04.500", serde_json::json!({"account_id": "c", "program": "silver"})),
        event("5", "a\"}\nrefguard_evil{b=\"", "10:00:04", serde_json::json!({"program": "x\"} 1\nrefguard_evil 2"})),
        order("6", "08:59:59", "192.0.2.1"),
        "not JSON\n".to_owned(),
        "{\"specversion\":\"1.0\"}\n".to_owned(),
        "{\"specversion\":\"1.0\"}\n".to_owned(),
    ]
    .concat()
}

#[test]
fn counts_are_those_of_a_known_stream() {
    let mut watched = Watched::new(&["orders", "returns"], &["default", "gold"]);
    let (verdicts, dead_letters) = watched.run(&[("orders", &known_stream()), ("returns", "nothing\n")]);
    assert_eq!((verdicts.lines().count(), dead_letters.lines().count()), (7, 5), "{verdicts}{dead_letters}");

    let scrape = watched.scrape();
    let events = [
        (vec!["orders", "login.succeeded"], 3.0),
        (vec!["orders", "order.placed"], 2.0),
        (vec!["orders", "other"], 1.0),
        (vec!["orders", "shop.visited"], 1.0),
    ];
    assert_eq!(scrape.of("events_total"), events);
    let letters = [
        (vec!["id_reused", "orders"], 1.0),
        (vec!["missing_id", "orders"], 2.0),
        (vec!["not_json", "orders"], 1.0),
        (vec!["not_json", "returns"], 1.0),
    ];
    assert_eq!(scrape.counted("dead_letters_total"), letters);
    assert_eq!(scrape.of("late_events_total"), [(vec!["orders"], 1.0), (vec!["returns"], 0.0)]);
    assert_eq!(scrape.of("duplicates_total"), [(vec!["orders"], 1.0), (vec!["returns"], 0.0)]);
    assert_eq!(scrape.of("invalid_fields_total"), [(vec!["ip"], 1.0)]);
    let given = [
        (vec!["default", "allow"], 2.0),
        (vec!["gold", "allow"], 1.0),
        (vec!["gold", "flag"], 1.0),
        (vec!["other", "allow"], 2.0),
    ];
    assert_eq!(scrape.counted("verdicts_total"), given);
    assert_eq!(scrape.of("verdicts_total").len(), 3 * 5, "every verdict of every program, from 0 on");
    let matches = [(vec!["enforce", "second-login"], 1.0), (vec!["shadow", "any-login"], 2.0)];
    assert_eq!(scrape.counted("rule_matches_total"), matches);
    assert_eq!(scrape.of("rule_matches_total").len(), 2 * 4, "without the rule that is off");
    assert_eq!(scrape.counted("rule_errors_total"), [(vec!["overflows"], 2.0)]);
    assert_eq!(scrape.of("breaker_open"), [(vec!["any-login"], 0.0)], "the one that has a breaker");

    assert_eq!(scrape.get("event_latency_seconds_count", &["source=orders"]), Some(7.0));
    assert_eq!(scrape.get("event_latency_seconds_bucket", &["source=orders", "le=+Inf"]), Some(7.0));
    let inputs = known_stream().lines().count() as f64;
    assert_eq!(scrape.sum("events_total") + scrape.sum("dead_letters_total"), inputs + 1.0, "each input once");
    assert_eq!(scrape.sum("verdicts_total") + scrape.sum("duplicates_total"), scrape.sum("events_total"));
}

#[test]
fn the_state_of_the_engine_is_shown() {
    let mut watched = Watched::new(&["orders"], &["default", "gold"]);
    let before = watched.scrape();
    assert_eq!(before.of("dedup_horizon_seconds"), [], "before the first event nothing is known of time");
    assert_eq!(before.of("source_watermark_seconds"), []);
    assert_eq!(before.get("state_entries", &["feature=logins_1h"]), Some(0.0));
    assert_eq!(before.get("feature_complete", &["feature=logins_1h"]), Some(0.0));

    let later = event("7", "shop.visited", "11:00:00", serde_json::json!({"account_id": "c"}));
    watched.run(&[("orders", &(known_stream() + &later))]);
    let scrape = watched.scrape();
    let eleven = (noon_ms() - 3_600_000) as f64 / 1000.0;
    assert_eq!(scrape.of("source_watermark_seconds"), [(vec!["orders"], eleven)]);
    assert_eq!(scrape.of("source_skew_seconds"), [(vec!["orders"], 0.0)]);
    assert_eq!(scrape.of("dedup_horizon_seconds"), [(vec![], eleven - 24.0 * 3600.0)]);
    assert_eq!(scrape.of("state_entries"), [(vec!["logins_1h"], 1.0), (vec!["visits_90d"], 2.0)]);
    assert_eq!(scrape.of("feature_complete"), [(vec!["logins_1h"], 1.0), (vec!["visits_90d"], 0.0)]);
    for name in ["saturated", "refused_total"] {
        let parts = scrape.of(name);
        let named: Vec<&str> = parts.iter().map(|(labels, _)| labels[0]).collect();
        for part in ["logins_1h", "visits_90d", "state.identities", "state.decisions"] {
            assert!(named.contains(&part), "{name} of {part}: {named:?}");
        }
        assert!(parts.iter().all(|(_, value)| *value == 0.0), "{parts:?}");
    }
    assert_eq!(scrape.of("summarised_keys"), [(vec!["logins_1h"], 0.0), (vec!["visits_90d"], 0.0)]);
    assert_eq!(scrape.get("state_bytes", &[]), Some(watched.engine.size().bytes() as f64));
    assert_eq!(scrape.counted("decisions_active"), [(vec!["hold"], 1.0)]);
    assert_eq!(scrape.of("decisions_active").len(), Verdict::ALL.len(), "each verdict");
    assert_eq!(scrape.of("ruleset_info"), [(vec![watched.engine.rules().hash.as_str()], 1.0)]);
    assert_eq!(scrape.get("rules_loaded", &[]), Some(4.0));
    assert_eq!(scrape.of("build_info"), [(vec![env!("CARGO_PKG_VERSION")], 1.0)]);
}

#[test]
fn quotas_are_shown_by_program_and_made_up_names_are_one() {
    let quota = Quota { events: Some(EventQuota { per_second: 1, burst: 2 }), keys: Some(100), bytes: None };
    let named = |name: &str, quota| (name.to_owned(), ProgramPolicy { quota, ..ProgramPolicy::default() });
    let policy = Policy {
        programs: vec![named("default", Quota::default()), named("gold", quota)],
        unnamed_quota: quota,
        ..Policy::default()
    };
    let mut watched = Watched::with(&["orders"], &["default", "gold"], policy);
    let before = watched.scrape();
    let quotas = |scrape: &Scrape, name: &str| scrape.of(name).len();
    assert_eq!((quotas(&before, "quota_used"), quotas(&before, "over_quota_total")), (4, 4), "from 0 on");
    let visit = |id: u32, program: &str| {
        let data = serde_json::json!({"program": program, "account_id": format!("a{id}")});
        event(&id.to_string(), "shop.visited", "11:00:00", data)
    };
    // One after the other, then enough for a look at the keys: those of one program, which has no quota.
    let few = (0..5).map(|id| visit(id, "gold")).chain((5..10).map(|id| visit(id, &format!("made-up-{id}"))));
    let lines: String = few.chain((10..1024).map(|id| visit(id, ""))).collect();
    watched.run(&[("orders", &lines)]);
    let scrape = watched.scrape();
    let expected = [
        (vec!["gold", "events"], 3.0),
        (vec!["gold", "keys"], 0.0),
        (vec!["other", "events"], 3.0),
        (vec!["other", "keys"], 0.0),
    ];
    assert_eq!(scrape.of("over_quota_total"), expected);
    let expected = [
        (vec!["gold", "events"], 1.0),
        (vec!["gold", "keys"], 0.02),
        (vec!["other", "events"], 1.0),
        (vec!["other", "keys"], 0.02),
    ];
    assert_eq!(scrape.of("quota_used"), expected);
}

#[test]
fn a_scrape_without_an_engine_says_what_is_known() {
    let watched = Watched::new(&["orders"], &["default"]);
    let scrape = Scrape::parse(&on_this_thread(watched.metrics.scrape()));
    assert_eq!(scrape.of("build_info").len(), 1);
    assert_eq!(scrape.get("late_events_total", &["source=orders"]), Some(0.0));
    assert_eq!(scrape.of("rules_loaded"), [], "no engine has answered");
}

#[test]
fn the_first_scrape_after_the_end_shows_the_engine_as_it_ended() {
    let mut watched = Watched::new(&["orders"], &["default", "gold"]);
    watched.probe.show(&mut watched.engine);
    let before = Scrape::parse(&on_this_thread(watched.metrics.scrape()));
    assert_eq!((before.get("rules_loaded", &[]), before.sum("rule_matches_total")), (Some(4.0), 0.0));
    watched.run(&[("orders", &known_stream())]);
    let after = Scrape::parse(&on_this_thread(watched.metrics.scrape()));
    assert_eq!(after.sum("rule_matches_total"), 3.0);
}

#[test]
fn a_scrape_that_the_engine_does_not_answer_repeats_the_last() {
    let mut watched = Watched::new(&["orders"], &["default", "gold"]);
    watched.run(&[("orders", &known_stream())]);
    let first = watched.scrape();
    let again = Scrape::parse(&on_this_thread(watched.metrics.scrape()));
    assert_eq!(again.samples, first.samples);
}

#[test]
fn no_stream_makes_a_label() {
    let mut watched = Watched::new(&["orders"], &["default", "gold"]);
    let hostile =
        ["mark", "mark\"", "mark\\", "mark\n", "mark{}", "mark=\"1\"", "# HELP mark", "mark\u{0}", "mark\u{202e}"];
    let mut lines = String::new();
    for at in 0..2000 {
        let name = format!("{}{at}", hostile[at % hostile.len()]);
        let data =
            serde_json::json!({"program": name, "account_id": name, "ip": name, "country": name, "channel": name});
        lines += &event(&name, &name, "10:00:00", data);
        lines += &event(
            &format!("known-{at}"),
            KINDS[at % KINDS.len()].name,
            "10:00:00",
            serde_json::json!({"program": name}),
        );
    }
    watched.run(&[("orders", &lines)]);
    let scrape = watched.scrape();
    for (name, labels) in scrape.samples.keys() {
        assert!(labels.values().all(|value| !value.contains("mark")), "{name} {labels:?}");
    }
    let types = scrape.of("events_total").len();
    assert!(types <= KINDS.len() + 2, "known types, one that a rule names, and the others: {types}");
    assert_eq!(scrape.get("events_total", &["source=orders", "type=other"]), Some(2000.0));
    assert_eq!(scrape.get("verdicts_total", &["program=other", "verdict=allow"]), Some(scrape.sum("events_total")));
    assert_eq!(scrape.of("verdicts_total").len(), 3 * 5);
}

#[test]
fn the_age_of_lists_is_told() {
    let watched = Watched::new(&["orders"], &["default"]);
    let now_ms = refguard::daemon::clock::wall_clock_ms();
    watched.metrics.list("signals.tor", now_ms - 7_200_000);
    watched.metrics.list("from_the_future", now_ms + 7_200_000);
    let scrape = Scrape::parse(&on_this_thread(watched.metrics.scrape()));
    assert!(scrape.get("list_age_seconds", &["list=signals.tor"]).is_some_and(|age| age >= 7200.0));
    assert_eq!(scrape.get("list_age_seconds", &["list=from_the_future"]), Some(0.0));
}

#[test]
fn what_is_away_is_told() {
    let watched = Watched::new(&["orders"], &["default"]);
    watched.metrics.depend("sources.orders", || Some(false));
    watched.metrics.depend("sinks.verdicts", || Some(true));
    watched.metrics.depend("sources.gone", || None);
    let scrape = Scrape::parse(&on_this_thread(watched.metrics.scrape()));
    assert_eq!(scrape.of("dependency_up"), [(vec!["sinks.verdicts"], 1.0), (vec!["sources.orders"], 0.0)]);
    assert_eq!(watched.metrics.away(), ["sources.orders"]);
}

#[test]
fn reloads_are_counted_from_0_on_and_lists_that_are_gone_are_not_told() {
    let watched = Watched::new(&["orders"], &["default"]);
    watched.metrics.list("gone", noon_ms());
    watched.metrics.rules_in_force_since(noon_ms());
    for outcome in [ReloadOutcome::Refused, ReloadOutcome::Swapped, ReloadOutcome::Refused] {
        watched.metrics.reloaded(outcome);
    }
    on_this_thread(watched.metrics.scrape());
    watched.metrics.set_lists(vec![("stays".to_owned(), noon_ms())]);
    let scrape = Scrape::parse(&on_this_thread(watched.metrics.scrape()));
    let counted = [(vec!["refused"], 2.0), (vec!["swapped"], 1.0), (vec!["unchanged"], 0.0)];
    assert_eq!(scrape.of("rules_reload_total"), counted);
    assert_eq!(scrape.of("last_reload_timestamp_seconds"), [(vec![], noon_ms() as f64 / 1000.0)]);
    assert_eq!(scrape.of("list_age_seconds").iter().map(|(list, _)| list[0]).collect::<Vec<_>>(), ["stays"]);
}

/// The judgement of Prometheus's own tool on a scrape in which every family that can has samples.
#[test]
fn promtool_has_nothing_to_say() {
    let quota = Quota { keys: Some(100), ..Quota::default() };
    let policy = Policy { unnamed_quota: quota, ..Policy::default() };
    let mut watched = Watched::with(&["orders"], &["default", "gold"], policy);
    watched.run(&[("orders", &known_stream())]);
    watched.metrics.depend("sources.orders", || Some(true));
    watched.metrics.list("signals.tor", noon_ms());
    watched.metrics.rules_in_force_since(noon_ms());
    let folder = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::open(&Folder::at(folder.path()), &Scan::default()).unwrap());
    watched.metrics.keep(&Arc::default(), &journal);
    watched.metrics.copy(&Arc::default());
    watched.metrics.stands_by(&Arc::default());
    watched.metrics.share(&Arc::default());
    let api = watched.metrics.api();
    api.answered("/v1/evaluate", 200);
    api.degraded("sources.orders", 1);
    let Watched { metrics, engine, probe, .. } = &mut watched;
    let text = on_this_thread(async {
        let looked = async {
            tokio::task::yield_now().await;
            probe.look(engine);
        };
        tokio::join!(metrics.scrape(), looked).0
    });
    let families = Scrape::parse(&text).samples.keys().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
    let silent = |metric: &&Metric| !families.iter().any(|name| name.starts_with(metric.name));
    let silent: Vec<&str> = TABLE.iter().filter(silent).map(|metric| metric.name).collect();
    assert_eq!(silent, ["refguard_source_lag_events"], "only a broker tells it");

    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut promtool = promtool.unwrap_or_else(|error| panic!("promtool: {error}\nhint: run `make setup`"));
    let mut stdin = promtool.stdin.take().expect("its input is a pipe");
    stdin.write_all(text.as_bytes()).expect("promtool reads its input");
    drop(stdin);
    let output = promtool.wait_with_output().expect("promtool is our child");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}\n{text}", output.status);
}

/// Bytes that come only when the test lets them: a source that stays open. What came and was not read yet stays.
struct Held(std::sync::mpsc::Receiver<Vec<u8>>, Vec<u8>);

impl Read for Held {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.1.is_empty() {
            let Ok(bytes) = self.0.recv() else { return Ok(0) };
            self.1 = bytes;
        }
        let count = self.1.len().min(out.len());
        out[..count].copy_from_slice(&self.1[..count]);
        self.1.drain(..count);
        Ok(count)
    }
}

#[test]
fn a_pipeline_that_waits_for_input_answers_scrapes() {
    let mut watched = Watched::new(&["orders"], &["default", "gold"]);
    let (input, held) = std::sync::mpsc::channel();
    let source = LineSource::new("held", Held(held, Vec::new()), LineOptions::default());
    let nowhere = || Sink::Lines(LineSink::to("nowhere", std::io::sink()));
    let Watched { metrics, engine, observer, probe } = &mut watched;
    let metrics = &*metrics;
    std::thread::scope(|scope| {
        let readers = vec![reader(engine, 0, "orders", source)];
        let sinks = Sinks { verdicts: nowhere(), dead_letters: nowhere(), alerts: None, events: None, decisions: None };
        let stop = AtomicBool::new(false);
        let pipeline = scope.spawn(move || {
            Pipeline { readers, engine, probe, sinks, observer, works_per_source: 1, stop: &stop }.run()
        });
        input.send(known_stream().into_bytes()).expect("the pipeline reads");
        // The engine looks for scrapes ten times a second; a busy machine may need a few.
        let scrapes = (0..60).map(|_| Scrape::parse(&on_this_thread(metrics.scrape())));
        let seen = scrapes.into_iter().find(|scrape| scrape.sum("rule_matches_total") == 3.0);
        drop(input);
        pipeline.join().expect("no thread panics").expect("nothing fails");
        assert!(seen.is_some(), "no scrape has seen the stream in the engine");
    });
}

#[test]
fn the_page_of_metrics_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let current = found == metrics::markdown();
    assert!(current, "docs/metrics.md is out of date: cargo test --test metrics -- --ignored writes it anew");
}

#[test]
#[ignore = "writes docs/metrics.md"]
fn write_the_page_of_metrics() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    std::fs::write(path, metrics::markdown()).expect("the repository can be written");
}
