//! Bodies about practitioners.

use utoipa::ToSchema;

/// A practitioner to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "telecomEmail": "grace.practitioner@example.org",
    "nameFamily": "Practitioner",
    "nameGiven": "Grace",
    "organizationId": 20003
}))]
pub(crate) struct NewPractitioner {
    /// The e-mail address it signs in with. Where an account has it, that one becomes a practitioner's, and nobody gets a link.
    telecom_email: String,
    /// Family name; not blank.
    name_family: Option<String>,
    /// Given name; not blank.
    name_given: Option<String>,
    /// The `id` of an organization that it becomes a member of; none when absent.
    organization_id: Option<i64>,
}

/// New names of a practitioner; what is absent stays, null empties.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"nameFamily": "Practitioner", "nameGiven": "Grace"}))]
pub(crate) struct PractitionerChange {
    /// Family name; not blank.
    name_family: Option<String>,
    /// Given name; not blank.
    name_given: Option<String>,
}
