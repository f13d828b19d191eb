//! Fuzzing on stable Rust: the parsers and the message renderer against random input.
//!
//! Each module generates arbitrary texts and near-misses. A near-miss is a valid input with pieces dropped, doubled,
//! swapped, or replaced by texts that parsers often get wrong. The properties have to hold for all inputs.
//!
//! A run takes a few seconds. To look longer: `PROPTEST_CASES=100000 cargo test -p model --test fuzz`. The seeds of
//! failures go to `model/tests/proptest-regressions`. Make the smallest example a named unit test beside the fixed code.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

mod address_list;
mod cloud_event;
mod grammar;
mod header_list;
mod message;
mod source;
mod url;

use proptest::test_runner::{Config, TestCaseError};

/// The outcome of a property for one input.
type Checked = Result<(), TestCaseError>;

/// Returns the settings for a property: so many cases, unless `PROPTEST_CASES` says otherwise.
fn cases(default: u32) -> Config {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default(),
        None => Config::with_cases(default),
    }
}
