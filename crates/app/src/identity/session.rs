//! Browser sessions (identity §4.1).

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use jhe_crypto::{OsEntropy, token};
use jhe_domain::audit::AuditAction;
use jhe_domain::error::Error;
use jhe_domain::{Phi, UserId};
use jhe_store::credential::{LoginAccount, NewSession, OwnSession};

use crate::App;

/// How long a browser session lasts.
pub const SESSION_SECONDS: i64 = 1_209_600;
/// Longer browser names are cut.
const USER_AGENT_CHARS: usize = 300;

/// A browser session just begun: the cookie's value, handed out once.
pub struct Session {
    /// The cookie.
    pub cookie: Phi<String>,
    /// Whose.
    pub user_id: UserId,
}

/// A live session.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Whose.
    pub user_id: UserId,
    /// When the user proved who it is.
    pub auth_time: DateTime<Utc>,
    /// Digest of the cookie.
    pub digest: [u8; 32],
}

/// The browser that a person sits at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Browser<'a> {
    /// Cookie of an earlier session.
    pub session: Option<&'a str>,
    /// Where it is.
    pub ip: Option<IpAddr>,
    /// What it calls itself.
    pub user_agent: Option<&'a str>,
}

/// How a person proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By password.
    Password,
    /// By a code sent to its address.
    Code,
}

/// Begins a browser session for an account that proved who it is. An earlier session of the browser ends. `None` when all
/// access of the account was ended since it was looked up: the proof may have been a password that was just replaced.
pub async fn begin(
    app: &App,
    account: &LoginAccount,
    method: Method,
    browser: Browser<'_>,
) -> Result<Option<Session>, Error> {
    let now = app.now();
    let cookie = token::session_id(&mut OsEntropy);
    let mut work = app.store().begin().await?;
    if !work.still_stands(account).await? {
        return Ok(None);
    }
    if let Some(earlier) = browser.session {
        work.end_session(&token::digest(earlier), false, now).await?;
    }
    let session = NewSession {
        digest: token::digest(&cookie),
        user_id: account.id,
        auth_time: now,
        auth_method: match method {
            Method::Password => "password",
            Method::Code => "code",
        },
        expires: now + TimeDelta::seconds(SESSION_SECONDS),
        ip: browser.ip,
        user_agent: browser.user_agent.map(|text| text.chars().take(USER_AGENT_CHARS).collect()),
    };
    work.insert_session(&session).await?;
    work.commit().await?;
    Ok(Some(Session { cookie: Phi::new(cookie), user_id: account.id }))
}

/// Who a session cookie belongs to.
pub async fn visitor(app: &App, cookie: &str) -> Result<Option<Visitor>, Error> {
    let digest = token::digest(cookie);
    let mut work = app.store().read().await?;
    let session = work.session(&digest, app.now()).await?;
    Ok(session.map(|session| Visitor { user_id: session.user_id, auth_time: session.auth_time, digest }))
}

/// Ends a session, and the tokens the web console got from it. Whose it was, if there was one.
pub async fn end(app: &App, cookie: &str, ip: Option<IpAddr>) -> Result<Option<UserId>, Error> {
    let digest = token::digest(cookie);
    let mut work = app.store().begin().await?;
    let Some(session) = work.session(&digest, app.now()).await? else { return Ok(None) };
    end_in(app, &mut work, &digest, session.user_id, ip).await?;
    work.commit().await?;
    Ok(Some(session.user_id))
}

async fn end_in(
    app: &App,
    work: &mut jhe_store::Work,
    digest: &[u8],
    user: UserId,
    ip: Option<IpAddr>,
) -> Result<(), Error> {
    let revoke = app.settings().bool("auth.logout_revokes_tokens", true);
    work.end_session(digest, revoke, app.now()).await?;
    work.attribute(Some(user), None, ip);
    work.audit_event(AuditAction::Logout, "JheUser", Some(user.0));
    Ok(())
}

/// The live sessions of a visitor's account, the newest first.
pub async fn own(app: &App, visitor: &Visitor) -> Result<Vec<OwnSession>, Error> {
    let mut work = app.store().read().await?;
    work.sessions_of(visitor.user_id, app.now()).await
}

/// Ends one of the visitor's sessions, named by its digest. `false` when it has no such session.
pub async fn end_own(app: &App, visitor: &Visitor, digest: &[u8], ip: Option<IpAddr>) -> Result<bool, Error> {
    let mut work = app.store().begin().await?;
    let session = work.session(digest, app.now()).await?;
    if session.is_none_or(|session| session.user_id != visitor.user_id) {
        return Ok(false);
    }
    end_in(app, &mut work, digest, visitor.user_id, ip).await?;
    work.commit().await?;
    Ok(true)
}
