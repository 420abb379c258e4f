//! The sections of the configuration but sources and sinks, which have a file of their own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::customer::CustomerWords;
use super::http::Http;
use super::setting::{Address, Bytes, Later, Millis, Whole, settings, words};
use super::stream::{Sinks, Source};

settings! {
    /// Everything that an operator can set.
    Config "the configuration" {
        sources: BTreeMap<String, Source> = "{}" eg "{orders: {kafka: {brokers: [localhost:9092], topics: [loyalty.events]}}}",
            "Where events come from, by a name of your choice.";
        sinks: Sinks = "{}",
            "Where verdicts and dead letters go.";
        state: State = "{}",
            "What is remembered over event time.";
        dedup: Dedup = "{}",
            "How long a repeated event is recognised.";
        rules: Rules = "{}",
            "The rule packs.";
        policy: Policy = "{}",
            "From scores to verdicts.";
        alerts: Alerts = "{}",
            "How matches are gathered into alerts.";
        programs: BTreeMap<String, Program> =
            "{default: {region: SA, timezone: Asia/Riyadh, base_currency: SAR, rates: {PTS: 0.01}, attributes: {}, observe_only: false}}",
            "The loyalty and referral programs. `default` is always there, and stands for programs without an entry.";
        quota: Quotas = "{}",
            "How much programs without an entry may take.";
        lists: BTreeMap<String, Later> = "{}",
            "Lists that are fetched. Read and not acted upon by this version.";
        signals: Signals = "{}",
            "Databases and lists that tell more of an address.";
        decisions: Decisions = "{}",
            "How the log of decisions is told: docs/decisions-log.md.";
        engine: Engine = "{}",
            "How events are batched: speed, never an answer.";
        records: Records = "{}",
            "Tokens of the API and the audit trail.";
        http: Http = "{}",
            "The API, served where a source is `http: {}`.";
        customer_texts: BTreeMap<String, BTreeMap<String, CustomerWords>> = "{}" eg "{under_review: {en: {what_to_do: Call us on 8001234567.}}}",
            "What customers are told, by the `customer` code of rules and by language, where it shall be other than what is shipped in English and Arabic: docs/http.md.";
        metrics: Metrics = "{}",
            "Prometheus metrics and probes.";
        log: Log = "{}",
            "What the daemon says of itself, on stderr.";
        notify: BTreeMap<String, Later> = "{}",
            "Where alerts are sent. Read and not acted upon by this version.";
        mfa: Mfa = "{}",
            "Step-up authentication. Read and not acted upon by this version.";
    }

    /// What is remembered over event time.
    State "`state`" {
        backend: Backend = "embedded",
            "Where it is kept: in this process, or in Redis or Valkey, where several instances share it. docs/redis.md says what that takes.";
        path: PathBuf = "data/state",
            "Folder of the embedded state.";
        max_bytes: Bytes = "4GiB",
            "Bound of the whole: near it new keys are refused and marked, never evicted silently.";
        max_entries: Whole<1, 1048576> = "4096",
            "How many entries a key of a feature keeps, unless the feature says otherwise. Past it the oldest are summarised, and the value is marked as not exact.";
        retention: Millis = "400d",
            "How long facts about an account are kept after its last event.";
        allowed_lateness: Millis = "1h",
            "How far behind the watermark an event still counts where its time falls.";
        key_file: PathBuf = "secrets/state.key",
            "Secrets of the state: the key of the hashes that identifiers are kept as, and those under which checkpoints are encrypted (docs/operate.md).";
        checkpoint_interval: Millis = "60s",
            "How often a checkpoint is written while events are judged. After a crash what came since is read again from the topics, so these must keep it.";
        copies: Option<Copies> = "" eg "{url: s3://bucket/refguard, options: {aws_region: eu-central-1}}",
            "Where checkpoints are copied to, so that a state outlives its disk: docs/recovery.md.";
        journal_topic: Option<String> = "" eg "refguard.journal",
            "A topic with one partition, on the cluster of the sinks, that gets the journal in the transactions of the outputs, so that a standby loses nothing: docs/recovery.md. Absent: the journal is on the disk alone.";
        redis: Redis = "{}",
            "Where Redis or Valkey is, for `backend: redis`.";
    }

    /// Where checkpoints are copied to.
    Copies "`copies`" {
        url: String = "data/copies" eg "s3://bucket/refguard",
            "`s3://BUCKET/PATH`, `gs://BUCKET/PATH`, `az://CONTAINER/PATH`, or the path of a folder.";
        options: BTreeMap<String, String> = "{}" eg "{aws_region: eu-central-1, aws_access_key_id: refguard}",
            "Options of the store, such as its region, endpoint and credentials. Secrets come better from the environment.";
        keep: Whole<1, 1000> = "3",
            "How many copies stay.";
        interval: Millis = "0s",
            "How long there is between two copies at least. `0s`: each checkpoint is copied.";
    }

    /// State in Redis or Valkey.
    Redis "`redis`" {
        urls: Vec<String> = "[\"redis://localhost:6379\"]",
            "A server, or some nodes of a cluster: `redis://host:port`, or `rediss://host:port` with TLS.";
        user: Option<String> = "" eg "refguard",
            "The ACL user; absent: the default user.";
        password: Option<String> = "" eg "a-long-random-word",
            "Its password, better set by the variable `REFGUARD_STATE__REDIS__PASSWORD` than in the file.";
        password_file: Option<PathBuf> = "" eg "secrets/redis.password",
            "Or a file that holds it, on one line.";
        authorities: Option<PathBuf> = "" eg "/etc/refguard/redis-ca.pem",
            "Certificates (PEM) of the authorities that are trusted with `rediss`; absent: those of the system.";
        certificate: Option<PathBuf> = "" eg "/etc/refguard/redis.pem",
            "A certificate (PEM) of refguard's own, where the servers ask for one.";
        certificate_key: Option<PathBuf> = "" eg "/etc/refguard/redis.key",
            "Its key (PEM).";
        prefix: String = "refguard",
            "What every key begins with. States under different prefixes know nothing of each other.";
        shards: Whole<1, 16384> = "64",
            "Into how many parts the state of a program is cut, which are spread over the nodes of a cluster. It cannot be changed later.";
        replicas: Whole<0, 16> = "0",
            "How many replicas of a server must have what was written before a verdict that rests on it leaves, so that a failover loses nothing.";
        patience: Millis = "5s",
            "How long an answer may take before the servers count as away.";
        spare: Millis = "30d",
            "How much longer by the servers' clock than event time asks for a record is kept, for event time may stand still: after a longer stop some are gone.";
    }

    /// How long a repeated event is recognised.
    Dedup "`dedup`" {
        span: Millis = "24h",
            "Within this span of event time a repeat of the same source and id changes nothing.";
        max_entries: Whole<1, 4294967295> = "50000000",
            "And at most so many events are remembered.";
    }

    /// The rule packs.
    Rules "`rules`" {
        path: PathBuf = "rules",
            "Their folder: every `*.yaml` and `*.yml` below it is a pack, but for the folder `lists`.";
        reload: bool = "true",
            "Whether they are read again when files change. SIGHUP asks for it in any case.";
        backfill: bool = "true",
            "Whether features that are new or changed after a reload are filled from what the topics still hold, while events are judged. Only where every source is a Kafka source.";
        max_cost: Whole<1, 1000000000000> = "200000",
            "The most that a rule may cost for one event, in steps and entries of state, as `refguard check --costs` tells it. A rule above it is refused.";
        settle: Millis = "500ms",
            "How long no file may have changed before they are read again, so that files written one after the other count as one change.";
    }

    /// From scores to verdicts.
    Policy "`policy`" {
        thresholds: Thresholds = "{}",
            "Summed scores from which a verdict is given; they ascend.";
        types: BTreeMap<String, TypePolicy> = "{}" eg "{redemption.requested: {thresholds: {hold: 50}}}",
            "Other thresholds for some event types.";
        programs: BTreeMap<String, ProgramPolicy> = "{}" eg "{gold: {thresholds: {block: 90}}}",
            "Other thresholds for some programs; they come before those of types.";
        four_eyes: Vec<FourEyes> = "[]" eg "[override, hold]",
            "What takes a second person: `override` (put and taken away), `hold` (released and upheld), `list` (entries of managed lists put in and taken out). One token asks, another agrees: docs/http.md.";
        on_state_unavailable: OnStateUnavailable = "fail_closed",
            "What `POST /v1/evaluate` answers while a service is away that verdicts wait for (Kafka): `fail_closed` holds, `fail_open` allows; such a verdict is marked `degraded`. Every event waits all the same and is judged once the service is back; while Redis is away, that is all.";
        review_within: Millis = "7d",
            "How long a hold waits for a review where no rule says otherwise by the `ttl` of a decision `hold`. Event time, longer than zero.";
    }

    /// Summed scores from which a verdict is given.
    Thresholds "`thresholds`" {
        flag: Score = "20",
            "From here an alert.";
        challenge: Score = "40",
            "From here step-up authentication.";
        hold: Score = "60",
            "From here a review before the reward.";
        block: Score = "80",
            "From here a refusal.";
    }

    /// Thresholds that differ; those that are absent stay.
    SomeThresholds "`thresholds`" {
        flag: Option<Score> = "" eg "20",
            "From here an alert.";
        challenge: Option<Score> = "" eg "40",
            "From here step-up authentication.";
        hold: Option<Score> = "" eg "60",
            "From here a review before the reward.";
        block: Option<Score> = "" eg "80",
            "From here a refusal.";
    }

    /// What differs for an event type.
    TypePolicy "the policy of a type" {
        thresholds: SomeThresholds = "{}" eg "{hold: 50}",
            "Thresholds that differ.";
    }

    /// What differs for a program.
    ProgramPolicy "the policy of a program" {
        thresholds: SomeThresholds = "{}" eg "{block: 90}",
            "Thresholds that differ.";
        types: BTreeMap<String, TypePolicy> = "{}" eg "{redemption.requested: {thresholds: {hold: 50}}}",
            "And for some event types of this program.";
    }

    /// How matches are gathered into alerts.
    Alerts "`alerts`" {
        quiet: Millis = "24h",
            "After so long without an event an alert closes; the next one opens another. Event time, longer than zero.";
        interval: Millis = "1h",
            "An alert that grew is told of at least once in so much event time; sooner when its count has doubled or it is worse.";
        max_open: Whole<1, 1000000> = "10000",
            "Most alerts that are open at once, about 1 KiB each. Past it the one that has been quiet for the longest closes as `displaced`.";
        max_per_rule: Whole<1, 1000000> = "1000",
            "Most of them that one rule has in one program; programs without an entry count as one. Past it one more stands for the rest: `gathered`.";
    }

    /// A loyalty or referral program.
    Program "a program" {
        region: String = "SA",
            "Region of telephone numbers without a country code, ISO 3166-1 alpha-2.";
        timezone: String = "Asia/Riyadh",
            "Time zone of its calendar days, a name of the IANA database.";
        base_currency: String = "SAR",
            "Currency of `event.amount_base`, ISO 4217.";
        rates: BTreeMap<String, f64> = "{PTS: 0.01}" eg "{PTS: 0.01, USD: 3.75}",
            "What one unit of another currency is worth in the base currency; points are `PTS`.";
        attributes: BTreeMap<String, AttributeType> = "{}" eg "{store_tier: string}",
            "The fields of `event.attributes` that rules can read, with their types. A name has one type in all programs.";
        observe_only: bool = "false",
            "Judge and never stop: every verdict is `allow`, the real one stands in `would_be`, and decisions are told to nobody.";
        sandbox: bool = "false",
            "A program to test a paying service with: an event whose `attributes.refguard_test` is a verdict gets that one, whatever the rules say: docs/integrate-payer.md. Never a program that pays.";
        quota: Quota = "{}" eg "{events_per_second: 2000, keys: 5000000}",
            "How much it may take, so that it does not fill the memory of others.";
    }

    /// How much programs without an entry may take.
    Quotas "`quota`" {
        unconfigured: Quota = "{}" eg "{events_per_second: 500, bytes: 256MiB}",
            "Of all of them together, since a producer writes the name. Its `bytes`, where absent, are an eighth of `state.max_bytes`.";
    }

    /// How much a program may take. What is absent is not bounded.
    Quota "a quota" {
        events_per_second: Option<Whole<1, 1000000>> = "" eg "2000",
            "Events a second of event time. One too many is judged, marked `over_quota` and counted nowhere.";
        burst: Option<Whole<1, 1000000000>> = "" eg "120000",
            "How many events may come at once, as they do when partitions are read one after the other. Absent: as many as in a minute.";
        keys: Option<Whole<1, 4000000000>> = "" eg "5000000",
            "Keys over all its features and facts about accounts. A new one past it is refused, and reads as not exact.";
        bytes: Option<Bytes> = "" eg "512MiB",
            "Bytes of these keys and their windows. What would take more is refused, and reads as not exact.";
    }

    /// Databases and lists that tell more of an address.
    Signals "`signals`" {
        country_db: Option<PathBuf> = "" eg "data/GeoLite2-Country.mmdb",
            "MaxMind DB with countries, for `ip.country`.";
        asn_db: Option<PathBuf> = "" eg "data/GeoLite2-ASN.mmdb",
            "MaxMind DB with autonomous systems, for `ip.asn` and `ip.as_name`.";
        disposable: Option<PathBuf> = "" eg "rules/lists/disposable-domains.txt",
            "List of domains that give out throw-away mailboxes, for `email.disposable`.";
        carrier: Option<PathBuf> = "" eg "data/carriers.txt",
            "List of mobile carriers' networks, for `ip.carrier`.";
        tor: Option<PathBuf> = "" eg "data/tor.txt",
            "List of Tor exits, for `ip.tor`.";
        vpn: Option<PathBuf> = "" eg "data/vpn.txt",
            "List of VPN exits, for `ip.vpn`.";
        relay: Option<PathBuf> = "" eg "data/relays.txt",
            "List of privacy relays' exits, for `ip.relay`.";
        datacenter: Option<PathBuf> = "" eg "data/datacenters.txt",
            "List of data centres' networks, for `ip.datacenter`.";
        cache: Cache = "{}",
            "How many raw values are remembered with what was derived from them.";
    }

    /// How many raw values are remembered with what was derived from them; 0 remembers none.
    Cache "`cache`" {
        phones: CacheSize = "65536",
            "Telephone numbers; 80 bytes each.";
        user_agents: CacheSize = "8192",
            "User agents; 600 bytes each.";
        addresses: CacheSize = "65536",
            "Network addresses, where a database is configured; 80 bytes each.";
    }

    /// How the log of decisions is told.
    Decisions "`decisions`" {
        heartbeat: Millis = "10s",
            "How often it is said what stands, with count and checksum, in the topic or file and in streams; `0s`: never in the topic or file, and every 10 s in streams.";
        held: Bytes = "64MiB",
            "How much of the newest changes is held, for streams that go on where they were: who lacks more begins with what stands.";
        subscribers: Whole<0, 65536> = "512",
            "How many streams of decisions there may be at once. Each takes one of `http.max_connections`.";
        redis: Option<DecisionsRedis> = "" eg "{urls: [\"redis://localhost:6379\"]}",
            "A Redis or Valkey that has a record for each subject under a decision, for services that look it up there. Absent: none.";
    }

    /// Where decisions are looked up.
    DecisionsRedis "`redis`" {
        urls: Vec<String> = "[\"redis://localhost:6379\"]",
            "A server, or some nodes of a cluster: `redis://host:port`, or `rediss://host:port` with TLS.";
        user: Option<String> = "" eg "refguard",
            "The ACL user; absent: the default user.";
        password: Option<String> = "" eg "a-long-random-word",
            "Its password, better set by the variable `REFGUARD_DECISIONS__REDIS__PASSWORD` than in the file.";
        password_file: Option<PathBuf> = "" eg "secrets/redis.password",
            "Or a file that holds it, on one line.";
        authorities: Option<PathBuf> = "" eg "/etc/refguard/redis-ca.pem",
            "Certificates (PEM) of the authorities that are trusted with `rediss`; absent: those of the system.";
        certificate: Option<PathBuf> = "" eg "/etc/refguard/redis.pem",
            "A certificate (PEM) of refguard's own, where the servers ask for one.";
        certificate_key: Option<PathBuf> = "" eg "/etc/refguard/redis.key",
            "Its key (PEM).";
        prefix: String = "refguard",
            "What every key begins with, before `:decision:`.";
        patience: Millis = "5s",
            "How long an answer may take before the servers count as away.";
    }

    /// How events are batched.
    Engine "`engine`" {
        batch_events: Whole<1, 65536> = "1024",
            "Most events that are judged together. Verdicts do not depend on it.";
        queue_batches: Whole<1, 1024> = "4",
            "Most batches of a source that are under way at once, being read, judged and written: the bound of memory in flight.";
        commit_interval: Millis = "100ms",
            "How often verdicts and the places of their events are committed, in one transaction where both are in one Kafka cluster. A verdict is seen at most so much later.";
    }

    /// Tokens of the API and the audit trail.
    Records "`records`" {
        url: String = "sqlite:data/refguard.db",
            "Database: `sqlite:` and a path, or `postgres://USER:PASSWORD@HOST/DATABASE` where several instances share it. Used where the API is served.";
    }

    /// Prometheus metrics and probes.
    Metrics "`metrics`" {
        listen: Address = "127.0.0.1:9464",
            "Where `/metrics`, `/livez` and `/readyz` are served; port 0 takes a free one.";
    }

    /// What the daemon says of itself.
    Log "`log`" {
        level: LogLevel = "info",
            "From which weight on.";
        format: LogFormat = "auto",
            "Text for people, JSON for machines; `auto`: text on a terminal.";
    }

    /// Step-up authentication.
    Mfa "`mfa`" {
        key_file: PathBuf = "secrets/mfa.key",
            "Key that secrets are encrypted with at rest.";
        issuer: String = "refguard",
            "Name that authenticator apps show.";
    }
}

