//! OAuth clients as the Admin API shows them: patient clients, study clients, the clients of one patient.

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Grant, Reach, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::client::{Client, GrantType};
use jhe_domain::data_source::DataSource;
use jhe_domain::error::Error;
use jhe_domain::page::{Page, Window};
use jhe_domain::study::Linked;
use jhe_domain::{ApplicationId, DataSourceId, LinkId, PatientId, UserId};
use sqlx::{Postgres, QueryBuilder};

use crate::data_source::DataSourceRow;
use crate::fault::Db;
use crate::keyset::{Order, dated, push_window};
use crate::work::Work;

/// Access to OAuth clients.
pub struct Clients<'a>(&'a mut Work);

impl Work {
    /// Access to OAuth clients.
    pub fn clients(&mut self) -> Clients<'_> {
        Clients(self)
    }
}

/// The columns of a client, for `SELECT` from `oauth2_provider_application AS a LEFT JOIN core_jheclient AS j`.
pub(crate) const CLIENT_COLUMNS: &str = "a.id, a.client_id, a.name, a.client_type, a.grant_types, a.redirect_uris,
    a.post_logout_redirect_uris, a.allowed_origins, a.skip_authorization, a.algorithm, a.user_id, a.access_token_seconds,
    a.refresh_token_seconds, a.can_introspect, a.allow_superuser, a.enabled, a.created, a.updated, j.invitation_url";

#[derive(sqlx::FromRow)]
pub(crate) struct ClientRow {
    id: i64,
    client_id: String,
    name: String,
    client_type: String,
    grant_types: Vec<String>,
    redirect_uris: String,
    post_logout_redirect_uris: String,
    allowed_origins: String,
    skip_authorization: bool,
    algorithm: String,
    user_id: Option<i64>,
    access_token_seconds: Option<i64>,
    refresh_token_seconds: Option<i64>,
    can_introspect: bool,
    allow_superuser: bool,
    enabled: bool,
    created: DateTime<Utc>,
    updated: DateTime<Utc>,
    invitation_url: Option<String>,
}

impl From<ClientRow> for Client {
    fn from(row: ClientRow) -> Self {
        Self {
            id: ApplicationId(row.id),
            client_id: row.client_id,
            name: row.name,
            confidential: row.client_type == "confidential",
            grants: row.grant_types.iter().filter_map(|grant| GrantType::parse(grant)).collect(),
            redirect_uris: row.redirect_uris.split_whitespace().map(str::to_owned).collect(),
            post_logout_redirect_uris: row.post_logout_redirect_uris,
            allowed_origins: row.allowed_origins,
            skip_authorization: row.skip_authorization,
            algorithm: row.algorithm,
            owner: row.user_id.map(UserId),
            access_token_seconds: row.access_token_seconds,
            refresh_token_seconds: row.refresh_token_seconds,
            can_introspect: row.can_introspect,
            allow_superuser: row.allow_superuser,
            enabled: row.enabled,
            created: row.created,
            updated: row.updated,
            invitation_url: row.invitation_url,
        }
    }
}

/// A patient client to register.
#[derive(Debug, Clone)]
pub struct NewPatientClient {
    /// Name for people.
    pub name: String,
    /// Public OAuth identifier.
    pub client_id: String,
    /// Link template.
    pub invitation_url: String,
    /// Where its codes are sent.
    pub redirect_uri: String,
}

/// A change of a patient client; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct PatientClientChange {
    /// Name for people.
    pub name: Option<String>,
    /// Public OAuth identifier.
    pub client_id: Option<String>,
    /// Link template; empty for none.
    pub invitation_url: Option<String>,
}

type Admin = Grant<resource::Server, action::Administer>;

fn push_from(sql: &mut QueryBuilder<Postgres>, scope: &AccessScope<resource::Client>) {
    sql.push(" FROM oauth2_provider_application AS a JOIN core_jheclient AS j ON j.application_id = a.id WHERE ");
    match *scope.reach() {
        Reach::Shared(_) | Reach::Superuser | Reach::Internal(_) => {
            sql.push("true");
        }
        Reach::Own(patient) => {
            sql.push(
                "EXISTS (SELECT 1 FROM core_studyclient AS l JOIN core_studypatient AS e ON e.study_id = l.study_id
                          WHERE l.client_id = a.id AND e.patient_id = ",
            );
            sql.push_bind(patient.0).push(")");
        }
        Reach::Nothing | Reach::Account(_) => {
            sql.push("false");
        }
    }
}

