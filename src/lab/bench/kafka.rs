//! From topic to topic of a real cluster: the path of `run`, with the engine and without.
//!
//! The topics and groups are the measurement's own and go when it ends. A run lasts from the arrival of its first
//! records until the broker has acknowledged the last verdict: joining the group is no part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use super::paths::{self, Middle, Outcome, PathReport};
use super::{BATCH_EVENTS, BenchError, Plan, READ_EVENTS_MAX};
use crate::lab::population::Population;
use crate::ruleset::program::RuleSet;
use crate::stream::kafka::{ClientOptions, KafkaProducer, KafkaSink, KafkaSource, ProducerOptions, SourceOptions};
use crate::stream::pipeline::{Input, Observer, Sinks, Work};
use crate::stream::{Sink, StreamError};

/// How long nothing may come before a run is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures the path over a cluster with this bootstrap address.
pub(super) fn measure(rules: &Arc<RuleSet>, broker: &str, plan: &Plan) -> Result<PathReport, BenchError> {
    let client = ClientOptions { brokers: vec![broker.to_owned()], settings: Vec::new() };
    let topics = Topics::make(broker)?;
    fill(&topics.events, &client, (&mut plan.population(plan.accounts[0]), plan.events))?;
    let mut runs = 0;
    let measured = paths::compare(rules, plan, |middle| {
        runs += 1;
        topics.run(&client, &topics.group(runs), middle, plan)
    });
    topics.remove(runs)?;
    measured
}

/// Writes so many events of a population.
pub(super) fn fill(
    topic: &str,
    client: &ClientOptions,
    (population, events): (&mut Population, usize),
) -> Result<(), BenchError> {
    let producer = KafkaProducer::open(ProducerOptions { client: client.clone(), transactional_id: None })?;
    let sink = producer.topic(topic)?;
    let mut text = String::new();
    for from in (0..events).step_by(BATCH_EVENTS) {
        text.clear();
        for _ in from..events.min(from + BATCH_EVENTS) {
            population.write_next(&mut text);
        }
        for line in text.lines() {
            sink.write("", line.as_bytes())?;
        }
    }
    Ok(producer.flush()?)
}

/// Two topics, and a name that nobody else uses.
pub(super) struct Topics {
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
    name: String,
    events: String,
    verdicts: String,
    gone: bool,
}

impl Topics {
    pub(super) fn make(broker: &str) -> Result<Topics, BenchError> {
        let failed = |doing: &str, detail: String| StreamError::Kafka { doing: doing.to_owned(), detail };
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", broker)
            .create()
            .map_err(|error| failed("reaching the cluster", error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| failed("starting a runtime", error.to_string()))?;
        let number = getrandom::u64().map_err(|error| failed("naming topics", error.to_string()))?;
        let name = format!("refguard-bench-{number:016x}");
        let (events, verdicts) = (format!("{name}-events"), format!("{name}-verdicts"));
        let topics = Topics { admin, runtime, name, events, verdicts, gone: false };
        // As many replicas as the cluster gives by itself.
        let wanted =
            [&topics.events, &topics.verdicts].map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(-1)));
        let made = topics.runtime.block_on(topics.admin.create_topics(&wanted, &options()));
        let made = made.map_err(|error| failed("making topics", error.to_string()))?;
        if let Some((topic, code)) = made.into_iter().find_map(Result::err) {
            return Err(failed(&format!("making topic {topic}"), code.to_string()).into());
        }
        Ok(topics)
    }

    /// The one that events stand in.
    pub(super) fn events(&self) -> &str {
        &self.events
    }

    /// The group of a run: each reads the topic from its beginning.
    pub(super) fn group(&self, run: usize) -> String {
        format!("{}-{run}", self.name)
    }

    fn run(&self, client: &ClientOptions, group: &str, middle: Middle<'_>, plan: &Plan) -> Result<Outcome, BenchError> {
        let sink = KafkaProducer::open(ProducerOptions { client: client.clone(), transactional_id: None })?
            .topic(&self.verdicts)?;
        let mut options = SourceOptions::new(client.clone(), vec![self.events.clone()], group.to_owned());
        options.batch_records_max = READ_EVENTS_MAX;
        let input = Input::Kafka(Arc::new(KafkaSource::open(&options)?));
        let reader = paths::reader(input, middle.wanted(), plan.monotonic)?;
        let stop = AtomicBool::new(false);
        let mut arrivals = Arrivals {
            wanted: plan.events as u64,
            sink: sink.clone(),
            monotonic: plan.monotonic,
            stop: &stop,
            outcome: Outcome::default(),
            first: None,
            latest: (plan.monotonic)(),
            failed: Ok(()),
        };
        let sinks = Sinks {
            verdicts: Sink::Kafka(Box::new(sink)),
            dead_letters: paths::nowhere(),
            alerts: None,
            events: None,
            decisions: None,
        };
        middle.run(reader, sinks, &mut arrivals, &stop)?;
        arrivals.failed?;
        Ok(arrivals.outcome)
    }

    /// Removes the topics, and the groups of so many runs.
    pub(super) fn remove(mut self, runs: usize) -> Result<(), BenchError> {
        self.gone = true;
        let groups: Vec<String> = (1..=runs).map(|run| self.group(run)).collect();
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        // A group that is still being left goes by itself when its places expire.
        drop(self.runtime.block_on(self.admin.delete_groups(&groups, &options())));
        let failed = |detail| StreamError::Kafka { doing: format!("removing the topics {}-*", self.name), detail };
        let removed = self.delete().map_err(|error| failed(error.to_string()))?;
        match removed.into_iter().find_map(Result::err) {
            Some((_, code)) => Err(failed(code.to_string()).into()),
            None => Ok(()),
        }
    }

    fn delete(&self) -> rdkafka::error::KafkaResult<Vec<rdkafka::admin::TopicResult>> {
        self.runtime.block_on(self.admin.delete_topics(&[&self.events, &self.verdicts], &options()))
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        if !self.gone {
            // The failure that led here is told; the topics can be told by their names.
            drop(self.delete());
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)))
}

/// Ends a run when everything has come and is acknowledged.
struct Arrivals<'a> {
    wanted: u64,
    sink: KafkaSink,
    monotonic: fn() -> Instant,
    stop: &'a AtomicBool,
    outcome: Outcome,
    first: Option<Instant>,
    latest: Instant,
    failed: Result<(), StreamError>,
}

impl Observer for Arrivals<'_> {
    fn written(&mut self, work: &Work) {
        self.latest = (self.monotonic)();
        if self.first.is_none() && !work.batch.events.is_empty() {
            self.first = work.arrived;
        }
        self.outcome.add(work);
        if self.outcome.events >= self.wanted && !self.stop.load(Ordering::Acquire) {
            self.failed = self.sink.producer().flush();
            let start = self.first.unwrap_or(self.latest);
            self.outcome.took = (self.monotonic)().duration_since(start);
            self.stop.store(true, Ordering::Release);
        }
    }

    fn idle(&mut self) {
        if (self.monotonic)().duration_since(self.latest) > PATIENCE && !self.stop.load(Ordering::Acquire) {
            let detail = format!("{} of {} events came, and then none", self.outcome.events, self.wanted);
            self.failed = Err(StreamError::Kafka { doing: "reading the made-up events".to_owned(), detail });
            self.stop.store(true, Ordering::Release);
        }
    }
}
