//! Black-box tests of conditions: the specification's own cases, the `cel` crate as an oracle, the page docs/cel.md,
//! and the words of diagnostics.

#[path = "cel/conformance.rs"]
mod conformance;
