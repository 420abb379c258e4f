//! The adapters of `refguard::stream::kafka` against a real broker.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use refguard::event::{MessageMode, Position, Reason};
use refguard::stream::kafka::{
    BatchEnd, ClientOptions, KafkaInput, KafkaProducer, KafkaSource, ProducerOptions, RecordBatch, SourceOptions,
};
use refguard::stream::{Sink, StreamError, Unsettled};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;
use support::kafka::{Kafka, unique};
use support::kcat;
use support::until;

const SECOND: Duration = Duration::from_secs(1);

/// How often a test asks for what must come, a second each, before it fails.
const ASKS_MAX: u32 = 60;

fn client(kafka: &Kafka) -> ClientOptions {
    let settings =
        [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "500"), ("reconnect.backoff.max.ms", "500")];
    ClientOptions {
        brokers: vec![kafka.address()],
        settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

fn open(kafka: &Kafka, topic: &str, group: &str) -> KafkaSource {
    open_with(kafka, topic, group, |_| {})
}

fn open_with(kafka: &Kafka, topic: &str, group: &str, change: impl Fn(&mut SourceOptions)) -> KafkaSource {
    let mut options = SourceOptions::new(client(kafka), vec![topic.to_owned()], group.to_owned());
    change(&mut options);
    KafkaSource::open(&options).unwrap()
}

fn producer(kafka: &Kafka) -> KafkaProducer {
    let mut client = client(kafka);
    client.settings.retain(|(name, _)| name.starts_with("reconnect"));
    KafkaProducer::open(ProducerOptions { client, transactional_id: None }).unwrap()
}

/// The next batch. Other inputs are passed over; a revocation is released at once.
fn next_batch(source: &KafkaSource) -> RecordBatch {
    for _ in 0..ASKS_MAX {
        if let Some(KafkaInput::Records(batch)) = source.next(SECOND).unwrap() {
            return batch;
        }
    }
    panic!("no record came");
}

/// The values of at least `wanted` records, in order of arrival, and where the last batch ended.
fn take(source: &KafkaSource, wanted: usize) -> (Vec<String>, Vec<BatchEnd>) {
    let (mut values, mut ends) = (Vec::new(), Vec::new());
    while values.len() < wanted {
        let batch = next_batch(source);
        values.extend(batch.records.iter().map(|record| batch.text[record.range()].to_owned()));
        ends.retain(|end: &BatchEnd| batch.ends().iter().all(|new| new.partition != end.partition));
        ends.extend_from_slice(batch.ends());
        source.recycle(batch);
    }
    (values, ends)
}

/// Closes a source and leaves its group.
fn end(source: KafkaSource) {
    source.close().unwrap();
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name}{number}")).collect()
}

fn produce(kafka: &Kafka, topic: &str, partition: i32, values: &[String]) {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    kcat::produce(&kafka.address(), topic, partition, &[], &values);
}

#[test]
fn records_of_another_client_arrive_in_order_with_headers_and_time() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("arrive", 1);
    let headers: Vec<&OsStr> =
        ["ce_specversion=1.0", "ce_id=e1", "content-type=application/json"].map(OsStr::new).into();
    kcat::produce(&kafka.address(), &topic, 0, &headers, &["{\"a\":1}", "{\"b\":\"\u{e9}\"}"]);
    kcat::produce(
        &kafka.address(),
        &topic,
        0,
        &[OsStr::new("content-type=application/cloudevents+json")],
        &["{\"c\":3}"],
    );
    kcat::produce(&kafka.address(), &topic, 0, &[], &["{\"d\":4}"]);

    let source = open_with(kafka, &topic, &unique("group"), |options| options.batch_records_max = 3);
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let batch = next_batch(&source);
        assert!(batch.records.len() <= 3, "a batch stays within its bound");
        for record in &batch.records {
            assert!(record.ingest_time_ms.unwrap() > 1_600_000_000_000, "milliseconds since 1970");
            let mode = MessageMode::of(batch.headers(record), &batch.text[record.range()]);
            let names: Vec<String> = batch.headers(record).map(|(name, _)| name.to_owned()).collect();
            seen.push((batch.text[record.range()].to_owned(), record.position, mode, names.join(" ")));
        }
    }
    let at = |offset| Position { partition: 0, offset, item: 0 };
    let three = "ce_specversion ce_id content-type";
    let expected = [
        ("{\"a\":1}", at(0), MessageMode::Binary, three),
        ("{\"b\":\"\u{e9}\"}", at(1), MessageMode::Binary, three),
        ("{\"c\":3}", at(2), MessageMode::Structured, "content-type"),
        ("{\"d\":4}", at(3), MessageMode::Structured, ""),
    ]
    .map(|(value, position, mode, names)| (value.to_owned(), position, mode, names.to_owned()));
    assert_eq!(seen, expected);
    assert_eq!(source.partition(0).unwrap().topic, topic);
    end(source);
}

