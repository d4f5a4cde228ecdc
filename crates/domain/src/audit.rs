//! What the audit trail records (data model §2.26).

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use crate::id::{ApplicationId, AuditEventId, OrganizationId, PatientId, ScopeCodeId, StudyId, UserId};
use crate::phi::Phi;

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

impl AuditAction {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Read,
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Lookup,
        Self::Invite,
        Self::Redeem,
        Self::Login,
        Self::Denied,
        Self::Cancel,
        Self::LoginFailed,
        Self::Lockout,
        Self::Logout,
        Self::TokenIssue,
        Self::TokenRefresh,
        Self::TokenReuse,
        Self::TokenRevoke,
        Self::Exchange,
        Self::PasswordChange,
        Self::PasswordReset,
    ];

    /// The action of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
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
    /// Whose data, when it is that of several patients.
    pub patients: Vec<PatientId>,
    /// In which organization.
    pub organization_id: Option<OrganizationId>,
    /// How many rows.
    pub rows: Option<i64>,
    /// Why, where a reason was asked for.
    pub reason: Option<String>,
    /// HTTP status, where it is another than that of the request.
    pub status: Option<u16>,
}

impl AuditEntry {
    /// An entry about a kind of row.
    pub const fn new(action: AuditAction, resource: &'static str) -> Self {
        Self {
            action,
            resource,
            resource_id: None,
            patient_id: None,
            patients: Vec::new(),
            organization_id: None,
            rows: None,
            reason: None,
            status: None,
        }
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

    /// About these patients: of one as of one, of several as of several.
    #[must_use]
    pub fn patients(mut self, ids: impl IntoIterator<Item = PatientId>) -> Self {
        self.patients = ids.into_iter().collect();
        self.patients.sort_unstable_by_key(|id| id.0);
        self.patients.dedup();
        if let [one] = self.patients.as_slice() {
            self.patient_id = Some(*one);
            self.patients.clear();
        }
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

    /// Answered with this status.
    #[must_use]
    pub const fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

/// An entry as it is read back.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// Row id; greater is later, but for what was written at the same time.
    pub id: AuditEventId,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// Who; nobody for what the server did by itself, for callers who did not sign in, and where the reader may not know.
    pub actor_user_id: Option<UserId>,
    /// The name of that account, while it exists.
    pub actor_name: Option<Phi<String>>,
    /// Through which client.
    pub application_id: Option<ApplicationId>,
    /// Its name, while it exists.
    pub application_name: Option<String>,
    /// What was done: the name of an [`AuditAction`].
    pub action: String,
    /// To which kind of row; `Request` for a request as a whole.
    pub resource: String,
    /// To which row.
    pub resource_id: Option<String>,
    /// Whose data, as far as the reader may know of them.
    pub patients: Vec<PatientId>,
    /// Of how many patients.
    pub patient_count: i64,
    /// In which organization.
    pub organization_id: Option<OrganizationId>,
    /// How many rows.
    pub rows: Option<i64>,
    /// HTTP status of the answer.
    pub status: Option<i32>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// Method and route template of the request.
    pub template: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// From where.
    pub ip: Option<IpAddr>,
    /// Where somebody else read a patient's observations: consents that then held towards the reader's organizations.
    pub consents: Vec<HeldConsent>,
}

/// A consent that held at some moment.
#[derive(Debug, Clone)]
pub struct HeldConsent {
    /// The study it was given for.
    pub study_id: StudyId,
    /// Its name.
    pub study_name: String,
    /// The organization of that study.
    pub organization_id: OrganizationId,
    /// The data type.
    pub scope_code_id: ScopeCodeId,
    /// Its name.
    pub scope_code_text: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// A link of the hash chain over the audit trail: which entries it covers, and what they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Number in the chain, from 1.
    pub seq: i64,
    /// Entries up to this id came from another cluster.
    pub after_id: i64,
    /// Entries of transactions from this one …
    pub from_xact: i64,
    /// … to the one before this.
    pub below_xact: i64,
    /// How many.
    pub rows: i64,
    /// The first of them.
    pub first_id: i64,
    /// The last of them.
    pub last_id: i64,
    /// The last seal of a cluster: it covers what was left, whatever its transaction.
    pub closes: bool,
    /// SHA-256 over the digests of the entries.
    pub digest: Vec<u8>,
    /// Keyed digest of all this and of the seal before.
    pub seal: String,
}

/// A beginning of the audit trail that was removed because it was old enough. The chain goes on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The number of the last seal that went, with all before it.
    pub seq: i64,
    /// Its keyed digest, which the next one is bound to.
    pub seal: String,
    /// The greatest id that these seals covered.
    pub last_id: i64,
    /// How many entries went, with those of earlier removals.
    pub rows: i64,
    /// Keyed digest of all this.
    pub mac: String,
}
