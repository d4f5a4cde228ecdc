//! Studies, who is enrolled in them and what they ask for.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Grant, Reach, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::data_source::{DataSource, ScopeCode};
use jhe_domain::error::{Error, Lookup};
use jhe_domain::page::{Page, Window};
use jhe_domain::study::{Linked, NewStudy, ScopeRequest, Study, StudyChange};
use jhe_domain::{ApplicationId, DataSourceId, LinkId, OrganizationId, PatientId, ScopeCodeId, StudyId};
use sqlx::{Postgres, QueryBuilder};

use crate::data_source::{DataSourceRow, ScopeCodeRow};
use crate::fault::Db;
use crate::keyset::{Order, named, push_order, push_window};
use crate::work::Work;

/// Patients listed with a study at most.
const STUDY_PATIENTS: i64 = 1000;

/// Access to studies.
pub struct Studies<'a>(&'a mut Work);

impl Work {
    /// Access to studies.
    pub fn studies(&mut self) -> Studies<'_> {
        Studies(self)
    }
}

#[derive(sqlx::FromRow)]
struct StudyRow {
    id: i64,
    name: String,
    description: String,
    organization_id: i64,
    organization_name: String,
    organization_type: String,
    icon_url: Option<String>,
    last_updated: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct ScopeRequestRow {
    id: i64,
    study_id: i64,
    scope_actions: Option<String>,
    #[sqlx(flatten)]
    code: ScopeCodeRow,
}

#[derive(sqlx::FromRow)]
struct StudyDataSourceRow {
    link_id: i64,
    study_id: i64,
    #[sqlx(flatten)]
    source: DataSourceRow,
}

const SELECT: &str = "SELECT s.id, s.name, s.description, s.organization_id, o.name AS organization_name,
           o.type AS organization_type, s.icon_url, s.last_updated
      FROM core_study AS s JOIN core_organization AS o ON o.id = s.organization_id WHERE ";
fn by_name() -> Order {
    Order::by_name("lower(s.name) COLLATE \"C\"", "s.name COLLATE \"C\"", "s.id")
}

fn push_scope(sql: &mut QueryBuilder<Postgres>, scope: &AccessScope<resource::Study>) {
    match *scope.reach() {
        Reach::Shared(who) => {
            sql.push("EXISTS (SELECT 1 FROM jhe_member AS m WHERE m.organization_id = s.organization_id AND m.practitioner_id = ");
            sql.push_bind(who.0).push(")");
        }
        Reach::Superuser | Reach::Internal(_) => {
            sql.push("true");
        }
        Reach::Nothing | Reach::Account(_) | Reach::Own(_) => {
            sql.push("false");
        }
    }
    if let Some(organizations) = &scope.within().organizations {
        let ids: Vec<i64> = organizations.iter().map(|id| id.0).collect();
        sql.push(" AND s.organization_id = ANY (").push_bind(ids).push(")");
    }
}

fn push_search(sql: &mut QueryBuilder<Postgres>, search: Option<&str>) {
    if let Some(search) = search {
        sql.push(" AND (strpos(jhe_fold(s.name), jhe_fold(").push_bind(search.to_owned());
        sql.push(")) > 0 OR strpos(jhe_fold(s.description), jhe_fold(").push_bind(search.to_owned()).push(")) > 0)");
    }
}

impl Studies<'_> {
    /// Studies in `scope` whose name or description holds `search`, by name.
    pub async fn list(
        &mut self,
        scope: &AccessScope<resource::Study>,
        search: Option<&str>,
        window: Window,
    ) -> Result<Page<Study>, Error> {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM core_study AS s WHERE ");
        push_scope(&mut sql, scope);
        push_search(&mut sql, search);
        let count: i64 = sql.build_query_scalar().fetch_one(self.0.connection()).await.db()?;
        let mut sql = QueryBuilder::new(SELECT);
        push_scope(&mut sql, scope);
        push_search(&mut sql, search);
        push_window(&mut sql, " AND ", &by_name(), &window)?;
        let rows = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let rows = self.assemble(rows).await?;
        Ok(Page::of(&window, count, rows, |row| named(Some(&row.name), row.id.0)))
    }

    /// The study in `grant`.
    pub async fn get(&mut self, grant: &Grant<resource::Study, action::Read>) -> Result<Study, Error> {
        self.by_id(grant.id()).await
    }

