//! Copies of checkpoints in an object store: what is left of a state when its disk is not.
//!
//! A copy is an object with the bytes of a checkpoint; its name says when it was made, of which line of the journal, and where its
//! inputs end ([`CopyName`]). A thread of its own writes them beside the judging ([`Copier`]); whoever restores one reads every
//! byte of it before it gets a name in the folder ([`Store::fetch`]). Knows `object_store`, and nothing of what is in a
//! segment. Invariants: an object under a copy's name is whole; a checkpoint whose checksums are not right is never copied;
//! a store that is away holds nothing up. Tested in `tests/copies.rs`.

mod copier;
mod error;
mod name;
mod store;

pub use copier::{Copied, Copier, CopyOptions, Due};
pub use error::CopyError;
pub use name::CopyName;
pub use store::{Store, StoreOptions};
