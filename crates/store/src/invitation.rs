//! Invitations of patients to patient clients, and the mails that carry links.

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Grant, Reach, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::invitation::{Invitation, InvitationStatus};
use jhe_domain::page::{Page, Window};
use jhe_domain::{ApplicationId, InvitationId, PatientId, Phi, UserId};
use sqlx::{Postgres, QueryBuilder};

use crate::fault::Db;
use crate::keyset::{Order, dated, push_window};
use crate::work::Work;

/// Access to invitations.
pub struct Invitations<'a>(&'a mut Work);

impl Work {
    /// Access to invitations.
    pub fn invitations(&mut self) -> Invitations<'_> {
        Invitations(self)
    }
}

#[derive(sqlx::FromRow)]
struct InvitationRow {
    id: i64,
    patient_id: i64,
    client_id: i64,
    token_hash: String,
    status: String,
    created: DateTime<Utc>,
    redeemed_at: Option<DateTime<Utc>>,
    last_updated: DateTime<Utc>,
}

impl From<InvitationRow> for Invitation {
    fn from(row: InvitationRow) -> Self {
        Self {
            id: InvitationId(row.id),
            patient_id: PatientId(row.patient_id),
            application_id: ApplicationId(row.client_id),
            token_hash: row.token_hash,
            status: InvitationStatus::parse(&row.status).unwrap_or(InvitationStatus::Expired),
            created: row.created,
            redeemed_at: row.redeemed_at,
            last_updated: row.last_updated,
        }
    }
}

/// The account an invitation would open.
#[derive(Debug, Clone)]
pub struct Invitee {
    /// The account; none for a patient without login.
    pub user_id: Option<UserId>,
    /// It works with studies or administers, so no link may open it.
    pub is_privileged: bool,
    /// It may sign in.
    pub is_active: bool,
    /// Where mail goes.
    pub email: Option<Phi<String>>,
    /// How mail greets.
    pub name_given: Option<Phi<String>>,
}

const COLUMNS: &str =
    "i.id, i.patient_id, i.client_id, i.token_hash, i.status, i.created, i.redeemed_at, i.last_updated";

fn push_from(sql: &mut QueryBuilder<Postgres>, reach: &Reach) {
    sql.push(" FROM core_patientinvitation AS i WHERE ");
    match *reach {
        Reach::Superuser | Reach::Internal(_) => {
            sql.push("true");
        }
        Reach::Shared(who) => {
            sql.push(
                "EXISTS (SELECT 1 FROM jhe_shares AS s WHERE s.patient_id = i.patient_id AND s.practitioner_id = ",
            );
            sql.push_bind(who.0).push(")");
        }
        Reach::Nothing | Reach::Account(_) | Reach::Own(_) => {
            sql.push("false");
        }
    }
}

/// An entry for so many invitations that were shown.
fn read(rows: usize) -> AuditEntry {
    AuditEntry::new(AuditAction::Read, "PatientInvitation").rows(i64::try_from(rows).unwrap_or(i64::MAX))
}

