//! Bodies about observations.

use utoipa::ToSchema;

/// What an observation can be marked as.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum SettableObservationStatus {
    Final,
    EnteredInError,
}

/// A correction of an observation.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "status": "entered-in-error",
    "reason": "The device belonged to somebody else."
}))]
pub(crate) struct ObservationCorrection {
    /// What it is from now on. Absent, nothing changes.
    #[schema(nullable = false)]
    status: Option<SettableObservationStatus>,
    /// Why, for the audit trail; not blank.
    reason: Option<String>,
}

/// The removal of an observation.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"reason": "Uploaded by mistake."}))]
pub(crate) struct ObservationRemoval {
    /// Why, for the audit trail. It must be here or in the address.
    reason: Option<String>,
}
