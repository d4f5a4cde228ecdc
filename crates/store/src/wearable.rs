//! Connections to wearables that are to end: queued with the withdrawal, told to the service by whichever process is free.
//!
//! Times are the database's own, so that several processes agree.

use jhe_authz::{Grant, action, resource};
use jhe_domain::error::Error;
use jhe_domain::wearable::{FED_CODES, PROVIDER};
use jhe_domain::{Phi, StudyId};

use crate::fault::Db;
use crate::work::Work;

/// A connection to end, whose turn has come.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DueDisconnection {
    /// Row id.
    pub id: i64,
    /// The account at the service.
    #[sqlx(try_from = "String")]
    pub account: Phi<String>,
    /// Whose devices.
    pub provider: String,
    /// Attempts so far, this one included.
    pub attempts: i32,
    /// Consent feeds on it again, so it is to stay.
    pub is_moot: bool,
}

impl Work {
    /// Of these studies those to which the patient in `grant` consents in anything.
    pub async fn consented_studies(
        &mut self,
        grant: &Grant<resource::Consent, action::WriteConsents>,
        studies: &[StudyId],
    ) -> Result<Vec<StudyId>, Error> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT e.study_id FROM core_studypatient AS e
              WHERE e.patient_id = $1 AND e.study_id = ANY ($2)
                AND EXISTS (SELECT 1 FROM core_studypatientscopeconsent AS c WHERE c.study_patient_id = e.id AND c.consented)",
        )
        .bind(grant.id().0)
        .bind(studies.iter().map(|id| id.0).collect::<Vec<_>>())
        .fetch_all(self.connection())
        .await
        .db()?;
        Ok(ids.into_iter().map(StudyId).collect())
    }

    /// Queues the end of the connection of the patient in `grant`, where it is linked to the service, one of `studies` has no
    /// consent left, and no study has one that the connection feeds (data model §6.8).
    pub async fn queue_disconnection(
        &mut self,
        grant: &Grant<resource::Consent, action::WriteConsents>,
        studies: &[StudyId],
    ) -> Result<(), Error> {
        // Of two withdrawals at the same time the second must see the first.
        sqlx::query("SELECT 1 FROM core_patient WHERE id = $1 FOR NO KEY UPDATE")
            .bind(grant.id().0)
            .execute(self.connection())
            .await
            .db()?;
        sqlx::query(
            "INSERT INTO jhe_wearable_disconnection (patient_id, ow_user_id, provider)
             SELECT p.id, substr(u.identifier, 4), $4
               FROM core_patient AS p JOIN core_jheuser AS u ON u.id = p.jhe_user_id
              WHERE p.id = $1 AND u.identifier LIKE 'ow:_%'
                AND EXISTS (SELECT 1 FROM core_studypatient AS e
                             WHERE e.patient_id = p.id AND e.study_id = ANY ($2)
                               AND NOT EXISTS (SELECT 1 FROM core_studypatientscopeconsent AS c
                                                WHERE c.study_patient_id = e.id AND c.consented))
                AND NOT EXISTS (SELECT 1 FROM jhe_releases AS r JOIN core_codeableconcept AS k ON k.id = r.scope_code_id
                                 WHERE r.patient_id = p.id AND k.coding_code = ANY ($3))
             ON CONFLICT (ow_user_id, provider) WHERE state = 'queued'
                DO UPDATE SET patient_id = EXCLUDED.patient_id, attempts = 0, next_attempt = clock_timestamp()",
        )
        .bind(grant.id().0)
        .bind(studies.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind(FED_CODES)
        .bind(PROVIDER)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// Takes a connection whose turn has come and counts the attempt. Should this process end before it tells the outcome, it
    /// comes up again after the lease.
    pub async fn take_due_disconnection(&mut self, lease_seconds: f64) -> Result<Option<DueDisconnection>, Error> {
        sqlx::query_as(
            "UPDATE jhe_wearable_disconnection AS d
                SET attempts = d.attempts + 1, next_attempt = clock_timestamp() + make_interval(secs => $1)
              WHERE d.id = (SELECT id FROM jhe_wearable_disconnection
                             WHERE state = 'queued' AND next_attempt <= clock_timestamp()
                             ORDER BY next_attempt, id LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING d.id, d.ow_user_id AS account, d.provider, d.attempts,
                       EXISTS (SELECT 1 FROM jhe_releases AS r JOIN core_codeableconcept AS k ON k.id = r.scope_code_id
                                WHERE r.patient_id = d.patient_id AND k.coding_code = ANY ($2)) AS is_moot",
        )
        .bind(lease_seconds)
        .bind(FED_CODES)
        .fetch_optional(self.connection())
        .await
        .db()
    }

    /// A connection ended, or is to stay after all; unless consent was withdrawn again since it was taken, which begins anew.
    pub async fn note_disconnection_settled(&mut self, taken: &DueDisconnection) -> Result<(), Error> {
        sqlx::query(
            "UPDATE jhe_wearable_disconnection SET state = $3, last_error = NULL
              WHERE id = $1 AND attempts = $2 AND state = 'queued'",
        )
        .bind(taken.id)
        .bind(taken.attempts)
        .bind(if taken.is_moot { "moot" } else { "done" })
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// The service was not told: again after some seconds, or never.
    pub async fn note_disconnection_failed(
        &mut self,
        taken: &DueDisconnection,
        reason: &str,
        again_after: Option<f64>,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE jhe_wearable_disconnection
                SET last_error = $3, state = CASE WHEN $4::float8 IS NULL THEN 'failed' ELSE state END,
                    next_attempt = clock_timestamp() + make_interval(secs => coalesce($4::float8, 0))
              WHERE id = $1 AND attempts = $2 AND state = 'queued'",
        )
        .bind(taken.id)
        .bind(taken.attempts)
        .bind(reason)
        .bind(again_after)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }
}