impl Invitations<'_> {
    /// Invitations in `scope`, last changed first.
    pub async fn list(
        &mut self,
        scope: &AccessScope<resource::Invitation>,
        window: Window,
    ) -> Result<Page<Invitation>, Error> {
        let mut sql = QueryBuilder::new("SELECT count(*)");
        push_from(&mut sql, scope.reach());
        let count: i64 = sql.build_query_scalar().fetch_one(self.0.connection()).await.db()?;
        let mut sql = QueryBuilder::new("SELECT ");
        sql.push(COLUMNS);
        push_from(&mut sql, scope.reach());
        push_window(&mut sql, " AND ", &Order::newest("i.last_updated", "i.id"), &window)?;
        let rows: Vec<InvitationRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let page = Page::of(&window, count, rows, |row| dated(row.last_updated, row.id));
        self.0.audit(read(page.rows.len()).patients(page.rows.iter().map(|row| PatientId(row.patient_id))));
        Ok(page.map(Into::into))
    }

    /// One invitation in `scope`.
    pub async fn find(
        &mut self,
        scope: &AccessScope<resource::Invitation>,
        id: InvitationId,
    ) -> Result<Option<Invitation>, Error> {
        let mut sql = QueryBuilder::new("SELECT ");
        sql.push(COLUMNS);
        push_from(&mut sql, scope.reach());
        sql.push(" AND i.id = ").push_bind(id.0);
        let row: Option<InvitationRow> = sql.build_query_as().fetch_optional(self.0.connection()).await.db()?;
        let whose = row.iter().map(|row| PatientId(row.patient_id));
        self.0.audit(read(whose.len()).id(id.0).patients(whose));
        Ok(row.map(Into::into))
    }

    /// Invitations of one patient, newest first.
    pub async fn of_patient(
        &mut self,
        _scope: &AccessScope<resource::Consent>,
        patient: PatientId,
    ) -> Result<Vec<Invitation>, Error> {
        let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
        sql.push(COLUMNS).push(" FROM core_patientinvitation AS i WHERE i.patient_id = ").push_bind(patient.0);
        sql.push(" ORDER BY i.id DESC");
        let rows: Vec<InvitationRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        self.0.audit(read(rows.len()).patient(patient));
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// The account that an invitation of the patient in `grant` would open. Holds the patient until the unit of work
    /// ends, so that one link or invitation of it is made at a time.
    pub async fn invitee(&mut self, grant: &Grant<resource::Patient, action::Invite>) -> Result<Invitee, Error> {
        self.0.invitee_of(grant.id()).await
    }

    /// Issues an invitation; earlier ones of the same patient and client that wait are superseded.
    pub async fn issue(
        &mut self,
        grant: &Grant<resource::Patient, action::Invite>,
        client: ApplicationId,
        token_hash: &str,
        at: DateTime<Utc>,
    ) -> Result<Invitation, Error> {
        let patient = grant.id();
        sqlx::query(
            "UPDATE core_patientinvitation SET status = 'reissued' WHERE patient_id = $1 AND client_id = $2 AND status = 'issued'",
        )
        .bind(patient.0)
        .bind(client.0)
        .execute(self.0.connection())
        .await
        .db()?;
        let by = self.0.who.user_id.map(|id| id.0);
        let mut sql = QueryBuilder::<Postgres>::new(
            "INSERT INTO core_patientinvitation AS i (patient_id, client_id, token_hash, created, created_by) VALUES (",
        );
        sql.push_bind(patient.0).push(", ").push_bind(client.0).push(", ").push_bind(token_hash.to_owned());
        sql.push(", ").push_bind(at).push(", ").push_bind(by).push(") RETURNING ").push(COLUMNS);
        let row: InvitationRow = sql.build_query_as().fetch_one(self.0.connection()).await.db()?;
        self.0.audit(AuditEntry::new(AuditAction::Invite, "PatientInvitation").id(row.id).patient(patient));
        Ok(row.into())
    }

    /// Notes that an invitation link was made for the patient in `grant`, which counts as a login of its account.
    pub async fn note_link(
        &mut self,
        grant: &Grant<resource::Patient, action::Invite>,
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE core_jheuser AS u SET last_login = $2 FROM core_patient AS p WHERE p.id = $1 AND u.id = p.jhe_user_id",
        )
        .bind(grant.id().0)
        .bind(at)
        .execute(self.0.connection())
        .await
        .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Invite, "Patient").id(grant.id().0).patient(grant.id()));
        Ok(())
    }

    /// Cancels an invitation of the patient in `grant` that waits. `false` when it waits no more.
    pub async fn cancel(
        &mut self,
        grant: &Grant<resource::Patient, action::Invite>,
        id: InvitationId,
    ) -> Result<bool, Error> {
        let changed = sqlx::query(
            "UPDATE core_patientinvitation SET status = 'cancelled' WHERE id = $1 AND patient_id = $2 AND status = 'issued'",
        )
        .bind(id.0)
        .bind(grant.id().0)
        .execute(self.0.connection())
        .await
        .db()?
        .rows_affected();
        self.0.audit(AuditEntry::new(AuditAction::Cancel, "PatientInvitation").id(id.0).patient(grant.id()));
        Ok(changed > 0)
    }

    /// Deletes an invitation of the patient in `grant`.
    pub async fn delete(
        &mut self,
        grant: &Grant<resource::Patient, action::Invite>,
        id: InvitationId,
    ) -> Result<(), Error> {
        sqlx::query("DELETE FROM core_patientinvitation WHERE id = $1 AND patient_id = $2")
            .bind(id.0)
            .bind(grant.id().0)
            .execute(self.0.connection())
            .await
            .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Delete, "PatientInvitation").id(id.0).patient(grant.id()));
        Ok(())
    }
}

