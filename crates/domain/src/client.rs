//! OAuth clients.

use chrono::{DateTime, Utc};

use crate::id::{ApplicationId, UserId};

/// A grant a client may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrantType {
    /// Authorization code (RFC 6749 §4.1).
    AuthorizationCode,
    /// Refresh token (RFC 6749 §6).
    RefreshToken,
    /// Client credentials (RFC 6749 §4.4).
    ClientCredentials,
    /// Resource owner password (RFC 6749 §4.3), for registered clients only.
    Password,
    /// Token exchange (RFC 8693).
    TokenExchange,
}

impl GrantType {
    /// The name in the client's grant set.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::TokenExchange => "token-exchange",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::AuthorizationCode, Self::RefreshToken, Self::ClientCredentials, Self::Password, Self::TokenExchange]
            .into_iter()
            .find(|grant| grant.as_str() == text)
    }
}

/// A registered OAuth client, without its secret (identity §6.1).
#[derive(Debug, Clone)]
pub struct Client {
    /// Row id.
    pub id: ApplicationId,
    /// Public client identifier.
    pub client_id: String,
    /// Name for people.
    pub name: String,
    /// A confidential client authenticates itself.
    pub confidential: bool,
    /// Grants it may use.
    pub grants: Vec<GrantType>,
    /// Registered redirect URIs.
    pub redirect_uris: Vec<String>,
    /// Addresses to return to after sign-out.
    pub post_logout_redirect_uris: String,
    /// Origins its pages call from.
    pub allowed_origins: String,
    /// No consent page.
    pub skip_authorization: bool,
    /// Signature algorithm of its id tokens.
    pub algorithm: String,
    /// Account that owns it.
    pub owner: Option<UserId>,
    /// Overrides the access token lifetime.
    pub access_token_seconds: Option<i64>,
    /// Overrides the refresh token lifetime.
    pub refresh_token_seconds: Option<i64>,
    /// May introspect tokens of other clients.
    pub can_introspect: bool,
    /// Superusers may sign in through its password grant.
    pub allow_superuser: bool,
    /// In use.
    pub enabled: bool,
    /// Made.
    pub created: DateTime<Utc>,
    /// Last change.
    pub updated: DateTime<Utc>,
    /// Link template, for patient clients: `Some` marks one.
    pub invitation_url: Option<String>,
}

impl Client {
    /// Whether it may use a grant.
    pub fn may(&self, grant: GrantType) -> bool {
        self.grants.contains(&grant)
    }
}
