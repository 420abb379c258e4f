//! Time as it passes in a history: by steps, for the thread that runs it.

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// 2026-05-01T00:00:00Z: when made-up events begin.
const START_MS: i64 = 1_777_593_600_000;

thread_local! {
    static PASSED_MS: Cell<u64> = const { Cell::new(0) };
}

/// Begins anew.
pub(crate) fn begin() {
    PASSED_MS.set(0);
}

/// Lets so much time pass.
pub(crate) fn pass(ms: u64) {
    PASSED_MS.set(PASSED_MS.get() + ms);
}

/// How much has passed.
pub(crate) fn passed_ms() -> u64 {
    PASSED_MS.get()
}

/// Milliseconds since the Unix epoch.
pub(crate) fn wall_clock_ms() -> i64 {
    START_MS + PASSED_MS.get() as i64
}

/// For what is due.
#[expect(clippy::disallowed_methods, reason = "any instant will do to count from")]
pub(crate) fn monotonic() -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_millis(PASSED_MS.get())
}