#[test]
fn hostile_records_are_refused_and_the_next_good_one_is_read() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("hostile", 1);
    let address = kafka.address();
    let mut name = OsString::from_vec(b"bad\xff".to_vec());
    name.push("=value");
    kcat::produce_bytes(&address, &topic, 0, &[], b"ab\xff\xfe");
    kcat::produce_bytes(&address, &topic, 0, &[], &[b'x'; 70_000]);
    kcat::produce_bytes(&address, &topic, 0, &[name], b"{}");
    kcat::produce_bytes(&address, &topic, 0, &[OsString::from("h=1")], b"{\n}");

    let source = open(kafka, &topic, &unique("group"));
    let (mut refused, mut accepted, mut last) = (Vec::new(), Vec::new(), Vec::new());
    while accepted.is_empty() {
        let batch = next_batch(&source);
        refused.extend(
            batch.refused.iter().map(|one| (one.position.offset, one.reason.clone(), one.kept.len(), one.length_bytes)),
        );
        accepted.extend(batch.records.iter().map(|record| {
            let headers: Vec<(String, Vec<u8>)> =
                batch.headers(record).map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
            (batch.text[record.range()].to_owned(), headers)
        }));
        last = batch.ends().to_vec();
    }
    assert_eq!(
        refused,
        [
            (0, Reason::NotUtf8 { offset: 2 }, 4, 4),
            (1, Reason::TooLarge { length_bytes: 70_000 }, 65_536, 70_000),
            (2, Reason::WrongType { member: "headers", expected: "named in UTF-8" }, 2, 2),
        ]
    );
    assert_eq!(accepted, [("{\n}".to_owned(), vec![("h".to_owned(), b"1".to_vec())])]);
    assert_eq!(last[0].next_offset, 4, "a refused record is worked through too");
}

#[test]
fn a_group_goes_on_from_the_last_place_that_was_committed() {
    let kafka = Kafka::shared();
    let (topic, group) = (kafka.topic("commit", 1), unique("group"));
    produce(kafka, &topic, 0, &numbered("r", 10));

    let source = open_with(kafka, &topic, &group, |options| options.batch_records_max = 4);
    let first = next_batch(&source);
    assert_eq!(first.ends()[0].next_offset, 4);
    next_batch(&source);
    source.commit(first.ends()).unwrap();
    end(source);
    assert_eq!(kafka.committed(&group, &topic, 1), [Some(4)], "the second batch was taken, but not committed");

    let source = open(kafka, &topic, &group);
    let (values, ends) = take(&source, 6);
    assert_eq!(values, numbered("r", 10)[4..]);
    source.commit(&ends).unwrap();
    let committed = (0..ASKS_MAX).any(|_| {
        // The call waits for the next input, and lets the client's own second pass.
        assert!(!matches!(source.next(SECOND).unwrap(), Some(KafkaInput::Records(_))), "nothing more was produced");
        kafka.committed(&group, &topic, 1) == [Some(10)]
    });
    assert!(committed, "a place is committed while the source is open");
    end(source);
}

#[test]
fn the_end_of_a_partition_and_the_lag_are_known() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("lag", 2);
    produce(kafka, &topic, 1, &numbered("r", 3000));
    let source = open_with(kafka, &topic, &unique("group"), |options| {
        options.batch_records_max = 100;
        options.batches_waiting_max = 1;
    });
    let mut seen = BTreeSet::new();
    let mut records = 0;
    let ended = (0..ASKS_MAX * 10).any(|_| {
        if let Some(KafkaInput::Records(batch)) = source.next(Duration::from_millis(100)).unwrap() {
            records += batch.records.len();
        }
        let partitions = source.partitions();
        seen.extend(partitions.iter().filter_map(|one| one.lag_records.map(|lag| (one.name.partition, lag == 0))));
        records == 3000
            && partitions.len() == 2
            && partitions.iter().all(|one| one.at_end && one.lag_records == Some(0))
    });
    assert!(ended, "both are at their ends: {:?}", source.partitions());
    assert!(seen.contains(&(0, true)), "the empty one has no lag");
    assert!(source.is_reachable());
    assert_eq!(source.members().unwrap(), 1);
}

