//! Every outgoing connection but the database's: mail, the keys of other issuers, the service of wearables, and traces.
//!
//! Floor 2. Carries out what was decided above: whom to write, whom to trust, what to trace.

mod address;
mod body;
pub mod issuer;
pub mod mail;
pub mod trace;
pub mod wearable;
