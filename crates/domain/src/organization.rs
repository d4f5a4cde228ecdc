//! Organizations and memberships.

use chrono::{DateTime, Utc};

use crate::id::{LinkId, OrganizationId, PatientId, PractitionerId, UserId};
use crate::phi::Phi;
use crate::role::Role;

/// Organization types: (code, label), in the order they are offered.
pub const ORGANIZATION_TYPES: &[(&str, &str)] = &[
    ("root", "ROOT"),
    ("prov", "Healthcare Provider"),
    ("dept", "Hospital Department"),
    ("team", "Organizational team"),
    ("govt", "Government"),
    ("ins", "Insurance Company"),
    ("pay", "Payer"),
    ("edu", "Educational Institute"),
    ("reli", "Religious Institution"),
    ("crs", "Clinical Research Sponsor"),
    ("cg", "Community Group"),
    ("bus", "Non-Healthcare Business or Corporation"),
    ("other", "Other"),
    ("laboratory", "Laboratory"),
    ("imaging", "Imaging Center"),
    ("pharmacy", "Pharmacy"),
    ("health-information-network", "Health Information Network"),
    ("health-data-aggregator", "Health Data Aggregator"),
];

/// An organization (data model §2.5).
#[derive(Debug, Clone)]
pub struct Organization {
    /// Row id.
    pub id: OrganizationId,
    /// Name.
    pub name: String,
    /// Code of [`ORGANIZATION_TYPES`].
    pub type_code: String,
    /// The organization above.
    pub part_of: Option<OrganizationId>,
    /// Role of the viewer in it.
    pub role: Option<Role>,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}

/// Who belongs to an organization, for viewers entitled to know.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    /// Patients, ascending, capped.
    pub patients: Vec<PatientId>,
    /// Practitioners, by id.
    pub practitioners: Vec<RosterEntry>,
}

/// A practitioner of an organization.
#[derive(Debug, Clone)]
pub struct RosterEntry {
    /// Practitioner profile.
    pub practitioner_id: PractitionerId,
    /// Account.
    pub user_id: UserId,
    /// Login address.
    pub email: Phi<String>,
    /// Given name of the account.
    pub first_name: Phi<String>,
    /// Family name of the account.
    pub last_name: Phi<String>,
    /// Role in the organization.
    pub role: Role,
}

/// Changes of an organization; `None` keeps the stored value.
#[derive(Debug, Clone, Default)]
pub struct OrganizationChange {
    /// Name.
    pub name: Option<String>,
    /// Type code.
    pub type_code: Option<String>,
    /// The organization above.
    pub part_of: Option<Option<OrganizationId>>,
}

/// A membership row.
#[derive(Debug, Clone, Copy)]
pub struct Membership {
    /// Row id.
    pub id: LinkId,
    /// Who.
    pub practitioner_id: PractitionerId,
    /// Where.
    pub organization_id: OrganizationId,
    /// As what.
    pub role: Role,
    /// The row was made by this request.
    pub created: bool,
}

/// Reads the setting `auth.default_orgs`: `organization:role` pairs separated by `;`, roles also as `v` and `m` for
/// viewer and member. Empty is nobody's membership; `None` when it is malformed, names an organization twice, or names ROOT,
/// which is above everybody's.
pub fn parse_memberships(text: &str) -> Option<Vec<(OrganizationId, Role)>> {
    let mut memberships: Vec<(OrganizationId, Role)> = Vec::new();
    for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (id, role) = pair.split_once(':')?;
        let id = OrganizationId(id.trim().parse().ok()?);
        let role = match role.trim() {
            "v" => Role::Viewer,
            "m" => Role::Member,
            name => Role::parse_stored(name)?,
        };
        if id == OrganizationId::ROOT || memberships.iter().any(|(known, _)| *known == id) {
            return None;
        }
        memberships.push((id, role));
    }
    Some(memberships)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memberships_are_read_from_their_setting() {
        let read = |text: &str| parse_memberships(text);
        assert_eq!(read(""), Some(Vec::new()));
        assert_eq!(read("20003:member"), Some(vec![(OrganizationId(20003), Role::Member)]));
        let both = vec![(OrganizationId(20003), Role::Member), (OrganizationId(20001), Role::Viewer)];
        assert_eq!(read("20003:m; 20001:v;"), Some(both));
        for bad in ["20003", "20003:owner", "x:member", "1:member;1:viewer", "1:super_user", "0:viewer"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
