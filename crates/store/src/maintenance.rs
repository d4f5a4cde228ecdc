//! What operators and tests do to a whole database: migrations, creating and dropping, raw statements.

use jhe_domain::Secret;
use jhe_domain::error::Error;
use sqlx::migrate::{Migrate, Migrator};
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

/// Migrations of this program that the database does not have yet, by description.
pub async fn pending(options: &DatabaseOptions) -> Result<Vec<String>, Error> {
    let mut connection = PgConnection::connect_with(&options.connect_options()?).await.db()?;
    let missing = missing(&mut connection).await?;
    connection.close().await.db()?;
    Ok(missing)
}

async fn missing(connection: &mut PgConnection) -> Result<Vec<String>, Error> {
    let known: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .db()?;
    let applied: Vec<i64> = if known {
        connection
            .list_applied_migrations("_sqlx_migrations")
            .await
            .map_err(Error::internal)?
            .into_iter()
            .map(|migration| migration.version)
            .collect()
    } else {
        Vec::new()
    };
    Ok(MIGRATIONS
        .iter()
        .filter(|migration| !applied.contains(&migration.version))
        .map(|migration| migration.description.to_string())
        .collect())
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

    /// As [`pending`], on a connection of the pool: for probes, which come every few seconds.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, Error> {
        let mut connection = self.pool.acquire().await.db()?;
        missing(&mut connection).await
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
