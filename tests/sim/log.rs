//! A log that loses, delays and repeats what a real one may.
//!
//! Fault model. Records of a partition come in order, those of different partitions in any, a few at a time; offsets have gaps.
//! Producers may have sent the same event twice, next to each other or much later, into the same partition. A transaction becomes
//! visible as a whole when it is committed; a reader of committed records sees nothing else of it. A call may be lost on its way,
//! or its answer: then the same call is made again, and a commit that had its effect is acknowledged. The cluster may lose a
//! transaction, which the client is told; it does so with one that is open for too long. Whoever takes over the name of the
//! transactions ends those of the one before, whose calls are refused from then on; that one may go on reading what it has for
//! a while. The group may take partitions away, with notice or without, and gives them back. The cluster may be away for a time.
//! Not modelled: a cluster that loses what it has acknowledged, an answer that says the opposite of what happened, and the client
//! library, which is tested with a real broker in `tests/exactly_once.rs`.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};
use refguard::stream::kafka::{
    BatchEnd, BatchRun, KafkaInput, PartitionName, PartitionStatus, RecordBatch, Revocation, Unfinished,
};
use refguard::stream::log::{Log, Membership, Rereader, Subscription, Topic, Transactions};
use refguard::stream::{Mark, StreamError};

use crate::clock;
use crate::disk::lock;
use crate::life::{Life, Touch};
use crate::random::Random;
use crate::trace;

/// The topic that is read.
pub(crate) const TOPIC: &str = "events";
/// How long a transaction may be open.
const TRANSACTION_TIMEOUT_MS: u64 = 5_000;

/// One record that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) offset: u64,
    pub(crate) time_ms: i64,
    pub(crate) value: String,
}

/// How much goes wrong, in percent of the calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) call_lost: u64,
    pub(crate) answer_lost: u64,
    pub(crate) transaction_lost: u64,
    pub(crate) rebalance: u64,
    pub(crate) away: u64,
}

#[derive(Clone, Debug, Default)]
struct Transaction {
    places: Vec<(usize, u64)>,
    begun_ms: u64,
}

/// What all clients share.
pub(crate) struct Cluster {
    /// By partition.
    pub(crate) sent: Vec<Vec<Sent>>,
    next: Vec<u64>,
    /// By partition: the group's place.
    pub(crate) committed: Vec<Option<u64>>,
    /// Verdicts, dead letters, alerts, decisions, as a reader of committed records sees them.
    pub(crate) outputs: [Vec<Vec<u8>>; 4],
    /// Who has the name of the transactions, counted.
    epoch: u64,
    /// Who is the member of the group.
    member: u64,
    open: Transaction,
    away_until_ms: u64,
    pub(crate) faults: Faults,
    random: Random,
}

impl Cluster {
    pub(crate) fn new(partitions: usize, random: Random) -> Cluster {
        Cluster {
            sent: vec![Vec::new(); partitions],
            next: vec![0; partitions],
            committed: vec![None; partitions],
            outputs: Default::default(),
            epoch: 0,
            member: 0,
            open: Transaction::default(),
            away_until_ms: 0,
            faults: Faults::default(),
            random,
        }
    }

    /// A producer sends an event.
    pub(crate) fn send(&mut self, partition: usize, time_ms: i64, value: String) {
        if self.random.chance(5) {
            // The marker of somebody's transaction.
            self.next[partition] += 1;
        }
        self.sent[partition].push(Sent { offset: self.next[partition], time_ms, value });
        self.next[partition] += 1;
    }

    /// Whether everything is committed.
    pub(crate) fn is_read(&self) -> bool {
        let all = self.sent.iter().zip(&self.committed);
        all.into_iter()
            .all(|(sent, committed)| sent.last().is_none_or(|last| committed.is_some_and(|next| next > last.offset)))
    }

