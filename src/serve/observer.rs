//! What the API tells of itself, for whoever counts it.

use std::time::Duration;

use super::limits::Limited;

/// Counts what happens; called from many threads, and must not wait.
pub trait Observer: Send + Sync {
    /// A call of this route was answered with this status. The route is one of the API's, or `other`.
    fn answered(&self, route: &'static str, status: u16);

    /// Verdicts were asked for, and came after so long.
    fn evaluated(&self, took: Duration);

    /// A gateway was answered after so long.
    fn authorized(&self, took: Duration);

    /// Verdicts were given without state, since this service is away.
    fn degraded(&self, cause: &str, verdicts: usize);

    /// Whether the records answer.
    fn records_reached(&self, is_up: bool);

    /// So many streams of this name are open now.
    fn subscribers(&self, stream: &'static str, count: usize);

    /// A limit was reached.
    fn limited(&self, limited: Limited);
}
