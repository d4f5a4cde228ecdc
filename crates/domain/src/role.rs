//! Roles in an organization, and what each permits.

/// Role of a practitioner in one organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, and changes patients, studies and consents.
    Member,
    /// As member, and changes practitioners and sub-organizations.
    Manager,
    /// Synthetic: a superuser, in every organization. Never stored.
    SuperUser,
}

impl Role {
    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Manager => "manager",
            Self::SuperUser => "super_user",
        }
    }

    /// Reads a role a membership row may hold; `super_user` is not one.
    pub fn parse_stored(text: &str) -> Option<Self> {
        match text {
            "viewer" => Some(Self::Viewer),
            "member" => Some(Self::Member),
            "manager" => Some(Self::Manager),
            _ => None,
        }
    }

    /// Reads any role name; an unknown one counts as viewer.
    pub fn parse_lenient(text: &str) -> Self {
        match text {
            "super_user" => Self::SuperUser,
            other => Self::parse_stored(other).unwrap_or(Self::Viewer),
        }
    }

    /// `manages(P,O)`: may change patients, studies and consents.
    pub const fn manages(self) -> bool {
        matches!(self, Self::Member | Self::Manager | Self::SuperUser)
    }

    /// `leads(P,O)`: may change practitioners and sub-organizations.
    pub const fn leads(self) -> bool {
        matches!(self, Self::Manager | Self::SuperUser)
    }
}

/// The permissions of each role, as published to user interfaces: (role, permissions).
pub const ROLE_PERMISSIONS: &[(&str, &[&str])] = &[
    ("viewer", &[]),
    ("member", &["patient.manage_for_organization", "study.manage_for_organization"]),
    (
        "manager",
        &["patient.manage_for_organization", "study.manage_for_organization", "organization.manage_for_practitioners"],
    ),
    (
        "super_user",
        &[
            "patient.manage_for_organization",
            "study.manage_for_organization",
            "organization.manage_for_practitioners",
            "organization.create_top_level",
            "client.manage",
            "data_source.manage",
        ],
    ),
];
