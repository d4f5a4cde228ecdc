//! The wire suites; see `wire/main.rs`.
