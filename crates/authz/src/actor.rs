//! Who acts: made from a verified token, or by the server itself for a named reason.

use chrono::{DateTime, Utc};
use jhe_domain::error::{CredentialFault, Error, Why};
use jhe_domain::{ApplicationId, PatientId, PractitionerId, UserId};

use crate::port::{Attribution, CredentialPort};

/// An authenticated caller. No public constructor: see [`authenticate`].
#[derive(Debug, Clone)]
pub struct Actor {
    user_id: UserId,
    application_id: Option<ApplicationId>,
    patient: Option<PatientId>,
    practitioner: Option<PractitionerId>,
    superuser: bool,
    typed_practitioner: bool,
    patient_client: bool,
    oauth_scope: String,
    internal: Option<InternalReason>,
}

/// Why the server acts on its own. Each is a row of the access matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InternalReason {
    /// Reference and demo data.
    Seeding,
    /// Commands of the operator at the shell.
    Operator,
}

impl InternalReason {
    /// The name in the audit trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seeding => "seeding",
            Self::Operator => "operator",
        }
    }
}

/// As whom a caller acts on the FHIR API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FhirRole {
    /// Its own record.
    Patient(PatientId),
    /// Through memberships.
    Practitioner(PractitionerId),
    /// As a member of every organization, without a profile of its own.
    Superuser,
    /// No profile: nothing.
    Bare,
}

/// Turns the digest of a bearer token into an actor (identity §3.5).
///
/// # Errors
/// [`Error::Unauthenticated`] for an unknown, revoked or expired token, a disabled client, an inactive account;
/// [`Error::Denied`] for the token of a client without owner, which is known but nobody.
pub async fn authenticate(
    port: &mut impl CredentialPort,
    digest: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Actor, Error> {
    let Some(bearer) = port.bearer(digest).await? else {
        return Err(Error::Unauthenticated(CredentialFault::Invalid));
    };
    if bearer.revoked || !bearer.application_enabled {
        return Err(Error::Unauthenticated(CredentialFault::Invalid));
    }
    if bearer.expires <= now {
        return Err(Error::Unauthenticated(CredentialFault::Expired));
    }
    let Some(account) = bearer.account else {
        return Err(Error::denied(Why::NotPermitted));
    };
    if !account.is_active {
        return Err(Error::Unauthenticated(CredentialFault::Invalid));
    }
    Ok(Actor {
        user_id: account.user_id,
        application_id: Some(bearer.application_id),
        patient: account.patient_id,
        practitioner: account.practitioner_id,
        superuser: account.is_superuser,
        typed_practitioner: account.typed_practitioner,
        patient_client: bearer.patient_client,
        oauth_scope: bearer.oauth_scope,
        internal: None,
    })
}

impl Actor {
    /// The server itself. Disallowed by clippy; each use says why it is right.
    pub fn internal(reason: InternalReason) -> Self {
        Self {
            user_id: UserId(0),
            application_id: None,
            patient: None,
            practitioner: None,
            superuser: false,
            typed_practitioner: false,
            patient_client: false,
            oauth_scope: String::new(),
            internal: Some(reason),
        }
    }

    /// The account; 0 for the server itself.
    pub const fn user_id(&self) -> UserId {
        self.user_id
    }

    /// The client it acts through.
    pub const fn application_id(&self) -> Option<ApplicationId> {
        self.application_id
    }

    /// The patient it acts as for itself. A superuser is none, whatever profiles the account has (data model §5.8).
    pub const fn patient(&self) -> Option<PatientId> {
        if self.superuser { None } else { self.patient }
    }

    /// Its practitioner profile.
    pub const fn practitioner(&self) -> Option<PractitionerId> {
        self.practitioner
    }

    /// Administrator of the whole server.
    pub const fn is_superuser(&self) -> bool {
        self.superuser
    }

    /// Has a practitioner profile, or is typed as one.
    pub const fn is_practitioner(&self) -> bool {
        self.practitioner.is_some() || self.typed_practitioner
    }

    /// Granted OAuth scopes, separated by spaces. They never widen what the account may do.
    pub fn oauth_scope(&self) -> &str {
        &self.oauth_scope
    }

    /// Why the server acts on its own, if it does.
    pub const fn internal_reason(&self) -> Option<InternalReason> {
        self.internal
    }

    /// Whether it looks after data of others, and not of itself alone.
    pub const fn looks_after_others(&self) -> bool {
        self.superuser || self.practitioner.is_some()
    }

    /// As whom it acts on the FHIR API: an account with both profiles is the patient in a patient client only.
    pub const fn fhir_role(&self) -> FhirRole {
        match (self.patient(), self.practitioner) {
            (_, None) if self.superuser => FhirRole::Superuser,
            (Some(patient), Some(_)) if self.patient_client => FhirRole::Patient(patient),
            (_, Some(practitioner)) => FhirRole::Practitioner(practitioner),
            (Some(patient), None) => FhirRole::Patient(patient),
            (None, None) => FhirRole::Bare,
        }
    }

    pub(crate) fn attribution(&self) -> Attribution {
        let kind = if self.internal.is_some() {
            "system"
        } else if self.superuser {
            "super_user"
        } else if self.practitioner.is_some() {
            // Its own record is another matter, wherever that is written.
            "practitioner"
        } else {
            "patient"
        };
        Attribution {
            user_id: self.internal.is_none().then_some(self.user_id),
            application_id: self.application_id,
            kind,
            ip: None,
        }
    }
}
