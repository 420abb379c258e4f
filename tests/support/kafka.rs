//! A real Apache Kafka broker for tests, started from the jars that `make setup` fetches.
//!
//! One node in KRaft mode on free loopback ports, its data below the target directory. It dies with the test process,
//! however that ends: a watching shell kills it once its standard input, which this process holds, is closed.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{tokens, until};

/// How often readiness, or the arrival of records, is asked for, a second each, before a test fails.
const ASKS_MAX: u32 = 60;

/// Below the target directory, whatever that is.
const TMP: &str = env!("CARGO_TARGET_TMPDIR");

/// A running broker, or one that was stopped and can be started again on its data.
pub(crate) struct Kafka {
    folder: PathBuf,
    log: PathBuf,
    port: u16,
    secured: Option<Secured>,
    /// Of the Java machine.
    options: Vec<String>,
    running: Option<Running>,
}

/// The ways into a broker that does not let everybody in.
pub(crate) struct Secured {
    /// TLS, and a name and password (`alice`, `alice-secret`) by any mechanism.
    pub(crate) sasl: u16,
    /// TLS, and a certificate of the client.
    pub(crate) mutual: u16,
}

struct Running {
    broker: Child,
    watcher: Child,
}

/// A record as it came back from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Consumed {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    pub(crate) payload: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Kafka {
    /// The broker that all tests of this program share. Give each test topics and groups of its own: [`unique`].
    pub(crate) fn shared() -> &'static Kafka {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(Kafka::start)
    }

    /// A broker for a test that stops or kills it.
    pub(crate) fn start() -> Kafka {
        Kafka::start_with(None)
    }

    /// A broker that also listens where clients must prove who they are, by the certificates of a folder: `server.pem` (its
    /// key and certificate), `ca.pem`, and `jwks.json` for tokens.
    pub(crate) fn start_secured(certificates: &Path) -> Kafka {
        Kafka::start_with(Some(certificates))
    }

    fn start_with(certificates: Option<&Path>) -> Kafka {
        // A port that was free a moment ago may be taken by now: then other ports are tried.
        let mut attempts = (0..3).map(|_| Kafka::try_start(certificates));
        match attempts.find_map(|started| started.map_err(|log| eprintln!("{log}")).ok()) {
            Some(kafka) => kafka,
            None => panic!("no Kafka broker could be started; its log is above"),
        }
    }

    fn try_start(certificates: Option<&Path>) -> Result<Kafka, String> {
        let name = unique("kafka");
        let folder = Path::new(TMP).join(&name);
        let [port, controller_port, sasl, mutual] = free_ports();
        fs::create_dir_all(folder.join("data")).expect("the target directory can be written");
        let log = Path::new(TMP).join(log_name());
        // A run leaves the logs of its last brokers, not of all that there ever were.
        File::create(&log).expect("the target directory can be written");
        let secured = certificates.map(|_| Secured { sasl, mutual });
        let allowed = |folder| format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={}", keys_of(folder));
        let options = certificates.map(allowed).into_iter().collect();
        let mut kafka = Kafka { folder, log, port, secured, options, running: None };
        let mut text = properties(&kafka.folder, port, controller_port);
        let mut format = vec!["format", "--cluster-id", "cmVmZ3VhcmQtdGVzdHM"];
        if let Some((certificates, secured)) = certificates.zip(kafka.secured.as_ref()) {
            text.push_str(&secured_properties(certificates, secured, port, controller_port));
            format.extend(["--add-scram", "SCRAM-SHA-256=[name=alice,password=alice-secret]"]);
            format.extend(["--add-scram", "SCRAM-SHA-512=[name=alice,password=alice-secret]"]);
        }
        format.push("--config");
        fs::write(kafka.properties(), text).expect("the target directory can be written");
        let formatted = kafka.java("kafka.tools.StorageTool", &format).arg(kafka.properties()).status();
        assert!(
            formatted.expect("java runs").success(),
            "Kafka's storage could not be formatted: {}",
            kafka.log_tail()
        );
        kafka.launch()?;
        Ok(kafka)
    }

    /// The bootstrap address.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where clients must prove who they are.
    pub(crate) fn secured(&self) -> &Secured {
        self.secured.as_ref().expect("it was started so")
    }

    /// Ends the broker in good order. Its data stay.
    pub(crate) fn stop(&mut self) {
        let running = self.running.take().expect("the broker runs");
        let stopped =
            Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh"]).arg(running.broker.id().to_string()).status();
        assert!(stopped.expect("sh runs").success(), "the broker had ended by itself: {}", self.log_tail());
        running.wait();
    }

    /// Ends the broker as a power cut of its process would. Its data stay.
    pub(crate) fn kill(&mut self) {
        let mut running = self.running.take().expect("the broker runs");
        running.broker.kill().expect("the broker had not ended");
        running.wait();
    }

    /// Starts it again, on the same port and data, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        assert!(self.running.is_none(), "stop or kill it first");
        if let Err(log) = self.launch() {
            panic!("the broker did not start again: {log}");
        }
    }

    /// Makes a topic and waits until it has a leader. Its name is unique, and starts with `name`.
    pub(crate) fn topic(&self, name: &str, partitions: i32) -> String {
        self.topic_with(name, partitions, &[])
    }

    /// The same with settings.
    pub(crate) fn topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
        let topic = unique(name);
        let admin: AdminClient<DefaultClientContext> =
            client(&self.address()).create().expect("the settings of the tests are right");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
        let wanted = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        let wanted = settings.iter().fold(wanted, |wanted, (name, value)| wanted.set(name, value));
        self.answer("makes the topic", || {
            match runtime.block_on(admin.create_topics([&wanted], &AdminOptions::new()))?.remove(0) {
                // It was made by a request whose answer was lost.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
                Err((_, code)) => Err(KafkaError::AdminOp(code)),
            }
        });
        let consumer: BaseConsumer = client(&self.address()).create().expect("the settings of the tests are right");
        let led = until(|| {
            let metadata = consumer.fetch_metadata(Some(&topic), Duration::from_secs(1));
            metadata.is_ok_and(|metadata| {
                let found = &metadata.topics()[0];
                found.partitions().len() == partitions as usize
                    && found.partitions().iter().all(|one| one.leader() >= 0)
            })
        });
        assert!(led, "topic {topic} got no leader: {}", self.log_tail());
        topic
    }

    /// Deletes the records of a partition before an offset, as a topic's retention does.
    pub(crate) fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        let admin: AdminClient<DefaultClientContext> =
            client(&self.address()).create().expect("the settings of the tests are right");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("it is an offset");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
        self.answer("deletes records", || runtime.block_on(admin.delete_records(&list, &AdminOptions::new())));
    }

    /// Reads a topic from its beginning until `wanted` records are there, all partitions, each in order. Fails the test
    /// if they do not come; more than wanted are returned if they are there already.
    pub(crate) fn consume(&self, topic: &str, wanted: usize) -> Vec<Consumed> {
        let consumer = self.reader(topic);
        let mut records = Vec::new();
        let mut silent = 0;
        while silent < ASKS_MAX {
            match consumer.poll(if records.len() < wanted {
                Duration::from_secs(1)
            } else {
                Duration::from_millis(200)
            }) {
                Some(Ok(message)) => {
                    records.push(Consumed::from(&message));
                    silent = 0;
                }
                // The broker may be on its way back.
                Some(Err(_)) => silent += 1,
                None if records.len() >= wanted => return records,
                None => silent += 1,
            }
        }
        panic!("{} of {wanted} records came out of topic {topic}: {}", records.len(), self.log_tail());
    }

    /// Sets the places of a group that nobody is in any more, as people do by hand.
    pub(crate) fn set_committed(&self, group: &str, topic: &str, places: &[(i32, i64)]) {
        let consumer: BaseConsumer =
            client(&self.address()).set("group.id", group).create().expect("the settings of the tests are right");
        let mut list = TopicPartitionList::new();
        for (partition, offset) in places {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).expect("it is an offset");
        }
        self.answer("sets places", || consumer.commit(&list, CommitMode::Sync));
    }

    /// The offset a group has committed, by partition; `None` where there is none.
    pub(crate) fn committed(&self, group: &str, topic: &str, partitions: i32) -> Vec<Option<i64>> {
        let consumer: BaseConsumer =
            client(&self.address()).set("group.id", group).create().expect("the settings of the tests are right");
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let committed =
            self.answer("tells offsets", || consumer.committed_offsets(list.clone(), Duration::from_secs(10)));
        let offsets = committed.elements();
        offsets.iter().map(|one| if let Offset::Offset(offset) = one.offset() { Some(offset) } else { None }).collect()
    }

    fn reader(&self, topic: &str) -> BaseConsumer {
        let consumer: BaseConsumer = client(&self.address())
            .set("group.id", unique("reader"))
            .set("enable.auto.commit", "false")
            .create()
            .expect("the settings of the tests are right");
        let metadata =
            self.answer("tells partitions", || consumer.fetch_metadata(Some(topic), Duration::from_secs(10)));
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            list.add_partition_offset(topic, partition.id(), Offset::Beginning).expect("the beginning is an offset");
        }
        consumer.assign(&list).expect("the partitions are there");
        consumer
    }

    /// Asks a broker until it answers: on a busy machine it is slow, or refuses for a moment while a coordinator or a
    /// leader is being chosen (`NotCoordinator`, `LeaderNotAvailable`), which clients are meant to ask again about.
    fn answer<T>(&self, what: &str, mut ask: impl FnMut() -> KafkaResult<T>) -> T {
        let (mut answer, mut refused) = (None, None);
        until(|| {
            match ask() {
                Ok(told) => answer = Some(told),
                Err(error) => refused = Some(error),
            }
            answer.is_some()
        });
        match answer {
            Some(told) => told,
            None => panic!("the broker never {what}: {refused:?}\n{}", self.log_tail()),
        }
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    /// Starts the broker's process and waits until it answers; the end of its log, if it does not.
    fn launch(&mut self) -> Result<(), String> {
        let broker = self.java("kafka.Kafka", &[]).arg(self.properties()).spawn().expect("java runs");
        let watcher = Command::new("sh")
            .args(["-c", "read -r word || { kill -KILL \"$1\"; rm -rf \"$2\"; }", "sh"])
            .arg(broker.id().to_string())
            .arg(&self.folder)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let mut running = Running { broker, watcher };
        let consumer: BaseConsumer = client(&self.address()).create().expect("the settings of the tests are right");
        for _ in 0..ASKS_MAX {
            if running.broker.try_wait().expect("the broker is our child").is_some() {
                running.wait();
                return Err(self.log_tail());
            }
            let metadata = consumer.fetch_metadata(None, Duration::from_secs(1));
            if metadata.is_ok_and(|metadata| !metadata.brokers().is_empty()) {
                self.running = Some(running);
                return Ok(());
            }
        }
        running.broker.kill().expect("the broker had not ended");
        running.wait();
        Err(self.log_tail())
    }

    /// A command that runs one of Kafka's classes, its output in the log.
    fn java(&self, class: &str, arguments: &[&str]) -> Command {
        let jars = Path::new(TMP).join("../kafka/lib");
        assert!(
            jars.is_dir(),
            "the tests need a Kafka broker, and {} is not there\nhint: run `make setup`",
            jars.display()
        );
        let log =
            File::options().append(true).create(true).open(&self.log).expect("the target directory can be written");
        let mut command = Command::new("java");
        command
            .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg("-Dorg.apache.logging.log4j.level=INFO")
            .args(&self.options)
            .arg("-cp")
            .arg(jars.join("*"))
            .arg(class)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be opened twice"))
            .stderr(log);
        command
    }

    /// The last lines of the broker's log, for the message of a failed test.
    fn log_tail(&self) -> String {
        let mut tail = Vec::new();
        let read = File::open(&self.log).and_then(|mut log| {
            let length = log.metadata()?.len();
            log.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
            log.read_to_end(&mut tail)
        });
        match read {
            Ok(_) => format!("the end of {}:\n{}", self.log.display(), String::from_utf8_lossy(&tail)),
            Err(error) => format!("{}: {error}", self.log.display()),
        }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // It may have ended by itself; there is nothing to be done about it here.
            drop(running.broker.kill());
            running.wait();
        }
        drop(fs::remove_dir_all(&self.folder));
        if !std::thread::panicking() {
            drop(fs::remove_file(&self.log));
        }
    }
}

