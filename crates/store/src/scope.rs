//! Where a reach becomes SQL: the only place. Each fragment is built on the predicate views of `migrations/`.

use jhe_authz::{AccessScope, Location, Reach, resource};
use jhe_domain::OrganizationId;
use sqlx::{Postgres, QueryBuilder};

use crate::filter::{PersonFilter, push_person};

/// Which of the two consented actions a query performs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Finding by search: `s`.
    Search,
    /// Reading one by id: `r`.
    Read,
}

fn organizations(within: &Location) -> Option<Vec<i64>> {
    within.organizations.as_ref().map(|ids| ids.iter().map(|id| id.0).collect())
}

/// The one organization that a question is asked within. What concerns several is nobody's alone.
pub(crate) fn sole_organization(within: &Location) -> Option<OrganizationId> {
    match within.organizations.as_deref() {
        Some([one]) => Some(*one),
        _ => None,
    }
}

fn studies(within: &Location) -> Option<Vec<i64>> {
    within.studies.as_ref().map(|ids| ids.iter().map(|id| id.0).collect())
}

fn patients(within: &Location) -> Option<Vec<i64>> {
    within.patients.as_ref().map(|ids| ids.iter().map(|id| id.0).collect())
}

fn push_in(sql: &mut QueryBuilder<Postgres>, column: &'static str, ids: Option<Vec<i64>>) {
    let Some(ids) = ids else { return };
    sql.push(" AND ").push(column);
    match ids.as_slice() {
        // The usual case, which is planned as what it is.
        [id] => sql.push(" = ").push_bind(*id),
        _ => sql.push(" = ANY (").push_bind(ids).push(")"),
    };
}

/// Pushes the condition on `core_patient AS p`. `awaiting` adds patients that wait for their own confirmation, whom
/// the viewer sees in reduced form only; a query that looks at anything but their existence must leave them out.
pub(crate) fn push_patient_scope(
    sql: &mut QueryBuilder<Postgres>,
    scope: &AccessScope<resource::Patient>,
    awaiting: bool,
) {
    push_patient_reach(sql, *scope.reach(), scope.within(), awaiting);
}

fn push_patient_reach(sql: &mut QueryBuilder<Postgres>, reach: Reach, within: &Location, awaiting: bool) {
    match reach {
        Reach::Nothing | Reach::Account(_) => {
            sql.push("false");
        }
        Reach::Own(own) => {
            sql.push("p.id = ").push_bind(own.0);
        }
        Reach::Shared(who) => {
            let organizations = organizations(within);
            sql.push("(EXISTS (SELECT 1 FROM jhe_shares AS s WHERE s.patient_id = p.id AND s.practitioner_id = ");
            sql.push_bind(who.0);
            push_in(sql, "s.organization_id", organizations.clone());
            sql.push(")");
            if awaiting {
                sql.push(
                    " OR EXISTS (SELECT 1 FROM jhe_awaits AS w WHERE w.patient_id = p.id AND w.practitioner_id = ",
                );
                sql.push_bind(who.0);
                push_in(sql, "w.organization_id", organizations);
                sql.push(")");
            }
            sql.push(")");
            if let Some(studies) = studies(within) {
                // A study narrows only where it is one of the viewer's organizations.
                sql.push(
                    " AND EXISTS (SELECT 1 FROM core_studypatient AS e JOIN core_study AS st ON st.id = e.study_id
                       JOIN jhe_member AS m ON m.organization_id = st.organization_id
                       WHERE e.patient_id = p.id AND m.practitioner_id = ",
                );
                sql.push_bind(who.0).push(" AND e.study_id = ANY (").push_bind(studies).push("))");
            }
        }
        Reach::Superuser | Reach::Internal(_) => {
            sql.push("true");
            if let Some(organizations) = organizations(within) {
                sql.push(" AND EXISTS (SELECT 1 FROM jhe_in_org AS l WHERE l.patient_id = p.id AND l.organization_id = ANY (");
                sql.push_bind(organizations).push("))");
            }
            if let Some(studies) = studies(within) {
                sql.push(" AND EXISTS (SELECT 1 FROM core_studypatient AS e WHERE e.patient_id = p.id AND e.study_id = ANY (");
                sql.push_bind(studies).push("))");
            }
        }
    }
    push_in(sql, "p.id", patients(within));
}

/// How rows of a kind, as `r`, belong to organizations, studies and patients.
#[derive(Debug)]
pub struct Relation {
    /// Through which other row it belongs to them, if any: all conditions hold for one and the same.
    pub(crate) witness: Option<&'static str>,
    /// The organization.
    pub(crate) organization: &'static str,
    /// What stands before and after the comparison of a study.
    pub(crate) study: (&'static str, &'static str),
    /// The condition that it belongs to patient `p`.
    pub(crate) patient: &'static str,
}

