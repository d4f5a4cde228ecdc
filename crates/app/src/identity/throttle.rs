//! Counting attempts (identity §4.9). The counters are in the database, so all processes see the same, and attempts that
//! come at the same time are settled there one after the other.
//!
//! What is limited by attempts is counted before it is done. What is limited by failures is looked at before it is done, so
//! that nobody works for those who have none left, and settled once it is known whether it failed, before anybody is told:
//! of guesses made at the same time only so many get an answer, and the others learn nothing, not even that they were right.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jhe_crypto::token;
use jhe_domain::error::Error;
use jhe_store::Work;
use jhe_store::credential::Bounds;

use crate::App;

/// How many attempts a subject has within a window.
pub(super) struct Limit {
    pub(super) purpose: &'static str,
    pub(super) bounds: Bounds,
}

impl Limit {
    /// So many attempts, whatever becomes of them.
    pub(super) const fn of_attempts(purpose: &'static str, window: TimeDelta, attempts: i64) -> Self {
        Self { purpose, bounds: Bounds { window, attempts: Some(attempts), failures: None } }
    }

    /// So many failures.
    pub(super) const fn of_failures(purpose: &'static str, window: TimeDelta, failures: i64) -> Self {
        Self { purpose, bounds: Bounds { window, attempts: None, failures: Some(failures) } }
    }

    /// The error for those who have none left.
    pub(super) fn exceeded(&self, now: DateTime<Utc>) -> Error {
        until(now + self.bounds.window, now)
    }
}

/// Refuses a subject that has none left. That one has some now does not mean that it will: see [`settle`].
pub(super) async fn refuse(app: &App, limit: &Limit, subject: &[u8]) -> Result<(), Error> {
    if !app.config().auth.throttle {
        return Ok(());
    }
    let now = app.now();
    let mut work = app.store().read().await?;
    let made = work.attempts(limit.purpose, subject, now - limit.bounds.window).await?;
    let is_used_up = |made: i64, most: Option<i64>| most.is_some_and(|most| made >= most);
    if is_used_up(made.all, limit.bounds.attempts) || is_used_up(made.failed, limit.bounds.failures) {
        return Err(limit.exceeded(now));
    }
    Ok(())
}

/// Counts an attempt of which the outcome is known but not yet told, or refuses it.
pub(super) async fn settle(app: &App, limit: &Limit, subject: &[u8], failed: bool) -> Result<(), Error> {
    let mut work = app.store().single().await?;
    settle_within(app, &mut work, limit, subject, failed).await
}

/// The same in a unit of work, until whose end others of the subject wait.
pub(super) async fn settle_within(
    app: &App,
    work: &mut Work,
    limit: &Limit,
    subject: &[u8],
    failed: bool,
) -> Result<(), Error> {
    let now = app.now();
    if app.config().auth.throttle && !work.settle_attempt(limit.purpose, subject, limit.bounds, now, failed).await? {
        return Err(limit.exceeded(now));
    }
    Ok(())
}

/// Counts an attempt that a subject may make, or refuses it.
pub(super) async fn pass(app: &App, limit: &Limit, subject: &[u8]) -> Result<(), Error> {
    settle(app, limit, subject, false).await
}

/// Under what attempts of an address are counted; those without one count together.
pub(super) fn address(ip: Option<IpAddr>) -> [u8; 32] {
    token::digest(&ip.map(|ip| ip.to_string()).unwrap_or_default())
}

/// The error that says when to try again.
pub(super) fn until(end: DateTime<Utc>, now: DateTime<Utc>) -> Error {
    Error::Throttled { retry_after: wait(end, now) }
}

/// How long it is until a moment, in whole seconds and never nothing.
pub(super) fn wait(end: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    Duration::from_secs(u64::try_from((end - now).num_seconds()).unwrap_or_default().max(1))
}
