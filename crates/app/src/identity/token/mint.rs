//! The texts of tokens, and the rows that are kept of them.

use chrono::{DateTime, TimeDelta, Utc};
use jhe_crypto::{OsEntropy, signing, token};
use jhe_domain::client::{Client, GrantType};
use jhe_domain::error::Error;
use jhe_domain::{Phi, UserId};
use jhe_store::credential::{NewAccessToken, NewRefreshToken, RefreshRow};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Tokens, has_scope, issuer};
use crate::App;

/// Where tokens come from.
pub(super) struct Source<'a> {
    pub(super) user_id: UserId,
    pub(super) scope: &'a str,
    pub(super) auth_time: DateTime<Utc>,
    pub(super) nonce: Option<&'a str>,
    pub(super) grant_id: Option<i64>,
    pub(super) session_digest: Option<Vec<u8>>,
    /// A person signed in to the client, which an id token tells.
    pub(super) signed_in: bool,
}

impl<'a> Source<'a> {
    pub(super) fn of_refresh(row: &RefreshRow, scope: &'a str) -> Self {
        Self {
            user_id: UserId(row.user_id),
            scope,
            auth_time: row.auth_time,
            nonce: None,
            grant_id: row.grant_id,
            session_digest: row.session_digest.clone(),
            signed_in: true,
        }
    }

    /// An id token comes with the tokens.
    fn has_id_token(&self) -> bool {
        self.signed_in && has_scope(self.scope, "openid")
    }

    /// That id token tells the account's e-mail address.
    pub(super) fn tells_address(&self) -> bool {
        self.has_id_token() && has_scope(self.scope, "email")
    }
}

/// What a refresh token beside the access token belongs to.
#[derive(Clone, Copy)]
pub(super) enum Family<'a> {
    New,
    /// That of the one it replaces.
    Of(&'a RefreshRow),
}

/// Tokens that count once their rows are stored.
pub(super) struct Minted {
    pub(super) tokens: Tokens,
    pub(super) access: NewAccessToken,
    pub(super) refresh: Option<NewRefreshToken>,
}

/// Makes tokens.
#[derive(Clone, Copy)]
pub(super) struct Mint<'a> {
    pub(super) app: &'a App,
    pub(super) now: DateTime<Utc>,
}

impl Mint<'_> {
    pub(super) fn may_refresh(self, row: &RefreshRow, client: &Client) -> bool {
        let limit = self.app.config().tokens.refresh_max;
        let too_old = limit > 0 && row.family_created + TimeDelta::seconds(limit) <= self.now;
        row.application_id == client.id.0 && row.revoked.is_none() && row.expires > self.now && !too_old
    }

    /// Tokens of an account: with a refresh token for a family where the client may have one, with an id token where a
    /// person signed in and `openid` is granted. `address` is what [`Source::tells_address`] asks for, and whether it was
    /// confirmed.
    pub(super) fn mint(
        self,
        client: &Client,
        source: &Source<'_>,
        address: Option<(&Phi<String>, bool)>,
        family: Option<Family<'_>>,
    ) -> Result<Minted, Error> {
        let mut minted = self.access(client, Some(source.user_id), source.scope)?;
        let Minted { tokens, access, refresh } = &mut minted;
        access.grant_id = source.grant_id;
        access.session_digest.clone_from(&source.session_digest);
        access.auth_time = Some(source.auth_time);
        if let Some(family) = family.filter(|_| client.may(GrantType::RefreshToken)) {
            let text = token::refresh_token(&mut OsEntropy);
            let seconds = client.refresh_token_seconds.unwrap_or(self.app.config().tokens.refresh);
            let (id, family_created, scope) = match family {
                Family::New => (Uuid::new_v4(), self.now, source.scope),
                Family::Of(row) => (row.family, row.family_created, row.scope.as_str()),
            };
            access.family = Some(id);
            *refresh = Some(NewRefreshToken {
                digest: token::digest(&text),
                scope: scope.to_owned(),
                family_created,
                expires: self.now + TimeDelta::seconds(seconds),
            });
            tokens.refresh_token = Some(Phi::new(text));
        }
        if source.has_id_token() {
            tokens.id_token = Some(Phi::new(self.id_token(client, source, tokens.access_token.reveal(), address)?));
        }
        Ok(minted)
    }

    /// An access token alone, of an account or of a client of its own.
    pub(super) fn access(self, client: &Client, user: Option<UserId>, scope: &str) -> Result<Minted, Error> {
        let expires_in = client.access_token_seconds.unwrap_or(self.app.config().tokens.access);
        let text = self.access_text(client, user, scope, expires_in)?;
        let access = NewAccessToken {
            digest: token::digest(&text),
            user_id: user,
            application_id: client.id,
            scope: scope.to_owned(),
            created: self.now,
            expires: self.now + TimeDelta::seconds(expires_in),
            family: None,
            grant_id: None,
            session_digest: None,
            auth_time: None,
        };
        let tokens = Tokens {
            access_token: Phi::new(text),
            expires_in,
            scope: scope.to_owned(),
            refresh_token: None,
            id_token: None,
        };
        Ok(Minted { tokens, access, refresh: None })
    }

    /// The text of a new access token: opaque, or a signed JWT (RFC 9068) where the operator wants those. Either is
    /// looked up by its digest at each use, so that revoking works at once.
    fn access_text(self, client: &Client, user: Option<UserId>, scope: &str, expires_in: i64) -> Result<String, Error> {
        if !self.app.config().tokens.jwt {
            return Ok(token::access_token(&mut OsEntropy));
        }
        let claims = json!({
            "iss": issuer(self.app),
            "aud": self.app.settings().site_url(),
            // Without a person behind it a token is about the client itself (RFC 9068 §2.2).
            "sub": user.map_or_else(|| client.client_id.clone(), |user| user.to_string()),
            "client_id": client.client_id,
            "scope": scope,
            "iat": self.now.timestamp(),
            "exp": self.now.timestamp() + expires_in,
            "jti": Uuid::new_v4().to_string(),
        });
        self.app.identity().sign("at+jwt", &claims)
    }

    /// The claims of OpenID Connect Core §2; never `azp`, which clients expect unchanged between refreshes.
    fn id_token(
        self,
        client: &Client,
        source: &Source<'_>,
        access_token: &str,
        address: Option<(&Phi<String>, bool)>,
    ) -> Result<String, Error> {
        let mut claims = Map::new();
        claims.insert("iss".into(), json!(issuer(self.app)));
        claims.insert("sub".into(), json!(source.user_id.to_string()));
        claims.insert("aud".into(), json!(client.client_id));
        claims.insert("iat".into(), json!(self.now.timestamp()));
        claims.insert("exp".into(), json!(self.now.timestamp() + self.app.config().tokens.id));
        claims.insert("auth_time".into(), json!(source.auth_time.timestamp()));
        claims.insert("at_hash".into(), json!(signing::at_hash(access_token)));
        claims.insert("jti".into(), json!(Uuid::new_v4().to_string()));
        if let Some(nonce) = source.nonce {
            claims.insert("nonce".into(), json!(nonce));
        }
        if let Some((email, is_verified)) = address.filter(|_| source.tells_address()) {
            claims.insert("email".into(), json!(email.reveal()));
            claims.insert("email_verified".into(), json!(is_verified));
        }
        self.app.identity().sign("JWT", &Value::Object(claims))
    }
}
