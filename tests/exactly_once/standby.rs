//! A standby that takes over: what was committed stays as it was said, and goes on as if nobody had changed.

use super::*;

/// What a pair of hosts shares beside the topics: a folder of copies, and the topic of the journal.
pub(crate) struct Pair<'a> {
    setting: Setting,
    kafka: &'a Kafka,
    journal: String,
    /// All events so far.
    events: Vec<Value>,
    random: Random,
}

impl<'a> Pair<'a> {
    pub(crate) fn new(kafka: &'a Kafka, session_ms: u32) -> Pair<'a> {
        let setting = Setting { session_ms, ..Setting::new(kafka) };
        Pair { setting, kafka, journal: kafka.topic("journal", 1), events: Vec::new(), random: Random(now_ms() as u64) }
    }

    /// The configuration of the host whose state is in this folder. The key is on both.
    pub(crate) fn config(&self, state: &str) -> PathBuf {
        let path = self.setting.config(state);
        let copies = self.setting.folder.path().join("copies");
        let more = format!(
            "checkpoint_interval: 300ms, copies: {{url: {}}}, journal_topic: {}",
            copies.display(),
            self.journal
        );
        let text = fs::read_to_string(&path).unwrap().replace("checkpoint_interval: 300ms", &more);
        fs::write(&path, text).unwrap();
        path
    }

    fn start(&self, state: &str) -> Daemon {
        Daemon::start(&self.config(state))
    }

    /// A host that stands by, once it could take over.
    fn stand_by(&self, state: &str) -> Daemon {
        let mut daemon = Daemon::start_with(&self.config(state), &["--standby"]);
        daemon.said("stands by");
        daemon
    }

    pub(crate) fn produce(&mut self, count: usize) {
        let more = events(&mut self.random, self.events.len(), count);
        self.setting.produce(&more);
        self.events.extend(more);
    }

    /// Waits until everything is judged; answers all verdicts, once each, equal to those of a run that was never disturbed.
    pub(crate) fn assert_once(&self) {
        let verdicts = self.setting.verdicts(self.kafka, self.events.len());
        self.setting.assert_once(&verdicts, &self.events);
    }

    pub(crate) fn lose_disk(&self, state: &str) {
        fs::remove_dir_all(self.setting.folder.path().join(state)).unwrap();
    }
}

#[test]
fn a_standby_takes_over_again_and_again_and_nothing_is_lost_or_said_twice() {
    let kafka = Kafka::shared();
    let mut pair = Pair::new(kafka, 3000);
    pair.produce(3000);
    let mut active = pair.start("left");
    active.said("judging");
    pair.assert_once();
    let mut standby = pair.stand_by("right");
    standby.said("follows a checkpoint");
    let hosts = ["left", "right"];
    for turn in 0..4 {
        // It is killed at any instant, while it judges.
        pair.produce(2000);
        pass(pair.random.below(600));
        let killed_ms = now_ms();
        active.kill();
        if turn % 2 == 0 {
            pair.lose_disk(hosts[turn % 2]);
        }
        standby.said("took over");
        let over_ms = now_ms();
        standby.said("judging");
        let judging_ms = now_ms();
        let counted = kafka.consume(&pair.setting.verdicts, 1).len();
        pair.produce(500);
        pair.assert_once();
        eprintln!(
            "failover {turn}: of {counted} committed verdicts 0 are unknown (RPO 0); RTO {} ms, of which {} ms until the broker \
             forgot the member (session.timeout.ms 3000) and {} ms of reading and judging again",
            judging_ms - killed_ms,
            over_ms - killed_ms,
            judging_ms - over_ms
        );
        // The one that was killed stands by from now on.
        (active, standby) = (standby, pair.stand_by(hosts[turn % 2]));
        standby.said("follows a checkpoint");
    }
    standby.terminate();
    let (status, log) = standby.ended();
    assert!(status.success(), "{log}");
    active.terminate();
    assert!(active.ended().0.success());
}

#[test]
fn a_zombie_ends_when_a_standby_has_taken_over() {
    let kafka = Kafka::shared();
    let mut pair = Pair::new(kafka, 3000);
    pair.produce(500);
    let mut zombie = pair.start("left");
    zombie.said("judging");
    pair.assert_once();
    let mut standby = pair.stand_by("right");
    standby.said("follows a checkpoint");
    zombie.signal("STOP");
    standby.said("judging");
    pair.produce(500);
    pair.assert_once();
    zombie.signal("CONT");
    let (status, log) = zombie.ended();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("another refguard has taken over"), "{log}");
    pair.produce(300);
    pair.assert_once();
    standby.terminate();
    assert!(standby.ended().0.success());
}

