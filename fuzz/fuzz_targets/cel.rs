//! Any text as a condition.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| refguard::ruleset::cel::fuzz::fuzz_compile(text));