/// Pushes the condition on a row `r` that belongs to organizations, with conditions on the patients it belongs to: patients
/// whom the viewer may not see never match, so that a name found nowhere and a stranger's name look alike.
pub(crate) fn push_record_scope<R: resource::Record>(
    sql: &mut QueryBuilder<Postgres>,
    scope: &AccessScope<R>,
    relation: &Relation,
    person: &PersonFilter,
) {
    let (reach, within) = (*scope.reach(), scope.within());
    match relation.witness {
        Some(witness) => sql.push("EXISTS (SELECT 1 FROM ").push(witness),
        None => sql.push("(true"),
    };
    match reach {
        Reach::Nothing | Reach::Account(_) | Reach::Internal(_) => {
            sql.push(" AND false");
        }
        Reach::Shared(who) => {
            sql.push(" AND EXISTS (SELECT 1 FROM jhe_member AS m WHERE m.organization_id = ")
                .push(relation.organization);
            sql.push(" AND m.practitioner_id = ").push_bind(who.0).push(")");
        }
        // A patient is held to what it belongs to itself by the condition on patients below.
        Reach::Own(_) | Reach::Superuser => {}
    }
    push_in(sql, relation.organization, organizations(within));
    if let Some(studies) = studies(within) {
        let (before, after) = relation.study;
        sql.push(" AND ").push(before).push(" = ANY (").push_bind(studies).push(")").push(after);
    }
    if matches!(reach, Reach::Own(_)) || within.patients.is_some() || !person.is_empty() {
        sql.push(" AND EXISTS (SELECT 1 FROM core_patient AS p WHERE ").push(relation.patient).push(" AND ");
        let named = Location { patients: within.patients.clone(), ..Location::default() };
        push_patient_reach(sql, reach, &named, false);
        push_person(sql, person);
        sql.push(")");
    }
    sql.push(")");
}

/// Pushes the condition that the scope covers observation `o`.
pub(crate) fn push_readable(
    sql: &mut QueryBuilder<Postgres>,
    scope: &AccessScope<resource::Observation>,
    access: Access,
) {
    if let Reach::Own(own) = *scope.reach() {
        sql.push("o.subject_patient_id = ").push_bind(own.0);
        push_in(sql, "o.subject_patient_id", patients(scope.within()));
        return;
    }
    sql.push("EXISTS (");
    push_releases(sql, scope, access, "SELECT 1");
    sql.push(" AND r.patient_id = o.subject_patient_id AND r.scope_code_id = o.codeable_concept_id)");
}

/// Pushes a query of the (patient_id, scope_code_id) pairs whose observations the scope covers. Organization, study
/// and patient filters hold in the same study that releases the pair.
pub(crate) fn push_readable_pairs(
    sql: &mut QueryBuilder<Postgres>,
    scope: &AccessScope<resource::Observation>,
    access: Access,
) {
    let within = scope.within();
    // One study releases a pair once; several may release the same one.
    let select = match within.studies.as_deref() {
        Some([_]) => "SELECT r.patient_id, r.scope_code_id",
        _ => "SELECT DISTINCT r.patient_id, r.scope_code_id",
    };
    if let Reach::Own(own) = *scope.reach() {
        // One's own readings need nobody's consent.
        sql.push("SELECT r.patient_id, r.scope_code_id FROM jhe_observation_stats AS r WHERE r.patient_id = ");
        sql.push_bind(own.0);
        push_in(sql, "r.patient_id", patients(within));
        return;
    }
    push_releases(sql, scope, access, select);
}

/// Pushes a query of what releases observations to the viewer, one row for each study that does.
fn push_releases(
    sql: &mut QueryBuilder<Postgres>,
    scope: &AccessScope<resource::Observation>,
    access: Access,
    select: &'static str,
) {
    let within = scope.within();
    sql.push(select);
    match *scope.reach() {
        Reach::Shared(who) => {
            sql.push(" FROM jhe_readable AS r WHERE r.practitioner_id = ").push_bind(who.0);
        }
        Reach::Superuser => {
            // Member of every organization; the consenting study is needed all the same.
            sql.push(
                " FROM jhe_releases AS r
                  JOIN jhe_in_org AS i ON i.organization_id = r.organization_id AND i.patient_id = r.patient_id WHERE true",
            );
        }
        Reach::Nothing | Reach::Account(_) | Reach::Internal(_) | Reach::Own(_) => {
            sql.push(" FROM jhe_releases AS r WHERE false");
        }
    }
    sql.push(match access {
        Access::Search => " AND r.may_search",
        Access::Read => " AND r.may_read",
    });
    push_in(sql, "r.organization_id", organizations(within));
    if let Some(studies) = studies(within) {
        // Always as a list: of one study the planner believes that it is a small one, and asks row by row.
        sql.push(" AND r.study_id = ANY (").push_bind(studies).push(")");
    }
    push_in(sql, "r.patient_id", patients(within));
}