    /// The study in `grant`, after a change.
    pub async fn get_managed(&mut self, grant: &Grant<resource::Study, action::Manage>) -> Result<Study, Error> {
        self.by_id(grant.id()).await
    }

    async fn by_id(&mut self, id: StudyId) -> Result<Study, Error> {
        let mut sql = QueryBuilder::new(SELECT);
        sql.push("s.id = ").push_bind(id.0);
        let rows = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let study = self.assemble(rows).await?.into_iter().next();
        // Deleted by somebody else since it was granted.
        study.ok_or(Error::NotFound(Lookup::Entity("Study")))
    }

    /// The studies of one organization, by name.
    pub async fn of_organization(
        &mut self,
        grant: &Grant<resource::Organization, action::ReadRoster>,
    ) -> Result<Vec<Study>, Error> {
        let mut sql = QueryBuilder::new(SELECT);
        sql.push("s.organization_id = ").push_bind(grant.id().0);
        push_order(&mut sql, &by_name());
        let rows = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        self.assemble(rows).await
    }

    async fn assemble(&mut self, rows: Vec<StudyRow>) -> Result<Vec<Study>, Error> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let patients: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT s.id, e.patient_id FROM unnest($1::bigint[]) AS s (id)
              CROSS JOIN LATERAL (SELECT patient_id FROM core_studypatient WHERE study_id = s.id ORDER BY patient_id LIMIT $2) AS e
              ORDER BY s.id, e.patient_id",
        )
        .bind(&ids)
        .bind(STUDY_PATIENTS)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        let mut requests = self.requests(&ids).await?;
        let mut sources = self.0.data_sources_of_studies(&ids).await?;
        let mut enrolled: HashMap<i64, Vec<PatientId>> = HashMap::new();
        for (study, patient) in patients {
            enrolled.entry(study).or_default().push(PatientId(patient));
        }
        Ok(rows
            .into_iter()
            .map(|row| Study {
                id: StudyId(row.id),
                name: row.name,
                description: row.description,
                organization_id: OrganizationId(row.organization_id),
                organization_name: row.organization_name,
                organization_type: row.organization_type,
                icon_url: row.icon_url,
                patients: enrolled.remove(&row.id).unwrap_or_default(),
                scope_requests: requests.remove(&row.id).unwrap_or_default(),
                data_sources: sources
                    .remove(&row.id)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(_, source)| source)
                    .collect(),
                last_updated: row.last_updated,
            })
            .collect())
    }

    async fn requests(&mut self, studies: &[i64]) -> Result<HashMap<i64, Vec<ScopeRequest>>, Error> {
        let rows: Vec<ScopeRequestRow> = sqlx::query_as(
            "SELECT r.id, r.study_id, r.scope_actions, c.id AS scope_id, c.coding_system, c.coding_code, c.text AS scope_text
               FROM core_studyscoperequest AS r JOIN core_codeableconcept AS c ON c.id = r.scope_code_id
              WHERE r.study_id = ANY ($1) ORDER BY r.id",
        )
        .bind(studies)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        let mut by_study: HashMap<i64, Vec<ScopeRequest>> = HashMap::new();
        for row in rows {
            by_study.entry(row.study_id).or_default().push(ScopeRequest {
                id: LinkId(row.id),
                code: row.code.into(),
                actions: row.scope_actions,
            });
        }
        Ok(by_study)
    }

    /// Data-source links of the study in `grant`, by link.
    pub async fn data_sources(
        &mut self,
        grant: &Grant<resource::Study, action::Read>,
    ) -> Result<Vec<(LinkId, DataSource)>, Error> {
        let study = grant.id().0;
        Ok(self.0.data_sources_of_studies(&[study]).await?.remove(&study).unwrap_or_default())
    }

    /// Client links of the study in `grant`, by link.
    pub async fn clients(
        &mut self,
        grant: &Grant<resource::Study, action::Read>,
    ) -> Result<Vec<(LinkId, ApplicationId)>, Error> {
        let rows: Vec<(i64, i64)> =
            sqlx::query_as("SELECT id, client_id FROM core_studyclient WHERE study_id = $1 ORDER BY id")
                .bind(grant.id().0)
                .fetch_all(self.0.connection())
                .await
                .db()?;
        Ok(rows.into_iter().map(|(id, client)| (LinkId(id), ApplicationId(client))).collect())
    }

    /// Makes a study of the organization in `grant`.
    pub async fn create(
        &mut self,
        grant: &Grant<resource::Organization, action::ManageStudies>,
        study: &NewStudy,
    ) -> Result<Study, Error> {
        let organization = grant.id();
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO core_study (name, description, organization_id, icon_url) VALUES ($1, $2, $3, $4) RETURNING id",
        )
        .bind(&study.name)
        .bind(&study.description)
        .bind(organization.0)
        .bind(&study.icon_url)
        .fetch_one(self.0.connection())
        .await
        .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Create, "Study").id(id).organization(organization));
        self.by_id(StudyId(id)).await
    }

    /// Changes the study in `grant`.
    pub async fn update(
        &mut self,
        grant: &Grant<resource::Study, action::Manage>,
        change: &StudyChange,
    ) -> Result<Study, Error> {
        let id = grant.id();
        sqlx::query(
            "UPDATE core_study SET name = coalesce($2, name), description = coalesce($3, description),
                    icon_url = CASE WHEN $4 THEN $5 ELSE icon_url END WHERE id = $1",
        )
        .bind(id.0)
        .bind(&change.name)
        .bind(&change.description)
        .bind(change.icon_url.is_some())
        .bind(change.icon_url.clone().flatten())
        .execute(self.0.connection())
        .await
        .db()?;
        self.note(AuditEntry::new(AuditAction::Update, "Study"), id).await?;
        self.by_id(id).await
    }

    /// Deletes the study in `grant` with enrolments and consents. Observations stay.
    pub async fn delete(&mut self, grant: &Grant<resource::Study, action::Manage>) -> Result<(), Error> {
        self.0.tell_actor().await?;
        self.note(AuditEntry::new(AuditAction::Delete, "Study"), grant.id()).await?;
        sqlx::query("DELETE FROM core_study WHERE id = $1")
            .bind(grant.id().0)
            .execute(self.0.connection())
            .await
            .db()?;
        Ok(())
    }

    /// Enrols patients linked to the study's organization: (link, patient) in the order given, with whether each was
    /// enrolled now. `None` when any of them is not linked there; nothing is enrolled then.
    pub async fn enrol(
        &mut self,
        grant: &Grant<resource::Study, action::Manage>,
        patients: &[PatientId],
    ) -> Result<Option<Vec<(Linked, PatientId)>>, Error> {
        let study = grant.id();
        let ids: Vec<i64> = patients.iter().map(|id| id.0).collect();
        // Held, each patient before its link, so that what follows speaks of patients that belong to the organization.
        let linked: Vec<i64> = sqlx::query_scalar(
            "SELECT l.patient_id FROM core_study AS s JOIN core_patientorganization AS l ON l.organization_id = s.organization_id
               JOIN core_patient AS p ON p.id = l.patient_id
              WHERE s.id = $1 AND l.patient_id = ANY ($2) FOR KEY SHARE OF p, l",
        )
        .bind(study.0)
        .bind(&ids)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        // And of a study that is there.
        sqlx::query_scalar::<_, i64>("SELECT id FROM core_study WHERE id = $1 FOR KEY SHARE")
            .bind(study.0)
            .fetch_one(self.0.connection())
            .await
            .db()?;
        if ids.iter().any(|id| !linked.contains(id)) {
            return Ok(None);
        }
        let created: Vec<(i64, i64)> = sqlx::query_as(
            "INSERT INTO core_studypatient (study_id, patient_id)
             SELECT $1, p.id FROM unnest($2::bigint[]) WITH ORDINALITY AS p (id, n) ORDER BY p.n
             ON CONFLICT ON CONSTRAINT core_studypatient_pair_key DO NOTHING RETURNING id, patient_id",
        )
        .bind(study.0)
        .bind(&ids)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        let rows: HashMap<i64, i64> = sqlx::query_as::<_, (i64, i64)>(
            "SELECT patient_id, id FROM core_studypatient WHERE study_id = $1 AND patient_id = ANY ($2)",
        )
        .bind(study.0)
        .bind(&ids)
        .fetch_all(self.0.connection())
        .await
        .db()?
        .into_iter()
        .collect();
        let made = created.iter().map(|(_, patient)| PatientId(*patient));
        self.note_enrolments(AuditAction::Create, study, made).await?;
        Ok(Some(
            patients
                .iter()
                .filter_map(|patient| {
                    let id = *rows.get(&patient.0)?;
                    let created = created.iter().any(|(new, _)| *new == id);
                    Some((Linked { id: LinkId(id), created }, *patient))
                })
                .collect(),
        ))
    }

    /// Takes patients out of the study in `grant`, with their consents.
    pub async fn unenrol(
        &mut self,
        grant: &Grant<resource::Study, action::Manage>,
        patients: &[PatientId],
    ) -> Result<(), Error> {
        self.0.tell_actor().await?;
        // The study changes with its enrolments, and is held before them.
        sqlx::query("SELECT 1 FROM core_study WHERE id = $1 FOR NO KEY UPDATE")
            .bind(grant.id().0)
            .execute(self.0.connection())
            .await
            .db()?;
        let gone: Vec<i64> = sqlx::query_scalar(
            "DELETE FROM core_studypatient WHERE study_id = $1 AND patient_id = ANY ($2) RETURNING patient_id",
        )
        .bind(grant.id().0)
        .bind(patients.iter().map(|id| id.0).collect::<Vec<_>>())
        .fetch_all(self.0.connection())
        .await
        .db()?;
        self.note_enrolments(AuditAction::Delete, grant.id(), gone.into_iter().map(PatientId)).await
    }

    async fn note_enrolments(
        &mut self,
        action: AuditAction,
        study: StudyId,
        patients: impl Iterator<Item = PatientId>,
    ) -> Result<(), Error> {
        let organization = self.organization(study).await?;
        for patient in patients {
            let mut entry = AuditEntry::new(action, "StudyPatient").id(study.0).patient(patient);
            entry.organization_id = organization;
            self.0.audit(entry);
        }
        Ok(())
    }

    /// Records what happens to a study, which its organization is told.
    async fn note(&mut self, entry: AuditEntry, study: StudyId) -> Result<(), Error> {
        let mut entry = entry.id(study.0);
        entry.organization_id = self.organization(study).await?;
        self.0.audit(entry);
        Ok(())
    }

    async fn organization(&mut self, study: StudyId) -> Result<Option<OrganizationId>, Error> {
        let id: Option<i64> = sqlx::query_scalar("SELECT organization_id FROM core_study WHERE id = $1")
            .bind(study.0)
            .fetch_optional(self.0.connection())
            .await
            .db()?;
        Ok(id.map(OrganizationId))
    }

    /// Asks for a data type. `None` when there is no such data type.
    pub async fn request_scope(
        &mut self,
        grant: &Grant<resource::Study, action::Manage>,
        code: ScopeCodeId,
    ) -> Result<Option<Linked>, Error> {
        self.link(
            grant,
            "SELECT EXISTS (SELECT 1 FROM core_codeableconcept WHERE id = $1)",
            "INSERT INTO core_studyscoperequest (study_id, scope_code_id) VALUES ($1, $2)
             ON CONFLICT ON CONSTRAINT core_studyscoperequest_pair_key DO NOTHING RETURNING id",
            "SELECT id FROM core_studyscoperequest WHERE study_id = $1 AND scope_code_id = $2",
            code.0,
        )
        .await
    }

    /// Stops asking for a data type.
    pub async fn drop_scope(
        &mut self,
        grant: &Grant<resource::Study, action::Manage>,
        code: ScopeCodeId,
    ) -> Result<(), Error> {
        self.unlink(grant, "DELETE FROM core_studyscoperequest WHERE study_id = $1 AND scope_code_id = $2", code.0)
            .await
    }

    /// Attaches a data source. `None` when there is no such data source.
    pub async fn attach_data_source(
        &mut self,
        grant: &Grant<resource::Study, action::Manage>,
        source: DataSourceId,
    ) -> Result<Option<Linked>, Error> {
        self.link(
            grant,
            "SELECT EXISTS (SELECT 1 FROM core_datasource WHERE id = $1)",
            "INSERT INTO core_studydatasource (study_id, data_source_id) VALUES ($1, $2)
             ON CONFLICT ON CONSTRAINT core_studydatasource_pair_key DO NOTHING RETURNING id",
            "SELECT id FROM core_studydatasource WHERE study_id = $1 AND data_source_id = $2",
            source.0,
        )
        .await
    }

    /// Detaches a data source.
    pub async fn detach_data_source(
        &mut self,
        grant: &Grant<resource::Study, action::Manage>,
        source: DataSourceId,
    ) -> Result<(), Error> {
        self.unlink(grant, "DELETE FROM core_studydatasource WHERE study_id = $1 AND data_source_id = $2", source.0)
            .await
    }

    /// Attaches a patient client. `None` when there is no such patient client.
    pub async fn attach_client(
        &mut self,
        grant: &Grant<resource::Study, action::Manage>,
        client: ApplicationId,
    ) -> Result<Option<Linked>, Error> {
        self.link(
            grant,
            "SELECT EXISTS (SELECT 1 FROM core_jheclient WHERE application_id = $1)",
            "INSERT INTO core_studyclient (study_id, client_id) VALUES ($1, $2)
             ON CONFLICT ON CONSTRAINT core_studyclient_pair_key DO NOTHING RETURNING id",
            "SELECT id FROM core_studyclient WHERE study_id = $1 AND client_id = $2",
            client.0,
        )
        .await
    }

    /// Detaches a patient client.
    pub async fn detach_client(
        &mut self,
        grant: &Grant<resource::Study, action::Manage>,
        client: ApplicationId,
    ) -> Result<(), Error> {
        self.unlink(grant, "DELETE FROM core_studyclient WHERE study_id = $1 AND client_id = $2", client.0).await
    }

    async fn link(
        &mut self,
        grant: &Grant<resource::Study, action::Manage>,
        exists: &'static str,
        insert: &'static str,
        select: &'static str,
        other: i64,
    ) -> Result<Option<Linked>, Error> {
        let known: bool = sqlx::query_scalar(exists).bind(other).fetch_one(self.0.connection()).await.db()?;
        if !known {
            return Ok(None);
        }
        let study = grant.id().0;
        let created: Option<i64> =
            sqlx::query_scalar(insert).bind(study).bind(other).fetch_optional(self.0.connection()).await.db()?;
        let id = match created {
            Some(id) => id,
            None => sqlx::query_scalar(select).bind(study).bind(other).fetch_one(self.0.connection()).await.db()?,
        };
        self.note(AuditEntry::new(AuditAction::Update, "Study"), grant.id()).await?;
        Ok(Some(Linked { id: LinkId(id), created: created.is_some() }))
    }

    async fn unlink(
        &mut self,
        grant: &Grant<resource::Study, action::Manage>,
        delete: &'static str,
        other: i64,
    ) -> Result<(), Error> {
        sqlx::query(delete).bind(grant.id().0).bind(other).execute(self.0.connection()).await.db()?;
        self.note(AuditEntry::new(AuditAction::Update, "Study"), grant.id()).await
    }
}

