//! Observable behaviour over a real socket: a whole server on a database of its own for each test.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail loudly")]

mod admin;
mod fhir;
mod oauth;
mod server;
