//! What several test programs share: real services to test against.

#![allow(dead_code, reason = "each test program compiles this for itself and uses a part of it")]

pub(crate) mod kafka;
pub(crate) mod kcat;
pub(crate) mod program;
