//! The roof: configuration, wiring, reload, shutdown, health and the commands.

pub mod clock;
pub mod config;
pub mod health;
pub mod log;
pub mod metrics;