impl From<&DecisionsRedis> for Redis {
    fn from(of: &DecisionsRedis) -> Redis {
        let DecisionsRedis {
            urls,
            user,
            password,
            password_file,
            authorities,
            certificate,
            certificate_key,
            prefix,
            patience,
        } = of.clone();
        Redis {
            urls,
            user,
            password,
            password_file,
            authorities,
            certificate,
            certificate_key,
            prefix,
            patience,
            ..Redis::default()
        }
    }
}

impl From<AttributeType> for crate::event::AttributeType {
    fn from(of: AttributeType) -> crate::event::AttributeType {
        match of {
            AttributeType::Text => crate::event::AttributeType::Text,
            AttributeType::Int => crate::event::AttributeType::Int,
            AttributeType::Double => crate::event::AttributeType::Double,
            AttributeType::Bool => crate::event::AttributeType::Bool,
            AttributeType::Timestamp => crate::event::AttributeType::Timestamp,
        }
    }
}

impl FourEyes {
    /// What the actions begin with that it is about.
    pub fn word(self) -> &'static str {
        match self {
            FourEyes::Override => "override",
            FourEyes::Hold => "hold",
            FourEyes::List => "list",
        }
    }
}

/// A summed score.
pub type Score = Whole<0, 1000000>;

/// How many values a cache keeps.
pub type CacheSize = Whole<0, 16777216>;

