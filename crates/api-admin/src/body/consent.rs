//! Bodies about consents.

use utoipa::ToSchema;

/// A patient's answers to what studies ask for. All are written, or none.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "studyScopeConsents": [{
        "studyId": 30001,
        "scopeConsents": [{
            "codingSystem": "https://w3id.org/openmhealth",
            "codingCode": "omh:heart-rate:2.0",
            "consented": true
        }]
    }]
}))]
pub(crate) struct ConsentAnswers {
    /// The answers, study by study.
    study_scope_consents: Vec<StudyAnswers>,
}

/// The answers to one study.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct StudyAnswers {
    /// A study in which the patient is enrolled.
    study_id: i64,
    /// The answers, data type by data type.
    scope_consents: Vec<DataTypeAnswer>,
}

/// The answer about one data type, which the study asks for.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct DataTypeAnswer {
    /// The system of the code of the data type.
    coding_system: String,
    /// The code of the data type.
    coding_code: String,
    /// `true` shares readings of this type with the study, `false` does not, or not any more.
    consented: bool,
}

/// Answers that a patient takes back: the study waits for them again, and reads nothing in the meantime.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "studyScopeConsents": [{
        "studyId": 30001,
        "scopeConsents": [{
            "codingSystem": "https://w3id.org/openmhealth",
            "codingCode": "omh:heart-rate:2.0"
        }]
    }]
}))]
pub(crate) struct ConsentRemovals {
    /// The answers, study by study.
    study_scope_consents: Vec<StudyRemovals>,
}

/// The answers to one study that are taken back.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct StudyRemovals {
    /// A study in which the patient is enrolled.
    study_id: i64,
    /// The data types whose answers are taken back.
    scope_consents: Vec<DataTypeCode>,
}

/// A data type by its code.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct DataTypeCode {
    /// The system of the code.
    coding_system: String,
    /// The code.
    coding_code: String,
}
