//! Bodies about API keys of practitioners.

use utoipa::ToSchema;

/// An API key to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"label": "Notebook on the lab's server"}))]
pub(crate) struct NewPractitionerClient {
    /// What it is for, in the caller's words; empty when absent.
    label: Option<String>,
}

/// A new label of an API key.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"label": "Notebook of the sleep study"}))]
pub(crate) struct PractitionerClientChange {
    /// What it is for, in the caller's words; may be empty. Absent, nothing changes.
    #[schema(nullable = false)]
    label: Option<String>,
}
