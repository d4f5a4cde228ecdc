//! Signing in by password, and counting attempts (identity §4.3, §4.9).

use std::net::IpAddr;

use chrono::TimeDelta;
use jhe_crypto::password::Verdict;
use jhe_crypto::token;
use jhe_domain::audit::AuditAction;
use jhe_domain::error::Error;
use jhe_domain::{ApplicationId, Phi, UserId};
use jhe_store::Work;
use jhe_store::credential::LoginAccount;

use crate::App;
use crate::identity::throttle::{self, Limit};

/// Failures after which an account is locked, and the time they are counted over.
const ACCOUNT_FAILURES: i64 = 5;
const ACCOUNT_WINDOW: TimeDelta = TimeDelta::minutes(5);
const ACCOUNT: &str = "login.account";

/// What one address may try.
const ADDRESS: Limit = Limit { purpose: "login.address", window: TimeDelta::minutes(1), attempts: 30, failures: 10 };

/// Under what failures are counted: the account that was found, however its address was typed; else what was typed.
pub(super) fn account_subject(account: Option<&LoginAccount>, email: &str) -> [u8; 32] {
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

/// What somebody shows to prove who it is.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// Login name as typed.
    pub email: &'a str,
    /// Password.
    pub password: &'a str,
    /// From where.
    pub ip: Option<IpAddr>,
    /// The client that asks, in the password grant.
    pub client: Option<ApplicationId>,
    /// Administrators may come in this way.
    pub admits_superusers: bool,
}

/// Checks a password. `None` for every kind of wrong: unknown, wrong, inactive, without a password, not admitted.
///
/// # Errors
/// [`Error::Throttled`] after too many failures, also for the right password; [`Error::Overloaded`] when too many sign in
/// at once.
pub async fn check(app: &App, attempt: Attempt<'_>) -> Result<Option<LoginAccount>, Error> {
    let outcome = decide(app, attempt).await;
    let told = match &outcome {
        Ok(Some(_)) => "ok",
        Ok(None) => "refused",
        Err(Error::Throttled { .. }) => "throttled",
        Err(Error::Overloaded { .. }) => "overloaded",
        Err(_) => "error",
    };
    metrics::counter!("jhe_logins_total", "outcome" => told).increment(1);
    outcome
}

async fn decide(app: &App, attempt: Attempt<'_>) -> Result<Option<LoginAccount>, Error> {
    app.identity().admit_sign_in()?;
    let Attempt { email, password, ip, client, admits_superusers } = attempt;
    let account = find(app, email).await?;
    let subject = account_subject(account.as_ref(), email);
    let address = ip.map(|ip| throttle::address(Some(ip)));
    // Before the queue, so that those refused do not lengthen it; and again after it, when others have failed meanwhile.
    refuse(app, &subject, address.as_ref()).await?;
    let place = app.identity().hashing.place().await?;
    refuse(app, &subject, address.as_ref()).await?;
    let found = account.as_ref().map(|account| account.id);
    let account = account.filter(|account| account.is_active && (admits_superusers || !account.is_superuser));
    let stored = account.as_ref().map(|account| account.password.clone());
    let verdict = place.check(password.to_owned(), stored).await?;
    let good = verdict != Verdict::NoMatch;
    let upgraded = match verdict {
        Verdict::MatchNeedsUpgrade => Some(place.hash(password.to_owned()).await?),
        Verdict::Match | Verdict::NoMatch => None,
    };
    let now = app.now();
    let mut work = app.store().begin().await?;
    work.attribute(None, client, ip);
    if !good {
        work.audit_event(AuditAction::LoginFailed, "JheUser", found.map(|id| id.0));
    }
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
                work.audit_event(AuditAction::Lockout, "JheUser", found.map(|id| id.0));
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

pub(super) async fn find(app: &App, email: &str) -> Result<Option<LoginAccount>, Error> {
    let email = email.trim();
    if email.len() > 254 || email.contains('\0') {
        return Ok(None);
    }
    let mut work = app.store().read().await?;
    work.account_by_email(&Phi::new(email.to_owned())).await
}

/// Forgets wrong passwords of an account that has proved itself otherwise.
pub(super) async fn unlock(app: &App, work: &mut Work, account: &LoginAccount) -> Result<(), Error> {
    if app.config().auth.throttle {
        work.forget_attempts(ACCOUNT, &account_subject(Some(account), "")).await?;
    }
    Ok(())
}

/// Whether an account administers the server.
pub async fn is_superuser(app: &App, user: UserId) -> Result<bool, Error> {
    let mut work = app.store().read().await?;
    Ok(work.account_by_id(user).await?.is_some_and(|account| account.is_superuser))
}
