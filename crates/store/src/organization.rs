//! Organizations: a directory every account sees; who belongs to them only where the viewer does.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Grant, Reach, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::organization::{Membership, Organization, OrganizationChange, Roster, RosterEntry};
use jhe_domain::page::{Page, Window};
use jhe_domain::role::Role;
use jhe_domain::{LinkId, OrganizationId, PatientId, Phi, PractitionerId, UserId};
use sqlx::{Postgres, QueryBuilder};

use crate::fault::Db;
use crate::keyset::{Order, named, push_order, push_window};
use crate::work::Work;

/// Patients listed with an organization at most.
const ROSTER_PATIENTS: i64 = 1000;

/// Access to organizations.
pub struct Organizations<'a>(&'a mut Work);

impl Work {
    /// Access to organizations.
    pub fn organizations(&mut self) -> Organizations<'_> {
        Organizations(self)
    }
}

#[derive(sqlx::FromRow)]
struct OrganizationRow {
    id: i64,
    name: String,
    type_code: String,
    part_of_id: Option<i64>,
    role: Option<String>,
    last_updated: DateTime<Utc>,
}

impl From<OrganizationRow> for Organization {
    fn from(row: OrganizationRow) -> Self {
        Self {
            id: OrganizationId(row.id),
            name: row.name,
            type_code: row.type_code,
            part_of: row.part_of_id.map(OrganizationId),
            role: row.role.as_deref().map(Role::parse_lenient),
            last_updated: row.last_updated,
        }
    }
}

#[derive(sqlx::FromRow)]
struct RosterRow {
    organization_id: i64,
    practitioner_id: i64,
    user_id: i64,
    email: String,
    first_name: String,
    last_name: String,
    role: String,
}

impl From<RosterRow> for RosterEntry {
    fn from(row: RosterRow) -> Self {
        Self {
            practitioner_id: PractitionerId(row.practitioner_id),
            user_id: UserId(row.user_id),
            email: Phi::new(row.email),
            first_name: Phi::new(row.first_name),
            last_name: Phi::new(row.last_name),
            role: Role::parse_lenient(&row.role),
        }
    }
}

/// Pushes `SELECT … FROM core_organization AS o` with the viewer's role.
fn push_select(sql: &mut QueryBuilder<Postgres>, reach: &Reach) {
    sql.push("SELECT o.id, o.name, o.type AS type_code, o.part_of_id, o.last_updated, ");
    match reach {
        Reach::Superuser => {
            sql.push("'super_user' AS role FROM core_organization AS o");
        }
        reach => {
            let who = reach.practitioner().map(|id| id.0);
            sql.push("(SELECT m.role FROM jhe_member AS m WHERE m.organization_id = o.id AND m.practitioner_id = ");
            sql.push_bind(who).push(") AS role FROM core_organization AS o");
        }
    }
}

fn by_name() -> Order {
    Order::by_name("lower(o.name) COLLATE \"C\"", "o.name COLLATE \"C\"", "o.id")
}

