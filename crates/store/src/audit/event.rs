//! Reading the trail: who may read which entries, and by which index.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Reach, resource};
use jhe_domain::audit::{AuditAction, AuditEntry, AuditEvent, HeldConsent};
use jhe_domain::error::Error;
use jhe_domain::page::{Page, Window};
use jhe_domain::{ApplicationId, AuditEventId, OrganizationId, PatientId, Phi, ScopeCodeId, StudyId, UserId};
use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};

use crate::fault::Db;
use crate::filter::{TimeMatch, push_any, push_time};
use crate::keyset::numbered;
use crate::work::Work;

/// Access to the audit trail.
pub struct AuditEvents<'a>(&'a mut Work);

impl Work {
    /// Access to the audit trail.
    pub fn audit_events(&mut self) -> AuditEvents<'_> {
        AuditEvents(self)
    }
}

/// Which entries are wanted, besides those that the proof permits.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only these.
    pub ids: Option<Vec<AuditEventId>>,
    /// Of this account.
    pub actor: Option<UserId>,
    /// Of one of these kinds.
    pub actions: Option<Vec<String>>,
    /// About this kind of row.
    pub resource: Option<String>,
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    /// At these times: all of the outer, any of the inner ones.
    pub times: Vec<Vec<TimeMatch>>,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    id: i64,
    occurred_at: DateTime<Utc>,
    actor_user_id: Option<i64>,
    actor_name: Option<String>,
    application_id: Option<i64>,
    application_name: Option<String>,
    action: String,
    resource: String,
    resource_id: Option<String>,
    patients: Vec<i64>,
    patient_count: i64,
    organization_id: Option<i64>,
    rows: Option<i64>,
    status: Option<i32>,
    request_id: Option<String>,
    template: Option<String>,
    reason: Option<String>,
    ip: Option<String>,
    consents: Option<Json<Vec<ConsentRow>>>,
}

#[derive(Deserialize)]
struct ConsentRow {
    study_id: i64,
    study_name: String,
    organization_id: i64,
    scope_code_id: i64,
    scope_code_text: String,
    since: DateTime<Utc>,
}

impl From<EventRow> for AuditEvent {
    fn from(row: EventRow) -> Self {
        let consents = row.consents.map(|Json(rows)| rows).unwrap_or_default();
        Self {
            id: AuditEventId(row.id),
            occurred_at: row.occurred_at,
            actor_user_id: row.actor_user_id.map(UserId),
            actor_name: row.actor_name.filter(|name| !name.is_empty()).map(Phi::new),
            application_id: row.application_id.map(ApplicationId),
            application_name: row.application_name,
            action: row.action,
            resource: row.resource,
            resource_id: row.resource_id,
            patients: row.patients.into_iter().map(PatientId).collect(),
            patient_count: row.patient_count,
            organization_id: row.organization_id.map(OrganizationId),
            rows: row.rows,
            status: row.status,
            request_id: row.request_id,
            template: row.template,
            reason: row.reason,
            ip: row.ip.and_then(|text| text.parse::<IpAddr>().ok()),
            consents: consents
                .into_iter()
                .map(|row| HeldConsent {
                    study_id: StudyId(row.study_id),
                    study_name: row.study_name,
                    organization_id: OrganizationId(row.organization_id),
                    scope_code_id: ScopeCodeId(row.scope_code_id),
                    scope_code_text: row.scope_code_text,
                    since: row.since,
                })
                .collect(),
        }
    }
}

/// Whose entries a query looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// All there are.
    Everybodys,
    /// Those of `people` and of `led` organizations.
    Theirs,
}

