//! Any text as a pack of rules.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| refguard::ruleset::load::fuzz_rules(text));
