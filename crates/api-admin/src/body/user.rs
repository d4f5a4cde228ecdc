//! Bodies about accounts.

use serde_json::Value;
use utoipa::ToSchema;

use crate::patient::IdentifierJson;

/// What an account is.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum AccountType {
    Patient,
    Practitioner,
}

/// An account to make. It has no password until its owner has chosen one by mail.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "email": "lin.practitioner@example.org",
    "firstName": "Lin",
    "lastName": "Practitioner",
    "userType": "practitioner"
}))]
pub(crate) struct NewUser {
    /// The e-mail address it signs in with, which no other account has.
    email: String,
    /// Given name; at most 150 characters, may be empty.
    #[schema(nullable = false)]
    first_name: Option<String>,
    /// Family name; at most 150 characters, may be empty.
    #[schema(nullable = false)]
    last_name: Option<String>,
    /// What it is, and which profile it gets with it; null and absent are none.
    user_type: Option<AccountType>,
    /// Whether it administers the site; `false` when absent. Superusers are practitioners, whatever their type says.
    #[schema(nullable = false)]
    is_superuser: Option<bool>,
}

/// What to change of an account; what is absent stays. Who is no superuser changes its own names only.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"firstName": "Mary", "lastName": "Manager"}))]
pub(crate) struct UserChange {
    /// The e-mail address it signs in with, which no other account has.
    #[schema(nullable = false)]
    email: Option<String>,
    /// Given name; at most 150 characters, may be empty.
    #[schema(nullable = false)]
    first_name: Option<String>,
    /// Family name; at most 150 characters, may be empty.
    #[schema(nullable = false)]
    last_name: Option<String>,
    /// What it is, and which profile it gets with it; null is none. Another type ends its sessions and tokens.
    user_type: Option<AccountType>,
    /// Whether it administers the site. To change it ends its sessions and tokens.
    #[schema(nullable = false)]
    is_superuser: Option<bool>,
}

/// What an account becomes; what is absent stays. Who is no superuser changes its own names only, and may leave the address out.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "email": "manager_mary@example.com",
    "firstName": "Mary",
    "lastName": "Manager"
}))]
pub(crate) struct UserReplacement {
    /// The e-mail address it signs in with, which no other account has.
    email: String,
    /// Given name; at most 150 characters, may be empty.
    #[schema(nullable = false)]
    first_name: Option<String>,
    /// Family name; at most 150 characters, may be empty.
    #[schema(nullable = false)]
    last_name: Option<String>,
    /// What it is, and which profile it gets with it; null is none. Another type ends its sessions and tokens.
    user_type: Option<AccountType>,
    /// Whether it administers the site. To change it ends its sessions and tokens.
    #[schema(nullable = false)]
    is_superuser: Option<bool>,
}

/// Who the caller is.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ProfileJson {
    /// The account.
    id: i64,
    /// Absent for patients.
    #[schema(nullable = false)]
    email: Option<String>,
    /// Absent for patients.
    #[schema(nullable = false)]
    first_name: Option<String>,
    /// Absent for patients.
    #[schema(nullable = false)]
    last_name: Option<String>,
    /// Null for those who are none.
    #[schema(required = true)]
    patient: Option<ProfilePatient>,
    /// Null for accounts without one.
    #[schema(required = true)]
    user_type: Option<AccountType>,
    is_superuser: bool,
    /// What the console looked at last; for practitioners.
    #[schema(nullable = false)]
    settings: Option<ProfileSettings>,
    /// Null for accounts that are neither a patient's nor a practitioner's; absent for patients who are no practitioners.
    practitioner: Option<ProfilePractitioner>,
}

/// The caller as a patient.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ProfilePatient {
    id: i64,
    jhe_user_id: i64,
    identifiers: Vec<IdentifierJson>,
    organizations: Vec<ProfilePatientOrganization>,
}

/// An organization that the caller belongs to as a patient.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ProfilePatientOrganization {
    id: i64,
    name: String,
    r#type: String,
    /// The organization above; 0 is ROOT.
    #[schema(required = true)]
    part_of: Option<i64>,
    /// The caller's role in it as a practitioner.
    #[schema(required = true)]
    current_user_role: Option<String>,
    /// Always empty.
    children: Vec<i64>,
}

/// What the console looked at last; each is absent until something was.
#[derive(ToSchema)]
pub(crate) struct ProfileSettings {
    #[schema(rename = "currentStudyId", nullable = false)]
    study_id: Option<i64>,
    #[schema(rename = "currentOrganizationId", nullable = false)]
    organization_id: Option<i64>,
    /// A type of FHIR resources.
    #[schema(rename = "currentFhirResource", nullable = false)]
    fhir_resource: Option<String>,
}

/// The caller as a practitioner.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ProfilePractitioner {
    #[schema(required = true)]
    id: Option<i64>,
    jhe_user_id: i64,
    /// Memberships; none for superusers, who act everywhere.
    organizations: Vec<ProfileMembership>,
}

/// A membership of the caller.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ProfileMembership {
    id: i64,
    name: String,
    r#type: String,
    /// The organization above; 0 is ROOT.
    #[schema(required = true)]
    part_of: Option<i64>,
    #[schema(required = true)]
    role: Option<String>,
}

/// The account with an address. Where there is none, `id` and `patient` are absent and the texts are empty.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct FoundUserJson {
    #[schema(nullable = false)]
    id: Option<i64>,
    email: String,
    first_name: String,
    last_name: String,
    /// The patient in full where the caller shares or is it, else its `id` alone; null for accounts without one.
    #[schema(value_type = Option<Object>)]
    patient: Option<Value>,
    #[schema(required = true)]
    user_type: Option<AccountType>,
    is_superuser: bool,
}
