//! Codes and tokens: issuing, exchanging, refreshing, revoking. One [`Exchange`] is one transaction; [`Counter`] issues what
//! needs none. Which grant asks for what is decided by the caller, `/o`.

mod counter;
mod mint;

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use jhe_crypto::{OsEntropy, token};
use jhe_domain::audit::AuditAction;
use jhe_domain::client::Client;
use jhe_domain::error::Error;
use jhe_domain::{ApplicationId, Phi, UserId};
use jhe_store::Work;
pub use jhe_store::credential::RefreshRow;
use jhe_store::credential::{AuthorizedClient, CodeRow, LoginAccount, NewCode, TokenInfo};

pub use counter::Counter;
pub(crate) use counter::Issuing;
use mint::{Family, Mint, Minted, Source};

use crate::App;
use crate::identity::session::Visitor;

/// Siblings a replaced refresh token may bring forth while its grace lasts, after the first successor.
const MAX_SIBLINGS: i32 = 5;

/// Tokens just issued: the answer of the token endpoint.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Access token.
    pub access_token: Phi<String>,
    /// Its life in seconds.
    pub expires_in: i64,
    /// Granted scopes.
    pub scope: String,
    /// Refresh token, where the grant has one.
    pub refresh_token: Option<Phi<String>>,
    /// Id token, where `openid` is granted.
    pub id_token: Option<Phi<String>>,
}

/// What may be done with a refresh token.
#[derive(Debug)]
pub enum Refreshing {
    /// It lives, or its grace does: go on.
    Live(Box<RefreshRow>),
    /// Unknown, revoked, expired, or of a client or account that may not refresh.
    Refused,
    /// It was replaced a while ago, so somebody else holds it too: its family was revoked.
    Reused,
}

/// The transaction of one request to the token endpoint. Dropped without [`Exchange::commit`], it leaves nothing.
pub struct Exchange<'a> {
    app: &'a App,
    work: Work,
    now: DateTime<Utc>,
}

impl<'a> Exchange<'a> {
    /// Begins, for a client that comes from somewhere.
    pub async fn begin(app: &'a App, client: &Client, ip: Option<IpAddr>) -> Result<Self, Error> {
        let mut work = app.store().begin().await?;
        work.attribute(None, Some(client.id), ip);
        Ok(Self { app, work, now: app.now() })
    }

    /// Makes what was done hold.
    pub async fn commit(self) -> Result<(), Error> {
        self.work.commit().await
    }

    /// The code, held until the transaction ends, if it is still good. A used one revokes what it issued.
    pub async fn code(&mut self, code: &str, client: &Client) -> Result<Option<CodeRow>, Error> {
        let Some(row) = self.work.code_for_update(&token::digest(code)).await? else { return Ok(None) };
        if row.application_id != client.id.0 {
            return Ok(None);
        }
        if row.used_at.is_some() {
            self.work.revoke_issued_by_code(row.id, self.now).await?;
            self.work.attribute(Some(UserId(row.user_id)), None, None);
            self.work.audit_event(AuditAction::TokenReuse, "Grant", Some(row.id));
            tracing::warn!(client.id = client.id.0, "an authorization code was used twice; what it issued is revoked");
            return Ok(None);
        }
        if row.expires <= self.now {
            return Ok(None);
        }
        let account = self.work.account_by_id(UserId(row.user_id)).await?;
        // A code that no browser session stands behind came out of an invitation, which opens patients' accounts alone;
        // the account may have become more since.
        let may =
            |account: &LoginAccount| account.is_active && (row.session_digest.is_some() || !account.is_privileged);
        Ok(if account.is_some_and(|account| may(&account)) { Some(row) } else { None })
    }

    /// Notes a wrong verifier.
    pub async fn count_failure(&mut self, code: &CodeRow) -> Result<(), Error> {
        self.work.count_code_failure(code.id, self.now).await
    }

    /// Uses a code up and issues what it stands for. `None` when somebody was faster.
    pub async fn redeem(&mut self, code: &CodeRow, client: &Client) -> Result<Option<Tokens>, Error> {
        if !self.work.consume_code(code.id, self.now).await? {
            return Ok(None);
        }
        let source = Source {
            user_id: UserId(code.user_id),
            scope: &code.scope,
            auth_time: code.auth_time,
            nonce: code.nonce.as_deref(),
            grant_id: Some(code.id),
            session_digest: code.session_digest.clone(),
            signed_in: true,
        };
        self.issue(client, &source, Some(Family::New)).await.map(Some)
    }

