//! Observable behaviour over a real socket: a whole server on a database of its own for each test.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail loudly")]
#![expect(
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    reason = "helpers of tests read better at their calls"
)]

mod admin;
mod documented_bodies;
mod fhir;
mod gate;
mod matrix;
mod oauth;
mod operations;
mod privacy;
mod server;
mod statements;