impl Clients<'_> {
    /// Patient clients in `scope`, newest first.
    pub async fn list(&mut self, scope: &AccessScope<resource::Client>, window: Window) -> Result<Page<Client>, Error> {
        let mut sql = QueryBuilder::new("SELECT count(*)");
        push_from(&mut sql, scope);
        let count: i64 = sql.build_query_scalar().fetch_one(self.0.connection()).await.db()?;
        let mut sql = QueryBuilder::new("SELECT ");
        sql.push(CLIENT_COLUMNS);
        push_from(&mut sql, scope);
        push_window(&mut sql, " AND ", &Order::newest("a.created", "a.id"), &window)?;
        let rows: Vec<ClientRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        Ok(Page::of(&window, count, rows, |row| dated(row.created, row.id)).map(Into::into))
    }

    /// One patient client in `scope`.
    pub async fn find(
        &mut self,
        scope: &AccessScope<resource::Client>,
        id: ApplicationId,
    ) -> Result<Option<Client>, Error> {
        let mut sql = QueryBuilder::new("SELECT ");
        sql.push(CLIENT_COLUMNS);
        push_from(&mut sql, scope);
        sql.push(" AND a.id = ").push_bind(id.0);
        let row: Option<ClientRow> = sql.build_query_as().fetch_optional(self.0.connection()).await.db()?;
        Ok(row.map(Into::into))
    }

    /// Registers a patient client: public, with codes and refresh tokens, without a consent page.
    pub async fn create(&mut self, _admin: &Admin, new: &NewPatientClient) -> Result<ApplicationId, Error> {
        let id: i64 = sqlx::query_scalar(
            "WITH made AS (
                 INSERT INTO oauth2_provider_application
                     (client_id, name, client_type, authorization_grant_type, grant_types, redirect_uris, skip_authorization)
                 VALUES ($1, $2, 'public', 'authorization-code', '{authorization_code,refresh_token}', $3, true) RETURNING id)
             INSERT INTO core_jheclient (application_id, invitation_url) SELECT id, $4 FROM made RETURNING application_id",
        )
        .bind(&new.client_id)
        .bind(&new.name)
        .bind(&new.redirect_uri)
        .bind(&new.invitation_url)
        .fetch_one(self.0.connection())
        .await
        .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Create, "Application").id(id));
        Ok(ApplicationId(id))
    }

    /// Changes a patient client. `false` when there is none.
    pub async fn update(
        &mut self,
        _admin: &Admin,
        id: ApplicationId,
        change: &PatientClientChange,
    ) -> Result<bool, Error> {
        let changed = sqlx::query(
            "WITH marked AS (
                 UPDATE core_jheclient SET invitation_url = coalesce($4, invitation_url) WHERE application_id = $1 RETURNING application_id)
             UPDATE oauth2_provider_application AS a
                SET name = coalesce($2, a.name), client_id = coalesce($3, a.client_id), updated = clock_timestamp()
               FROM marked WHERE a.id = marked.application_id",
        )
        .bind(id.0)
        .bind(&change.name)
        .bind(&change.client_id)
        .bind(&change.invitation_url)
        .execute(self.0.connection())
        .await
        .db()?
        .rows_affected();
        self.0.audit(AuditEntry::new(AuditAction::Update, "Application").id(id.0));
        Ok(changed > 0)
    }

    /// Removes a patient client with its links, codes, tokens and invitations. `false` when there is none.
    pub async fn delete(&mut self, _admin: &Admin, id: ApplicationId) -> Result<bool, Error> {
        let gone = sqlx::query(
            "DELETE FROM oauth2_provider_application AS a USING core_jheclient AS j WHERE a.id = $1 AND j.application_id = a.id",
        )
        .bind(id.0)
        .execute(self.0.connection())
        .await
        .db()?
        .rows_affected();
        self.0.audit(AuditEntry::new(AuditAction::Delete, "Application").id(id.0));
        Ok(gone > 0)
    }

    /// Data sources of one patient client, by id.
    pub async fn data_sources(
        &mut self,
        _scope: &AccessScope<resource::Client>,
        id: ApplicationId,
    ) -> Result<Vec<DataSource>, Error> {
        let rows: Vec<DataSourceRow> = sqlx::query_as(
            "SELECT d.id, d.name, d.type AS type_code, d.last_updated FROM core_clientdatasource AS l
               JOIN core_datasource AS d ON d.id = l.data_source_id WHERE l.client_id = $1 ORDER BY d.id",
        )
        .bind(id.0)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        self.0.with_supported_scopes(rows).await
    }

    /// Links a patient client to a data source. `None` when there is no such data source.
    pub async fn attach_data_source(
        &mut self,
        grant: &Grant<resource::Client, action::LinkDataSources>,
        source: DataSourceId,
    ) -> Result<Option<Linked>, Error> {
        let client = grant.id().0;
        let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM core_datasource WHERE id = $1)")
            .bind(source.0)
            .fetch_one(self.0.connection())
            .await
            .db()?;
        if !known {
            return Ok(None);
        }
        let made: Option<i64> = sqlx::query_scalar(
            "INSERT INTO core_clientdatasource (client_id, data_source_id) VALUES ($1, $2)
             ON CONFLICT ON CONSTRAINT core_clientdatasource_pair_key DO NOTHING RETURNING id",
        )
        .bind(client)
        .bind(source.0)
        .fetch_optional(self.0.connection())
        .await
        .db()?;
        let id = match made {
            Some(id) => id,
            None => {
                sqlx::query_scalar("SELECT id FROM core_clientdatasource WHERE client_id = $1 AND data_source_id = $2")
                    .bind(client)
                    .bind(source.0)
                    .fetch_one(self.0.connection())
                    .await
                    .db()?
            }
        };
        self.0.audit(AuditEntry::new(AuditAction::Update, "Application").id(client));
        Ok(Some(Linked { id: LinkId(id), created: made.is_some() }))
    }

    /// Takes such a link away.
    pub async fn detach_data_source(
        &mut self,
        grant: &Grant<resource::Client, action::LinkDataSources>,
        source: DataSourceId,
    ) -> Result<(), Error> {
        sqlx::query("DELETE FROM core_clientdatasource WHERE client_id = $1 AND data_source_id = $2")
            .bind(grant.id().0)
            .bind(source.0)
            .execute(self.0.connection())
            .await
            .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Update, "Application").id(grant.id().0));
        Ok(())
    }

    /// The clients a study works with, by link order of `ids`.
    pub async fn of_study(
        &mut self,
        grant: &Grant<resource::Study, action::Read>,
    ) -> Result<Vec<(i64, Client)>, Error> {
        #[derive(sqlx::FromRow)]
        struct LinkedClientRow {
            link_id: i64,
            #[sqlx(flatten)]
            client: ClientRow,
        }
        let mut sql = QueryBuilder::new("SELECT l.id AS link_id, ");
        sql.push(CLIENT_COLUMNS);
        sql.push(
            " FROM core_studyclient AS l JOIN oauth2_provider_application AS a ON a.id = l.client_id
              LEFT JOIN core_jheclient AS j ON j.application_id = a.id WHERE l.study_id = ",
        );
        sql.push_bind(grant.id().0).push(" ORDER BY l.id");
        let rows: Vec<LinkedClientRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        Ok(rows.into_iter().map(|row| (row.link_id, row.client.into())).collect())
    }

    /// Patient clients of the studies a patient is enrolled in, as far as the viewer may know of them, by id.
    pub async fn of_patient(
        &mut self,
        scope: &AccessScope<resource::Consent>,
        patient: PatientId,
    ) -> Result<Vec<Client>, Error> {
        let mut sql = QueryBuilder::new("SELECT ");
        sql.push(CLIENT_COLUMNS);
        sql.push(
            " FROM oauth2_provider_application AS a JOIN core_jheclient AS j ON j.application_id = a.id
              WHERE EXISTS (SELECT 1 FROM core_studyclient AS l JOIN core_studypatient AS e ON e.study_id = l.study_id
                              JOIN core_study AS s ON s.id = l.study_id
                             WHERE l.client_id = a.id AND e.patient_id = ",
        );
        sql.push_bind(patient.0);
        if let Reach::Shared(who) = *scope.reach() {
            sql.push(" AND EXISTS (SELECT 1 FROM jhe_member AS m WHERE m.organization_id = s.organization_id AND m.practitioner_id = ");
            sql.push_bind(who.0).push(")");
        }
        sql.push(") ORDER BY a.id");
        let rows: Vec<ClientRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let shown = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        self.0.audit(AuditEntry::new(AuditAction::Read, "Application").patient(patient).rows(shown));
        Ok(rows.into_iter().map(Into::into).collect())
    }
}
