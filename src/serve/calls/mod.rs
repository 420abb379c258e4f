//! The calls of the API, a file for each thing that is asked for. Each describes itself where it is answered.

pub(super) mod accounts;
mod asked;
pub(super) mod audit;
pub(super) mod constant;
pub(super) mod decisions;
pub(super) mod evaluate;
pub(super) mod explain;
pub(super) mod holds;
pub(super) mod ingest;
pub(super) mod lift;
pub(super) mod lists;
pub(super) mod overrides;
mod paging;
pub(super) mod requests;
pub(super) mod rules;
pub(super) mod stream;
pub(super) mod tokens;
pub(super) mod verdicts;