/// Pushes organizations, patients and accounts by whose rows entries are found and permitted: `led`, `people` and those `asked`
/// for of them; `helpers` are the accounts that work there, `staff` are all who are named, and of those `released` some study of these may read some.
fn push_sets(sql: &mut QueryBuilder<Postgres>, scope: &AccessScope<resource::AuditEvent>) -> Whose {
    let within = scope.within();
    let organizations: Option<Vec<i64>> = within.organizations.as_ref().map(|ids| ids.iter().map(|id| id.0).collect());
    let patients: Option<Vec<i64>> = within.patients.as_ref().map(|ids| ids.iter().map(|id| id.0).collect());
    let whose = match *scope.reach() {
        Reach::Superuser | Reach::Internal(_) if organizations.is_none() && patients.is_none() => Whose::Everybodys,
        _ => Whose::Theirs,
    };
    sql.push("WITH led AS MATERIALIZED (");
    match *scope.reach() {
        Reach::Shared(who) => {
            sql.push("SELECT l.organization_id FROM jhe_leads AS l WHERE l.practitioner_id = ").push_bind(who.0);
            if let Some(organizations) = &organizations {
                sql.push(" AND l.organization_id = ANY (").push_bind(organizations.clone()).push(")");
            }
        }
        Reach::Superuser | Reach::Internal(_) => {
            let organizations = organizations.clone().unwrap_or_default();
            sql.push("SELECT organization_id FROM unnest(")
                .push_bind(organizations)
                .push("::bigint[]) AS o (organization_id)");
        }
        Reach::Own(_) | Reach::Nothing | Reach::Account(_) => {
            sql.push("SELECT NULL::bigint AS organization_id WHERE false");
        }
    }
    sql.push("), people AS MATERIALIZED (");
    match *scope.reach() {
        Reach::Own(patient) => {
            sql.push("SELECT ").push_bind(patient.0).push("::bigint AS patient_id, NULL::bigint[] AS organizations");
        }
        Reach::Superuser | Reach::Internal(_) if organizations.is_none() => {
            let patients = patients.clone().unwrap_or_default();
            sql.push("SELECT patient_id, NULL::bigint[] AS organizations FROM unnest(");
            sql.push_bind(patients).push("::bigint[]) AS p (patient_id)");
        }
        Reach::Shared(_) | Reach::Superuser | Reach::Internal(_) => {
            sql.push(
                "SELECT i.patient_id, array_agg(i.organization_id) AS organizations
                   FROM jhe_in_org AS i JOIN led ON led.organization_id = i.organization_id GROUP BY i.patient_id",
            );
        }
        Reach::Nothing | Reach::Account(_) => {
            sql.push("SELECT NULL::bigint AS patient_id, NULL::bigint[] AS organizations WHERE false");
        }
    }
    sql.push("), asked AS MATERIALIZED (SELECT patient_id, organizations FROM people WHERE true");
    if let Some(patients) = &patients {
        sql.push(" AND patient_id = ANY (").push_bind(patients.clone()).push(")");
    }
    sql.push(
        "), helpers AS MATERIALIZED (
             SELECT p.jhe_user_id AS user_id, array_agg(led.organization_id) AS organizations FROM jhe_member AS m
               JOIN led ON led.organization_id = m.organization_id JOIN core_practitioner AS p ON p.id = m.practitioner_id
              GROUP BY p.jhe_user_id
         ), staff AS MATERIALIZED (
             SELECT user_id FROM helpers
             UNION SELECT pt.jhe_user_id FROM asked JOIN core_patient AS pt ON pt.id = asked.patient_id",
    );
    if matches!(scope.reach(), Reach::Own(_)) {
        // Whoever looks after the patient.
        sql.push(
            " UNION SELECT p.jhe_user_id FROM asked JOIN jhe_shares AS s ON s.patient_id = asked.patient_id
                JOIN core_practitioner AS p ON p.id = s.practitioner_id",
        );
    }
    sql.push(
        "), released AS MATERIALIZED (
             SELECT DISTINCT r.patient_id FROM asked JOIN jhe_releases AS r ON r.patient_id = asked.patient_id
               JOIN led ON led.organization_id = r.organization_id)",
    );
    whose
}

/// The condition that what was done to patient `x` concerns the led organizations: by people who look after the patient there, by
/// the server, or by the patient, of whose own readings and consents an organization is told only while one of its studies may
/// read some. What anybody else tried in vain is told as well, but not by whom: see [`named`].
const CONCERNS: &str = "(e.action = 'denied' OR e.actor_user_id IS NULL
      OR coalesce(x.organizations && (SELECT organizations FROM helpers WHERE user_id = e.actor_user_id), false)
      OR (e.actor_user_id = (SELECT jhe_user_id FROM core_patient WHERE id = x.patient_id)
          AND (e.resource NOT IN ('Observation', 'Consent') OR x.patient_id IN (SELECT patient_id FROM released))))";

