//! Bodies about organizations and who belongs to them.

use serde_json::Value;
use utoipa::ToSchema;

/// What an organization is; `GET /api/v1/organizations/types` has words for each. ROOT, which has a type of its own, cannot be made.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum OrganizationType {
    Prov,
    Dept,
    Team,
    Govt,
    Ins,
    Pay,
    Edu,
    Reli,
    Crs,
    Cg,
    Bus,
    Other,
    Laboratory,
    Imaging,
    Pharmacy,
    HealthInformationNetwork,
    HealthDataAggregator,
}

/// The role of a practitioner in an organization: a viewer reads, a member also works with patients and studies, a manager also
/// decides who belongs to it and what is below it.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum MembershipRole {
    Viewer,
    Member,
    Manager,
}

/// An organization to make, or what one becomes.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"name": "Sleep Lab", "type": "laboratory", "partOf": 20003}))]
pub(crate) struct NewOrganization {
    /// Its name; not blank.
    name: String,
    /// What it is.
    r#type: OrganizationType,
    /// The `id` of the organization above it; 0 and null are the top of the tree. Absent, a new one is made there, and one there is
    /// stays where it is.
    part_of: Option<i64>,
}

/// What to change of an organization; what is absent stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"name": "Sleep Lab, second floor"}))]
pub(crate) struct OrganizationChange {
    /// Its name; not blank.
    #[schema(nullable = false)]
    name: Option<String>,
    /// What it is.
    #[schema(nullable = false)]
    r#type: Option<OrganizationType>,
    /// The `id` of the organization above it, neither itself nor one below it; 0 and null are the top of the tree.
    part_of: Option<i64>,
}

/// A practitioner's membership.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"jheUserId": 10008, "organizationPartitionerRole": "viewer"}))]
pub(crate) struct MembershipChange {
    /// The `id` of the practitioner's account.
    jhe_user_id: i64,
    /// Its role; `member` when absent, also of one who has another. Spelled so for the sake of old clients; `role` is read too.
    #[schema(nullable = false)]
    organization_partitioner_role: Option<MembershipRole>,
}

/// A membership to end.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"jheUserId": 10008}))]
pub(crate) struct MembershipRemoval {
    /// The `id` of the practitioner's account.
    jhe_user_id: i64,
}

/// A membership as it is now.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct MembershipJson {
    id: i64,
    organization: MembershipOrganization,
    practitioner: MembershipPractitioner,
    role: MembershipRole,
}

/// The organization of a membership.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct MembershipOrganization {
    id: i64,
    name: String,
    r#type: String,
    #[schema(format = DateTime)]
    last_updated: String,
    /// The organization above; 0 is ROOT.
    #[schema(required = true)]
    part_of: Option<i64>,
}

/// The practitioner of a membership.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct MembershipPractitioner {
    id: i64,
    #[schema(required = true)]
    identifier: Option<String>,
    #[schema(required = true)]
    name_family: Option<String>,
    #[schema(required = true)]
    name_given: Option<String>,
    #[schema(format = DateTime)]
    last_updated: String,
    /// Always empty.
    #[schema(value_type = Object)]
    settings: Value,
    /// The `id` of its account.
    jhe_user: i64,
    /// Its organizations that the caller belongs to.
    organizations: Vec<i64>,
}
