//! Black-box tests of conditions: the specification's own cases, the `cel` crate as an oracle, the page docs/cel.md,
//! the words of diagnostics, and hostile text.

#[path = "cel/conformance.rs"]
mod conformance;
#[path = "cel/diagnostics.rs"]
mod diagnostics;
#[path = "cel/differential.rs"]
mod differential;
#[path = "cel/hostile.rs"]
mod hostile;
#[path = "cel/page.rs"]
mod page;
#[path = "cel/random.rs"]
mod random;
