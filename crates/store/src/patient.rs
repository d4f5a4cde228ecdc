//! Patients, their identifiers and their links to organizations.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use jhe_authz::{AccessScope, Grant, Reach, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::{Conflict, Error, Lookup};
use jhe_domain::page::{Page, Place, Window};
use jhe_domain::patient::{Disclosure, Identifier, NewPatient, Patient, PatientChange};
use jhe_domain::{LinkId, OrganizationId, PatientId, Phi, StudyId, UserId};
use sqlx::{Postgres, QueryBuilder};

use crate::fault::Db;
use crate::filter::{PersonFilter, push_person, push_same_email};
use crate::keyset::{Key, Order, numbered, push_window, time_key};
use crate::scope::{push_patient_scope, sole_organization};
use crate::work::Work;

/// Access to patients.
pub struct Patients<'a>(&'a mut Work);

impl Work {
    /// Access to patients.
    pub fn patients(&mut self) -> Patients<'_> {
        Patients(self)
    }
}

#[derive(sqlx::FromRow)]
struct PatientRow {
    id: i64,
    jhe_user_id: Option<i64>,
    name_family: Option<String>,
    name_given: Option<String>,
    birth_date: Option<NaiveDate>,
    telecom_phone: Option<String>,
    email: Option<String>,
    last_updated: DateTime<Utc>,
    /// The organization that attached the patient, where the viewer sees it in reduced form only.
    awaiting: Option<i64>,
}

/// In which order patients are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PatientOrder {
    /// By id.
    #[default]
    Id,
    /// By family name, missing ones last.
    Family,
}

/// What a chosen order compares; rows without the value come last, ties end on the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatientKey {
    /// By last change.
    LastUpdated,
    /// By id.
    Id,
    /// By family name.
    Family,
    /// By given name.
    Given,
    /// By birth date.
    BirthDate,
}

impl PatientKey {
    const fn expression(self) -> &'static str {
        match self {
            Self::LastUpdated => "p.last_updated",
            Self::Id => "p.id",
            Self::Family => "p.name_family",
            Self::Given => "p.name_given",
            Self::BirthDate => "p.birth_date",
        }
    }

    const fn sql_type(self) -> &'static str {
        match self {
            Self::LastUpdated => "timestamptz",
            Self::Id => "bigint",
            Self::Family | Self::Given => "text",
            Self::BirthDate => "date",
        }
    }

    /// The value of a row, as a key.
    fn value(self, row: &Patient) -> Option<String> {
        match self {
            Self::LastUpdated => Some(time_key(row.last_updated)),
            Self::Id => Some(row.id.0.to_string()),
            Self::Family => row.name_family.as_ref().map(|name| name.reveal().clone()),
            Self::Given => row.name_given.as_ref().map(|name| name.reveal().clone()),
            Self::BirthDate => row.birth_date.as_ref().map(|date| date.reveal().to_string()),
        }
    }
}

/// What a page of patients asks for.
#[derive(Debug, Clone, Default)]
pub struct PatientQuery {
    /// Conditions on the person.
    pub person: PersonFilter,
    /// Only these ids.
    pub ids: Option<Vec<i64>>,
    /// Also patients awaiting confirmation, in reduced form. Ignored when the person is looked at.
    pub awaiting: bool,
    /// Order of the list.
    pub order: PatientOrder,
    /// A chosen order instead, each key with whether the greatest comes first.
    pub sort: Vec<(PatientKey, bool)>,
    /// Leave out what changed after this moment, so that pages stay put.
    pub not_after: Option<DateTime<Utc>>,
}

impl PatientQuery {
    fn chosen(&self) -> &[(PatientKey, bool)] {
        match self.order {
            _ if !self.sort.is_empty() => &self.sort,
            PatientOrder::Family => &[(PatientKey::Family, false)],
            PatientOrder::Id => &[],
        }
    }

    /// The place of a row in the order of this query.
    pub fn place(&self, row: &Patient) -> Place {
        Place { keys: self.chosen().iter().map(|(key, _)| key.value(row)).collect(), id: row.id.0 }
    }

