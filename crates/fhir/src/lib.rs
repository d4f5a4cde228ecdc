//! FHIR R5 shapes, structural validation, search parameters and mapping, without I/O.