#[test]
fn outputs_are_keyed_and_a_mark_is_delivered_after_all_before_it() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("out", 3);
    let producer = producer(kafka);
    let mut sink = Sink::Kafka(Box::new(producer.topic(&topic).unwrap()));
    let before = sink.mark().unwrap();
    for number in 0..3000 {
        sink.write(&format!("account-{}", number % 7), format!("{number}").as_bytes()).unwrap();
    }
    let after = sink.mark().unwrap();
    assert!(before < after);
    sink.flush().unwrap();
    assert!(sink.delivered().unwrap() >= after);
    assert_eq!(producer.undelivered(), 0);

    let mut by_key: BTreeMap<String, (BTreeSet<i32>, Vec<u32>)> = BTreeMap::new();
    for record in kafka.consume(&topic, 3000) {
        let (partitions, numbers) = by_key.entry(record.key.unwrap()).or_default();
        partitions.insert(record.partition);
        numbers.push(String::from_utf8(record.payload).unwrap().parse().unwrap());
    }
    assert_eq!(by_key.len(), 7);
    for (partitions, numbers) in by_key.values() {
        assert_eq!(partitions.len(), 1, "one account, one partition");
        assert!(numbers.is_sorted(), "in the order in which they were written");
    }
}

#[test]
fn a_full_queue_holds_the_writer_back_and_drops_nothing() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("full", 1);
    let mut client = client(kafka);
    client.settings = vec![("queue.buffering.max.messages".to_owned(), "10".to_owned())];
    let producer = KafkaProducer::open(ProducerOptions { client, transactional_id: None }).unwrap();
    let sink = producer.topic(&topic).unwrap();
    for number in 0..500 {
        sink.write("", format!("{number}").as_bytes()).unwrap();
        assert!(producer.undelivered() <= 10);
    }
    producer.flush().unwrap();
    let records: Vec<Vec<u8>> = kafka.consume(&topic, 500).into_iter().map(|record| record.payload).collect();
    let expected: Vec<Vec<u8>> = (0..500).map(|number| number.to_string().into_bytes()).collect();
    assert_eq!(records, expected);
}

#[test]
fn faults_say_whose_they_are() {
    let kafka = Kafka::shared();
    let nowhere = unique("nowhere");
    let options = SourceOptions::new(client(kafka), vec![nowhere.clone()], unique("group"));
    assert!(matches!(KafkaSource::open(&options), Err(StreamError::UnknownTopic { topic }) if topic == nowhere));
    assert!(matches!(producer(kafka).topic(&nowhere), Err(StreamError::UnknownTopic { topic }) if topic == nowhere));

    let with = |name: &str, value: &str| ClientOptions {
        settings: vec![(name.to_owned(), value.to_owned())],
        ..client(kafka)
    };
    for (name, value) in [("no.such.setting", "1"), ("enable.auto.offset.store", "true")] {
        let options = SourceOptions::new(with(name, value), vec![nowhere.clone()], unique("group"));
        let error = KafkaSource::open(&options).unwrap_err();
        assert!(matches!(&error, StreamError::KafkaSettings { detail } if detail.starts_with(name)), "{error}");
    }

    let topic = kafka.topic("large", 1);
    let producer =
        KafkaProducer::open(ProducerOptions { client: with("message.max.bytes", "5000"), transactional_id: None })
            .unwrap();
    let error = producer.topic(&topic).unwrap().write("a", &[b'x'; 6000]).unwrap_err();
    assert!(matches!(error, StreamError::TooLarge { length_bytes: 6000, .. }), "{error}");
}

/// One member of a group: what it has seen, and what waits for being committed.
struct Member {
    source: KafkaSource,
    seen: Vec<(Position, String)>,
    commits: Unsettled,
    revocations: usize,
}

impl Member {
    fn new(source: KafkaSource) -> Member {
        Member { source, seen: Vec::new(), commits: Unsettled::default(), revocations: 0 }
    }

    /// Takes one input, if there is one. Places are committed when a partition is taken away, and not before.
    fn step(&mut self) {
        match self.source.next(Duration::from_millis(100)).unwrap() {
            Some(KafkaInput::Records(batch)) => {
                for record in &batch.records {
                    self.seen.push((record.position, batch.text[record.range()].to_owned()));
                }
                self.commits.push(vec![], batch.ends().to_vec());
            }
            Some(KafkaInput::Revoking(revocation)) => {
                assert!(!revocation.lost);
                self.source.commit(&self.commits.settle(&[])).unwrap();
                self.revocations += 1;
            }
            Some(KafkaInput::Assigned(_)) | None => {}
        }
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        self.seen.iter().map(|(_, value)| value.as_str())
    }

    fn assigned(&self) -> usize {
        self.source.partitions().iter().filter(|one| one.assigned).count()
    }
}

