//! Observations of the native store: reading what is sent, writing what is stored.
//!
//! Reading is in steps, because the order of checks interleaves them with database look-ups: [`IncomingObservation`] has one
//! method per step. The document inside the attachment is opaque here; Open mHealth validation is another crate's.

mod attachment;
mod incoming;
mod outgoing;

pub use attachment::decode_attachment;
pub use incoming::{DeviceRef, EffectiveIn, IncomingObservation, SubjectRef, is_native};
pub use outgoing::{EffectiveOut, ObservationOut};

/// RFC 3339 in UTC, as every resource writes it; see [`crate::time::instant`].
pub use crate::time::instant;
