//! API keys of practitioners: confidential clients whose tokens act as their owner.

use chrono::{DateTime, Utc};
use jhe_authz::{Grant, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::page::{Page, Window};

use crate::fault::Db;
use crate::keyset::{Order, dated, push_window};
use crate::work::Work;

/// Access to the API keys of one practitioner.
pub struct PractitionerClients<'a>(&'a mut Work);

impl Work {
    /// Access to the API keys of one practitioner.
    pub fn practitioner_clients(&mut self) -> PractitionerClients<'_> {
        PractitionerClients(self)
    }
}

/// An API key, its secret sealed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct PractitionerClient {
    /// Row id.
    pub id: i64,
    /// What its owner calls it.
    pub label: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Its name as a client.
    pub name: String,
    /// Its public OAuth identifier.
    pub client_id: String,
    /// Its secret under the server's key, where it may be shown again.
    pub sealed: Option<String>,
}

/// An API key to make.
#[derive(Debug, Clone)]
pub struct NewPractitionerClient {
    /// What its owner calls it.
    pub label: String,
    /// Its name as a client.
    pub name: String,
    /// Its public OAuth identifier.
    pub client_id: String,
    /// Digest of its secret.
    pub secret_digest: String,
    /// Its secret under the server's key, where it may be shown again.
    pub sealed: Option<String>,
}

const SELECT: &str = "SELECT p.id, p.label, a.created, a.name, a.client_id, a.client_secret_sealed AS sealed
    FROM core_practitionerclient AS p JOIN oauth2_provider_application AS a ON a.id = p.application_id
    WHERE p.practitioner_id = ";

impl PractitionerClients<'_> {
    /// The owner's keys, newest first.
    pub async fn list(
        &mut self,
        owner: &Grant<resource::Practitioner, action::ManageKeys>,
        window: Window,
    ) -> Result<Page<PractitionerClient>, Error> {
        let count = self.count(owner).await?;
        let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new(SELECT);
        sql.push_bind(owner.id().0);
        push_window(&mut sql, " AND ", &Order::newest("a.created", "p.id"), &window)?;
        let rows: Vec<PractitionerClient> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        Ok(Page::of(&window, count, rows, |row| dated(row.created, row.id)))
    }

    /// How many keys the owner has.
    pub async fn count(&mut self, owner: &Grant<resource::Practitioner, action::ManageKeys>) -> Result<i64, Error> {
        sqlx::query_scalar("SELECT count(*) FROM core_practitionerclient WHERE practitioner_id = $1")
            .bind(owner.id().0)
            .fetch_one(self.0.connection())
            .await
            .db()
    }

    /// One of the owner's keys.
    pub async fn find(
        &mut self,
        owner: &Grant<resource::Practitioner, action::ManageKeys>,
        id: i64,
    ) -> Result<Option<PractitionerClient>, Error> {
        let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new(SELECT);
        sql.push_bind(owner.id().0).push(" AND p.id = ").push_bind(id);
        sql.build_query_as().fetch_optional(self.0.connection()).await.db()
    }

    /// Makes a key; its row id. `None` when the practitioner was removed meanwhile.
    pub async fn create(
        &mut self,
        owner: &Grant<resource::Practitioner, action::ManageKeys>,
        new: &NewPractitionerClient,
    ) -> Result<Option<i64>, Error> {
        if self.0.hold_account_of_practitioner(owner.id()).await?.is_none() {
            return Ok(None);
        }
        let id: Option<i64> = sqlx::query_scalar(
            "WITH made AS (
                 INSERT INTO oauth2_provider_application
                     (client_id, name, client_secret, client_secret_sealed, client_type, authorization_grant_type, grant_types, user_id)
                 SELECT $2, $3, $4, $5, 'confidential', 'client-credentials', '{client_credentials}', p.jhe_user_id
                   FROM core_practitioner AS p WHERE p.id = $1
                 RETURNING id)
             INSERT INTO core_practitionerclient (application_id, practitioner_id, label) SELECT id, $1, $6 FROM made RETURNING id",
        )
        .bind(owner.id().0)
        .bind(&new.client_id)
        .bind(&new.name)
        .bind(&new.secret_digest)
        .bind(&new.sealed)
        .bind(&new.label)
        .fetch_optional(self.0.connection())
        .await
        .db()?;
        if let Some(id) = id {
            self.0.audit(AuditEntry::new(AuditAction::Create, "PractitionerClient").id(id));
        }
        Ok(id)
    }

    /// Labels one of the owner's keys anew.
    pub async fn label(
        &mut self,
        owner: &Grant<resource::Practitioner, action::ManageKeys>,
        id: i64,
        label: &str,
    ) -> Result<(), Error> {
        sqlx::query("UPDATE core_practitionerclient SET label = $3 WHERE id = $2 AND practitioner_id = $1")
            .bind(owner.id().0)
            .bind(id)
            .bind(label)
            .execute(self.0.connection())
            .await
            .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Update, "PractitionerClient").id(id));
        Ok(())
    }

    /// Removes one of the owner's keys with its tokens. `false` when there is none.
    pub async fn delete(
        &mut self,
        owner: &Grant<resource::Practitioner, action::ManageKeys>,
        id: i64,
    ) -> Result<bool, Error> {
        // The client goes with it, and with the client its tokens.
        let gone = sqlx::query("DELETE FROM core_practitionerclient WHERE id = $2 AND practitioner_id = $1")
            .bind(owner.id().0)
            .bind(id)
            .execute(self.0.connection())
            .await
            .db()?
            .rows_affected();
        self.0.audit(AuditEntry::new(AuditAction::Delete, "PractitionerClient").id(id));
        Ok(gone > 0)
    }
}
