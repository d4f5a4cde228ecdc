//! What requests carry, for the API document: [`crate::fields`] reads them by hand, so that a body may also be a form or in
//! snake_case. At the end of each module stand the answers that are put together by hand.

#![expect(dead_code, reason = "fields are read by hand; these tell the document what they are")]

pub(crate) mod client;
pub(crate) mod consent;
pub(crate) mod data_source;
pub(crate) mod fhir_source;
pub(crate) mod invitation;
pub(crate) mod observation;
pub(crate) mod organization;
pub(crate) mod patient;
pub(crate) mod practitioner;
pub(crate) mod practitioner_client;
pub(crate) mod setting;
pub(crate) mod study;
pub(crate) mod user;