/// Pushes the condition that a manager may know of what was done to one of the patients asked for, which `concerned` says of an
/// entry that is recorded as no organization's. What is recorded as one's is its own; changes of enrolments and of consents are
/// always recorded so.
fn push_permitted(sql: &mut QueryBuilder<Postgres>, reach: Reach, concerned: &str) {
    if matches!(reach, Reach::Shared(_)) {
        sql.push(
            " AND (e.organization_id IN (SELECT organization_id FROM led)
                   OR (e.organization_id IS NULL
                       AND (e.action = 'denied' OR e.actor_user_id IS NULL OR e.actor_user_id IN (SELECT user_id FROM staff))
                       AND NOT (e.resource IN ('StudyPatient', 'Consent') AND e.action IN ('create', 'update', 'delete'))
                       AND ",
        );
        sql.push(concerned).push("))");
    }
}

/// The condition that whoever acted is named. Anybody may try anything, and has done nothing to those it tried it with: strangers
/// stay strangers.
const fn named(reach: Reach) -> &'static str {
    match reach {
        Reach::Shared(_) | Reach::Own(_) => {
            "(e.action <> 'denied' OR e.actor_user_id IS NULL OR e.actor_user_id IN (SELECT user_id FROM staff))"
        }
        Reach::Superuser | Reach::Internal(_) | Reach::Nothing | Reach::Account(_) => "true",
    }
}

fn push_filter(
    sql: &mut QueryBuilder<Postgres>,
    reach: Reach,
    filter: &AuditFilter,
    window: &Window,
) -> Result<(), Error> {
    if let Some(ids) = &filter.ids {
        sql.push(" AND e.id = ANY (").push_bind(ids.iter().map(|id| id.0).collect::<Vec<_>>()).push(")");
    }
    if let Some(actor) = filter.actor {
        // Nobody learns by asking for an account what is not told of it.
        sql.push(" AND e.actor_user_id = ").push_bind(actor.0).push(" AND ").push(named(reach));
    }
    if let Some(actions) = &filter.actions {
        sql.push(" AND e.action = ANY (").push_bind(actions.clone()).push(")");
    }
    if let Some(resource) = &filter.resource {
        sql.push(" AND e.resource = ").push_bind(resource.clone());
    }
    if let Some(since) = filter.since {
        sql.push(" AND e.occurred_at >= ").push_bind(since);
    }
    if let Some(until) = filter.until {
        sql.push(" AND e.occurred_at < ").push_bind(until);
    }
    for alternatives in &filter.times {
        sql.push(" AND ");
        push_any(sql, alternatives, |sql, m| push_time(sql, "e.occurred_at", "e.occurred_at", m));
    }
    if let Some(place) = &window.after {
        crate::keyset::Order::by_id("e.id").check(place)?;
        sql.push(" AND e.id < ").push_bind(place.id);
    }
    Ok(())
}

/// Pushes the newest entries with one of these people or organizations in a column: see [`push_permitted`]; without
/// a condition all of them.
fn push_branch(
    sql: &mut QueryBuilder<Postgres>,
    from: &'static str,
    joint: &'static str,
    reach: Reach,
    concerned: Option<&str>,
    filter: &AuditFilter,
    window: &Window,
) -> Result<(), Error> {
    sql.push("SELECT e.id FROM ").push(from).push(" CROSS JOIN LATERAL (SELECT e.id FROM jhe_audit_event AS e WHERE ");
    sql.push(joint);
    if let Some(concerned) = concerned {
        push_permitted(sql, reach, concerned);
    }
    push_filter(sql, reach, filter, window)?;
    sql.push(" ORDER BY e.id DESC LIMIT ").push_bind(window.offset.saturating_add(window.reach())).push(") AS e");
    Ok(())
}