words! {
    /// Where state is kept.
    Backend {
        /// In this process.
        Embedded = "embedded",
        /// Shared in Redis.
        Redis = "redis",
    }

    /// What is answered while state cannot be read.
    OnStateUnavailable {
        /// Allow, marked degraded.
        FailOpen = "fail_open",
        /// Hold.
        FailClosed = "fail_closed",
    }

    /// What takes a second person.
    FourEyes {
        /// Overrides.
        Override = "override",
        /// Ends of holds.
        Hold = "hold",
        /// Entries of managed lists.
        List = "list",
    }

    /// Type of an attribute.
    AttributeType {
        /// Text.
        Text = "string",
        /// A whole number.
        Int = "int",
        /// A number.
        Double = "double",
        /// True or false.
        Bool = "bool",
        /// An instant, RFC 3339.
        Timestamp = "timestamp",
    }

    /// Weight of a log line.
    LogLevel {
        /// What failed.
        Error = "error",
        /// What may fail soon.
        Warn = "warn",
        /// What changed.
        Info = "info",
        /// What was done.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }

    /// How log lines are written.
    LogFormat {
        /// Text on a terminal, else JSON.
        Auto = "auto",
        /// Text.
        Text = "text",
        /// JSON, one object a line.
        Json = "json",
    }
}
