//! Invitations of patients to patient clients.

use chrono::{DateTime, Utc};

use crate::id::{ApplicationId, InvitationId, PatientId};

/// Where an invitation stands (identity §2.7b).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationStatus {
    /// Waiting for its patient.
    Issued,
    /// Replaced by a newer one.
    Reissued,
    /// Used.
    Redeemed,
    /// Taken back.
    Cancelled,
    /// Its time is over.
    Expired,
}

impl InvitationStatus {
    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Reissued => "reissued",
            Self::Redeemed => "redeemed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Issued, Self::Reissued, Self::Redeemed, Self::Cancelled, Self::Expired]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// An invitation, without its token.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// Row id.
    pub id: InvitationId,
    /// Who is invited.
    pub patient_id: PatientId,
    /// To which client.
    pub application_id: ApplicationId,
    /// Unpadded base64url of SHA-256 of the token.
    pub token_hash: String,
    /// Where it stands.
    pub status: InvitationStatus,
    /// When it was issued.
    pub created: DateTime<Utc>,
    /// First redemption.
    pub redeemed_at: Option<DateTime<Utc>>,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}
