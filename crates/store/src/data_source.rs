//! Data sources and data types.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use jhe_authz::{AccessScope, Grant, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::data_source::{DataSource, ScopeCode};
use jhe_domain::error::Error;
use jhe_domain::page::{Page, Window};
use jhe_domain::study::Linked;
use jhe_domain::{DataSourceId, LinkId, ScopeCodeId};

use crate::fault::Db;
use crate::keyset::{Order, named, push_window};
use crate::work::Work;

/// Access to data sources and data types.
pub struct DataSources<'a>(&'a mut Work);

impl Work {
    /// Access to data sources and data types.
    pub fn data_sources(&mut self) -> DataSources<'_> {
        DataSources(self)
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct ScopeCodeRow {
    pub(crate) scope_id: i64,
    pub(crate) coding_system: String,
    pub(crate) coding_code: String,
    pub(crate) scope_text: String,
}

impl From<ScopeCodeRow> for ScopeCode {
    fn from(row: ScopeCodeRow) -> Self {
        Self { id: ScopeCodeId(row.scope_id), system: row.coding_system, code: row.coding_code, text: row.scope_text }
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct DataSourceRow {
    pub(crate) id: i64,
    pub(crate) name: Option<String>,
    pub(crate) type_code: String,
    pub(crate) last_updated: DateTime<Utc>,
}

impl DataSourceRow {
    pub(crate) fn with(self, supported_scopes: Vec<ScopeCode>) -> DataSource {
        DataSource {
            id: DataSourceId(self.id),
            name: self.name,
            type_code: self.type_code,
            supported_scopes,
            last_updated: self.last_updated,
        }
    }
}

#[derive(sqlx::FromRow)]
struct SupportedRow {
    id: i64,
    data_source_id: i64,
    #[sqlx(flatten)]
    code: ScopeCodeRow,
}

fn by_name() -> Order {
    Order::by_name("lower(d.name) COLLATE \"C\"", "d.name COLLATE \"C\"", "d.id")
}

type Admin = Grant<resource::Server, action::Administer>;

impl DataSources<'_> {
    /// Makes a data source.
    pub async fn create(&mut self, _admin: &Admin, name: &str, type_code: &str) -> Result<DataSourceId, Error> {
        let id: i64 = sqlx::query_scalar("INSERT INTO core_datasource (name, type) VALUES ($1, $2) RETURNING id")
            .bind(name)
            .bind(type_code)
            .fetch_one(self.0.connection())
            .await
            .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Create, "DataSource").id(id));
        Ok(DataSourceId(id))
    }

    /// Changes a data source; what is missing stays. `false` when there is none.
    pub async fn update(
        &mut self,
        _admin: &Admin,
        id: DataSourceId,
        name: Option<&str>,
        type_code: Option<&str>,
    ) -> Result<bool, Error> {
        let changed = sqlx::query(
            "UPDATE core_datasource SET name = coalesce($2, name), type = coalesce($3, type) WHERE id = $1",
        )
        .bind(id.0)
        .bind(name)
        .bind(type_code)
        .execute(self.0.connection())
        .await
        .db()?
        .rows_affected();
        self.0.audit(AuditEntry::new(AuditAction::Update, "DataSource").id(id.0));
        Ok(changed > 0)
    }

    /// Removes a data source. `false` when there is none.
    ///
    /// # Errors
    /// A conflict while records of outside systems use it.
    pub async fn delete(&mut self, _admin: &Admin, id: DataSourceId) -> Result<bool, Error> {
        let gone = sqlx::query("DELETE FROM core_datasource WHERE id = $1")
            .bind(id.0)
            .execute(self.0.connection())
            .await
            .db()?
            .rows_affected();
        self.0.audit(AuditEntry::new(AuditAction::Delete, "DataSource").id(id.0));
        Ok(gone > 0)
    }

