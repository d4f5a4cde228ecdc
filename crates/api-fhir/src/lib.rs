//! The FHIR R5 API.
