//! Bodies about studies and their parts.

use utoipa::ToSchema;

use crate::study::StudyNestedJson;

/// A study to make, or what one becomes.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "name": "Sleep and heart rate",
    "description": "Heart rate of adults while they sleep.",
    "organization": 20003,
    "iconUrl": "https://sleep.example.org/icon.png"
}))]
pub(crate) struct NewStudy {
    /// Its name; not blank.
    name: String,
    /// What it is about, for those who are asked to take part; not blank.
    description: String,
    /// The `id` of the organization it belongs to, for good: a study that is replaced keeps its own.
    organization: i64,
    /// The address of a picture; not blank. Absent, a new study has none, and one there is keeps it; null takes it away.
    icon_url: Option<String>,
}

/// What to change of a study; what is absent stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"description": "Heart rate of adults, awake and asleep."}))]
pub(crate) struct StudyChange {
    /// Its name; not blank.
    #[schema(nullable = false)]
    name: Option<String>,
    /// What it is about, for those who are asked to take part; not blank.
    #[schema(nullable = false)]
    description: Option<String>,
    /// The `id` of the organization it belongs to, which cannot change: another one is refused.
    #[schema(nullable = false)]
    organization: Option<i64>,
    /// The address of a picture; not blank. Null takes it away.
    icon_url: Option<String>,
}

/// Patients.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"patientIds": [40001]}))]
pub(crate) struct PatientChoice {
    /// The `id` of each of them; to be enrolled, they belong to the organization of the study.
    patient_ids: Vec<i64>,
}

/// Enrolments, in the order in which they were asked for.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct EnrolmentsJson {
    study_patients: Vec<EnrolmentJson>,
}

/// A patient in a study.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct EnrolmentJson {
    id: i64,
    study: StudyNestedJson,
    patient: PatientNestedJson,
}

/// A patient inside a link.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct PatientNestedJson {
    id: i64,
    #[schema(required = true)]
    name_family: Option<String>,
    #[schema(required = true)]
    name_given: Option<String>,
    /// `YYYY-MM-DD`.
    #[schema(required = true)]
    birth_date: Option<String>,
    #[schema(required = true)]
    telecom_phone: Option<String>,
    #[schema(format = DateTime)]
    last_updated: String,
    /// The `id` of its account.
    #[schema(required = true)]
    jhe_user: Option<i64>,
    /// Organizations shared with the caller.
    organizations: Vec<i64>,
}