    /// What may be done with a refresh token, held until the transaction ends.
    pub async fn refreshing(&mut self, refresh_token: &str, client: &Client) -> Result<Refreshing, Error> {
        let Some(row) = self.work.refresh_for_update(&token::digest(refresh_token)).await? else {
            return Ok(Refreshing::Refused);
        };
        if !self.mint().may_refresh(&row, client) {
            return Ok(Refreshing::Refused);
        }
        if let Some(replaced) = row.replaced_at {
            let grace = TimeDelta::seconds(self.app.config().tokens.refresh_grace);
            if replaced + grace >= self.now && row.replacements > MAX_SIBLINGS {
                return Ok(Refreshing::Refused);
            }
            if replaced + grace < self.now {
                self.work.revoke_family(row.family, self.now).await?;
                self.work.attribute(Some(UserId(row.user_id)), None, None);
                self.work.audit_event(AuditAction::TokenReuse, "RefreshToken", Some(row.id));
                tracing::warn!(
                    client.id = client.id.0,
                    "a replaced refresh token was used again; its family is revoked"
                );
                return Ok(Refreshing::Reused);
            }
        }
        Ok(if row.is_active { Refreshing::Live(Box::new(row)) } else { Refreshing::Refused })
    }

    /// Replaces a refresh token that is held; `scope` is what the new access token gets, the refresh token keeps all.
    pub async fn rotate(&mut self, row: &RefreshRow, client: &Client, scope: &str) -> Result<Tokens, Error> {
        self.issue(client, &Source::of_refresh(row, scope), Some(Family::Of(row))).await
    }

    /// Issues tokens to an account that proved itself to the token endpoint. No id token: no browser signed in. `None` when
    /// all access of the account was ended since it was looked up.
    pub async fn issue_for_password(
        &mut self,
        account: &LoginAccount,
        client: &Client,
        scope: &str,
    ) -> Result<Option<Tokens>, Error> {
        if !self.work.still_stands(account).await? {
            return Ok(None);
        }
        let source = Source {
            user_id: account.id,
            scope,
            auth_time: self.now,
            nonce: None,
            grant_id: None,
            session_digest: None,
            signed_in: false,
        };
        self.issue(client, &source, Some(Family::New)).await.map(Some)
    }

    /// Issues an access token, and nothing beside it, to an account that another issuer vouches for. `None` when all access
    /// of the account was ended since it was looked up.
    pub async fn issue_for_exchange(
        &mut self,
        account: &LoginAccount,
        client: &Client,
    ) -> Result<Option<Tokens>, Error> {
        if !self.work.still_stands(account).await? {
            return Ok(None);
        }
        let source = Source {
            user_id: account.id,
            scope: "openid",
            auth_time: self.now,
            nonce: None,
            grant_id: None,
            session_digest: None,
            signed_in: false,
        };
        self.work.audit_event(AuditAction::Exchange, "JheUser", Some(account.id.0));
        self.issue(client, &source, None).await.map(Some)
    }

    /// Notes that an id token of another issuer was used. `false` when it was used before.
    pub async fn use_id_token(&mut self, digest: &[u8], expires: DateTime<Utc>) -> Result<bool, Error> {
        self.work.use_id_token(digest, expires).await
    }

    /// Revokes a token of the client: an access token alone, a refresh token with its family.
    pub async fn revoke(&mut self, text: &str, client: &Client) -> Result<(), Error> {
        let digest = token::digest(text);
        if self.work.revoke_access_token(&digest, client.id, self.now).await? {
            self.work.audit_event(AuditAction::TokenRevoke, "AccessToken", None);
        }
        if let Some(row) = self.work.refresh_for_update(&digest).await?
            && row.application_id == client.id.0
        {
            self.work.revoke_family(row.family, self.now).await?;
            self.work.attribute(Some(UserId(row.user_id)), None, None);
            self.work.audit_event(AuditAction::TokenRevoke, "RefreshToken", Some(row.id));
        }
        Ok(())
    }

