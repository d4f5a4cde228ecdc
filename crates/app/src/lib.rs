//! Use cases: everything that takes more than one store call, and every write transaction.
//!
//! Floor 3. Knows no HTTP and no SQL. [`App`] is what handlers hold: store, configuration, clock, settings and identity.
//! One module for each entity, under the name it has everywhere.

mod app;
pub mod audit;
pub mod client;
pub mod consent;
pub mod data_source;
pub mod fhir_aux_resource;
pub mod fhir_source;
pub mod housekeeping;
pub mod identity;
pub mod ingest;
pub mod mail;
pub mod observation;
pub mod operator;
pub mod organization;
pub mod patient;
pub mod practitioner;
pub mod practitioner_client;
pub mod schemas;
pub mod seed;
pub mod setting;
pub mod settings;
pub mod study;
pub mod user;
pub mod wearable;

pub use app::App;