impl AuditEvents<'_> {
    /// Entries in `scope`, the newest first, of which `most` are shown. They are not counted: see [`Page::next`].
    pub async fn list(
        &mut self,
        scope: &AccessScope<resource::AuditEvent>,
        filter: &AuditFilter,
        window: &Window,
        most: i64,
    ) -> Result<Page<AuditEvent>, Error> {
        let reach = *scope.reach();
        let mut sql = QueryBuilder::new("");
        let whose = push_sets(&mut sql, scope);
        sql.push(", found AS (");
        if whose == Whose::Everybodys {
            sql.push("SELECT e.id FROM jhe_audit_event AS e WHERE true");
            push_filter(&mut sql, reach, filter, window)?;
        } else {
            let of_patient = "e.patient_id = x.patient_id";
            push_branch(&mut sql, "asked AS x", of_patient, reach, Some(CONCERNS), filter, window)?;
            sql.push(
                " UNION (SELECT e.id FROM jhe_audit_event AS e
                         WHERE e.patient_ids && (SELECT array_agg(patient_id) FROM asked)",
            );
            // Fenced, so that the condition is asked of the patients of the entry alone.
            let of_one = format!(
                "EXISTS (SELECT 1 FROM (SELECT asked.* FROM unnest(e.patient_ids) AS one (id)
                                          JOIN asked ON asked.patient_id = one.id OFFSET 0) AS x WHERE {CONCERNS})"
            );
            push_permitted(&mut sql, reach, &of_one);
            push_filter(&mut sql, reach, filter, window)?;
            sql.push(" ORDER BY e.id DESC LIMIT ").push_bind(window.offset.saturating_add(window.reach())).push(")");
            if scope.within().patients.is_none() {
                sql.push(" UNION ");
                push_branch(&mut sql, "led", "e.organization_id = led.organization_id", reach, None, filter, window)?;
            }
        }
        sql.push(" ORDER BY id DESC OFFSET ").push_bind(window.offset);
        sql.push(" LIMIT ").push_bind(window.reach()).push(") ");
        push_columns(&mut sql, scope);
        push_seen(&mut sql, reach, whose);
        sql.push(
            " LEFT JOIN core_jheuser AS u ON u.id = e.actor_user_id
              LEFT JOIN oauth2_provider_application AS a ON a.id = e.application_id
             ORDER BY e.id DESC",
        );
        let rows: Vec<EventRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let page = Page::of(window, 0, rows, |row| numbered(row.id)).map(AuditEvent::from);
        let shown = i64::try_from(page.rows.len()).unwrap_or(i64::MAX).min(most);
        let mut entry = AuditEntry::new(AuditAction::Read, "AuditEvent").rows(shown);
        entry.patient_id = scope.within().patients.iter().flatten().next().copied().filter(|_| shown > 0);
        self.0.audit(entry);
        Ok(page)
    }
}

/// The condition that whoever reads an entry may know all patients it is about; else how much there was is told of others too.
const WHOLLY_SEEN: &str =
    "cardinality(seen.patients) = coalesce(cardinality(e.patient_ids), (e.patient_id IS NOT NULL)::int)";

/// The condition that how many readings there were, and which one, is known of by the led organizations: those who read them could
/// read nothing but by these, or asked for one of these.
const AMONG_THEM: &str = "(e.resource <> 'Observation' OR e.organization_id IS NOT NULL
    OR (EXISTS (SELECT 1 FROM core_practitioner AS p WHERE p.jhe_user_id = e.actor_user_id)
        AND NOT EXISTS (SELECT 1 FROM core_patient AS pt WHERE pt.jhe_user_id = e.actor_user_id)
        AND NOT EXISTS (SELECT 1 FROM core_practitioner AS p JOIN jhe_member AS m ON m.practitioner_id = p.id
                         WHERE p.jhe_user_id = e.actor_user_id
                           AND m.organization_id NOT IN (SELECT organization_id FROM led))))";

