//! What the audit trail records (data model §2.26).

use crate::id::{OrganizationId, PatientId};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAction {
    /// Data was shown.
    Read,
    /// A row was made.
    Create,
    /// A row was changed.
    Update,
    /// A row was removed.
    Delete,
    /// Somebody was looked for by e-mail address.
    Lookup,
    /// A patient was invited.
    Invite,
    /// An invitation was used.
    Redeem,
    /// Somebody signed in or tried to.
    Login,
    /// A request was refused.
    Denied,
    /// An invitation was taken back.
    Cancel,
    /// A sign-in was refused.
    LoginFailed,
    /// An account is refused for a while after too many failures.
    Lockout,
    /// Somebody signed out.
    Logout,
    /// A client got tokens.
    TokenIssue,
    /// A client replaced its tokens.
    TokenRefresh,
    /// A code or a refresh token came a second time, so what it issued was revoked.
    TokenReuse,
    /// Tokens were revoked.
    TokenRevoke,
    /// An id token of another issuer became an access token.
    Exchange,
    /// Somebody chose a new password.
    PasswordChange,
    /// A password was set without the old one.
    PasswordReset,
}

impl AuditAction {
    /// The name in the trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Lookup => "lookup",
            Self::Invite => "invite",
            Self::Redeem => "redeem",
            Self::Login => "login",
            Self::Denied => "denied",
            Self::Cancel => "cancel",
            Self::LoginFailed => "login_failed",
            Self::Lockout => "lockout",
            Self::Logout => "logout",
            Self::TokenIssue => "token_issue",
            Self::TokenRefresh => "token_refresh",
            Self::TokenReuse => "token_reuse",
            Self::TokenRevoke => "token_revoke",
            Self::Exchange => "exchange",
            Self::PasswordChange => "password_change",
            Self::PasswordReset => "password_reset",
        }
    }
}

/// One entry, without who and when: the unit of work knows those.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// What was done.
    pub action: AuditAction,
    /// To which kind of row, as the API names it.
    pub resource: &'static str,
    /// To which row.
    pub resource_id: Option<i64>,
    /// Whose data.
    pub patient_id: Option<PatientId>,
    /// In which organization.
    pub organization_id: Option<OrganizationId>,
    /// How many rows.
    pub rows: Option<i64>,
    /// Why, where a reason was asked for.
    pub reason: Option<String>,
}

impl AuditEntry {
    /// An entry about a kind of row.
    pub const fn new(action: AuditAction, resource: &'static str) -> Self {
        Self { action, resource, resource_id: None, patient_id: None, organization_id: None, rows: None, reason: None }
    }

    /// About this row.
    #[must_use]
    pub const fn id(mut self, id: i64) -> Self {
        self.resource_id = Some(id);
        self
    }

    /// About this patient.
    #[must_use]
    pub const fn patient(mut self, id: PatientId) -> Self {
        self.patient_id = Some(id);
        self
    }

    /// In this organization.
    #[must_use]
    pub const fn organization(mut self, id: OrganizationId) -> Self {
        self.organization_id = Some(id);
        self
    }

    /// About so many rows.
    #[must_use]
    pub const fn rows(mut self, rows: i64) -> Self {
        self.rows = Some(rows);
        self
    }
}
