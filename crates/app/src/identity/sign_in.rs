//! Signing in by password, and counting attempts (identity §4.3, §4.9).

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jhe_crypto::password::Verdict;
use jhe_crypto::token;
use jhe_domain::audit::AuditAction;
use jhe_domain::error::Error;
use jhe_domain::{ApplicationId, Phi, UserId};
use jhe_store::Work;
use jhe_store::credential::Bounds;
pub use jhe_store::credential::LoginAccount;

use crate::App;
use crate::identity::throttle::{self, Limit};

/// Failures after which an account is locked, and the time they are counted over.
const ACCOUNT_FAILURES: i64 = 5;
const ACCOUNT_WINDOW: TimeDelta = TimeDelta::minutes(5);
const ACCOUNT: &str = "login.account";
/// What bounds failures of an account is the lock.
const UNBOUNDED: Bounds = Bounds { window: ACCOUNT_WINDOW, attempts: None, failures: None };

/// What one address may try.
const ADDRESS: Limit = Limit {
    purpose: "login.address",
    bounds: Bounds { window: TimeDelta::minutes(1), attempts: Some(30), failures: Some(10) },
};

/// Under what failures are counted: the account that was found, however its address was typed; else what was typed.
pub(super) fn account_subject(account: Option<&LoginAccount>, email: &str) -> [u8; 32] {
    match account {
        Some(account) => token::digest(&format!("account {}", account.id.0)),
        None => token::digest(&format!("address {}", email.trim().to_lowercase())),
    }
}

/// Why nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Every kind of wrong: unknown, wrong, inactive, without a password, not admitted.
    Wrong,
    /// The account is locked for so long after too many failures, also for the right password.
    Locked(Duration),
}

/// Refuses a locked account, and an address with too many attempts.
async fn refuse(app: &App, account: &[u8], address: Option<&[u8; 32]>) -> Result<Result<(), Refusal>, Error> {
    if !app.config().auth.throttle {
        return Ok(Ok(()));
    }
    let now = app.now();
    let locked = {
        let mut work = app.store().read().await?;
        work.locked_until(ACCOUNT, account, now).await?
    };
    match (locked, address) {
        (Some(end), _) => Ok(Err(Refusal::Locked(throttle::wait(end, now)))),
        (None, Some(address)) => throttle::refuse(app, &ADDRESS, address).await.map(Ok),
        (None, None) => Ok(Ok(())),
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

/// Checks a password.
///
/// # Errors
/// [`Error::Throttled`] after too many attempts or failures of the address, also for the right password;
/// [`Error::Overloaded`] when too many sign in at once.
pub async fn check(app: &App, attempt: Attempt<'_>) -> Result<Result<LoginAccount, Refusal>, Error> {
    let outcome = decide(app, attempt).await;
    let told = match &outcome {
        Ok(Ok(_)) => "ok",
        Ok(Err(Refusal::Wrong)) => "refused",
        Ok(Err(Refusal::Locked(_))) | Err(Error::Throttled { .. }) => "throttled",
        Err(Error::Overloaded { .. }) => "overloaded",
        Err(_) => "error",
    };
    metrics::counter!("jhe_logins_total", "outcome" => told).increment(1);
    outcome
}

async fn decide(app: &App, attempt: Attempt<'_>) -> Result<Result<LoginAccount, Refusal>, Error> {
    app.identity().admit_sign_in()?;
    let Attempt { email, password, ip, client, admits_superusers } = attempt;
    let account = find(app, email).await?;
    let subject = account_subject(account.as_ref(), email);
    let address = ip.map(|ip| throttle::address(Some(ip)));
    // Before the queue, so that those refused do not lengthen it; and again after it, when others have failed meanwhile.
    if let Err(refusal) = refuse(app, &subject, address.as_ref()).await? {
        return Ok(Err(refusal));
    }
    let place = app.identity().hashing.place().await?;
    if let Err(refusal) = refuse(app, &subject, address.as_ref()).await? {
        return Ok(Err(refusal));
    }
    let found = account.as_ref().map(|account| account.id);
    let account = account.filter(|account| account.is_active && (admits_superusers || !account.is_superuser));
    let stored = account.as_ref().map(|account| account.password.clone());
    let verdict = place.check(password.to_owned(), stored).await?;
    let account = account.filter(|_| verdict != Verdict::NoMatch);
    let now = app.now();
    let mut work = app.store().begin().await?;
    work.attribute(None, client, ip);
    if account.is_none() {
        work.audit_event(AuditAction::LoginFailed, "JheUser", found.map(|id| id.0));
    }
    if app.config().auth.throttle {
        // Others were checked at the same time: what each may learn is settled here, one after the other.
        if let Some(end) = work.held_lockout(ACCOUNT, &subject, now).await? {
            return Ok(Err(Refusal::Locked(throttle::wait(end, now))));
        }
        if let Some(address) = &address {
            throttle::settle_within(app, &mut work, &ADDRESS, address, account.is_none()).await?;
        }
        if account.is_some() {
            work.forget_attempts(ACCOUNT, &subject).await?;
        } else {
            count_failure(&mut work, &subject, found, now).await?;
        }
    }
    let Some(account) = account else {
        work.commit().await?;
        return Ok(Err(Refusal::Wrong));
    };
    work.note_login(account.id, now).await?;
    work.commit().await?;
    if verdict == Verdict::MatchNeedsUpgrade {
        let hash = place.hash(password.to_owned()).await?;
        let mut work = app.store().single().await?;
        work.upgrade_password(account.id, &account.password, &hash).await?;
    }
    Ok(Ok(account))
}

/// Counts a wrong password of an account, and locks it after too many.
async fn count_failure(
    work: &mut Work,
    subject: &[u8],
    account: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    work.settle_attempt(ACCOUNT, subject, UNBOUNDED, now, true).await?;
    let attempts = work.attempts(ACCOUNT, subject, now - ACCOUNT_WINDOW).await?;
    if attempts.failed >= ACCOUNT_FAILURES {
        work.lock_out(ACCOUNT, subject, now).await?;
        work.audit_event(AuditAction::Lockout, "JheUser", account.map(|id| id.0));
        tracing::warn!("an account is locked after repeated wrong passwords");
    }
    Ok(())
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
