//! What can go wrong between refguard and the outside, grouped by whose fault it is.
//!
//! Faults of a sender are no errors: they are dead letters ([`Refused`](super::Refused)). Invariant: a message is lower
//! case, says what was being done to what, and never contains a payload or a secret.

use std::io;
use std::path::{Path, PathBuf};

/// Who can put it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Who configured or started refguard: a wrong path, topic or setting.
    Operator,
    /// A service, disk or network that refguard depends on.
    Dependency,
    /// Nobody: whoever read our output has seen enough, such as `head`.
    Nobody,
}

/// An error of a source or a sink.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// A file cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file, as it was named.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A compressed file is damaged, cut short, or not what its name says.
    #[error("{name} does not decompress: {source}")]
    Damaged {
        /// The file, as it was named.
        name: String,
        /// What the decompressor says.
        source: io::Error,
    },
    /// Reading failed.
    #[error("cannot read {name}: {source}")]
    Read {
        /// The file, or `standard input`.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// Writing failed: a full disk, a quota, a lost mount.
    #[error("cannot write to {name}: {source}")]
    Write {
        /// The file, or `standard output`.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The reader of our output has closed it. An ordinary end, not a failure.
    #[error("the reader of {name} has closed it")]
    ReaderGone {
        /// The file, or `standard output`.
        name: String,
    },
    /// The Kafka client refuses its settings.
    #[error("the Kafka client does not accept its settings: {detail}")]
    KafkaSettings {
        /// The setting and why.
        detail: String,
    },
    /// A topic is not there.
    #[error("Kafka has no topic {topic}")]
    UnknownTopic {
        /// The topic's name.
        topic: String,
    },
    /// The cluster does not let us do it.
    #[error("Kafka does not allow it: {doing}: {detail}")]
    Denied {
        /// What was tried, such as `to read topic events`.
        doing: String,
        /// The cluster's answer.
        detail: String,
    },
    /// A record is larger than the topic takes.
    #[error("topic {topic} does not take a record of {length_bytes} bytes")]
    TooLarge {
        /// The topic's name.
        topic: String,
        /// The record's length.
        length_bytes: usize,
    },
    /// No broker answers, at a start. Later on, refguard waits for one instead.
    #[error("no Kafka broker answers at {brokers}: {detail}")]
    Unreachable {
        /// The bootstrap addresses.
        brokers: String,
        /// The client's last word.
        detail: String,
    },
    /// A broker answers, and does not take us for who we say we are, or we do not trust it.
    #[error("Kafka at {brokers} and refguard do not trust each other: {detail}")]
    Refused {
        /// The bootstrap addresses.
        brokers: String,
        /// The client's word.
        detail: String,
    },
    /// Somebody else is in the group.
    #[error("group {group} has another member, {member}: state is whole only where one process sees every event")]
    SecondOwner {
        /// The group.
        group: String,
        /// The member, as the broker calls it.
        member: String,
    },
    /// Another process goes on with this state.
    #[error("another refguard has taken over: {detail}")]
    Fenced {
        /// What the client says.
        detail: String,
    },
    /// What was judged cannot be judged again as it was.
    #[error("cannot go on where the last run ended: {detail}")]
    Recovery {
        /// What is missing or different.
        detail: String,
        /// The next step.
        hint: &'static str,
    },
    /// Nobody answers where the state is, at a start or an end. In between, refguard waits instead.
    #[error("Redis, where the state is, does not answer: {detail}")]
    RedisAway {
        /// What the client says.
        detail: String,
    },
    /// The state cannot be where it is configured to be.
    #[error("Redis cannot keep the state: {detail}")]
    RedisRefused {
        /// What is wrong.
        detail: String,
        /// The next step.
        hint: String,
    },
    /// The client gave up for good: what it was doing cannot be repeated without a restart.
    #[error("the Kafka client cannot go on: {doing}: {detail}")]
    Kafka {
        /// What it was doing.
        doing: String,
        /// What it says.
        detail: String,
    },
}

impl StreamError {
    /// Who can put it right.
    pub fn fault(&self) -> Fault {
        use StreamError::*;
        match self {
            Open { .. }
            | Damaged { .. }
            | KafkaSettings { .. }
            | SecondOwner { .. }
            | Fenced { .. }
            | Recovery { .. }
            | RedisRefused { .. }
            | UnknownTopic { .. }
            | Denied { .. }
            | Refused { .. }
            | TooLarge { .. } => Fault::Operator,
            Read { .. } | Write { .. } | Unreachable { .. } | RedisAway { .. } | Kafka { .. } => Fault::Dependency,
            ReaderGone { .. } => Fault::Nobody,
        }
    }

    /// Whether the same may succeed later without anybody changing anything here. Waiting inside a connection is not
    /// meant: the clients do that by themselves.
    pub fn retry_helps(&self) -> bool {
        matches!(self, StreamError::Unreachable { .. } | StreamError::RedisAway { .. } | StreamError::Kafka { .. })
    }

    /// The next step, for the line `hint:` below the error.
    pub fn hint(&self) -> Option<String> {
        use StreamError::*;
        match self {
            Open { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("check the path; a relative one counts from the directory refguard was started in".to_owned())
            }
            Open { source, .. } if source.kind() == io::ErrorKind::IsADirectory => Some("name a file in it".to_owned()),
            Open { .. } => Some("check that the user refguard runs as may do this".to_owned()),
            Damaged { .. } => Some("check the file with `gzip -t` or `zstd -t`, and copy it again".to_owned()),
            Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free space on the disk; what was written so far is whole lines up to the last flush".to_owned())
            }
            KafkaSettings { .. } => Some("see CONFIGURATION.md of librdkafka for names and ranges".to_owned()),
            UnknownTopic { topic } => {
                Some(format!("create it, such as with `kafka-topics.sh --create --topic {topic}`"))
            }
            Denied { .. } => Some("give refguard's user the right by an ACL".to_owned()),
            Refused { .. } => Some(
                "check `properties` of the source and the sinks: security.protocol, sasl.*, ssl.*; docs/operate.md has examples"
                    .to_owned(),
            ),
            TooLarge { .. } => Some("raise `max.message.bytes` of the topic".to_owned()),
            Unreachable { .. } => {
                Some("check that the brokers run and that their advertised listeners can be reached".to_owned())
            }
            SecondOwner { .. } => Some(
                "stop it, or name another `group`; a member that was killed is forgotten after `session.timeout.ms`"
                    .to_owned(),
            ),
            Fenced { .. } => Some(
                "run one refguard for a group, with one folder in `state.path`; if there is no other, the cluster was away for \
                 longer than `transaction.timeout.ms`: start it again"
                    .to_owned(),
            ),
            Recovery { hint, .. } => Some((*hint).to_owned()),
            RedisRefused { hint, .. } => Some(hint.clone()),
            RedisAway { .. } => Some("check that the nodes in `state.redis.urls` run and can be reached".to_owned()),
            Kafka { .. } => Some("restart refguard: it goes on from the last committed place".to_owned()),
            Read { .. } | Write { .. } | ReaderGone { .. } => None,
        }
    }

    /// The error of a failed write.
    pub(super) fn write(name: &str, source: io::Error) -> StreamError {
        match source.kind() {
            io::ErrorKind::BrokenPipe => StreamError::ReaderGone { name: name.to_owned() },
            _ => StreamError::Write { name: name.to_owned(), source },
        }
    }

    /// The error of a file that does not open.
    pub fn open(path: &Path, source: io::Error) -> StreamError {
        StreamError::Open { path: path.to_owned(), source }
    }
}
