//! Any bytes as an event, an array of events, or a message in binary mode.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| refguard::event::fuzz_parse(bytes));
