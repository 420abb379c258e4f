//! What several test programs share: real services to test against.

// Every test program compiles this for itself and uses a part of it.
#![expect(clippy::allow_attributes, reason = "`expect` would fail in the program that uses all of it")]
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod kafka;
pub(crate) mod kcat;
