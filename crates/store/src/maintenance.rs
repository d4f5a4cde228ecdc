//! What operators and tests do to a whole database: migrations, creating and dropping, raw statements.

use jhe_domain::Secret;
use jhe_domain::error::Error;
use sqlx::migrate::{AppliedMigration, Migrate, Migrator};
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::fault::Db;
use crate::work::{DatabaseOptions, Store};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Applies pending migrations, under an advisory lock so that processes starting together do not collide.
pub async fn migrate(options: &DatabaseOptions) -> Result<(), Error> {
    let mut connection = PgConnection::connect_with(&options.connect_options()?).await.db()?;
    MIGRATIONS.run(&mut connection).await.map_err(Error::internal)?;
    connection.close().await.db()
}

/// How the schema of a database stands to the migrations of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Migrations the database does not have yet, by description.
    pub pending: Vec<String>,
    /// What keeps this program from applying its own; nothing on a database that it or an older one has made.
    pub fault: Option<String>,
}

impl Schema {
    /// That of a database which is not there yet.
    pub fn missing() -> Self {
        Self::compare(&[], None)
    }

    fn compare(applied: &[AppliedMigration], dirty: Option<i64>) -> Self {
        let named = |version: i64| MIGRATIONS.iter().find(|migration| migration.version == version);
        let is_applied = |version: i64| applied.iter().any(|applied| applied.version == version);
        let pending = MIGRATIONS.iter().filter(|migration| !is_applied(migration.version));
        let unknown: Vec<String> = applied
            .iter()
            .filter(|applied| named(applied.version).is_none())
            .map(|applied| applied.version.to_string())
            .collect();
        let changed = applied
            .iter()
            .find(|applied| named(applied.version).is_some_and(|migration| migration.checksum != applied.checksum));
        let fault = if let Some(version) = dirty {
            Some(format!("migration {version} was interrupted"))
        } else if !unknown.is_empty() {
            Some(format!(
                "the database is newer than this program, which does not know these migrations: {}",
                unknown.join(", ")
            ))
        } else {
            changed.map(|applied| format!("migration {} is another than the one that was applied", applied.version))
        };
        Self { pending: pending.map(|migration| migration.description.to_string()).collect(), fault }
    }
}

/// Compares a database with this program. Changes nothing.
pub async fn schema(options: &DatabaseOptions) -> Result<Schema, Error> {
    let mut connection = PgConnection::connect_with(&options.connect_options()?).await.db()?;
    let schema = read_schema(&mut connection).await?;
    connection.close().await.db()?;
    Ok(schema)
}

async fn read_schema(connection: &mut PgConnection) -> Result<Schema, Error> {
    const TABLE: &str = "_sqlx_migrations";
    let known: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .db()?;
    if !known {
        return Ok(Schema::missing());
    }
    let dirty = connection.dirty_version(TABLE).await.map_err(Error::internal)?;
    let applied = connection.list_applied_migrations(TABLE).await.map_err(Error::internal)?;
    Ok(Schema::compare(&applied, dirty))
}

/// Creates a database, optionally as a copy of another; an existing one is left alone.
///
/// `server` names any database of the server, and is not changed.
pub async fn create_database(server: &Secret, name: &str, template: Option<&str>) -> Result<(), Error> {
    let mut connection =
        PgConnection::connect_with(&DatabaseOptions::new(server.reveal().to_owned()).connect_options()?).await.db()?;
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .db()?;
    if !exists {
        let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new("CREATE DATABASE ");
        sql.push(quoted(name));
        sql.push(" TEMPLATE ");
        sql.push(quoted(template.unwrap_or("template0")));
        if template.is_none() {
            sql.push(" ENCODING 'UTF8'");
        }
        connection.execute(sql.build()).await.db()?;
    }
    connection.close().await.db()
}

/// Drops a database, ending its connections.
pub async fn drop_database(server: &Secret, name: &str) -> Result<(), Error> {
    let mut connection =
        PgConnection::connect_with(&DatabaseOptions::new(server.reveal().to_owned()).connect_options()?).await.db()?;
    let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new("DROP DATABASE IF EXISTS ");
    sql.push(quoted(name));
    sql.push(" WITH (FORCE)");
    connection.execute(sql.build()).await.db()?;
    connection.close().await.db()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Store {
    /// Lets the order of arrivals go on in a cluster to which the database was moved. Whether it was.
    pub async fn follow_cluster(&self) -> Result<bool, Error> {
        sqlx::query_scalar("SELECT jhe_follow_cluster()").fetch_one(&self.pool).await.db()
    }

    /// Migrations the database does not have yet, on a connection of the pool: for probes, which come every few seconds. A
    /// database that has more is served: migrations are written so that the version before still works.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, Error> {
        let mut connection = self.pool.acquire().await.db()?;
        read_schema(&mut connection).await.map(|schema| schema.pending)
    }

    /// Runs statements of a test or an operator's tool. Never called by a request.
    pub async fn execute_raw(&self, sql: &'static str) -> Result<(), Error> {
        self.pool.execute(sqlx::raw_sql(sql)).await.db()?;
        Ok(())
    }

    /// The first column of the first row as text, for tests and checks. Never called by a request.
    pub async fn scalar_raw(&self, sql: &'static str) -> Result<Option<String>, Error> {
        let row = sqlx::query(sql).fetch_optional(&self.pool).await.db()?;
        row.map(|row| row.try_get::<Option<String>, _>(0).db()).transpose().map(Option::flatten)
    }
}