#[test]
fn a_rebalance_loses_nothing_and_what_was_committed_in_it_is_not_read_again() {
    let kafka = Kafka::shared();
    let (topic, group) = (kafka.topic("rebalance", 4), unique("group"));
    let values =
        |round: &str| -> Vec<String> { (0..4).flat_map(|at| numbered(&format!("{round}{at}-"), 200)).collect() };
    let produce_round = |round: &str| {
        for partition in 0..4 {
            produce(kafka, &topic, partition, &numbered(&format!("{round}{partition}-"), 200));
        }
    };
    produce_round("a");
    let mut first = Member::new(open(kafka, &topic, &group));
    for _ in 0..ASKS_MAX * 10 {
        if first.seen.len() >= 800 {
            break;
        }
        first.step();
    }

    let mut second = Member::new(open(kafka, &topic, &group));
    for _ in 0..ASKS_MAX * 5 {
        if (first.assigned(), second.assigned()) == (2, 2) {
            break;
        }
        first.step();
        second.step();
    }
    assert_eq!((first.assigned(), second.assigned()), (2, 2), "the partitions are shared out");
    assert_eq!(first.revocations, 1);

    produce_round("b");
    for _ in 0..ASKS_MAX * 5 {
        if first.seen.len() + second.seen.len() >= 1600 {
            break;
        }
        first.step();
        second.step();
    }
    let mut all: Vec<&str> = first.values().chain(second.values()).collect();
    all.sort_unstable();
    let mut expected = values("a");
    expected.extend(values("b"));
    expected.sort();
    assert_eq!(all, expected, "each record once: the first gave its places over before the second began");
    assert!(second.values().all(|value| value.starts_with('b')), "it begins where the first left off");
    for member in [&first, &second] {
        let mut by_partition: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for (position, _) in &member.seen {
            by_partition.entry(position.partition).or_default().push(position.offset);
        }
        assert!(by_partition.values().all(|offsets| offsets.is_sorted()), "in order within a partition");
    }

    // The second goes without a commit: what it has read is read again by the first.
    let unread: BTreeSet<String> = second.values().map(str::to_owned).collect();
    end(second.source);
    let already = first.seen.len();
    for _ in 0..ASKS_MAX * 5 {
        if first.seen.len() >= already + unread.len() {
            break;
        }
        first.step();
    }
    let again: BTreeSet<String> = first.values().skip(already).map(str::to_owned).collect();
    assert_eq!(again, unread);
}

#[test]
fn a_broker_that_goes_and_comes_back_loses_nothing() {
    let mut kafka = Kafka::start();
    let (input, output, group) = (kafka.topic("in", 2), kafka.topic("out", 2), unique("group"));
    produce(&kafka, &input, 0, &numbered("a", 500));
    produce(&kafka, &input, 1, &numbered("b", 500));

    let source = open_with(&kafka, &input, &group, |options| options.batch_records_max = 50);
    let mut sink = Sink::Kafka(Box::new(producer(&kafka).topic(&output).unwrap()));
    let mut unsettled = Unsettled::default();
    let mut seen = BTreeSet::new();
    let mut step = |sink: &mut Sink, unsettled: &mut Unsettled| {
        if let Some(KafkaInput::Records(batch)) = source.next(Duration::from_millis(100)).unwrap() {
            for record in &batch.records {
                let value = &batch.text[record.range()];
                sink.write(value, value.as_bytes()).unwrap();
                seen.insert(value.to_owned());
            }
            unsettled.push(vec![sink.mark().unwrap()], batch.ends().to_vec());
        }
        source.commit(&unsettled.settle(&[sink.delivered().unwrap()])).unwrap();
        seen.len()
    };
    while step(&mut sink, &mut unsettled) < 200 {}
    kafka.stop();
    // Some more steps while nobody is there: what was read goes on, and waits in the sink.
    for _ in 0..20 {
        step(&mut sink, &mut unsettled);
    }
    kafka.restart();
    produce(&kafka, &input, 0, &numbered("c", 300));
    for _ in 0..20 {
        step(&mut sink, &mut unsettled);
    }
    kafka.kill();
    kafka.restart();
    produce(&kafka, &input, 1, &numbered("d", 300));
    let complete = (0..ASKS_MAX * 10).any(|_| step(&mut sink, &mut unsettled) == 1600);
    assert!(complete, "every record came: {}", seen.len());

    // The group may have given the partitions anew after the kill: then what had no committed place comes once more.
    let committed = until(|| {
        step(&mut sink, &mut unsettled);
        unsettled.is_empty() && kafka.committed(&group, &input, 2) == [Some(800), Some(800)]
    });
    assert!(committed, "all is committed: {:?}", kafka.committed(&group, &input, 2));
    end(source);
    assert_eq!(kafka.committed(&group, &input, 2), [Some(800), Some(800)]);
    let out: BTreeSet<String> =
        kafka.consume(&output, 1600).into_iter().map(|record| String::from_utf8(record.payload).unwrap()).collect();
    assert_eq!(out, seen, "every record's output is there");
}
