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

/// What is wrong with a redirect URI that shall be registered (identity §2.1); none when it may be. `site_host` is the
/// host of the site where the site itself is served by plain http.
pub fn redirect_uri_fault(uri: &str, site_host: Option<&str>) -> Option<&'static str> {
    if uri.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '*' | '\\' | '#')) {
        return Some("a redirect URI holds no white space, wildcard, backslash or fragment");
    }
    let Some((scheme, rest)) = uri.split_once(':') else { return Some("a redirect URI begins with its scheme") };
    let authority = rest.strip_prefix("//").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    let host = authority.map(|authority| {
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
        if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { authority }
    });
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Some("a redirect URI names no user");
    }
    match (scheme, host) {
        ("https", Some(host)) if !host.is_empty() => None,
        ("http", Some(host)) if matches!(host, "localhost" | "127.0.0.1" | "[::1]") || site_host == Some(host) => None,
        ("http" | "https", _) => Some("a redirect URI begins with https://, or http:// for this machine alone"),
        // RFC 8252 §7.1: private-use schemes are reversed domain names.
        (scheme, _)
            if scheme.contains('.') && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) =>
        {
            None
        }
        _ => Some("the scheme of a redirect URI is https or a reversed domain name"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_uris_lead_to_places_that_are_safe() {
        for good in [
            "https://app.example.org/cb",
            "https://app.example.org:8443/cb?x=1",
            "http://localhost:3000/cb",
            "http://127.0.0.1/cb",
            "http://[::1]:5000/cb",
            "org.example.app:/cb",
            "http://jhe.internal:8000/auth/callback",
        ] {
            assert_eq!(redirect_uri_fault(good, Some("jhe.internal")), None, "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "http://evil.example/cb",
            "http://jhe.internal.evil.example/cb",
            "https://a.example/cb#f",
            "https://u:p@a.example/cb",
            "https://a.example/*",
            "https://a.example/a https://b.example/x",
            "https:///cb",
            "data:text/html,x",
            "/cb",
            "",
        ] {
            assert!(redirect_uri_fault(bad, Some("jhe.internal")).is_some(), "{bad}");
        }
    }
}