impl Organizations<'_> {
    /// The directory, by name. `part_of` keeps the children of one organization; 0 also those without a parent.
    pub async fn list(
        &mut self,
        scope: &AccessScope<resource::Organization>,
        part_of: Option<OrganizationId>,
        window: Window,
    ) -> Result<Page<Organization>, Error> {
        let part_of = part_of.map(|id| id.0);
        let mut count = QueryBuilder::new("SELECT count(*) FROM core_organization AS o WHERE ");
        push_part_of(&mut count, part_of);
        let count: i64 = count.build_query_scalar().fetch_one(self.0.connection()).await.db()?;
        let mut sql = QueryBuilder::new("");
        push_select(&mut sql, scope.reach());
        sql.push(" WHERE ");
        push_part_of(&mut sql, part_of);
        push_window(&mut sql, " AND ", &by_name(), &window)?;
        let rows: Vec<OrganizationRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        Ok(Page::of(&window, count, rows, |row| named(Some(&row.name), row.id)).map(Into::into))
    }

    /// Some organizations, by id order.
    pub async fn by_ids(
        &mut self,
        scope: &AccessScope<resource::Organization>,
        ids: &[OrganizationId],
    ) -> Result<Vec<Organization>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = QueryBuilder::new("");
        push_select(&mut sql, scope.reach());
        sql.push(" WHERE o.id = ANY (")
            .push_bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
            .push(") ORDER BY o.id");
        let rows: Vec<OrganizationRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// One organization.
    pub async fn find(
        &mut self,
        scope: &AccessScope<resource::Organization>,
        id: OrganizationId,
    ) -> Result<Option<Organization>, Error> {
        Ok(self.by_ids(scope, &[id]).await?.into_iter().next())
    }

    /// An organization and everything below it, siblings by name.
    pub async fn tree(
        &mut self,
        scope: &AccessScope<resource::Organization>,
        id: OrganizationId,
    ) -> Result<Vec<Organization>, Error> {
        let mut sql = QueryBuilder::new(
            "WITH RECURSIVE below AS (
                 SELECT id FROM core_organization WHERE id = ",
        );
        sql.push_bind(id.0);
        // UNION, not UNION ALL: a cycle in imported data ends instead of running forever.
        sql.push(" UNION SELECT c.id FROM core_organization AS c JOIN below AS b ON c.part_of_id = b.id) ");
        push_select(&mut sql, scope.reach());
        sql.push(" JOIN below AS b ON b.id = o.id");
        push_order(&mut sql, &by_name());
        let rows: Vec<OrganizationRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// The organizations the scope's practitioner belongs to, by id; for a superuser all but ROOT.
    pub async fn memberships(
        &mut self,
        scope: &AccessScope<resource::Organization>,
    ) -> Result<Vec<Organization>, Error> {
        let mut sql = QueryBuilder::new("");
        push_select(&mut sql, scope.reach());
        match *scope.reach() {
            Reach::Superuser => {
                sql.push(" WHERE o.id <> 0");
            }
            Reach::Shared(who) => {
                sql.push(" WHERE EXISTS (SELECT 1 FROM jhe_member AS m WHERE m.organization_id = o.id AND m.practitioner_id = ");
                sql.push_bind(who.0).push(")");
            }
            _ => return Ok(Vec::new()),
        }
        sql.push(" ORDER BY o.id");
        let rows: Vec<OrganizationRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Who belongs to each of these organizations, where the viewer is a member or leads the organization above.
    pub async fn rosters(
        &mut self,
        scope: &AccessScope<resource::Organization>,
        ids: &[OrganizationId],
    ) -> Result<HashMap<OrganizationId, Roster>, Error> {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let visible: Vec<i64> = match *scope.reach() {
            Reach::Superuser => ids,
            Reach::Shared(who) => sqlx::query_scalar(
                "SELECT o.id FROM core_organization AS o
                  WHERE o.id = ANY ($1)
                    AND (EXISTS (SELECT 1 FROM jhe_member AS m WHERE m.practitioner_id = $2 AND m.organization_id = o.id)
                      OR EXISTS (SELECT 1 FROM jhe_leads AS l WHERE l.practitioner_id = $2
                                  AND l.organization_id = coalesce(nullif(o.part_of_id, 0), o.id)))",
            )
            .bind(ids)
            .bind(who.0)
            .fetch_all(self.0.connection())
            .await
            .db()?,
            _ => Vec::new(),
        };
        let mut rosters: HashMap<OrganizationId, Roster> = HashMap::new();
        if visible.is_empty() {
            return Ok(rosters);
        }
        let patients: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT o.id, i.patient_id FROM unnest($1::bigint[]) AS o (id)
              CROSS JOIN LATERAL (SELECT patient_id FROM jhe_in_org WHERE organization_id = o.id ORDER BY patient_id LIMIT $2) AS i
              ORDER BY o.id, i.patient_id",
        )
        .bind(&visible)
        .bind(ROSTER_PATIENTS)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        for (organization, patient) in patients {
            rosters.entry(OrganizationId(organization)).or_default().patients.push(PatientId(patient));
        }
        for row in self.roster_rows(&visible, "po.practitioner_id").await? {
            rosters.entry(OrganizationId(row.organization_id)).or_default().practitioners.push(row.into());
        }
        Ok(rosters)
    }

    async fn roster_rows(&mut self, organizations: &[i64], order: &'static str) -> Result<Vec<RosterRow>, Error> {
        let mut sql = QueryBuilder::new(
            "SELECT po.organization_id, po.practitioner_id, u.id AS user_id, u.email, u.first_name, u.last_name, po.role
               FROM core_practitionerorganization AS po
               JOIN core_practitioner AS p ON p.id = po.practitioner_id
               JOIN core_jheuser AS u ON u.id = p.jhe_user_id
              WHERE po.organization_id = ANY (",
        );
        sql.push_bind(organizations.to_vec()).push(") ORDER BY ").push(order);
        sql.build_query_as().fetch_all(self.0.connection()).await.db()
    }

    /// The practitioners of one organization, by last name.
    pub async fn practitioners(
        &mut self,
        grant: &Grant<resource::Organization, action::ReadRoster>,
    ) -> Result<Vec<RosterEntry>, Error> {
        let order = "lower(u.last_name) COLLATE \"C\", u.last_name COLLATE \"C\", u.id";
        let rows = self.roster_rows(&[grant.id().0], order).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Makes an organization below the one in `grant`; the practitioner named becomes its manager.
    pub async fn create(
        &mut self,
        grant: &Grant<resource::Organization, action::CreateWithin>,
        name: &str,
        type_code: &str,
        part_of: Option<OrganizationId>,
        manager: Option<PractitionerId>,
    ) -> Result<OrganizationId, Error> {
        // What the grant was given for: the parent, or the top of the tree.
        let parent = part_of.filter(|parent| *parent == grant.id());
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO core_organization (name, type, part_of_id) VALUES ($1, $2, $3) RETURNING id",
        )
        .bind(name)
        .bind(type_code)
        .bind(parent.map(|id| id.0))
        .fetch_one(self.0.connection())
        .await
        .db()?;
        if let Some(manager) = manager {
            sqlx::query("INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role) VALUES ($1, $2, 'manager')")
                .bind(manager.0)
                .bind(id)
                .execute(self.0.connection())
                .await
                .db()?;
        }
        let id = OrganizationId(id);
        self.0.audit(AuditEntry::new(AuditAction::Create, "Organization").id(id.0).organization(id));
        Ok(id)
    }

    /// Whether `candidate` is the organization in `grant` or below it, which would close a circle.
    pub async fn is_within(
        &mut self,
        grant: &Grant<resource::Organization, action::Manage>,
        candidate: OrganizationId,
    ) -> Result<bool, Error> {
        sqlx::query_scalar(
            "WITH RECURSIVE above AS (
                 SELECT id, part_of_id FROM core_organization WHERE id = $1
                 UNION SELECT o.id, o.part_of_id FROM core_organization AS o JOIN above AS a ON o.id = a.part_of_id)
             SELECT EXISTS (SELECT 1 FROM above WHERE id = $2)",
        )
        .bind(candidate.0)
        .bind(grant.id().0)
        .fetch_one(self.0.connection())
        .await
        .db()
    }

    /// Changes an organization. The tree is locked first, so that two moves cannot close a circle together.
    pub async fn update(
        &mut self,
        grant: &Grant<resource::Organization, action::Manage>,
        change: &OrganizationChange,
    ) -> Result<(), Error> {
        let id = grant.id();
        sqlx::query(
            "UPDATE core_organization
                SET name = coalesce($2, name), type = coalesce($3, type), part_of_id = CASE WHEN $4 THEN $5 ELSE part_of_id END
              WHERE id = $1",
        )
        .bind(id.0)
        .bind(&change.name)
        .bind(&change.type_code)
        .bind(change.part_of.is_some())
        .bind(change.part_of.flatten().map(|id| id.0))
        .execute(self.0.connection())
        .await
        .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Update, "Organization").id(id.0).organization(id));
        Ok(())
    }

    /// Waits until nobody else moves organizations about.
    pub async fn lock_tree(&mut self, _grant: &Grant<resource::Organization, action::Manage>) -> Result<(), Error> {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtext('jhe.organization_tree'))")
            .execute(self.0.connection())
            .await
            .db()?;
        Ok(())
    }

    /// Deletes an organization with everything below it. Patients stay.
    pub async fn delete(&mut self, grant: &Grant<resource::Organization, action::Manage>) -> Result<(), Error> {
        let id = grant.id();
        self.0.hold_all_of_organization(id).await?;
        self.0.tell_actor().await?;
        sqlx::query("DELETE FROM core_organization WHERE id = $1")
            .bind(id.0)
            .execute(self.0.connection())
            .await
            .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Delete, "Organization").id(id.0).organization(id));
        Ok(())
    }

    /// Adds a practitioner, or changes its role.
    pub async fn set_role(
        &mut self,
        grant: &Grant<resource::Organization, action::ManagePractitioners>,
        practitioner: PractitionerId,
        role: Role,
    ) -> Result<Membership, Error> {
        let organization = grant.id();
        let (id, created): (i64, bool) = sqlx::query_as(
            "INSERT INTO core_practitionerorganization AS m (practitioner_id, organization_id, role) VALUES ($1, $2, $3)
             ON CONFLICT ON CONSTRAINT core_practitionerorganization_pair_key DO UPDATE SET role = excluded.role
             RETURNING m.id, xmax = 0",
        )
        .bind(practitioner.0)
        .bind(organization.0)
        .bind(role.as_str())
        .fetch_one(self.0.connection())
        .await
        .db()?;
        self.0
            .audit(AuditEntry::new(AuditAction::Update, "PractitionerOrganization").id(id).organization(organization));
        Ok(Membership { id: LinkId(id), practitioner_id: practitioner, organization_id: organization, role, created })
    }

    /// Removes a practitioner; nothing happens when it was no member.
    pub async fn remove_practitioner(
        &mut self,
        grant: &Grant<resource::Organization, action::ManagePractitioners>,
        practitioner: PractitionerId,
    ) -> Result<(), Error> {
        let organization = grant.id();
        sqlx::query("DELETE FROM core_practitionerorganization WHERE practitioner_id = $1 AND organization_id = $2")
            .bind(practitioner.0)
            .bind(organization.0)
            .execute(self.0.connection())
            .await
            .db()?;
        let entry = AuditEntry::new(AuditAction::Delete, "PractitionerOrganization").id(practitioner.0);
        self.0.audit(entry.organization(organization));
        Ok(())
    }
}

fn push_part_of(sql: &mut QueryBuilder<Postgres>, part_of: Option<i64>) {
    match part_of {
        None => {
            sql.push("true");
        }
        Some(0) => {
            sql.push("(o.part_of_id = 0 OR (o.part_of_id IS NULL AND o.id <> 0))");
        }
        Some(id) => {
            sql.push("o.part_of_id = ").push_bind(id);
        }
    }
}