#[test]
fn a_state_that_was_left_behind_disturbs_nobody_and_catches_up() {
    let kafka = Kafka::shared();
    let mut pair = Pair::new(kafka, 2000);
    pair.produce(500);
    let mut active = pair.start("left");
    active.said("judging");
    pair.assert_once();
    let mut standby = pair.stand_by("right");
    standby.said("follows a checkpoint");
    active.kill();
    standby.said("judging");
    pair.produce(500);
    pair.assert_once();
    // As a service that is started again without being asked for.
    let behind = run(&pair.config("left"), &[]);
    assert_eq!(behind.code, Some(2), "{}", behind.err);
    assert!(behind.err.contains("a line that the state does not know"), "{}", behind.err);
    assert!(behind.err.contains("hint: start it with --standby"), "{}", behind.err);
    pair.produce(300);
    pair.assert_once();
    // A folder for whoever wants one, from the copies and the topic.
    standby.terminate();
    assert!(standby.ended().0.success());
    pair.lose_disk("right");
    let restored = answer(&["state", "restore", "--config", pair.config("right").to_str().unwrap()]);
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    pair.produce(300);
    let mut again = pair.start("right");
    again.said("judging");
    pair.assert_once();
    again.kill();
    // And a crash is a crash, with a topic too.
    pair.produce(300);
    let again = pair.start("right");
    pair.assert_once();
    again.terminate();
    assert!(again.ended().0.success());
}

#[test]
fn a_topic_that_cannot_keep_the_order_is_refused() {
    let kafka = Kafka::shared();
    let wide = Pair { journal: kafka.topic("wide", 2), ..Pair::new(kafka, 2000) };
    let refused = run(&wide.config("left"), &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("has 2 partitions, and entries of a journal need one"), "{}", refused.err);
    let missing = Pair { journal: unique("missing"), ..Pair::new(kafka, 2000) };
    let refused = run(&missing.config("left"), &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains(&missing.journal) && refused.err.contains("hint: "), "{}", refused.err);
    // What somebody else wrote is no journal.
    let mut foreign = Pair::new(kafka, 2000);
    foreign.produce(50);
    kcat::produce_keyed(&foreign.setting.address, &foreign.journal, &[("k", "{\"not\": \"an entry\"}")]);
    let refused = run(&foreign.config("left"), &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(
        refused.err.contains("a record is ") && refused.err.contains("that nobody else writes to"),
        "{}",
        refused.err
    );
}

#[test]
fn a_standby_waits_for_a_copy_that_fits_and_says_so() {
    let kafka = Kafka::shared();
    let mut pair = Pair::new(kafka, 2000);
    pair.produce(300);
    let mut active = pair.start("left");
    active.said("judging");
    pair.assert_once();
    active.terminate();
    assert!(active.ended().0.success());
    // The topic begins behind its first entries, and no copy is there.
    let copies = pair.setting.folder.path().join("copies");
    fs::rename(&copies, pair.setting.folder.path().join("elsewhere")).unwrap();
    kafka.delete_before(&pair.journal, 0, 3);
    let mut standby = pair.stand_by("right");
    standby.said("nobody judges, and no copy of a checkpoint goes with what the topic has: waits for one");
    fs::remove_dir_all(&copies).unwrap();
    fs::rename(pair.setting.folder.path().join("elsewhere"), &copies).unwrap();
    standby.said("judging");
    pair.produce(200);
    pair.assert_once();
    standby.terminate();
    assert!(standby.ended().0.success());
}
