//! Signing in by password, sessions, and counting attempts (identity §4.3, §4.9).

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jhe_crypto::password::Verdict;
use jhe_crypto::{OsEntropy, token};
use jhe_domain::error::Error;
use jhe_domain::{Phi, UserId};
use jhe_store::credential::{LoginAccount, NewSession};

use crate::App;

/// How long a browser session lasts.
pub const SESSION_SECONDS: i64 = 1_209_600;

/// Failures after which an account is locked, and the time they are counted over.
const ACCOUNT_FAILURES: i64 = 5;
const ACCOUNT_WINDOW: TimeDelta = TimeDelta::minutes(5);
const ADDRESS_FAILURES: i64 = 10;
const ADDRESS_ATTEMPTS: i64 = 30;
const ADDRESS_WINDOW: TimeDelta = TimeDelta::minutes(1);

const ACCOUNT: &str = "login.account";
const ADDRESS: &str = "login.address";

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

/// The same account however its address is typed.
fn account_subject(email: &str) -> [u8; 32] {
    token::digest(&email.trim().to_lowercase())
}

fn throttled(until: DateTime<Utc>, now: DateTime<Utc>) -> Error {
    let seconds = u64::try_from((until - now).num_seconds()).unwrap_or_default().max(1);
    Error::Throttled { retry_after: Duration::from_secs(seconds) }
}

/// Checks a password. `None` for every kind of wrong: unknown, wrong, inactive, without a password.
///
/// # Errors
/// [`Error::Throttled`] after too many failures, also for the right password.
pub async fn check(app: &App, email: &str, password: &str, ip: Option<IpAddr>) -> Result<Option<LoginAccount>, Error> {
    let now = app.now();
    let account_subject = account_subject(email);
    let address_subject = ip.map(|ip| token::digest(&ip.to_string()));
    let counting = app.config().auth.throttle;
    let account = {
        let mut work = app.store().read().await?;
        if counting {
            if let Some(until) = work.locked_until(ACCOUNT, &account_subject, now).await? {
                return Err(throttled(until, now));
            }
            if let Some(subject) = &address_subject {
                let attempts = work.attempts(ADDRESS, subject, now - ADDRESS_WINDOW).await?;
                if attempts.failed >= ADDRESS_FAILURES || attempts.all >= ADDRESS_ATTEMPTS {
                    return Err(throttled(now + ADDRESS_WINDOW, now));
                }
            }
        }
        work.account_by_email(&Phi::new(email.trim().to_owned())).await?
    };
    let stored = account.as_ref().filter(|account| account.is_active).map(|account| account.password.clone());
    let verdict = app.identity().check_password(password.to_owned(), stored).await?;
    let good = verdict != Verdict::NoMatch;
    let upgraded = match verdict {
        Verdict::MatchNeedsUpgrade => Some(app.identity().hash_password(password.to_owned()).await?),
        Verdict::Match | Verdict::NoMatch => None,
    };
    let mut work = app.store().begin().await?;
    if counting {
        if let Some(subject) = &address_subject {
            work.record_attempt(ADDRESS, subject, now, !good).await?;
        }
        if good {
            work.forget_attempts(ACCOUNT, &account_subject).await?;
        } else {
            work.record_attempt(ACCOUNT, &account_subject, now, true).await?;
            let attempts = work.attempts(ACCOUNT, &account_subject, now - ACCOUNT_WINDOW).await?;
            if attempts.failed >= ACCOUNT_FAILURES {
                work.lock_out(ACCOUNT, &account_subject, now).await?;
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

/// Begins a browser session for an account that proved who it is. An earlier session of the browser ends.
pub async fn begin_session(
    app: &App,
    account: &LoginAccount,
    earlier: Option<&str>,
    ip: Option<IpAddr>,
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
