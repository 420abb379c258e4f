//! Remembers what was derived from raw values.

/// How often the caches were asked and how often they knew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Telephone numbers: remembered, and worked out.
    pub phones: (u64, u64),
    /// User agents: remembered, and worked out.
    pub user_agents: (u64, u64),
    /// Network addresses: remembered, and looked up.
    pub addresses: (u64, u64),
}
