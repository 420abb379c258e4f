//! The roof: configuration, wiring, reload, shutdown, health and the commands.

pub mod config;