impl Work {
    /// Data sources of some studies with the id of each link, by link.
    pub(crate) async fn data_sources_of_studies(
        &mut self,
        studies: &[i64],
    ) -> Result<HashMap<i64, Vec<(LinkId, DataSource)>>, Error> {
        let rows: Vec<StudyDataSourceRow> = sqlx::query_as(
            "SELECT l.id AS link_id, l.study_id, d.id, d.name, d.type AS type_code, d.last_updated
               FROM core_studydatasource AS l JOIN core_datasource AS d ON d.id = l.data_source_id
              WHERE l.study_id = ANY ($1) ORDER BY l.id",
        )
        .bind(studies)
        .fetch_all(self.connection())
        .await
        .db()?;
        let mut links = Vec::with_capacity(rows.len());
        let mut sources = Vec::with_capacity(rows.len());
        for row in rows {
            links.push((row.study_id, LinkId(row.link_id)));
            sources.push(row.source);
        }
        let sources = self.with_supported_scopes(sources).await?;
        let mut by_study: HashMap<i64, Vec<(LinkId, DataSource)>> = HashMap::new();
        for ((study, link), source) in links.into_iter().zip(sources) {
            by_study.entry(study).or_default().push((link, source));
        }
        Ok(by_study)
    }

    /// The data type with this system and code.
    pub(crate) async fn scope_code(&mut self, system: &str, code: &str) -> Result<Option<ScopeCode>, Error> {
        let row: Option<ScopeCodeRow> = sqlx::query_as(
            "SELECT id AS scope_id, coding_system, coding_code, text AS scope_text
               FROM core_codeableconcept WHERE coding_system = $1 AND coding_code = $2",
        )
        .bind(system)
        .bind(code)
        .fetch_optional(self.connection())
        .await
        .db()?;
        Ok(row.map(Into::into))
    }
}
