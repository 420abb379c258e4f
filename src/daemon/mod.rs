//! The roof: configuration, wiring, reloads of rules, shutdown, health, metrics and the commands.
//!
//! The only floor that reads the clock, the environment and the configuration, that logs and counts. It knows every other
//! and decides nothing about events.

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod environment;
pub mod health;
pub mod history;
pub mod instance;
pub mod key;
pub mod line;
pub mod log;
pub mod metrics;
pub mod mirror;
pub mod progress;
pub mod recovery;
pub mod reference;
pub mod reload;
pub mod schemas;
pub mod shared;
pub mod standby;
pub mod stop;
pub mod wiring;
