//! refguard: verdicts on the events of loyalty and referral programs, before a reward is paid.

pub mod daemon;
pub mod engine;
pub mod event;
pub mod lab;
pub mod lists;
pub mod ruleset;
pub mod signals;
pub mod state;
pub mod stream;
