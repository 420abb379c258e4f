//! Any mapping, applied to any foreign event.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| refguard::event::fuzz_mapping(bytes));