    /// Who has the name of the transactions.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// From here on nothing goes wrong.
    pub(crate) fn calm(&mut self) {
        (self.faults, self.away_until_ms) = (Faults::default(), 0);
    }

    fn is_away(&mut self) -> bool {
        if clock::passed_ms() < self.away_until_ms {
            return true;
        }
        let goes = self.random.chance(self.faults.away);
        if goes {
            let long = if self.random.chance(10) { 2 * TRANSACTION_TIMEOUT_MS } else { 300 };
            self.away_until_ms = clock::passed_ms() + self.random.below(long);
        }
        goes
    }

    fn lose_transaction(&mut self) {
        self.open = Transaction::default();
    }
}

/// What a client has of the cluster.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) cluster: Arc<Mutex<Cluster>>,
    pub(crate) life: Arc<Life>,
}

fn fenced() -> StreamError {
    StreamError::Fenced { detail: "somebody has taken over".to_owned() }
}

fn cut_off() -> StreamError {
    StreamError::Kafka { doing: "living".to_owned(), detail: "the process is cut off".to_owned() }
}

impl Client {
    /// Makes a call that has an effect, with everything that can come between. What is committed cannot be lost any more.
    fn call(&self, epoch: u64, is_committed: bool, effect: impl FnOnce(&mut Cluster)) -> Result<(), Unfinished> {
        let mut cluster = lock(&self.cluster);
        let touch = self.life.touch();
        if touch == Touch::Void {
            return Err(Unfinished::Ended(cut_off()));
        }
        if cluster.epoch != epoch {
            return Err(Unfinished::Ended(fenced()));
        }
        if cluster.is_away() {
            return Err(Unfinished::Again("the cluster is away".to_owned()));
        }
        let faults = cluster.faults;
        if cluster.random.chance(faults.call_lost) {
            return Err(Unfinished::Again("the call was lost".to_owned()));
        }
        let timed_out =
            cluster.open.begun_ms > 0 && clock::passed_ms() > cluster.open.begun_ms + TRANSACTION_TIMEOUT_MS;
        if !is_committed && (timed_out || cluster.random.chance(faults.transaction_lost)) {
            cluster.lose_transaction();
            return Err(Unfinished::Lost("the transaction is lost".to_owned()));
        }
        effect(&mut cluster);
        if touch == Touch::CountsUnseen {
            return Err(Unfinished::Ended(cut_off()));
        }
        if cluster.random.chance(faults.answer_lost) {
            return Err(Unfinished::Again("the answer was lost".to_owned()));
        }
        Ok(())
    }
}

/// A producer with the name of the transactions.
#[derive(Clone)]
pub(crate) struct SimProducer {
    client: Client,
    epoch: u64,
    mine: Arc<Mutex<Mine>>,
}

/// What a producer knows itself.
#[derive(Default)]
struct Mine {
    queue: Vec<(usize, Vec<u8>)>,
    has_begun: bool,
    /// The cluster has committed it, whether we were told or not.
    is_committed: bool,
}

impl SimProducer {
    /// Takes over from whoever was before.
    pub(crate) fn take_over(client: Client) -> Result<SimProducer, StreamError> {
        let mut cluster = lock(&client.cluster);
        let touch = client.life.touch();
        if touch == Touch::Void {
            return Err(cut_off());
        }
        cluster.epoch += 1;
        cluster.lose_transaction();
        let epoch = cluster.epoch;
        drop(cluster);
        let mine = Arc::default();
        if touch == Touch::CountsUnseen { Err(cut_off()) } else { Ok(SimProducer { client, epoch, mine }) }
    }

    pub(crate) fn topic(&self, number: usize) -> Box<dyn Topic> {
        Box::new(SimTopic { producer: self.clone(), number })
    }
}

impl Transactions for SimProducer {
    fn begin(&self) -> Result<(), Unfinished> {
        let mut mine = lock(&self.mine);
        assert!(!mine.has_begun && mine.queue.is_empty(), "one transaction at a time");
        *mine = Mine { has_begun: true, ..Mine::default() };
        Ok(())
    }

