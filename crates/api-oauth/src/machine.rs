//! oxide-auth's state machines for the code and refresh grants, as questions and answers.
//!
//! A machine is pure: it is told what was asked and what was found, and says what it needs next or how it ends. The
//! caller looks things up in its own transaction between the steps. Times and secrets are not left to the machine: our
//! clock decides what has expired, and PKCE is checked in the step that may count a failure.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use oxide_auth::code_grant::accesstoken::{self, AccessToken};
use oxide_auth::code_grant::extensions::Pkce;
use oxide_auth::code_grant::refresh::{self, Refresh};
use oxide_auth::primitives::grant::{Extensions, Grant, GrantExtension as _, Value};
use oxide_auth::primitives::scope::Scope;
use url::Url;

use crate::client_auth::Presented;
use crate::parameters::Parameters;

/// Far enough: our own clock has judged already.
const UNTIL: DateTime<Utc> = DateTime::<Utc>::MAX_UTC;

/// Why a machine ended a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `invalid_grant`.
    Grant,
    /// `invalid_scope`.
    Scope,
    /// `invalid_request`.
    Request,
}

/// A code exchange, after the client was authenticated and the code found.
pub(crate) struct CodeExchange<'a> {
    form: &'a Parameters,
    client: &'a Presented,
    /// Where the code was sent.
    redirect_uri: &'a str,
}

/// What is kept of the code that is exchanged.
pub(crate) struct FoundCode<'a> {
    /// Whose.
    pub(crate) user_id: i64,
    /// Scopes, separated by spaces.
    pub(crate) scope: &'a str,
    /// S256 challenge.
    pub(crate) challenge: &'a str,
}

impl<'a> CodeExchange<'a> {
    pub(crate) const fn new(form: &'a Parameters, client: &'a Presented, redirect_uri: &'a str) -> Self {
        Self { form, client, redirect_uri }
    }

    /// Runs the machine to its verdict: the code may be redeemed, or why not.
    pub(crate) fn decide(&self, found: &FoundCode<'_>) -> Result<(), Refusal> {
        let mut machine = AccessToken::new(self);
        let mut input = accesstoken::Input::None;
        loop {
            input = match machine.advance(input) {
                // The caller authenticated the client before it looked for the code.
                accesstoken::Output::Authenticate { .. } => accesstoken::Input::Authenticated,
                accesstoken::Output::Recover { .. } => {
                    accesstoken::Input::Recovered(Some(Box::new(self.grant(found)?)))
                }
                accesstoken::Output::Extend { extensions } => {
                    let challenge = extensions.remove(&Pkce::required());
                    let verifier = self.form.get("code_verifier").map(Cow::Borrowed);
                    Pkce::required().verify(challenge, verifier).map_err(|()| Refusal::Grant)?;
                    accesstoken::Input::Extended { access_extensions: Extensions::new() }
                }
                accesstoken::Output::Issue { .. } | accesstoken::Output::Ok(_) => return Ok(()),
                accesstoken::Output::Err(_) => return Err(Refusal::Grant),
            };
        }
    }

    fn grant(&self, found: &FoundCode<'_>) -> Result<Grant, Refusal> {
        let pkce = Pkce::required();
        let stored: Value = pkce
            .challenge(Some(Cow::Borrowed("S256")), Some(Cow::Borrowed(found.challenge)))
            .ok()
            .flatten()
            .ok_or(Refusal::Grant)?;
        let mut extensions = Extensions::new();
        extensions.set(&pkce, stored);
        debug_assert_eq!(pkce.identifier(), "pkce");
        Ok(Grant {
            owner_id: found.user_id.to_string(),
            client_id: self.client.client_id.clone(),
            scope: found.scope.parse().map_err(|_| Refusal::Scope)?,
            redirect_uri: Url::parse(self.redirect_uri).map_err(|_| Refusal::Request)?,
            until: UNTIL,
            extensions,
        })
    }
}

impl accesstoken::Request for CodeExchange<'_> {
    fn valid(&self) -> bool {
        true
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.form.get("code").map(Cow::Borrowed)
    }

    fn authorization(&self) -> accesstoken::Authorization<'_> {
        accesstoken::Authorization::None
    }

    fn client_id(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.client.client_id))
    }

    fn redirect_uri(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.form.get("redirect_uri").unwrap_or(self.redirect_uri)))
    }

    fn grant_type(&self) -> Option<Cow<'_, str>> {
        self.form.get("grant_type").map(Cow::Borrowed)
    }

    fn extension(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

/// A refresh, after the client was authenticated and the token found alive.
pub(crate) struct TokenRefresh<'a> {
    form: &'a Parameters,
    client: &'a Presented,
}

