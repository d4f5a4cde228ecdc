//! Which rows a unit of work holds before it changes what belongs to them, and in which order.
//!
//! Whoever holds several of these takes them from the top down, so that units of work wait for each other in a line instead
//! of a circle:
//!
//! 1. attempts that are counted, then the account (`core_jheuser`),
//! 2. its profiles: the practitioner, then the patient,
//! 3. the links of a patient to organizations,
//! 4. studies, by id,
//! 5. enrolments, by id, and what hangs on them.
//!
//! Whoever issues a session, a code or a token to an account shares it first, and whoever ends its access holds it: each sees
//! what the other did. Links to it, its sessions, codes and families of tokens come after it, families in the order of their
//! keys, refresh tokens before access tokens.
//!
//! The account decides whether a profile may be the last one, and the patient whether a link is: both questions have an
//! answer only while the row is held, since PostgreSQL judges a condition such as `NOT EXISTS` before it waits for the row.

use jhe_domain::error::Error;
use jhe_domain::{OrganizationId, PatientId, PractitionerId, UserId};

use crate::fault::Db;
use crate::work::Work;

/// A statement about `below`, the organization `$1` and all below it.
macro_rules! below {
    ($statement:literal) => {
        concat!(
            "WITH RECURSIVE below AS (
                 SELECT id FROM core_organization WHERE id = $1
                 UNION SELECT c.id FROM core_organization AS c JOIN below AS b ON c.part_of_id = b.id) ",
            $statement
        )
    };
}

impl Work {
    /// Holds an account, so that nobody else gives it a profile or takes one, nor issues anything to it. `false` when there is none any more.
    pub(crate) async fn hold_account(&mut self, id: UserId) -> Result<bool, Error> {
        let held: Option<i64> = sqlx::query_scalar("SELECT id FROM core_jheuser WHERE id = $1 FOR UPDATE")
            .bind(id.0)
            .fetch_optional(self.connection())
            .await
            .db()?;
        Ok(held.is_some())
    }

    /// Keeps the access of an account from being ended before this unit of work does.
    pub(crate) async fn share_account(&mut self, id: UserId) -> Result<(), Error> {
        sqlx::query("SELECT 1 FROM core_jheuser WHERE id = $1 FOR KEY SHARE")
            .bind(id.0)
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }

    /// Holds the account of a practitioner. `None` when there is none any more.
    pub(crate) async fn hold_account_of_practitioner(&mut self, id: PractitionerId) -> Result<Option<UserId>, Error> {
        let held: Option<i64> = sqlx::query_scalar(
            "SELECT u.id FROM core_jheuser AS u WHERE u.id = (SELECT p.jhe_user_id FROM core_practitioner AS p WHERE p.id = $1)
                FOR UPDATE",
        )
        .bind(id.0)
        .fetch_optional(self.connection())
        .await
        .db()?;
        Ok(held.map(UserId))
    }

    /// Holds the account of a patient, if it has one.
    pub(crate) async fn hold_account_of_patient(&mut self, id: PatientId) -> Result<Option<UserId>, Error> {
        let held: Option<i64> = sqlx::query_scalar(
            "SELECT u.id FROM core_jheuser AS u WHERE u.id = (SELECT p.jhe_user_id FROM core_patient AS p WHERE p.id = $1)
                FOR UPDATE",
        )
        .bind(id.0)
        .fetch_optional(self.connection())
        .await
        .db()?;
        Ok(held.map(UserId))
    }

    /// Holds a patient, so that nobody else links it to an organization or takes a link away. `false` when there is none
    /// any more.
    pub(crate) async fn hold_patient(&mut self, id: PatientId) -> Result<bool, Error> {
        let held: Option<i64> = sqlx::query_scalar("SELECT id FROM core_patient WHERE id = $1 FOR UPDATE")
            .bind(id.0)
            .fetch_optional(self.connection())
            .await
            .db()?;
        Ok(held.is_some())
    }

    /// Keeps a patient from being removed. `false` when that has happened.
    pub(crate) async fn keep_patient(&mut self, id: PatientId) -> Result<bool, Error> {
        let kept: Option<i64> = sqlx::query_scalar("SELECT id FROM core_patient WHERE id = $1 FOR KEY SHARE")
            .bind(id.0)
            .fetch_optional(self.connection())
            .await
            .db()?;
        Ok(kept.is_some())
    }

    /// Holds the link of a patient to an organization, and the organization's studies that the patient is enrolled in, which
    /// change when it leaves them. `false` when there is no such link any more.
    pub(crate) async fn hold_link(&mut self, id: PatientId, organization: OrganizationId) -> Result<bool, Error> {
        let held: Option<i64> = sqlx::query_scalar(
            "SELECT id FROM core_patientorganization WHERE patient_id = $1 AND organization_id = $2 FOR UPDATE",
        )
        .bind(id.0)
        .bind(organization.0)
        .fetch_optional(self.connection())
        .await
        .db()?;
        if held.is_none() {
            return Ok(false);
        }
        sqlx::query(
            "SELECT 1 FROM core_study AS s WHERE s.organization_id = $2
                AND EXISTS (SELECT 1 FROM core_studypatient AS e WHERE e.study_id = s.id AND e.patient_id = $1)
              ORDER BY s.id FOR NO KEY UPDATE",
        )
        .bind(id.0)
        .bind(organization.0)
        .execute(self.connection())
        .await
        .db()?;
        Ok(true)
    }

    /// Holds what goes with an account that goes: its patient, the patient's links and the studies that it is enrolled in.
    pub(crate) async fn hold_all_of_account(&mut self, id: UserId) -> Result<(), Error> {
        for statement in [
            "SELECT 1 FROM core_patient WHERE jhe_user_id = $1 FOR UPDATE",
            "SELECT 1 FROM core_patientorganization WHERE patient_id = (SELECT p.id FROM core_patient AS p WHERE p.jhe_user_id = $1)
              ORDER BY id FOR UPDATE",
            "SELECT 1 FROM core_study AS s
              WHERE s.id IN (SELECT e.study_id FROM core_studypatient AS e JOIN core_patient AS p ON p.id = e.patient_id
                              WHERE p.jhe_user_id = $1)
              ORDER BY s.id FOR NO KEY UPDATE",
        ] {
            sqlx::query(statement).bind(id.0).execute(self.connection()).await.db()?;
        }
        Ok(())
    }

    /// Holds what goes with an organization that goes: the links of patients and the studies of it and of all below it.
    pub(crate) async fn hold_all_of_organization(&mut self, id: OrganizationId) -> Result<(), Error> {
        for statement in [
            below!(
                "SELECT 1 FROM core_patientorganization AS l JOIN below AS b ON b.id = l.organization_id ORDER BY l.id FOR UPDATE OF l"
            ),
            below!(
                "SELECT 1 FROM core_study AS s JOIN below AS b ON b.id = s.organization_id ORDER BY s.id FOR UPDATE OF s"
            ),
        ] {
            sqlx::query(statement).bind(id.0).execute(self.connection()).await.db()?;
        }
        Ok(())
    }
}