    async fn issue(
        &mut self,
        client: &Client,
        source: &Source<'_>,
        family: Option<Family<'_>>,
    ) -> Result<Tokens, Error> {
        let address = if source.tells_address() {
            let account = self.work.account_by_id(source.user_id).await?;
            account.map(|account| (account.email, account.email_is_verified))
        } else {
            None
        };
        let address = address.as_ref().map(|(email, is_verified)| (email, *is_verified));
        let Minted { tokens, access, refresh } = self.mint().mint(client, source, address, family)?;
        let replaces = match family {
            Some(Family::Of(row)) => refresh.as_ref().map(|_| row.id),
            Some(Family::New) | None => None,
        };
        self.work.insert_tokens(&access, refresh.as_ref(), replaces).await?;
        self.work.attribute(Some(source.user_id), None, None);
        let event = if replaces.is_some() { AuditAction::TokenRefresh } else { AuditAction::TokenIssue };
        self.work.audit_event_later(event, "JheUser", Some(source.user_id.0));
        Ok(tokens)
    }

    const fn mint(&self) -> Mint<'_> {
        Mint { app: self.app, now: self.now }
    }
}

/// The issuer: `{site.url}/o`, from settings, never from a request.
pub fn issuer(app: &App) -> String {
    format!("{}/o", app.settings().site_url())
}

/// Whether a scope string names a scope.
pub fn has_scope(scopes: &str, scope: &str) -> bool {
    scopes.split(' ').any(|part| part == scope)
}

/// A code to issue at the end of an authorization.
#[derive(Debug, Clone)]
pub struct Authorized {
    /// To which client.
    pub client_id: ApplicationId,
    /// Where it goes.
    pub redirect_uri: String,
    /// The request named the redirect URI.
    pub redirect_uri_given: bool,
    /// Granted scopes.
    pub scope: String,
    /// For the id token.
    pub nonce: Option<String>,
    /// S256 challenge.
    pub code_challenge: String,
}

/// Issues a code to a visitor who authorized a client. `None` when the visitor's session has ended meanwhile.
pub async fn issue_code(app: &App, visitor: &Visitor, authorized: &Authorized) -> Result<Option<Phi<String>>, Error> {
    let code = token::alphanumeric(&mut OsEntropy, 30);
    let now = app.now();
    let mut work = app.store().begin().await?;
    let row = NewCode {
        digest: token::digest(&code),
        user_id: visitor.user_id,
        application_id: authorized.client_id,
        redirect_uri: authorized.redirect_uri.clone(),
        redirect_uri_given: authorized.redirect_uri_given,
        scope: authorized.scope.clone(),
        nonce: authorized.nonce.clone(),
        code_challenge: authorized.code_challenge.clone(),
        auth_time: visitor.auth_time,
        session_digest: Some(visitor.digest.to_vec()),
        created: now,
        expires: now + TimeDelta::seconds(app.config().tokens.code),
    };
    if !work.insert_code(&row, false).await? {
        return Ok(None);
    }
    work.commit().await?;
    Ok(Some(Phi::new(code)))
}

/// A live access token, by its text.
pub async fn live_token(app: &App, text: &str) -> Result<Option<TokenInfo>, Error> {
    let mut work = app.store().read().await?;
    work.live_token(&token::digest(text), app.now()).await
}

/// Whether a visitor holds a live token of a client for some scopes, so that it need not be asked again.
pub async fn authorized_before(app: &App, user: UserId, client: &Client, scopes: &[String]) -> Result<bool, Error> {
    let mut work = app.store().read().await?;
    work.has_live_token(user, client.id, scopes, app.now()).await
}

/// The clients that hold live tokens of an account.
pub async fn authorized_clients(app: &App, user: UserId) -> Result<Vec<AuthorizedClient>, Error> {
    let mut work = app.store().read().await?;
    work.authorized_clients(user, app.now()).await
}

/// Ends all tokens and codes that a client holds of an account.
pub async fn remove_client(app: &App, user: UserId, client: ApplicationId, ip: Option<IpAddr>) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    work.revoke_client(user, client, app.now()).await?;
    work.attribute(Some(user), Some(client), ip);
    work.audit_event(AuditAction::TokenRevoke, "Application", Some(client.0));
    work.commit().await
}

/// Whether discovery lists the password grant.
pub async fn password_grant_in_use(app: &App) -> Result<bool, Error> {
    if !app.config().auth.password_grant {
        return Ok(false);
    }
    let mut work = app.store().read().await?;
    work.any_password_client().await
}
