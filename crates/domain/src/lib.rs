//! The vocabulary of the Exchange: ids, entities, roles, errors.
//!
//! Floor 0: no I/O, no async runtime, no clock reads, no randomness, and nothing here is serializable, since a
//! serializable type is a promise to somebody outside. Start with [`id`] and [`error`].

pub mod audit;
pub mod client;
pub mod clock;
pub mod consent;
pub mod data_source;
pub mod error;
pub mod fhir_aux_resource;
pub mod fhir_source;
pub mod id;
pub mod invitation;
pub mod observation;
pub mod organization;
pub mod page;
pub mod patient;
pub mod phi;
pub mod practitioner;
pub mod role;
pub mod setting;
pub mod study;
pub mod text;
pub mod user;
pub mod wearable;

pub use error::Error;
pub use id::*;
pub use phi::{Phi, Secret};