/// Pushes what columns are taken from, with the patients that whoever reads an entry may know: of a page, other patients are
/// nobody's business but those who may know them.
fn push_seen(sql: &mut QueryBuilder<Postgres>, reach: Reach, whose: Whose) {
    sql.push(" FROM found JOIN jhe_audit_event AS e ON e.id = found.id CROSS JOIN LATERAL (SELECT ");
    match whose {
        Whose::Everybodys => {
            sql.push("coalesce(e.patient_ids, array_remove(ARRAY[e.patient_id], NULL))");
        }
        Whose::Theirs => {
            sql.push(
                "ARRAY(SELECT x.patient_id FROM (SELECT people.* FROM unnest(coalesce(e.patient_ids, ARRAY[e.patient_id])) AS one (id)
                                                   JOIN people ON people.patient_id = one.id OFFSET 0) AS x",
            );
            if matches!(reach, Reach::Shared(_)) {
                sql.push(" WHERE e.organization_id IS NOT NULL OR ").push(CONCERNS);
            }
            sql.push(" ORDER BY x.patient_id)");
        }
    }
    sql.push(" AS patients) AS seen");
}

fn push_columns(sql: &mut QueryBuilder<Postgres>, scope: &AccessScope<resource::AuditEvent>) {
    sql.push("SELECT ");
    for (column, name) in [
        ("e.actor_user_id", "actor_user_id"),
        ("btrim(concat_ws(' ', u.first_name, u.last_name))", "actor_name"),
        ("e.application_id", "application_id"),
        ("a.name", "application_name"),
        ("host(e.ip)", "ip"),
    ] {
        sql.push("CASE WHEN ").push(named(*scope.reach())).push(" THEN ").push(column);
        sql.push(" END AS ").push(name).push(", ");
    }
    sql.push("e.id, e.occurred_at, e.action, e.resource, e.organization_id, e.status, e.request_id, e.template, e.reason, seen.patients, ");
    match *scope.reach() {
        Reach::Own(_) => {
            sql.push(format!(
                "e.resource_id, CASE WHEN {WHOLLY_SEEN} THEN e.rows END AS rows, cardinality(seen.patients)::bigint"
            ));
        }
        Reach::Shared(_) => {
            sql.push(format!(
                "CASE WHEN {AMONG_THEM} THEN e.resource_id END AS resource_id,
                CASE WHEN {WHOLLY_SEEN} AND {AMONG_THEM} THEN e.rows END AS rows, cardinality(seen.patients)::bigint"
            ));
        }
        Reach::Superuser | Reach::Internal(_) | Reach::Nothing | Reach::Account(_) => {
            sql.push(
                "e.resource_id, e.rows, coalesce(cardinality(e.patient_ids), (e.patient_id IS NOT NULL)::int)::bigint",
            );
        }
    }
    sql.push(" AS patient_count, ");
    let one = match (*scope.reach(), scope.within().patients.as_deref()) {
        (Reach::Own(patient), _) => Some(patient),
        (_, Some([patient])) => Some(*patient),
        _ => None,
    };
    let Some(patient) = one else {
        sql.push("NULL::jsonb AS consents");
        return;
    };
    sql.push(
        "CASE WHEN e.action = 'read' AND e.resource = 'Observation' THEN
           (SELECT jsonb_agg(jsonb_build_object('study_id', s.id, 'study_name', s.name, 'organization_id', s.organization_id,
                             'scope_code_id', k.id, 'scope_code_text', k.text, 'since', h.occurred_at) ORDER BY s.id, k.id)
              FROM (SELECT DISTINCT ON (c.study_id, c.scope_code_id) c.study_id, c.scope_code_id, c.consented, c.occurred_at
                      FROM jhe_consent_event AS c WHERE c.occurred_at <= e.occurred_at AND c.patient_id = ",
    );
    sql.push_bind(patient.0).push(
        "              ORDER BY c.study_id, c.scope_code_id, c.occurred_at DESC, c.id DESC) AS h
              JOIN core_study AS s ON s.id = h.study_id
              JOIN core_codeableconcept AS k ON k.id = h.scope_code_id
              JOIN core_practitioner AS p ON p.jhe_user_id = e.actor_user_id
              JOIN jhe_member AS m ON m.practitioner_id = p.id AND m.organization_id = s.organization_id
             WHERE h.consented",
    );
    if matches!(scope.reach(), Reach::Shared(_)) {
        // Consents towards others are theirs to know.
        sql.push(" AND s.organization_id IN (SELECT organization_id FROM led)");
    }
    sql.push(") END AS consents");
}
