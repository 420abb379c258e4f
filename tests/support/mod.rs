//! What several test programs share: real services to test against.

#![allow(dead_code, reason = "each test program compiles this for itself and uses a part of it")]

pub(crate) mod certificates;
pub(crate) mod http;
pub(crate) mod kafka;
pub(crate) mod kcat;
pub(crate) mod moto;
pub(crate) mod postgres;
pub(crate) mod program;
pub(crate) mod redis;
pub(crate) mod tokens;

use std::sync::mpsc::channel;
use std::time::Duration;

/// How often a condition is asked for before a test fails, and the pause between: a minute, on the busiest machine.
const ASKS_MAX: usize = 3000;
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until it is so; false, if it never is.
pub(crate) fn until(mut condition: impl FnMut() -> bool) -> bool {
    let (_open, nothing) = channel::<()>();
    (0..ASKS_MAX).any(|_| condition() || nothing.recv_timeout(PAUSE).is_ok())
}
