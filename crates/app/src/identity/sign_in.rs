//! Signing in by password, sessions, and counting attempts (identity §4.3, §4.9).

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use jhe_crypto::password::Verdict;
use jhe_crypto::{OsEntropy, token};
use jhe_domain::error::Error;
use jhe_domain::{Phi, UserId};
use jhe_store::credential::{LoginAccount, NewSession};

use crate::App;
use crate::identity::throttle::{self, Limit};

/// How long a browser session lasts.
pub const SESSION_SECONDS: i64 = 1_209_600;

/// Failures after which an account is locked, and the time they are counted over.
const ACCOUNT_FAILURES: i64 = 5;
const ACCOUNT_WINDOW: TimeDelta = TimeDelta::minutes(5);
const ACCOUNT: &str = "login.account";

/// What one address may try.
const ADDRESS: Limit = Limit { purpose: "login.address", window: TimeDelta::minutes(1), attempts: 30, failures: 10 };

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

/// Under what failures are counted: the account that was found, however its address was typed; else what was typed.
fn account_subject(account: Option<&LoginAccount>, email: &str) -> [u8; 32] {
    match account {
        Some(account) => token::digest(&format!("account {}", account.id.0)),
        None => token::digest(&format!("address {}", email.trim().to_lowercase())),
    }
}

/// Refuses a locked account, and an address with too many attempts.
async fn refuse(app: &App, account: &[u8], address: Option<&[u8; 32]>) -> Result<(), Error> {
    if !app.config().auth.throttle {
        return Ok(());
    }
    let now = app.now();
    let locked = {
        let mut work = app.store().read().await?;
        work.locked_until(ACCOUNT, account, now).await?
    };
    match (locked, address) {
        (Some(end), _) => Err(throttle::until(end, now)),
        (None, Some(address)) => throttle::refuse(app, &ADDRESS, address).await,
        (None, None) => Ok(()),
    }
}

/// Checks a password. `None` for every kind of wrong: unknown, wrong, inactive, without a password.
///
/// # Errors
/// [`Error::Throttled`] after too many failures, also for the right password.
pub async fn check(app: &App, email: &str, password: &str, ip: Option<IpAddr>) -> Result<Option<LoginAccount>, Error> {
    let account = find(app, email).await?;
    let subject = account_subject(account.as_ref(), email);
    let address = ip.map(|ip| token::digest(&ip.to_string()));
    // Before the queue, so that those refused do not lengthen it; and again after it, when others have failed meanwhile.
    refuse(app, &subject, address.as_ref()).await?;
    let place = app.identity().hashing.place().await?;
    refuse(app, &subject, address.as_ref()).await?;
    let account = account.filter(|account| account.is_active);
    let stored = account.as_ref().map(|account| account.password.clone());
    let verdict = place.check(password.to_owned(), stored).await?;
    let good = verdict != Verdict::NoMatch;
    let upgraded = match verdict {
        Verdict::MatchNeedsUpgrade => Some(place.hash(password.to_owned()).await?),
        Verdict::Match | Verdict::NoMatch => None,
    };
    let now = app.now();
    let mut work = app.store().begin().await?;
    if app.config().auth.throttle {
        if let Some(address) = &address {
            work.record_attempt(ADDRESS.purpose, address, now, !good).await?;
        }
        if good {
            work.forget_attempts(ACCOUNT, &subject).await?;
        } else {
            work.record_attempt(ACCOUNT, &subject, now, true).await?;
            let attempts = work.attempts(ACCOUNT, &subject, now - ACCOUNT_WINDOW).await?;
            if attempts.failed >= ACCOUNT_FAILURES {
                work.lock_out(ACCOUNT, &subject, now).await?;
                tracing::warn!("an account is locked after repeated wrong passwords");
            }
        }
    }
    let account = account.filter(|_| good);
    if let Some(account) = &account {
        work.note_login(account.id, now, upgraded.as_deref()).await?;
    }
    work.commit().await?;
    Ok(account)
}

async fn find(app: &App, email: &str) -> Result<Option<LoginAccount>, Error> {
    let email = email.trim();
    if email.len() > 254 || email.contains('\0') {
        return Ok(None);
    }
    let mut work = app.store().read().await?;
    work.account_by_email(&Phi::new(email.to_owned())).await
}

/// Begins a browser session for an account that proved who it is. An earlier session of the browser ends.
pub async fn begin_session(
    app: &App,
    account: &LoginAccount,
    earlier: Option<&str>,
    ip: Option<IpAddr>,
    user_agent: Option<&str>,
) -> Result<Session, Error> {
    let now = app.now();
    let cookie = token::random_base64url(&mut OsEntropy);
    let mut work = app.store().begin().await?;
    if let Some(earlier) = earlier {
        work.end_session(&token::digest(earlier), false, now).await?;
    }
    let session = NewSession {
        digest: token::digest(&cookie),
        user_id: account.id,
        auth_time: now,
        auth_method: "password",
        expires: now + TimeDelta::seconds(SESSION_SECONDS),
        ip,
        user_agent: user_agent.map(|text| text.chars().take(USER_AGENT_CHARS).collect()),
    };
    work.insert_session(&session).await?;
    work.commit().await?;
    Ok(Session { cookie: Phi::new(cookie), user_id: account.id })
}

/// Who a session cookie belongs to.
pub async fn visitor(app: &App, cookie: &str) -> Result<Option<Visitor>, Error> {
    let digest = token::digest(cookie);
    let mut work = app.store().read().await?;
    let session = work.session(&digest, app.now()).await?;
    Ok(session.map(|session| Visitor { user_id: session.user_id, auth_time: session.auth_time, digest }))
}

/// Ends a session, and the tokens the web console got from it.
pub async fn end_session(app: &App, cookie: &str) -> Result<(), Error> {
    let revoke = app.settings().bool("auth.logout_revokes_tokens", true);
    let mut work = app.store().begin().await?;
    work.end_session(&token::digest(cookie), revoke, app.now()).await?;
    work.commit().await
}