impl<'a> TokenRefresh<'a> {
    pub(crate) const fn new(form: &'a Parameters, client: &'a Presented) -> Self {
        Self { form, client }
    }

    /// Runs the machine to its verdict: the token may be replaced, or why not. `granted` are the scopes of the token.
    pub(crate) fn decide(&self, user_id: i64, granted: &str) -> Result<(), Refusal> {
        let mut machine = Refresh::new(self);
        let mut input = refresh::Input::None;
        loop {
            input = match machine.advance(input) {
                refresh::Output::Unauthenticated { .. } => refresh::Input::Authenticated { scope: self.scope() },
                refresh::Output::RecoverRefresh { .. } => refresh::Input::Recovered {
                    scope: self.scope(),
                    grant: Some(Box::new(self.grant(user_id, granted)?)),
                },
                refresh::Output::Refresh { .. } | refresh::Output::Ok(_) => return Ok(()),
                refresh::Output::Err(_) => {
                    // The token is good, so what is left to refuse is a scope beyond it.
                    return Err(if self.form.get("scope").is_some() { Refusal::Scope } else { Refusal::Grant });
                }
            };
        }
    }

    fn scope(&self) -> Option<Cow<'a, str>> {
        self.form.get("scope").map(Cow::Borrowed)
    }

    fn grant(&self, user_id: i64, granted: &str) -> Result<Grant, Refusal> {
        let scope: Scope = granted.parse().map_err(|_| Refusal::Scope)?;
        Ok(Grant {
            owner_id: user_id.to_string(),
            client_id: self.client.client_id.clone(),
            scope,
            redirect_uri: Url::parse("about:blank").map_err(|_| Refusal::Request)?,
            until: UNTIL,
            extensions: Extensions::new(),
        })
    }
}

impl refresh::Request for TokenRefresh<'_> {
    fn valid(&self) -> bool {
        true
    }

    fn refresh_token(&self) -> Option<Cow<'_, str>> {
        self.form.get("refresh_token").map(Cow::Borrowed)
    }

    fn scope(&self) -> Option<Cow<'_, str>> {
        self.scope()
    }

    fn grant_type(&self) -> Option<Cow<'_, str>> {
        self.form.get("grant_type").map(Cow::Borrowed)
    }

    fn authorization(&self) -> Option<(Cow<'_, str>, Cow<'_, [u8]>)> {
        Some((Cow::Borrowed(&self.client.client_id), Cow::Borrowed(&[])))
    }

    fn extension(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jhe_crypto::{OsEntropy, pkce};

    fn client() -> Presented {
        Presented { client_id: "app".to_owned(), secret: None }
    }

    #[test]
    fn a_code_needs_its_verifier_and_its_redirect_uri() {
        let (verifier, challenge) = pkce::new_pair(&mut OsEntropy);
        let client = client();
        let decide = |form: String, sent_to: &str| {
            let form = Parameters::parse(&format!("grant_type=authorization_code&code=c&{form}"));
            CodeExchange::new(&form, &client, sent_to).decide(&FoundCode {
                user_id: 1,
                scope: "openid",
                challenge: &challenge,
            })
        };
        let good = format!("redirect_uri=https://a/cb&code_verifier={verifier}");
        assert_eq!(decide(good.clone(), "https://a/cb"), Ok(()));
        assert_eq!(decide(format!("code_verifier={verifier}"), "https://a/cb"), Ok(()));
        assert_eq!(decide(good, "https://a/other"), Err(Refusal::Grant));
        assert_eq!(
            decide("redirect_uri=https://a/cb&code_verifier=wrong".to_owned(), "https://a/cb"),
            Err(Refusal::Grant)
        );
        assert_eq!(decide("redirect_uri=https://a/cb".to_owned(), "https://a/cb"), Err(Refusal::Grant));
    }

    #[test]
    fn a_refresh_may_narrow_but_not_widen() {
        let client = client();
        let decide = |scope: &str| {
            let form = Parameters::parse(&format!("grant_type=refresh_token&refresh_token=t{scope}"));
            TokenRefresh::new(&form, &client).decide(1, "read openid")
        };
        assert_eq!(decide(""), Ok(()));
        assert_eq!(decide("&scope=read"), Ok(()));
        assert_eq!(decide("&scope=read+write"), Err(Refusal::Scope));
    }
}
