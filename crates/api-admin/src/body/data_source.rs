//! Bodies about data sources and data types.

use utoipa::ToSchema;

/// What a data source is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum DataSourceType {
    MedicalDevice,
    PersonalDevice,
    PatientApp,
}

/// A data source to make, or what one becomes.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"name": "Garmin", "type": "personal_device"}))]
pub(crate) struct NewDataSource {
    /// Its name for people; not blank.
    name: String,
    /// What it is. Absent, a new one is a `personal_device`, and one there is stays what it is.
    #[schema(nullable = false)]
    r#type: Option<DataSourceType>,
}

/// What to change of a data source; what is absent stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"name": "CareX", "type": "personal_device"}))]
pub(crate) struct DataSourceChange {
    /// Its name for people; not blank.
    #[schema(nullable = false)]
    name: Option<String>,
    /// What it is.
    #[schema(nullable = false)]
    r#type: Option<DataSourceType>,
}

/// A data source.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"dataSourceId": 70003}))]
pub(crate) struct DataSourceChoice {
    /// The `id` of a data source.
    data_source_id: i64,
}

/// A data type.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"scopeCodeId": 50001}))]
pub(crate) struct ScopeCodeChoice {
    /// The `id` of a data type, as `GET /api/v1/data_sources/all_scopes` lists it.
    scope_code_id: i64,
}
