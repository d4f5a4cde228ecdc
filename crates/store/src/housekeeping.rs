//! Removing what nobody needs any more: expired credentials, counted attempts, mail that was sent.

use chrono::{DateTime, TimeDelta, Utc};
use jhe_domain::error::Error;

use crate::fault::Db;
use crate::work::Work;

/// What ended this long ago is removed; until then it may help to explain something.
const KEPT: TimeDelta = TimeDelta::days(7);
/// How long the results of mail and of disconnections are kept.
const MAIL_KEPT: TimeDelta = TimeDelta::days(30);

/// Statements by what they remove: `$1` is the moment before which it ended, `$2` how many rows at most. What somebody holds
/// goes next time, so that this waits for nobody.
const EXPIRED: &[(&str, &str)] = &[
    (
        "access tokens",
        "DELETE FROM oauth2_provider_accesstoken WHERE id IN
             (SELECT id FROM oauth2_provider_accesstoken WHERE expires < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ),
    (
        "refresh tokens",
        "DELETE FROM oauth2_provider_refreshtoken WHERE id IN
             (SELECT id FROM oauth2_provider_refreshtoken WHERE expires < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ),
    (
        // A used code stays as long as anything it issued lives, so that a second use is recognised.
        "codes",
        "DELETE FROM oauth2_provider_grant WHERE id IN
             (SELECT g.id FROM oauth2_provider_grant AS g
               WHERE g.expires < $1
                 AND NOT EXISTS (SELECT 1 FROM oauth2_provider_refreshtoken AS r WHERE r.grant_id = g.id)
                 AND NOT EXISTS (SELECT 1 FROM oauth2_provider_accesstoken AS t WHERE t.grant_id = g.id)
               LIMIT $2 FOR UPDATE OF g SKIP LOCKED)",
    ),
    (
        "sessions",
        "DELETE FROM jhe_session WHERE digest IN (SELECT digest FROM jhe_session WHERE expires < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ),
    (
        "links",
        "DELETE FROM jhe_account_link WHERE digest IN (SELECT digest FROM jhe_account_link WHERE expires < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ),
    (
        "one-time codes",
        "DELETE FROM jhe_one_time_code WHERE digest IN
             (SELECT digest FROM jhe_one_time_code WHERE expires < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ),
    (
        "used id tokens",
        "DELETE FROM jhe_used_id_token WHERE digest IN
             (SELECT digest FROM jhe_used_id_token WHERE expires < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ),
    (
        "attempts",
        "DELETE FROM jhe_attempt WHERE id IN (SELECT id FROM jhe_attempt WHERE occurred_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ),
    (
        "lock-outs",
        "DELETE FROM jhe_lockout WHERE (purpose, subject) IN
             (SELECT purpose, subject FROM jhe_lockout WHERE until < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ),
];

impl Work {
    /// Removes up to `most` rows of each kind that ended a week before `now`, and mail and disconnections of a month ago that wait for
    /// nothing. How many rows went, by kind.
    pub async fn purge(&mut self, now: DateTime<Utc>, most: i64) -> Result<Vec<(&'static str, u64)>, Error> {
        let mut removed = Vec::new();
        for &(what, statement) in EXPIRED {
            let rows = sqlx::query(statement).bind(now - KEPT).bind(most).execute(self.connection()).await.db()?;
            removed.push((what, rows.rows_affected()));
        }
        let mails = sqlx::query(
            "DELETE FROM jhe_mail WHERE id IN
                 (SELECT id FROM jhe_mail WHERE state <> 'queued' AND created < clock_timestamp() - $1::interval LIMIT $2)",
        )
        .bind(MAIL_KEPT)
        .bind(most)
        .execute(self.connection())
        .await
        .db()?;
        removed.push(("mails", mails.rows_affected()));
        let disconnections = sqlx::query(
            "DELETE FROM jhe_wearable_disconnection WHERE id IN
                 (SELECT id FROM jhe_wearable_disconnection
                   WHERE state <> 'queued' AND created < clock_timestamp() - $1::interval LIMIT $2)",
        )
        .bind(MAIL_KEPT)
        .bind(most)
        .execute(self.connection())
        .await
        .db()?;
        removed.push(("disconnections of wearables", disconnections.rows_affected()));
        Ok(removed)
    }
}
