//! Every query of the Exchange, behind proofs. The only crate that names sqlx.
//!
//! Floor 2. A [`Store`] opens units of work: [`Store::read`] for reading, [`Store::begin`] for writing. A [`Work`] hands
//! out one accessor for each entity (`work.patients()`), whose functions take the proof of `jhe-authz` that covers the
//! rows they touch. Rows become visible through the predicate views of `migrations/`, inside the query; [`scope`] is
//! the only place where a reach becomes SQL. Start reading there.

pub mod audit;
mod bearer;
pub mod client;
pub mod consent;
pub mod credential;
pub mod data_source;
mod fault;
pub mod fhir_aux_resource;
pub mod fhir_source;
pub mod filter;
pub mod gather;
mod housekeeping;
pub mod invitation;
pub mod keyset;
mod lock;
pub mod mail;
pub mod maintenance;
mod moment;
pub mod observation;
pub mod operator;
pub mod organization;
pub mod patient;
pub mod pool;
mod port;
pub mod practitioner;
pub mod practitioner_client;
pub mod record;
mod replica;
mod request;
pub mod scope;
pub mod seed;
pub mod setting;
pub mod study;
pub mod user;
pub mod wearable;
mod work;

pub use audit::AuditWriter;
pub use moment::Moment;
pub use pool::PoolState;
pub use request::{Answers, RequestFacts, Trail, announce};
pub use work::{DatabaseOptions, Sender, Store, Work};