    fn add_places(&self, source: &dyn Subscription, ends: &[BatchEnd]) -> Result<(), Unfinished> {
        assert!(lock(&self.mine).has_begun, "places go into a transaction");
        if source.membership().is_none() {
            return Err(Unfinished::Again("nothing is assigned".to_owned()));
        }
        let place = |end: &BatchEnd| {
            let partition = source.partition(end.partition).expect("the source knows its partitions").partition;
            (partition as usize, end.next_offset)
        };
        let places: Vec<(usize, u64)> = ends.iter().map(place).collect();
        self.client.call(self.epoch, false, |cluster| {
            if cluster.open.begun_ms == 0 {
                cluster.open.begun_ms = clock::passed_ms().max(1);
            }
            cluster.open.places.extend(places);
        })
    }

    fn end(&self) -> Result<(), Unfinished> {
        let mut mine = lock(&self.mine);
        assert!(mine.has_begun, "what is committed was begun");
        if mine.is_committed {
            // An answer was lost.
            self.client.call(self.epoch, true, |_| {})?;
        } else {
            let (queue, is_committed) = (mine.queue.clone(), &mut mine.is_committed);
            self.client.call(self.epoch, false, |cluster| {
                trace(|| format!("{} outputs of {:?} are committed", queue.len(), cluster.open.places));
                for (topic, line) in queue {
                    cluster.outputs[topic].push(line);
                }
                for (partition, next) in std::mem::take(&mut cluster.open).places {
                    cluster.committed[partition] = Some(next);
                }
                *is_committed = true;
            })?;
        }
        *mine = Mine::default();
        Ok(())
    }

    fn undo(&self) -> Result<(), Unfinished> {
        let mut mine = lock(&self.mine);
        let undone = self.client.call(self.epoch, false, Cluster::lose_transaction);
        if !matches!(undone, Err(Unfinished::Again(_) | Unfinished::Ended(_))) {
            *mine = Mine::default();
            return Ok(());
        }
        undone
    }

    fn delivered(&self) -> Result<Mark, StreamError> {
        Ok(Mark::default())
    }
}

/// A topic of outputs.
struct SimTopic {
    producer: SimProducer,
    number: usize,
}

impl std::fmt::Debug for SimTopic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimTopic({})", self.number)
    }
}

impl Topic for SimTopic {
    fn write_all<'r>(
        &self,
        records: &mut dyn ExactSizeIterator<Item = (&'r str, &'r [u8])>,
    ) -> Result<(), StreamError> {
        if self.producer.client.life.is_over() {
            return Err(cut_off());
        }
        let mut mine = lock(&self.producer.mine);
        assert!(mine.has_begun, "outputs go into a transaction");
        mine.queue.extend(records.map(|(_, line)| (self.number, line.to_vec())));
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark::default()
    }

    fn delivered(&self) -> Result<Mark, StreamError> {
        Ok(Mark::default())
    }

    fn flush(&self) -> Result<(), StreamError> {
        Ok(())
    }

    fn reachable(&self) -> Box<dyn Fn() -> bool + Send + Sync> {
        Box::new(|| true)
    }
}

/// What was handed to a reader, for whoever keeps the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Handed {
    /// Records: partition and offset.
    Records(Vec<(u32, u64)>),
    /// Partitions came or went.
    Change,
}

/// A member of the group.
pub(crate) struct SimSubscription {
    client: Client,
    member: u64,
    records_max: u64,
    inner: Mutex<Member>,
}

#[derive(Default)]
struct Member {
    assigned: Vec<bool>,
    /// By partition: where reading goes on, if not at the group's place.
    resume: Vec<Option<u64>>,
    next: Vec<u64>,
    released: Option<Receiver<()>>,
    handed: VecDeque<Handed>,
}

impl std::fmt::Debug for SimSubscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimSubscription({})", self.member)
    }
}

