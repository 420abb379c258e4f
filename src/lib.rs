//! refguard: verdicts on the events of loyalty and referral programs, before a reward is paid.
//!
//! The map, in reading order; each floor knows only those below it (ARCHITECTURE.md).
//!
//! - [`event`]: one fact, its fields, how it is read from bytes, why it may be refused;
//! - [`lists`]: sets of texts, domains, networks and dates;
//! - [`signals`]: what follows from one event alone;
//! - [`ruleset`]: rule files, checked and compiled;
//! - [`state`]: what is remembered over event time;
//! - [`engine`]: the machine that turns events into verdicts;
//! - [`alerts`]: many matches of one rule, told as one;
//! - [`stream`]: files and Kafka, and the threads around the engine;
//! - [`records`]: tokens and the audit trail, in SQL;
//! - [`serve`]: the API over HTTP, and gRPC for gateways;
//! - [`lab`]: tools around the same engine;
//! - [`daemon`]: configuration, wiring, metrics and the commands.

pub mod alerts;
pub mod daemon;
pub mod engine;
pub mod event;
pub mod lab;
pub mod lists;
pub mod records;
pub mod ruleset;
pub mod serve;
pub mod signals;
pub mod state;
pub mod stream;
