//! Removing what nobody needs any more, now and then.

use std::time::Duration;

use jhe_domain::error::Error;
use tokio::sync::watch;

use crate::App;
use crate::audit::{self, Expired};

/// How often.
const PAUSE: Duration = Duration::from_hours(1);
/// Rows of a kind in one transaction, so that none holds many locks for long.
const BATCH: i64 = 5_000;

/// Cleans up every hour until it is told to stop.
pub async fn run(app: App, mut stop: watch::Receiver<bool>) {
    loop {
        if tokio::time::timeout(PAUSE, stop.wait_for(|stopped| *stopped)).await.is_ok() {
            return;
        }
        tidy(&app).await;
    }
}

/// Removes whatever has ended, once.
pub async fn tidy(app: &App) {
    if let Err(error) = purge(app).await {
        tracing::warn!(error = %error, "expired rows could not be removed; they are next time");
    }
    expire_audit(app).await;
}

/// Removes what the audit trail need not keep any longer.
async fn expire_audit(app: &App) {
    match audit::expire(app, None).await {
        Ok(Expired { rows, fault }) => {
            if rows > 0 {
                tracing::info!(rows, "old entries of the audit trail were removed");
            }
            if let Some(fault) = fault {
                tracing::error!(fault, "the audit trail is not as it was sealed, so nothing more is removed from it");
            }
        }
        Err(error) => tracing::warn!(error = %error, "old audit entries could not be removed; they are next time"),
    }
}

/// Removes all rows that ended long enough ago.
pub async fn purge(app: &App) -> Result<(), Error> {
    loop {
        let mut work = app.store().begin().await?;
        // One process at a time, or they would wait for each other's rows.
        work.queue_up("housekeeping").await?;
        let removed = work.purge(app.now(), BATCH).await?;
        work.commit().await?;
        for (what, rows) in removed.iter().filter(|(_, rows)| *rows > 0) {
            tracing::info!(what, rows, "expired rows were removed");
        }
        if removed.iter().all(|(_, rows)| i64::try_from(*rows).is_ok_and(|rows| rows < BATCH)) {
            return Ok(());
        }
    }
}