pub(crate) fn partition_name(partition: usize) -> PartitionName {
    PartitionName { topic: TOPIC.to_owned(), partition: partition as i32 }
}

impl SimSubscription {
    /// Joins; whoever was in the group under this name is out.
    pub(crate) fn join(client: Client, records_max: u64, resume: &[(PartitionName, u64)]) -> SimSubscription {
        let mut cluster = lock(&client.cluster);
        if client.life.touch() == Touch::Counts {
            cluster.member += 1;
        }
        let (member, partitions) = (cluster.member, cluster.sent.len());
        drop(cluster);
        let mut inner = Member {
            assigned: vec![false; partitions],
            resume: vec![None; partitions],
            next: vec![0; partitions],
            ..Member::default()
        };
        for (name, offset) in resume {
            inner.resume[name.partition as usize] = Some(*offset);
        }
        SimSubscription { client, member, records_max, inner: Mutex::new(inner) }
    }

    /// What was handed over last.
    pub(crate) fn take_handed(&self) -> Option<Handed> {
        lock(&self.inner).handed.pop_front()
    }
}

impl Member {
    /// What the group wants.
    fn change(&mut self, cluster: &mut Cluster) -> Option<KafkaInput> {
        let with = |assigned: &[bool], wanted: bool| -> Vec<u32> {
            (0..assigned.len() as u32).filter(|partition| assigned[*partition as usize] == wanted).collect()
        };
        let mut missing = with(&self.assigned, false);
        if !missing.is_empty() {
            if cluster.random.chance(20) {
                // The rest comes later.
                missing.truncate(1 + cluster.random.below(missing.len() as u64) as usize);
            }
            for partition in &missing {
                let at = *partition as usize;
                self.assigned[at] = true;
                self.next[at] = self.resume[at].or(cluster.committed[at]).unwrap_or(0);
            }
            self.handed.push_back(Handed::Change);
            return Some(KafkaInput::Assigned(missing));
        }
        if !cluster.random.chance(cluster.faults.rebalance) {
            return None;
        }
        let mut gone = with(&self.assigned, true);
        gone.retain(|_| cluster.random.chance(60));
        if gone.is_empty() {
            return None;
        }
        let lost = cluster.random.chance(30);
        for partition in &gone {
            let at = *partition as usize;
            self.assigned[at] = false;
            self.resume[at] = Some(self.next[at]);
        }
        let (revocation, released) = Revocation::new(gone, lost);
        self.released = (!lost).then_some(released);
        self.handed.push_back(Handed::Change);
        Some(KafkaInput::Revoking(revocation))
    }

    fn fetch(&mut self, cluster: &mut Cluster, records_max: u64) -> Option<KafkaInput> {
        let mut batch = RecordBatch::default();
        batch.begin(1);
        let mut handed = Vec::new();
        let mut room = 1 + cluster.random.below(records_max);
        for _ in 0..=cluster.random.below(3) {
            let partition = cluster.random.below(cluster.sent.len() as u64) as usize;
            if !self.assigned[partition] {
                continue;
            }
            let some = 1 + cluster.random.below(room.max(1));
            let next = self.next[partition];
            let from = cluster.sent[partition].partition_point(|record| record.offset < next);
            for record in cluster.sent[partition][from..].iter().take(some.min(room) as usize) {
                batch.push(partition as u32, record.offset, record.time_ms, record.value.as_bytes());
                handed.push((partition as u32, record.offset));
                self.next[partition] = record.offset + 1;
                room -= 1;
            }
        }
        if handed.is_empty() {
            return None;
        }
        self.handed.push_back(Handed::Records(handed));
        Some(KafkaInput::Records(batch))
    }
}

