//! The one error of the Exchange, free of any transport. Each API family renders it in its own words.

use std::time::Duration;

/// A boxed source for logs; never shown to a caller.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong. A variant exists only where a caller acts differently.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody, or nobody any more.
    #[error("unauthenticated: {0:?}")]
    Unauthenticated(CredentialFault),
    /// Known caller, not allowed.
    #[error("denied: {0:?}")]
    Denied(Denial),
    /// No such row, or none the caller may know of.
    #[error("not found: {0:?}")]
    NotFound(Lookup),
    /// The request does not make sense; all violations at once.
    #[error("invalid: {0:?}")]
    Invalid(Violations),
    /// The request contradicts what is stored.
    #[error("conflict: {0:?}")]
    Conflict(Conflict),
    /// Too many attempts.
    #[error("throttled for {retry_after:?}")]
    Throttled {
        /// When to try again.
        retry_after: Duration,
    },
    /// A part the server needs does not answer.
    #[error("unavailable")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
        /// For the log.
        source: BoxError,
    },
    /// More is asked at once than is done at once; nothing was begun. Unlike what is unavailable, nobody needs to look.
    #[error("overloaded for {retry_after:?}")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// A defect of the server.
    #[error("internal error")]
    Internal(#[source] BoxError),
}

impl Error {
    /// A defect, from any error or text.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::Internal(source.into())
    }

    /// A denial with its reason.
    pub const fn denied(why: Why) -> Self {
        Self::Denied(Denial { why })
    }

    /// One violation of one field.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(Violations::one(Violation::field(field, message)))
    }

    /// A sentence about the whole request, without a field.
    pub fn sentence(message: impl Into<String>) -> Self {
        Self::Invalid(Violations::one(Violation::sentence(message)))
    }

    /// A sentence about one field: shown as it is, and under the field.
    pub fn sentence_at(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(Violations::one(Violation {
            field: Some(field.to_owned()),
            message: message.into(),
            bare: true,
            unlisted: false,
        }))
    }
}

/// Why a credential was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialFault {
    /// None was sent.
    Missing,
    /// Unknown, revoked, or of an account that may not sign in.
    Invalid,
    /// Its time is over.
    Expired,
}

/// A refusal as a value; each family turns it into a status and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The reason.
    pub why: Why,
}

/// Reasons for refusing a known caller. Each has one text per family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The general answer.
    NotPermitted,
    /// The operation is for accounts with a practitioner profile.
    NotAPractitioner,
    /// The caller has no patient profile.
    NotAPatient,
    /// The study is not one of the caller's organizations, or there is none.
    StudyNotVisible,
    /// The patient is not shared with the caller.
    PatientNotVisible,
    /// The same, asked about consents.
    ConsentsNotVisible,
    /// A patient named somebody else's record.
    OtherPatient,
    /// Consents: the practitioner has no role for this patient in the study's organization.
    NotForThisPatient,
    /// Consents: the practitioner only views there.
    RoleTooLow,
    /// Only superusers make organizations without a parent.
    TopLevelOrganization,
    /// Only practitioners have API keys.
    PractitionerClientsOnly,
    /// Only patients register outside records.
    FhirSourcesOnlyByPatients,
    /// A FHIR search named an organization outside the caller's.
    OrganizationFilter(i64),
    /// A FHIR search named a study outside the caller's.
    StudyFilter(i64),
    /// A FHIR search named a patient outside the caller's.
    PatientFilter(i64),
    /// Upload: the practitioner does not manage this patient.
    MayNotWriteForPatient,
    /// Upload: the caller has no patient profile.
    UploaderIsNoPatient,
    /// Upload: the subject is somebody else.
    SubjectIsNotCaller,
    /// Upload: no study in which the patient consented to this code.
    NotConsented {
        /// Coding system of the refused data type.
        system: String,
        /// Code of the refused data type.
        code: String,
    },
    /// The invitation was cancelled.
    InvitationCancelled,
}

/// What was looked for and not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// A row of an entity, named as the API names it (`Patient`, `Study`, …).
    Entity(&'static str),
    /// An address or id that cannot exist, or a row that went while it was worked with.
    Address,
    /// A page beyond the end.
    Page,
    /// A cursor that is not ours.
    Cursor,
    /// A practitioner profile of an existing account.
    PractitionerProfile,
    /// An invitation token.
    Invitation,
}

/// Everything wrong with a request, at least one thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    /// Just one.
    pub fn one(violation: Violation) -> Self {
        Self(vec![violation])
    }

    /// Adds a violation of a field.
    pub fn push(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(Violation::field(field, message));
    }

    /// `Err` when there is any.
    pub fn into_result(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self)) }
    }
}

/// One thing wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field at fault as the family spells it, none for the whole request.
    pub field: Option<String>,
    /// A sentence for the caller; never holds personal data the caller did not send.
    pub message: String,
    /// The sentence stands alone: it is not prefixed with the field's name.
    pub bare: bool,
    /// The field holds the sentence itself instead of a list of sentences.
    pub unlisted: bool,
}

impl Violation {
    /// A violation of one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), message: message.into(), bare: false, unlisted: false }
    }

    /// A violation of one field, which holds the sentence itself.
    pub fn unlisted(field: &str, message: impl Into<String>) -> Self {
        Self { unlisted: true, ..Self::field(field, message) }
    }

    /// A violation of the request as a whole.
    pub fn sentence(message: impl Into<String>) -> Self {
        Self { field: None, message: message.into(), bare: true, unlisted: false }
    }
}

/// How a request contradicts what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// An account with this e-mail address exists.
    EmailTaken,
    /// An identifier names another patient.
    PatientIdentifierTaken {
        /// Identifier system.
        system: String,
        /// Identifier value.
        value: String,
    },
    /// An observation with this identifier exists.
    ObservationIdentifierTaken {
        /// Identifier system, when one was given.
        system: Option<String>,
        /// Identifier value.
        value: String,
    },
    /// A client with this `client_id` exists.
    ClientIdTaken,
    /// A setting with this key exists.
    SettingKeyTaken,
    /// Outside records still use the data source.
    DataSourceInUse,
    /// The invitation was used, or replaced by a newer one.
    InvitationUsed,
    /// The invitation's time is over.
    InvitationExpired,
    /// Some other constraint of the database, by name.
    Constraint(String),
}
