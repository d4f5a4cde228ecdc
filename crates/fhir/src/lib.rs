//! FHIR R5 shapes, structural validation, search parameters and mapping, without I/O.
//!
//! What the FHIR API says and understands, as pure functions: no sockets, no database, no clock, no randomness. What
//! depends on the moment or on stored rows is passed in, or left to the caller as separate steps. Deciding who may see
//! what is not done here either.
//!
//! Start with [`structure`] (is this valid FHIR?), [`search`] (what does this query ask for?), [`observation`] (reading and
//! writing the main resource) and [`catalogue`] (every refusal, in one place).

#[cfg(test)]
mod arbitrary;
pub mod audit_event;
pub mod bundle;
pub mod catalogue;
pub mod device;
pub mod discovery;
pub mod group;
pub mod observation;
pub mod organization;
pub mod outcome;
pub mod patient;
pub mod practitioner;
pub mod projection;
pub mod reference_index;
pub mod search;
pub mod structure;
pub mod time;
pub mod types;
mod write;

pub use catalogue::Failure;
pub use outcome::{Issue, IssueCode, OperationOutcome, Severity};
pub use projection::Projection;
pub use types::ResourceType;
