//! Bodies about outside record systems.

use utoipa::ToSchema;

/// An outside record system of the patient who calls. One that the patient has already, by data source and address, gets the new
/// label.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "dataSource": 70006,
    "label": "City Hospital",
    "fhirBaseUrl": "https://ehr.example.org/fhir/r4"
}))]
pub(crate) struct NewFhirSource {
    /// The `id` of the data source through which its records come.
    data_source: i64,
    /// Its name for the patient; empty when absent.
    #[schema(nullable = false)]
    label: Option<String>,
    /// The base address of its FHIR API; empty when absent.
    #[schema(nullable = false)]
    fhir_base_url: Option<String>,
}

/// What to change of an outside record system; what is absent stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"label": "City Hospital, cardiology"}))]
pub(crate) struct FhirSourceChange {
    /// The `id` of the data source through which its records come.
    #[schema(nullable = false)]
    data_source: Option<i64>,
    /// Its name for the patient; may be empty.
    #[schema(nullable = false)]
    label: Option<String>,
    /// The base address of its FHIR API; may be empty.
    #[schema(nullable = false)]
    fhir_base_url: Option<String>,
}
