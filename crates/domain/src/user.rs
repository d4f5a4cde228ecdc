//! Accounts.

use chrono::{DateTime, Utc};

use crate::id::{PatientId, PractitionerId, UserId};
use crate::phi::Phi;

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserType {
    /// Shares readings.
    Patient,
    /// Works with studies.
    Practitioner,
}

impl UserType {
    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Practitioner => "practitioner",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "patient" => Some(Self::Patient),
            "practitioner" => Some(Self::Practitioner),
            _ => None,
        }
    }
}

/// A login account (data model §2.1).
#[derive(Debug, Clone)]
pub struct User {
    /// Row id, `sub` of its tokens.
    pub id: UserId,
    /// Login name.
    pub email: Phi<String>,
    /// Given name of the account.
    pub first_name: Phi<String>,
    /// Family name of the account.
    pub last_name: Phi<String>,
    /// Patient, practitioner or neither.
    pub user_type: Option<UserType>,
    /// Identifier of the person elsewhere.
    pub identifier: Phi<String>,
    /// The address was confirmed.
    pub email_is_verified: bool,
    /// Administrator of the whole server.
    pub is_superuser: bool,
    /// Administrative account.
    pub is_staff: bool,
    /// May sign in.
    pub is_active: bool,
    /// When it last signed in.
    pub last_login: Option<DateTime<Utc>>,
    /// Its patient profile.
    pub patient_id: Option<PatientId>,
    /// Its practitioner profile.
    pub practitioner_id: Option<PractitionerId>,
}