impl Subscription for SimSubscription {
    fn next(&self, _wait: Duration) -> Result<Option<KafkaInput>, StreamError> {
        if self.client.life.is_over() {
            return Ok(None);
        }
        let mut cluster = lock(&self.client.cluster);
        let member = &mut *lock(&self.inner);
        if cluster.member != self.member && cluster.random.chance(30) {
            return Err(fenced());
        }
        if cluster.is_away() {
            return Ok(None);
        }
        if let Some(released) = &member.released {
            if released.try_recv() == Err(TryRecvError::Empty) {
                return Ok(None);
            }
            member.released = None;
        }
        if let Some(change) = member.change(&mut cluster) {
            return Ok(Some(change));
        }
        Ok(member.fetch(&mut cluster, self.records_max))
    }

    fn recycle(&self, _batch: RecordBatch) {}

    fn commit(&self, _ends: &[BatchEnd]) -> Result<(), StreamError> {
        unreachable!("places are committed with the outputs")
    }

    fn close(&self) -> Result<(), StreamError> {
        Ok(())
    }

    fn are_ours(&self, ends: &[BatchEnd]) -> bool {
        let member = lock(&self.inner);
        ends.iter().all(|end| member.assigned[end.partition as usize])
    }

    fn membership(&self) -> Option<Membership> {
        lock(&self.inner).assigned.contains(&true).then(|| Membership(Box::new(())))
    }

    fn partitions(&self) -> Vec<PartitionStatus> {
        let (cluster, member) = (lock(&self.client.cluster), lock(&self.inner));
        let status = |partition: usize| PartitionStatus {
            index: partition as u32,
            name: partition_name(partition),
            assigned: member.assigned[partition],
            next_offset: Some(member.next[partition]),
            lag_records: None,
            at_end: cluster.sent[partition].last().is_none_or(|last| last.offset < member.next[partition]),
        };
        (0..member.next.len()).map(status).collect()
    }

    fn partition(&self, index: u32) -> Option<PartitionName> {
        Some(partition_name(index as usize))
    }

    fn index(&self, name: &PartitionName) -> u32 {
        name.partition as u32
    }

    fn is_reachable(&self) -> bool {
        true
    }
}

/// The topic beside the group.
pub(crate) struct SimLog(pub(crate) Client);

impl SimLog {
    fn ask(&self) -> Result<(), StreamError> {
        let mut cluster = lock(&self.0.cluster);
        if self.0.life.is_over() {
            return Err(cut_off());
        }
        if cluster.is_away() {
            return Err(StreamError::Unreachable {
                brokers: "the cluster".to_owned(),
                detail: "it is away".to_owned(),
            });
        }
        Ok(())
    }
}

impl Log for SimLog {
    fn group(&self) -> &str {
        "group"
    }

    fn committed(&self) -> Result<Vec<(PartitionName, Option<u64>)>, StreamError> {
        self.ask()?;
        let cluster = lock(&self.0.cluster);
        let committed = cluster.committed.iter().enumerate();
        Ok(committed.map(|(partition, next)| (partition_name(partition), *next)).collect())
    }

    fn read_again(&self, _starts: &[(u32, PartitionName, u64)]) -> Result<Box<dyn Rereader>, StreamError> {
        self.ask()?;
        Ok(Box::new(SimRereader(self.0.clone())))
    }
}

struct SimRereader(Client);

impl Rereader for SimRereader {
    fn read(
        &mut self,
        run: &BatchRun,
        is_whole: bool,
        batch: &mut RecordBatch,
        _stop: &AtomicBool,
    ) -> Result<bool, StreamError> {
        if self.0.life.is_over() {
            return Err(cut_off());
        }
        let cluster = lock(&self.0.cluster);
        let mut records = 0;
        for sent in cluster.sent[run.partition as usize].iter() {
            if (run.first..run.next).contains(&sent.offset) {
                batch.push(run.partition, sent.offset, sent.time_ms, sent.value.as_bytes());
                records += 1;
            }
        }
        assert!(!is_whole || records == run.records, "a run is what was handed over: {run:?}, not {records}");
        Ok(true)
    }
}
