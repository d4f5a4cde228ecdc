//! The Admin API, one module for each group of endpoints.

mod audit_entries;
mod audit_events;
mod clients;
mod consents;
mod corners;
mod fhir_references;
mod fhir_sources;
mod held;
mod observations;
mod organizations;
mod paging;
mod patients;
mod practitioner_clients;
mod practitioners;
mod programs;
mod races;
mod settings;
mod studies;
mod transport;
mod users;
mod wearables;