    fn keys(&self) -> Order {
        let key = |(key, descending): &(PatientKey, bool)| Key::new(key.expression(), key.sql_type(), *descending);
        Order { keys: self.chosen().iter().map(key).collect(), id: "p.id", id_descending: false }
    }
}

/// An account that a new patient may take over, or not.
#[derive(Debug, Clone, Copy)]
pub struct ExistingAccount {
    /// The account.
    pub user_id: UserId,
    /// It has a patient profile.
    pub is_patient: bool,
    /// It has a practitioner profile, or administers.
    pub is_privileged: bool,
}

/// `preferred` are organizations the caller asked about: of several that await a patient, one of them is named.
fn push_from(sql: &mut QueryBuilder<Postgres>, reach: &Reach, preferred: Option<&[OrganizationId]>) {
    sql.push(
        "SELECT p.id, p.jhe_user_id, p.name_family, p.name_given, p.birth_date, p.telecom_phone, u.email, p.last_updated, ",
    );
    match *reach {
        Reach::Shared(who) => {
            let preferred: Vec<i64> = preferred.unwrap_or_default().iter().map(|id| id.0).collect();
            sql.push("(SELECT coalesce(min(w.organization_id) FILTER (WHERE w.organization_id = ANY (");
            sql.push_bind(preferred);
            sql.push(
                ")), min(w.organization_id)) FROM jhe_awaits AS w WHERE w.patient_id = p.id AND w.practitioner_id = ",
            );
            sql.push_bind(who.0).push(")");
        }
        _ => {
            sql.push("NULL::bigint");
        }
    }
    sql.push(" AS awaiting FROM core_patient AS p LEFT JOIN core_jheuser AS u ON u.id = p.jhe_user_id WHERE ");
}

fn push_where(sql: &mut QueryBuilder<Postgres>, scope: &AccessScope<resource::Patient>, query: &PatientQuery) {
    push_patient_scope(sql, scope, query.awaiting && query.person.is_empty());
    push_person(sql, &query.person);
    if let Some(ids) = &query.ids {
        sql.push(" AND p.id = ANY (").push_bind(ids.clone()).push(")");
    }
    if let Some(moment) = query.not_after {
        sql.push(" AND p.last_updated <= ").push_bind(moment);
    }
}

