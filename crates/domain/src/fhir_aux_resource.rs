//! Resources that patients bring along from outside record systems (data model §2.23).

use crate::id::{FhirAuxResourceId, PatientId};
use crate::phi::Phi;

/// The source of resources, as far as their references are concerned.
#[derive(Debug, Clone)]
pub struct ReferenceSource {
    /// Whose.
    pub patient_id: PatientId,
    /// Where it is; empty when that is not known.
    pub fhir_base_url: String,
}

/// A resource with references to be looked at.
#[derive(Debug, Clone)]
pub struct PendingReferences {
    /// Row id.
    pub id: FhirAuxResourceId,
    /// Resource type.
    pub resource_type: String,
    /// Whether it was indexed before and a target was missing.
    pub is_indexed: bool,
    /// The members of its body that were asked for, as a JSON object.
    pub members: Phi<String>,
}

/// Some of those of a source.
#[derive(Debug, Clone)]
pub struct PendingBatch {
    /// In the order of their ids.
    pub rows: Vec<PendingReferences>,
    /// Whether there are more behind them.
    pub has_more: bool,
}

/// What a reference names: type and id.
pub type ReferenceTarget = (String, Phi<String>);

/// What a source has for a [`ReferenceTarget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReferenceMatch {
    /// The row of that type and upstream id.
    pub upstream: Option<FhirAuxResourceId>,
    /// Whether a row of the source has that id itself.
    pub is_row_id: bool,
}

/// What to write to a resource.
#[derive(Debug, Clone)]
pub struct IndexedReferences {
    /// Row id.
    pub id: FhirAuxResourceId,
    /// The members that change, as a JSON object.
    pub members: Option<Phi<String>>,
    /// Whether the target of a reference is missing.
    pub is_unresolved: bool,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReferenceCounts {
    /// Resources looked at for the first time since their body was stored.
    pub rows_indexed: u64,
    /// References that point to a row now.
    pub refs_rewritten: u64,
    /// References of those resources whose target is missing.
    pub refs_not_found: u64,
}
