//! The figures of a measurement, as tables for people and as JSON for programs.

mod json;
mod table;

pub use json::render_json;
pub use table::render_table;

use super::{
    AggregateCosts, AttackReport, CheckpointCosts, Conditions, Growth, PathReport, RedisReport, Shape, StepsReport,
    WorkloadReport,
};

/// What was measured; a part that was not is empty.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The engine's steps, by size of the population.
    pub steps: Vec<StepsReport>,
    /// Conditions, compiled and interpreted.
    pub conditions: Option<Conditions>,
    /// From a file to a file.
    pub file: Option<PathReport>,
    /// The comparison workload.
    pub workload: Option<WorkloadReport>,
    /// From topic to topic.
    pub kafka: Option<PathReport>,
    /// The comparison workload over Redis.
    pub redis: Option<RedisReport>,
    /// Tables that grow.
    pub growth: Option<Growth>,
    /// What each aggregate costs.
    pub aggregates: Option<AggregateCosts>,
    /// Linked accounts, by shape.
    pub links: Option<Vec<Shape>>,
    /// An attack on the memory.
    pub attack: Option<AttackReport>,
    /// Checkpoints.
    pub checkpoint: Option<CheckpointCosts>,
}
