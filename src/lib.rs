//! refguard: verdicts on the events of loyalty and referral programs, before a reward is paid.

pub mod event;
pub mod ruleset;
pub mod stream;
