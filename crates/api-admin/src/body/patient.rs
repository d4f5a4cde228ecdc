//! Bodies about patients.

use utoipa::ToSchema;

/// An identifier of a patient in another system.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct NewIdentifier {
    /// The system that gave it, as a URI. A pair without a system or a value is left out.
    system: String,
    /// The identifier. No other patient has the same pair.
    value: String,
}

/// A patient to make. With it an account is made, unless there is one with the address that is no patient's yet.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "organizationId": 20003,
    "telecomEmail": "ada.patient@example.org",
    "nameFamily": "Patient",
    "nameGiven": "Ada",
    "birthDate": "1990-12-10",
    "telecomPhone": "+1-555-0100",
    "identifiers": [{"system": "https://ehr.example.org/mrn", "value": "MRN-0815"}]
}))]
pub(crate) struct NewPatient {
    /// The `id` of the organization it belongs to.
    organization_id: i64,
    /// The e-mail address it signs in with, which no other patient has.
    telecom_email: String,
    /// Family name; not blank.
    name_family: Option<String>,
    /// Given name; not blank.
    name_given: Option<String>,
    /// `YYYY-MM-DD`.
    #[schema(format = Date)]
    birth_date: Option<String>,
    /// Phone number, in any form; not blank.
    telecom_phone: Option<String>,
    /// The identifier that this site gives it: one under the address of the site, besides those of `identifiers`.
    identifier: Option<String>,
    /// Its identifiers in other systems; none when absent.
    #[schema(nullable = false)]
    identifiers: Option<Vec<NewIdentifier>>,
}

/// What to change of a patient; what is absent stays, and null empties what may be empty.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"telecomPhone": "+1-555-0199", "birthDate": "1996-05-20"}))]
pub(crate) struct PatientChange {
    /// The e-mail address it signs in with. Only superusers change it; sent as it is, it is taken from everybody.
    telecom_email: Option<String>,
    /// Family name; not blank.
    name_family: Option<String>,
    /// Given name; not blank.
    name_given: Option<String>,
    /// `YYYY-MM-DD`.
    #[schema(format = Date)]
    birth_date: Option<String>,
    /// Phone number, in any form; not blank.
    telecom_phone: Option<String>,
    /// The identifier that this site gives it.
    identifier: Option<String>,
    /// All its identifiers, that of this site among them: those that are not sent go.
    #[schema(nullable = false)]
    identifiers: Option<Vec<NewIdentifier>>,
}