    /// Says that a data source delivers a data type. `None` when there is no such data type.
    pub async fn support(
        &mut self,
        _admin: &Admin,
        id: DataSourceId,
        code: ScopeCodeId,
    ) -> Result<Option<Linked>, Error> {
        let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM core_codeableconcept WHERE id = $1)")
            .bind(code.0)
            .fetch_one(self.0.connection())
            .await
            .db()?;
        if !known {
            return Ok(None);
        }
        let made: Option<i64> = sqlx::query_scalar(
            "INSERT INTO core_datasourcesupportedscope (data_source_id, scope_code_id)
             SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM core_datasourcesupportedscope WHERE data_source_id = $1 AND scope_code_id = $2)
             ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(id.0)
        .bind(code.0)
        .fetch_optional(self.0.connection())
        .await
        .db()?;
        let link = match made {
            Some(link) => link,
            None => sqlx::query_scalar(
                "SELECT id FROM core_datasourcesupportedscope WHERE data_source_id = $1 AND scope_code_id = $2",
            )
            .bind(id.0)
            .bind(code.0)
            .fetch_one(self.0.connection())
            .await
            .db()?,
        };
        self.0.audit(AuditEntry::new(AuditAction::Update, "DataSource").id(id.0));
        Ok(Some(Linked { id: LinkId(link), created: made.is_some() }))
    }

    /// Takes that back.
    pub async fn drop_support(&mut self, _admin: &Admin, id: DataSourceId, code: ScopeCodeId) -> Result<(), Error> {
        sqlx::query("DELETE FROM core_datasourcesupportedscope WHERE data_source_id = $1 AND scope_code_id = $2")
            .bind(id.0)
            .bind(code.0)
            .execute(self.0.connection())
            .await
            .db()?;
        self.0.audit(AuditEntry::new(AuditAction::Update, "DataSource").id(id.0));
        Ok(())
    }

    /// All data sources, by name.
    pub async fn list(
        &mut self,
        _scope: &AccessScope<resource::DataSource>,
        window: Window,
    ) -> Result<Page<DataSource>, Error> {
        let count =
            sqlx::query_scalar("SELECT count(*) FROM core_datasource").fetch_one(self.0.connection()).await.db()?;
        let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new(
            "SELECT d.id, d.name, d.type AS type_code, d.last_updated FROM core_datasource AS d",
        );
        push_window(&mut sql, " WHERE ", &by_name(), &window)?;
        let rows: Vec<DataSourceRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let rows = self.0.with_supported_scopes(rows).await?;
        Ok(Page::of(&window, count, rows, |row| named(row.name.as_deref(), row.id.0)))
    }

    /// One data source.
    pub async fn find(
        &mut self,
        _scope: &AccessScope<resource::DataSource>,
        id: DataSourceId,
    ) -> Result<Option<DataSource>, Error> {
        let rows: Vec<DataSourceRow> = sqlx::query_as(
            "SELECT d.id, d.name, d.type AS type_code, d.last_updated FROM core_datasource AS d WHERE d.id = $1",
        )
        .bind(id.0)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        Ok(self.0.with_supported_scopes(rows).await?.into_iter().next())
    }

    /// All data types, by text.
    pub async fn scope_codes(&mut self, _scope: &AccessScope<resource::DataSource>) -> Result<Vec<ScopeCode>, Error> {
        let rows: Vec<ScopeCodeRow> = sqlx::query_as(
            "SELECT id AS scope_id, coding_system, coding_code, text AS scope_text FROM core_codeableconcept
              ORDER BY lower(text) COLLATE \"C\", text COLLATE \"C\", id",
        )
        .fetch_all(self.0.connection())
        .await
        .db()?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// What one data source supports: (link id, data type), by link.
    pub async fn supported_scopes(
        &mut self,
        _scope: &AccessScope<resource::DataSource>,
        id: DataSourceId,
    ) -> Result<Vec<(LinkId, ScopeCode)>, Error> {
        let rows: Vec<SupportedRow> = sqlx::query_as(
            "SELECT l.id, l.data_source_id, c.id AS scope_id, c.coding_system, c.coding_code, c.text AS scope_text
               FROM core_datasourcesupportedscope AS l JOIN core_codeableconcept AS c ON c.id = l.scope_code_id
              WHERE l.data_source_id = $1 ORDER BY l.id",
        )
        .bind(id.0)
        .fetch_all(self.0.connection())
        .await
        .db()?;
        Ok(rows.into_iter().map(|row| (LinkId(row.id), row.code.into())).collect())
    }
}

impl Work {
    /// Adds what each data source supports, by text.
    pub(crate) async fn with_supported_scopes(&mut self, rows: Vec<DataSourceRow>) -> Result<Vec<DataSource>, Error> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let supported: Vec<SupportedRow> = sqlx::query_as(
            "SELECT l.id, l.data_source_id, c.id AS scope_id, c.coding_system, c.coding_code, c.text AS scope_text
               FROM core_datasourcesupportedscope AS l JOIN core_codeableconcept AS c ON c.id = l.scope_code_id
              WHERE l.data_source_id = ANY ($1) ORDER BY lower(c.text) COLLATE \"C\", c.text COLLATE \"C\", c.id",
        )
        .bind(rows.iter().map(|row| row.id).collect::<Vec<_>>())
        .fetch_all(self.connection())
        .await
        .db()?;
        let mut by_source: HashMap<i64, Vec<ScopeCode>> = HashMap::new();
        for row in supported {
            by_source.entry(row.data_source_id).or_default().push(row.code.into());
        }
        Ok(rows
            .into_iter()
            .map(|row| {
                let scopes = by_source.get(&row.id).cloned().unwrap_or_default();
                row.with(scopes)
            })
            .collect())
    }
}
