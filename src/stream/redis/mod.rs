//! State in Redis or Valkey, alone or as a cluster, that several engines share.
//!
//! The engine says which records a chunk of events needs and what has become of them (`engine::SharedChunk`); this fetches and
//! writes them. Records of one program are spread over virtual shards, each with a hash tag of its own, `{program/shard}`, so
//! that a shard lies on one node and is written by one atomic call: a script compares what every record began with when it
//! was read, and writes all of the shard's records or none. A chunk is one round trip a question, for all shards and nodes at
//! once. It imports `engine`, `event` and the `redis` client, never the configuration. It reads no clock: waiting is bounded by
//! durations.
//!
//! Invariants: a record is only written over the one that was read; verdicts are written when everything else of their chunk
//! is; nothing is told that rests on what fewer replicas have than are asked for; whoever is away is waited for with what was read given up, so memory stays bounded. Tests with real servers, alone and
//! as a cluster: `tests/redis_eval.rs`, `tests/redis_run.rs`.

mod agree;
mod clock;
mod error;
mod judge;
mod measure;
mod mirror;
mod names;
mod nodes;
mod script;
mod store;
mod sweep;
mod wire;

pub use error::RedisError;
pub use judge::{SharedCounts, SharedState};
pub use measure::{Held, Recording, Usage};
pub use mirror::{Mirror, MirrorOptions};

use std::time::Duration;

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The certificates, ours first.
    pub chain: Vec<u8>,
    /// The key of ours.
    pub key: Vec<u8>,
}

/// How connections are encrypted.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// The authorities that are trusted, PEM; `None`: those of the system.
    pub authorities: Option<Vec<u8>>,
    /// Who we say we are, where the server asks.
    pub client: Option<ClientCertificate>,
}

/// Where the state is, and how it is reached.
#[derive(Clone)]
pub struct RedisOptions {
    /// `host:port` of one or more nodes; of a cluster, any of them.
    pub nodes: Vec<(String, u16)>,
    /// The user; `None`: the server's default user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// How connections are encrypted; `None`: they are not.
    pub tls: Option<TlsOptions>,
    /// What every key begins with: two states with different prefixes know nothing of each other.
    pub prefix: String,
    /// Into how many shards the state of a program is cut, from 1 on.
    pub shards: u16,
    /// How many replicas of a node must have what was written before anything is told that rests on it.
    pub replicas: u16,
    /// How long an answer may take before the node counts as away.
    pub patience: Duration,
    /// How much longer than event time asks for, by the clock, a record is kept.
    pub spare_ms: i64,
    /// Takes what is there away at the end: the state is of one run alone.
    pub temporary: bool,
}

impl std::fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisOptions").field("nodes", &self.nodes).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
