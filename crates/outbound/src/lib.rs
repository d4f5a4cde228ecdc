//! Every outgoing connection but the database's: mail, and the keys of other issuers.
//!
//! Floor 2. Carries out what was decided above: whom to write, whom to trust.

mod address;
pub mod issuer;
pub mod mail;