impl Patients<'_> {
    /// A page of the patients in `scope` that match.
    pub async fn list(
        &mut self,
        scope: &AccessScope<resource::Patient>,
        query: &PatientQuery,
        window: Window,
    ) -> Result<Page<Patient>, Error> {
        if window.limit == 0 {
            let count = self.total(scope, query).await?;
            return Ok(Page::of(&window, count, Vec::new(), |row| query.place(row)));
        }
        let count = self.count(scope, query).await?;
        let rows = self.search(scope, query, &window).await?;
        Ok(Page::of(&window, count, rows, |row| query.place(row)))
    }

    /// As [`Patients::count`], when the number itself is the answer.
    pub async fn total(&mut self, scope: &AccessScope<resource::Patient>, query: &PatientQuery) -> Result<i64, Error> {
        let count = self.count(scope, query).await?;
        let mut entry = AuditEntry::new(AuditAction::Read, "Patient").rows(count);
        let within = scope.within();
        entry.organization_id = sole_organization(within);
        // A number about somebody who was named tells something of that person.
        let named = query.ids.iter().flatten().copied().map(PatientId);
        self.0.audit(entry.patients(within.patients.iter().flatten().copied().chain(named)));
        Ok(count)
    }

    /// How many patients in `scope` match.
    pub async fn count(&mut self, scope: &AccessScope<resource::Patient>, query: &PatientQuery) -> Result<i64, Error> {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM core_patient AS p WHERE ");
        push_where(&mut sql, scope, query);
        sql.build_query_scalar().fetch_one(self.0.connection()).await.db()
    }

    /// Patients in `scope` that match, in order.
    pub async fn search(
        &mut self,
        scope: &AccessScope<resource::Patient>,
        query: &PatientQuery,
        window: &Window,
    ) -> Result<Vec<Patient>, Error> {
        let mut sql = QueryBuilder::new("");
        push_from(&mut sql, scope.reach(), scope.within().organizations.as_deref());
        push_where(&mut sql, scope, query);
        push_window(&mut sql, " AND ", &query.keys(), window)?;
        let rows = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let rows = self.assemble(scope.reach(), rows).await?;
        let shown = rows.len().min(usize::try_from(window.limit).unwrap_or(usize::MAX));
        let entry = AuditEntry::new(AuditAction::Read, "Patient").rows(i64::try_from(shown).unwrap_or(i64::MAX));
        let named = scope.within().patients.iter().flatten().copied().filter(|_| rows.is_empty());
        self.0.audit(entry.patients(rows.iter().take(shown).map(|row| row.id).chain(named)));
        Ok(rows)
    }

    /// One patient in `scope`.
    pub async fn find(
        &mut self,
        scope: &AccessScope<resource::Patient>,
        id: PatientId,
    ) -> Result<Option<Patient>, Error> {
        let mut sql = QueryBuilder::new("");
        push_from(&mut sql, scope.reach(), scope.within().organizations.as_deref());
        push_patient_scope(&mut sql, scope, true);
        sql.push(" AND p.id = ").push_bind(id.0);
        let rows = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        self.0.audit(AuditEntry::new(AuditAction::Read, "Patient").id(id.0).patient(id));
        Ok(self.assemble(scope.reach(), rows).await?.into_iter().next())
    }

    /// The account at the wearables service that a patient's own is linked to.
    pub async fn wearable_account(
        &mut self,
        _scope: &AccessScope<resource::Consent>,
        id: PatientId,
    ) -> Result<Option<Phi<String>>, Error> {
        let account: Option<String> = sqlx::query_scalar(
            "SELECT substr(u.identifier, 4) FROM core_patient AS p JOIN core_jheuser AS u ON u.id = p.jhe_user_id
              WHERE p.id = $1 AND u.identifier LIKE 'ow:%'",
        )
        .bind(id.0)
        .fetch_optional(self.0.connection())
        .await
        .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Read, "WearableConnection").patient(id));
        Ok(account.map(Phi::new))
    }

    /// The patients enrolled in the study in `grant`, by id.
    pub async fn enrolled(
        &mut self,
        grant: &Grant<resource::Study, action::Read>,
        viewer: &AccessScope<resource::Patient>,
        window: Window,
    ) -> Result<Page<Patient>, Error> {
        let study: StudyId = grant.id();
        let (count, organization): (i64, Option<i64>) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM core_studypatient WHERE study_id = $1),
                    (SELECT organization_id FROM core_study WHERE id = $1)",
        )
        .bind(study.0)
        .fetch_one(self.0.connection())
        .await
        .db()?;
        let mut sql = QueryBuilder::new("");
        push_from(&mut sql, viewer.reach(), None);
        sql.push("EXISTS (SELECT 1 FROM core_studypatient AS e WHERE e.patient_id = p.id AND e.study_id = ");
        sql.push_bind(study.0).push(")");
        push_window(&mut sql, " AND ", &Order::by_id("p.id"), &window)?;
        let rows = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let rows = self.assemble(viewer.reach(), rows).await?;
        let page = Page::of(&window, count, rows, |row| numbered(row.id.0));
        let shown = i64::try_from(page.rows.len()).unwrap_or(i64::MAX);
        let mut entry = AuditEntry::new(AuditAction::Read, "StudyPatient").id(study.0).rows(shown);
        entry.organization_id = organization.map(OrganizationId);
        self.0.audit(entry.patients(page.rows.iter().map(|row| row.id)));
        Ok(page)
    }

    async fn assemble(&mut self, reach: &Reach, rows: Vec<PatientRow>) -> Result<Vec<Patient>, Error> {
        let full: Vec<i64> = rows.iter().filter(|row| row.awaiting.is_none()).map(|row| row.id).collect();
        let mut identifiers: HashMap<i64, Vec<Identifier>> = HashMap::new();
        let mut organizations: HashMap<i64, Vec<OrganizationId>> = HashMap::new();
        if !full.is_empty() {
            let found: Vec<(i64, i64, String, String)> = sqlx::query_as(
                "SELECT patient_id, id, system, value FROM core_patientidentifier WHERE patient_id = ANY ($1) ORDER BY id",
            )
            .bind(&full)
            .fetch_all(self.0.connection())
            .await
            .db()?;
            for (patient, id, system, value) in found {
                identifiers.entry(patient).or_default().push(Identifier {
                    id: LinkId(id),
                    system: Phi::new(system),
                    value: Phi::new(value),
                });
            }
            // A practitioner learns of shared organizations only.
            let mut sql = QueryBuilder::new(
                "SELECT i.patient_id, i.organization_id FROM jhe_in_org AS i WHERE i.patient_id = ANY (",
            );
            sql.push_bind(&full).push(")");
            if let Reach::Shared(who) = *reach {
                sql.push(" AND EXISTS (SELECT 1 FROM jhe_member AS m WHERE m.organization_id = i.organization_id AND m.practitioner_id = ");
                sql.push_bind(who.0).push(")");
            }
            sql.push(" ORDER BY i.organization_id");
            let found: Vec<(i64, i64)> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
            for (patient, organization) in found {
                organizations.entry(patient).or_default().push(OrganizationId(organization));
            }
        }
        Ok(rows
            .into_iter()
            .map(|row| match row.awaiting {
                Some(organization) => reduced(&row, Disclosure::Pending(OrganizationId(organization))),
                None => Patient {
                    id: PatientId(row.id),
                    user_id: row.jhe_user_id.map(UserId),
                    name_family: row.name_family.map(Phi::new),
                    name_given: row.name_given.map(Phi::new),
                    birth_date: row.birth_date.map(Phi::new),
                    telecom_phone: row.telecom_phone.map(Phi::new),
                    telecom_email: row.email.map(Phi::new),
                    identifiers: identifiers.remove(&row.id).unwrap_or_default(),
                    organizations: organizations.remove(&row.id).unwrap_or_default(),
                    disclosure: Disclosure::Full,
                    last_updated: row.last_updated,
                },
            })
            .collect())
    }

    /// Looks a patient up by exact e-mail address: in full where shared, else only that it exists.
    pub async fn look_up(
        &mut self,
        _grant: &Grant<resource::Server, action::LookUp>,
        viewer: &AccessScope<resource::Patient>,
        email: &Phi<String>,
    ) -> Result<Option<Patient>, Error> {
        let mut sql = QueryBuilder::new("SELECT p.id, ");
        match *viewer.reach() {
            Reach::Shared(who) => {
                sql.push("EXISTS (SELECT 1 FROM jhe_shares AS s WHERE s.patient_id = p.id AND s.practitioner_id = ");
                sql.push_bind(who.0).push(")");
            }
            Reach::Superuser | Reach::Internal(_) => {
                sql.push("true");
            }
            Reach::Nothing | Reach::Account(_) | Reach::Own(_) => {
                sql.push("false");
            }
        }
        sql.push(" FROM core_patient AS p JOIN core_jheuser AS u ON u.id = p.jhe_user_id WHERE ");
        push_same_email(&mut sql, email);
        let hit: Option<(i64, bool)> = sql.build_query_as().fetch_optional(self.0.connection()).await.db()?;
        let mut entry = AuditEntry::new(AuditAction::Lookup, "Patient");
        entry.patient_id = hit.map(|(id, _)| PatientId(id));
        self.0.audit(entry);
        let Some((id, shared)) = hit else { return Ok(None) };
        let mut sql = QueryBuilder::new("");
        push_from(&mut sql, viewer.reach(), None);
        sql.push("p.id = ").push_bind(id);
        let rows: Vec<PatientRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        if shared {
            return Ok(self.assemble(viewer.reach(), rows).await?.into_iter().next());
        }
        Ok(rows.into_iter().next().map(|row| {
            let disclosure = row
                .awaiting
                .map_or(Disclosure::Unlinked, |organization| Disclosure::Pending(OrganizationId(organization)));
            reduced(&row, disclosure)
        }))
    }

    /// The account with an e-mail address, for a patient about to be made. It is held, so that what is told of it stays so.
    pub async fn existing_account(
        &mut self,
        _grant: &Grant<resource::Organization, action::ManagePatients>,
        email: &Phi<String>,
    ) -> Result<Option<ExistingAccount>, Error> {
        let held: Option<i64> = sqlx::query_scalar(
            "SELECT u.id FROM core_jheuser AS u
              WHERE lower(u.email) = lower($1) AND lower(u.email COLLATE \"C\") = lower($1 COLLATE \"C\") FOR UPDATE",
        )
        .bind(email.reveal())
        .fetch_optional(self.0.connection())
        .await
        .db()?;
        let Some(id) = held else { return Ok(None) };
        let (is_patient, is_privileged) = sqlx::query_as(
            "SELECT EXISTS (SELECT 1 FROM core_patient AS p WHERE p.jhe_user_id = u.id),
                    u.is_superuser OR u.is_staff OR coalesce(u.user_type = 'practitioner', false)
                    OR EXISTS (SELECT 1 FROM core_practitioner AS p WHERE p.jhe_user_id = u.id)
               FROM core_jheuser AS u WHERE u.id = $1",
        )
        .bind(id)
        .fetch_one(self.0.connection())
        .await
        .db()?;
        Ok(Some(ExistingAccount { user_id: UserId(id), is_patient, is_privileged }))
    }

    /// Makes a patient of the organization in `grant`, with its account unless one is given. The password is unusable
    /// until the person sets one.
    pub async fn create(
        &mut self,
        grant: &Grant<resource::Organization, action::ManagePatients>,
        patient: &NewPatient,
        account: Option<UserId>,
        unusable_password: &str,
    ) -> Result<PatientId, Error> {
        let organization = grant.id();
        let text = |value: &Option<Phi<String>>| value.as_ref().map(|value| value.reveal().clone());
        let user: i64 = match account {
            Some(account) => sqlx::query_scalar(
                "UPDATE core_jheuser SET user_type = coalesce(user_type, 'patient') WHERE id = $1 RETURNING id",
            )
            .bind(account.0)
            .fetch_one(self.0.connection())
            .await
            .db()?,
            None => sqlx::query_scalar(
                "INSERT INTO core_jheuser (email, password, first_name, last_name, user_type)
                 VALUES ($1, $2, left($3, 150), left($4, 150), 'patient') RETURNING id",
            )
            .bind(patient.email.reveal())
            .bind(unusable_password)
            .bind(text(&patient.name_given).unwrap_or_default())
            .bind(text(&patient.name_family).unwrap_or_default())
            .fetch_one(self.0.connection())
            .await
            .db()?,
        };
        let id: i64 = sqlx::query_scalar(
            "WITH made AS (
                 INSERT INTO core_patient (jhe_user_id, name_family, name_given, birth_date, telecom_phone)
                 VALUES ($1, $2, $3, $4, $5) RETURNING id),
             linked AS (INSERT INTO core_patientorganization (patient_id, organization_id) SELECT id, $6 FROM made)
             SELECT id FROM made",
        )
        .bind(user)
        .bind(text(&patient.name_family))
        .bind(text(&patient.name_given))
        .bind(patient.birth_date.as_ref().map(|date| *date.reveal()))
        .bind(text(&patient.telecom_phone))
        .bind(organization.0)
        .fetch_one(self.0.connection())
        .await
        .db()?;
        let id = PatientId(id);
        self.0.insert_identifiers(id, &patient.identifiers).await?;
        // An account that was there may have become one of a patient.
        let action = if account.is_some() { AuditAction::Update } else { AuditAction::Create };
        self.0.audit(AuditEntry::new(action, "JheUser").id(user));
        self.0.audit(AuditEntry::new(AuditAction::Create, "Patient").id(id.0).patient(id).organization(organization));
        Ok(id)
    }

    /// The first of these identifiers that names another patient than `own`.
    pub async fn identifier_in_use(
        &mut self,
        _viewer: &AccessScope<resource::Patient>,
        own: Option<PatientId>,
        identifiers: &[(Phi<String>, Phi<String>)],
    ) -> Result<Option<Conflict>, Error> {
        if identifiers.is_empty() {
            return Ok(None);
        }
        let (systems, values) = columns(identifiers);
        let taken: Option<(String, String)> = sqlx::query_as(
            "SELECT i.system, i.value FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (system, value, n)
               JOIN core_patientidentifier AS i ON i.system = wanted.system AND i.value = wanted.value
              WHERE i.patient_id IS DISTINCT FROM $3 ORDER BY wanted.n LIMIT 1",
        )
        .bind(systems)
        .bind(values)
        .bind(own.map(|id| id.0))
        .fetch_optional(self.0.connection())
        .await
        .db()?;
        Ok(taken.map(|(system, value)| Conflict::PatientIdentifierTaken { system, value }))
    }

    /// Changes the patient in `grant`. `site` is the system of the site's own identifier.
    pub async fn update(
        &mut self,
        grant: &Grant<resource::Patient, action::Manage>,
        change: &PatientChange,
        site: &str,
    ) -> Result<(), Error> {
        let id = grant.id();
        let text = |value: &Option<Option<Phi<String>>>| value.clone().flatten().map(Phi::into_inner);
        // The account before the patient, as everywhere.
        if let Some(Some(email)) = &change.telecom_email {
            sqlx::query(
                "UPDATE core_jheuser AS u SET email = $2, email_is_verified = false FROM core_patient AS p
                  WHERE p.id = $1 AND u.id = p.jhe_user_id AND u.email <> $2",
            )
            .bind(id.0)
            .bind(email.reveal())
            .execute(self.0.connection())
            .await
            .db()?;
        }
        sqlx::query(
            "UPDATE core_patient
                SET name_family = CASE WHEN $2 THEN $3 ELSE name_family END,
                    name_given = CASE WHEN $4 THEN $5 ELSE name_given END,
                    birth_date = CASE WHEN $6 THEN $7 ELSE birth_date END,
                    telecom_phone = CASE WHEN $8 THEN $9 ELSE telecom_phone END
              WHERE id = $1",
        )
        .bind(id.0)
        .bind(change.name_family.is_some())
        .bind(text(&change.name_family))
        .bind(change.name_given.is_some())
        .bind(text(&change.name_given))
        .bind(change.birth_date.is_some())
        .bind(change.birth_date.clone().flatten().map(Phi::into_inner))
        .bind(change.telecom_phone.is_some())
        .bind(text(&change.telecom_phone))
        .execute(self.0.connection())
        .await
        .db()?;
        if let Some(identifiers) = &change.identifiers {
            // What stays keeps its row and id; what goes goes, what is new comes. NOT IN is looked up in a hash table;
            // NOT EXISTS, planned for a short list, would compare each identifier with each of a long one.
            let (systems, values) = columns(identifiers);
            sqlx::query(
                "DELETE FROM core_patientidentifier AS i WHERE i.patient_id = $1 AND (i.system, i.value) NOT IN (
                     SELECT w.system, w.value FROM unnest($2::text[], $3::text[]) AS w (system, value))",
            )
            .bind(id.0)
            .bind(systems)
            .bind(values)
            .execute(self.0.connection())
            .await
            .db()?;
            self.0.insert_identifiers(id, identifiers).await?;
        }
        if let Some(identifier) = &change.site_identifier {
            sqlx::query("DELETE FROM core_patientidentifier WHERE patient_id = $1 AND system = $2 AND value IS DISTINCT FROM $3")
                .bind(id.0)
                .bind(site)
                .bind(identifier.as_ref().map(|value| value.reveal().clone()))
                .execute(self.0.connection())
                .await
                .db()?;
            if let Some(value) = identifier {
                self.0.insert_identifiers(id, &[(Phi::new(site.to_owned()), value.clone())]).await?;
            }
        }
        self.0.audit(AuditEntry::new(AuditAction::Update, "Patient").id(id.0).patient(id));
        Ok(())
    }

    /// Takes a patient out of one organization; the last one takes the record, its observations and, unless it is
    /// still needed otherwise, the account with it. A link that the patient never agreed to takes nothing: who asked for it may
    /// know nothing of the record. Consent events stay. `false`, and nothing done, when somebody else took
    /// it out meanwhile.
    pub async fn remove(
        &mut self,
        grant: &Grant<resource::Patient, action::Remove>,
        from: &Grant<resource::Organization, action::ManagePatients>,
    ) -> Result<bool, Error> {
        let id = grant.id();
        self.0.hold_account_of_patient(id).await?;
        // Held before its links are looked at: one that is added or removed at the same moment is seen, or sees this.
        if !self.0.hold_patient(id).await? || !self.0.hold_link(id, from.id()).await? {
            return Ok(false);
        }
        self.0.tell_actor().await?;
        let confirmed: Option<bool> = sqlx::query_scalar(
            "DELETE FROM core_patientorganization WHERE patient_id = $1 AND organization_id = $2 RETURNING confirmed",
        )
        .bind(id.0)
        .bind(from.id().0)
        .fetch_optional(self.0.connection())
        .await
        .db()?;
        let user: Option<Option<i64>> = sqlx::query_scalar(
            "DELETE FROM core_patient AS p
              WHERE p.id = $1 AND $2 AND NOT EXISTS (SELECT 1 FROM core_patientorganization AS l WHERE l.patient_id = p.id)
              RETURNING p.jhe_user_id",
        )
        .bind(id.0)
        .bind(confirmed.unwrap_or_default())
        .fetch_optional(self.0.connection())
        .await
        .db()?;
        let gone = |kind| AuditEntry::new(AuditAction::Delete, kind).id(id.0).patient(id).organization(from.id());
        self.0.audit(gone("PatientOrganization"));
        if user.is_some() {
            self.0.audit(gone("Patient"));
        }
        if let Some(Some(user)) = user {
            self.0.delete_account_without_profile(UserId(user)).await?;
        }
        Ok(true)
    }

    /// Links an existing patient to an organization. `overrides` also confirms a link that waits for the patient. `false`
    /// when the link was there already.
    ///
    /// # Errors
    /// Not found when the patient was removed meanwhile.
    pub async fn attach(
        &mut self,
        grant: &Grant<resource::Patient, action::Attach>,
        to: OrganizationId,
        confirmed: bool,
        overrides: bool,
    ) -> Result<bool, Error> {
        let id = grant.id();
        if !self.0.keep_patient(id).await? {
            return Err(Error::NotFound(Lookup::Entity("Patient")));
        }
        let made = sqlx::query(
            "INSERT INTO core_patientorganization AS l (patient_id, organization_id, confirmed) VALUES ($1, $2, $3)
             ON CONFLICT ON CONSTRAINT core_patientorganization_pair_key DO UPDATE SET confirmed = true WHERE $4 AND NOT l.confirmed",
        )
        .bind(id.0)
        .bind(to.0)
        .bind(confirmed)
        .bind(overrides)
        .execute(self.0.connection())
        .await
        .db()?
        .rows_affected();
        self.0.audit(AuditEntry::new(AuditAction::Create, "PatientOrganization").id(id.0).patient(id).organization(to));
        Ok(made > 0)
    }

    /// The patient agrees to a link that waited for it.
    pub async fn confirm_attachment(
        &mut self,
        grant: &Grant<resource::Patient, action::ConfirmAttachment>,
        to: OrganizationId,
    ) -> Result<(), Error> {
        let id = grant.id();
        sqlx::query(
            "UPDATE core_patientorganization SET confirmed = true WHERE patient_id = $1 AND organization_id = $2",
        )
        .bind(id.0)
        .bind(to.0)
        .execute(self.0.connection())
        .await
        .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Update, "PatientOrganization").id(id.0).patient(id).organization(to));
        Ok(())
    }
}

