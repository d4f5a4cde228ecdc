//! Counting attempts (identity §4.9). The counters are in the database, so all processes see the same.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jhe_crypto::token;
use jhe_domain::error::Error;

use crate::App;

/// How many attempts a subject has within a window.
pub(super) struct Limit {
    pub(super) purpose: &'static str,
    pub(super) window: TimeDelta,
    pub(super) attempts: i64,
    pub(super) failures: i64,
}

/// Refuses a subject that has none left.
pub(super) async fn refuse(app: &App, limit: &Limit, subject: &[u8]) -> Result<(), Error> {
    if !app.config().auth.throttle {
        return Ok(());
    }
    let now = app.now();
    let mut work = app.store().read().await?;
    let made = work.attempts(limit.purpose, subject, now - limit.window).await?;
    if made.failed >= limit.failures || made.all >= limit.attempts {
        return Err(until(now + limit.window, now));
    }
    Ok(())
}

/// Counts an attempt.
pub(super) async fn record(app: &App, limit: &Limit, subject: &[u8], failed: bool) -> Result<(), Error> {
    if !app.config().auth.throttle {
        return Ok(());
    }
    let mut work = app.store().begin().await?;
    work.record_attempt(limit.purpose, subject, app.now(), failed).await?;
    work.commit().await
}

/// Counts an attempt that a subject may make, or refuses it.
pub(super) async fn pass(app: &App, limit: &Limit, subject: &[u8]) -> Result<(), Error> {
    refuse(app, limit, subject).await?;
    record(app, limit, subject, false).await
}

/// Under what attempts of an address are counted; those without one count together.
pub(super) fn address(ip: Option<IpAddr>) -> [u8; 32] {
    token::digest(&ip.map(|ip| ip.to_string()).unwrap_or_default())
}

/// The error that says when to try again.
pub(super) fn until(end: DateTime<Utc>, now: DateTime<Utc>) -> Error {
    let seconds = u64::try_from((end - now).num_seconds()).unwrap_or_default().max(1);
    Error::Throttled { retry_after: Duration::from_secs(seconds) }
}
