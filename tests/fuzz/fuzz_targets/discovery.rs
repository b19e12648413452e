//! Searches for an input that `discovery` does not hold for.

#![no_main]

#[path = "../../src/fuzz.rs"]
#[expect(dead_code, reason = "the other targets are programs of their own")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::discovery(data);
});