fn reduced(row: &PatientRow, disclosure: Disclosure) -> Patient {
    Patient {
        id: PatientId(row.id),
        user_id: row.jhe_user_id.map(UserId),
        name_family: None,
        name_given: None,
        birth_date: None,
        telecom_phone: None,
        telecom_email: row.email.clone().map(Phi::new),
        identifiers: Vec::new(),
        organizations: Vec::new(),
        disclosure,
        last_updated: row.last_updated,
    }
}

fn columns(identifiers: &[(Phi<String>, Phi<String>)]) -> (Vec<String>, Vec<String>) {
    identifiers.iter().map(|(system, value)| (system.reveal().clone(), value.reveal().clone())).unzip()
}

impl Work {
    /// Gives a patient the identifiers that it does not have yet, numbered as they were sent. The rows are written in one order
    /// for everybody, so that two patients who are given the same identifiers wait for each other in a line.
    async fn insert_identifiers(
        &mut self,
        patient: PatientId,
        identifiers: &[(Phi<String>, Phi<String>)],
    ) -> Result<(), Error> {
        let (systems, values) = columns(identifiers);
        sqlx::query(
            "WITH numbered AS MATERIALIZED (
                 SELECT nextval('core_patientidentifier_id_seq') AS id, new.system, new.value
                   FROM (SELECT w.system, w.value FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS w (system, value, n)
                          WHERE (w.system, w.value) NOT IN (
                                SELECT i.system, i.value FROM core_patientidentifier AS i WHERE i.patient_id = $1)
                          ORDER BY w.n) AS new)
             INSERT INTO core_patientidentifier (id, patient_id, system, value)
             SELECT id, $1, system, value FROM numbered ORDER BY system COLLATE \"C\", value COLLATE \"C\"",
        )
        .bind(patient.0)
        .bind(systems)
        .bind(values)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// Deletes an account that has no profile left and is no superuser, with the clients it owns, except those that
    /// somebody else holds tokens of: they lose their owner. The account was held before its profile went, so that nobody
    /// gives it another one, or takes the other one, at the same moment.
    pub(crate) async fn delete_account_without_profile(&mut self, user: UserId) -> Result<(), Error> {
        let needed: bool = sqlx::query_scalar(
            "SELECT u.is_superuser OR EXISTS (SELECT 1 FROM core_practitioner AS p WHERE p.jhe_user_id = u.id)
                    OR EXISTS (SELECT 1 FROM core_patient AS p WHERE p.jhe_user_id = u.id)
               FROM core_jheuser AS u WHERE u.id = $1",
        )
        .bind(user.0)
        .fetch_one(self.connection())
        .await
        .db()?;
        if needed {
            return Ok(());
        }
        self.delete_account(user).await?;
        self.audit(AuditEntry::new(AuditAction::Delete, "JheUser").id(user.0));
        Ok(())
    }

    /// Deletes an account with the clients it owns, as above. `false` when there is none.
    pub(crate) async fn delete_account(&mut self, user: UserId) -> Result<bool, Error> {
        sqlx::query(
            "DELETE FROM oauth2_provider_application AS a WHERE a.user_id = $1
                AND NOT EXISTS (SELECT 1 FROM oauth2_provider_accesstoken AS t WHERE t.application_id = a.id AND t.user_id <> $1)
                AND NOT EXISTS (SELECT 1 FROM oauth2_provider_refreshtoken AS t WHERE t.application_id = a.id AND t.user_id <> $1)
                AND NOT EXISTS (SELECT 1 FROM oauth2_provider_grant AS g WHERE g.application_id = a.id AND g.user_id <> $1)",
        )
        .bind(user.0)
        .execute(self.connection())
        .await
        .db()?;
        let gone = sqlx::query("DELETE FROM core_jheuser WHERE id = $1")
            .bind(user.0)
            .execute(self.connection())
            .await
            .db()?
            .rows_affected();
        Ok(gone > 0)
    }
}