impl Work {
    async fn invitee_of(&mut self, patient: PatientId) -> Result<Invitee, Error> {
        // An invitation counts as a login: the account before the patient, as everywhere.
        self.hold_account_of_patient(patient).await?;
        let (user_id, is_privileged, is_active, email, name_given): (
            Option<i64>,
            bool,
            bool,
            Option<String>,
            Option<String>,
        ) = sqlx::query_as(
            "SELECT p.jhe_user_id,
                        coalesce(u.is_superuser OR u.is_staff OR u.user_type = 'practitioner', false)
                        OR EXISTS (SELECT 1 FROM core_practitioner AS pr WHERE pr.jhe_user_id = p.jhe_user_id),
                        coalesce(u.is_active, false), u.email, p.name_given
                   FROM core_patient AS p LEFT JOIN core_jheuser AS u ON u.id = p.jhe_user_id WHERE p.id = $1
                    FOR NO KEY UPDATE OF p",
        )
        .bind(patient.0)
        .fetch_one(self.connection())
        .await
        .db()?;
        Ok(Invitee {
            user_id: user_id.map(UserId),
            is_privileged,
            is_active,
            email: email.map(Phi::new),
            name_given: name_given.map(Phi::new),
        })
    }

    /// Finds an invitation by the digest of its token and holds it, with the account it opens.
    pub async fn invitation_for_update(&mut self, token_hash: &str) -> Result<Option<(Invitation, Invitee)>, Error> {
        let patient: Option<i64> =
            sqlx::query_scalar("SELECT patient_id FROM core_patientinvitation WHERE token_hash = $1")
                .bind(token_hash)
                .fetch_optional(self.connection())
                .await
                .db()?;
        let Some(patient) = patient else { return Ok(None) };
        // The patient first, as everywhere: whoever issues an invitation holds the patient and then changes its rows.
        let invitee = self.invitee_of(PatientId(patient)).await?;
        let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
        sql.push(COLUMNS)
            .push(" FROM core_patientinvitation AS i WHERE i.token_hash = ")
            .push_bind(token_hash.to_owned());
        sql.push(" FOR UPDATE");
        let row: Option<InvitationRow> = sql.build_query_as().fetch_optional(self.connection()).await.db()?;
        Ok(row.map(|row| (row.into(), invitee)))
    }

    /// Notes how a held invitation turned out; the first redemption is kept.
    pub async fn settle_invitation(
        &mut self,
        invitation: &Invitation,
        status: InvitationStatus,
        redeemed_at: Option<DateTime<Utc>>,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE core_patientinvitation SET status = $2, redeemed_at = coalesce(redeemed_at, $3) WHERE id = $1",
        )
        .bind(invitation.id.0)
        .bind(status.as_str())
        .bind(redeemed_at)
        .execute(self.connection())
        .await
        .db()?;
        if redeemed_at.is_some() {
            let entry = AuditEntry::new(AuditAction::Redeem, "PatientInvitation").id(invitation.id.0);
            self.audit(entry.patient(invitation.patient_id));
        }
        Ok(())
    }
}
