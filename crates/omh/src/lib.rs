//! Open mHealth data points: schema validation, effective time and example documents.
//!
//! A data point is a JSON object with a `header` and a `body`. [`validate`] checks both against the JSON schemas of Open
//! mHealth and IEEE 1752, which are compiled into this crate; [`time::effective_time`] reads when the measurement was
//! made; [`examples`] and [`synthetic`] make data points for demonstrations, tests and benchmarks.
//!
//! The crate does no I/O and never fetches a schema: a reference to a document that is not installed is an error. It
//! knows nothing of FHIR resources, statuses or Base64; its callers map an [`OmhViolation`] to their own answers. Reading
//! an operator's schema directory is also the caller's work, which hands over the contents
//! ([`Schemas::with_directory_contents`]).
//!
//! Start reading at [`validate`], then [`Schemas`].

mod code;
pub mod examples;
mod explain;
mod schemas;
pub mod synthetic;
pub mod time;
mod validate;
mod violation;

pub use code::retrieval_url;
pub use schemas::{SchemaError, Schemas};
pub use validate::{MAX_VIOLATIONS, validate};
pub use violation::{HEADER_CODE, OmhViolation, Part, ViolationKind};