impl Running {
    /// Waits for the broker's end and sends the watcher home.
    fn wait(mut self) {
        use std::io::Write as _;
        self.broker.wait().expect("the broker is our child");
        let mut stdin = self.watcher.stdin.take().expect("the watcher's input is a pipe");
        stdin.write_all(b"done\n").expect("the watcher waits for a word");
        self.watcher.wait().expect("the watcher is our child");
    }
}

impl From<&BorrowedMessage<'_>> for Consumed {
    fn from(message: &BorrowedMessage<'_>) -> Consumed {
        let headers = message.headers().map(|headers| {
            let headers =
                headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()));
            headers.collect()
        });
        Consumed {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(|key| String::from_utf8(key.to_vec()).expect("keys in tests are text")),
            payload: message.payload().unwrap_or_default().to_vec(),
            headers: headers.unwrap_or_default(),
        }
    }
}

/// A name that no other test, process or call uses.
pub(crate) fn unique(name: &str) -> String {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed))
}

/// `program-0.log`, the number counting the brokers of this program.
fn log_name() -> String {
    static BROKERS: AtomicU32 = AtomicU32::new(0);
    let program = std::env::current_exe().expect("a running program has a path");
    let name = program.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.split('-').next());
    format!("{}-kafka-{}.log", name.unwrap_or("test"), BROKERS.fetch_add(1, Ordering::Relaxed))
}

fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    // A broker that starts is asked again soon; what the client says of it meanwhile is of no interest.
    config.set("bootstrap.servers", address).set("reconnect.backoff.max.ms", "500").set("log_level", "0");
    config
}

/// Ports that nobody listens on.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound socket has an address").port())
}

/// The broker's settings: one of everything, and no waiting where a test would wait with it.
fn properties(folder: &Path, port: u16, controller_port: u16) -> String {
    let data = folder.join("data");
    let data = data.display();
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.num.partitions=1\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.num.partitions=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.num.partitions=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n\
         log.cleaner.enable=false\n\
         num.network.threads=2\n\
         num.io.threads=2\n"
    )
}

/// Where a broker finds the keys of those who sign tokens.
fn keys_of(certificates: &Path) -> String {
    format!("file://{}", certificates.join("jwks.json").display())
}

/// What a broker needs beside [`properties`] to let only those in who prove who they are; later lines win.
fn secured_properties(certificates: &Path, ways: &Secured, port: u16, controller_port: u16) -> String {
    let at = |name: &str| certificates.join(name).display().to_string();
    let (sasl, mutual) = (ways.sasl, ways.mutual);
    let module = |name: &str| format!("org.apache.kafka.common.security.{name}");
    let of = |mechanism: &str| format!("listener.name.sasl.{mechanism}.sasl.jaas.config");
    let addresses = format!("PLAINTEXT://127.0.0.1:{port},SASL://127.0.0.1:{sasl},MUTUAL://127.0.0.1:{mutual}");
    format!(
        "listeners={addresses},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners={addresses}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=PLAINTEXT\n\
         ssl.keystore.type=PEM\n\
         ssl.keystore.location={}\n\
         ssl.truststore.type=PEM\n\
         ssl.truststore.location={}\n\
         listener.name.mutual.ssl.client.auth=required\n\
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
         {}={} required user_alice=\"alice-secret\";\n\
         {}={scram} required;\n\
         {}={scram} required;\n\
         {}={} required;\n\
         listener.name.sasl.oauthbearer.sasl.server.callback.handler.class={}\n\
         listener.name.sasl.oauthbearer.sasl.oauthbearer.jwks.endpoint.url={}\n\
         listener.name.sasl.oauthbearer.sasl.oauthbearer.expected.issuer={}\n\
         listener.name.sasl.oauthbearer.sasl.oauthbearer.expected.audience={}\n",
        at("server.pem"),
        at("ca.pem"),
        of("plain"),
        module("plain.PlainLoginModule"),
        of("scram-sha-256"),
        of("scram-sha-512"),
        of("oauthbearer"),
        module("oauthbearer.OAuthBearerLoginModule"),
        module("oauthbearer.OAuthBearerValidatorCallbackHandler"),
        keys_of(certificates),
        tokens::ISSUER,
        tokens::AUDIENCE,
        scram = module("scram.ScramLoginModule"),
    )
}
