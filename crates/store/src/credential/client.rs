//! OAuth clients as the token endpoint sees them.

use chrono::{DateTime, Utc};
use jhe_domain::client::{Client, GrantType};
use jhe_domain::error::Error;
use jhe_domain::{ApplicationId, UserId};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Postgres, QueryBuilder, Row as _, ValueRef as _};

use crate::client::{CLIENT_COLUMNS, ClientRow};
use crate::credential::token::{LIVE_TOKEN, REFRESH_TOKEN, RefreshRow, TokenInfo};
use crate::fault::Db;
use crate::port::in_place;
use crate::work::Work;

/// A client with what it authenticates by.
#[derive(Debug, Clone)]
pub struct ClientCredentials {
    /// The client.
    pub client: Client,
    /// Digest of its secret; empty when it has none.
    pub secret: String,
}

/// A client that says who it is.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Public identifier.
    pub client_id: String,
    /// Of whom wrong secrets count.
    pub subject: [u8; 32],
    /// Digest of the token that it asks about.
    pub token: Option<[u8; 32]>,
}

/// Which failures count when a client shows a secret.
#[derive(Debug, Clone, Copy)]
pub struct Failures<'a> {
    /// Under what they are counted.
    pub purpose: &'a str,
    /// From when on.
    pub since: DateTime<Utc>,
}

/// A client that says who it is, with its failures of late, and the token it asks about.
#[derive(Debug, Clone)]
pub struct Asking<T> {
    /// The client.
    pub credentials: ClientCredentials,
    /// Wrong secrets of late.
    pub failed: i64,
    /// The token.
    pub token: Option<T>,
}

#[derive(sqlx::FromRow)]
struct AskingRow {
    failed: i64,
    #[sqlx(flatten)]
    credentials: CredentialRow,
}

impl<T: for<'r> FromRow<'r, PgRow>> Asking<T> {
    /// Reads a row in which the token has columns of its own, all null where there is none; `present` names one.
    fn read(row: &PgRow, present: &str) -> sqlx::Result<Self> {
        let asking = AskingRow::from_row(row)?;
        let is_there = !row.try_get_raw(present)?.is_null();
        let token = if is_there { Some(T::from_row(row)?) } else { None };
        Ok(Self { credentials: asking.credentials.into(), failed: asking.failed, token })
    }
}

/// What the secret is, and whether the account that the client acts as is closed.
const SECRET: &str = "SELECT a.client_secret, coalesce(NOT owner.is_active, false) AS owner_is_closed, ";

#[derive(sqlx::FromRow)]
struct CredentialRow {
    client_secret: String,
    owner_is_closed: bool,
    #[sqlx(flatten)]
    client: ClientRow,
}

impl From<CredentialRow> for ClientCredentials {
    fn from(row: CredentialRow) -> Self {
        let mut client: Client = row.client.into();
        if row.owner_is_closed {
            // A client of its own account only; what people do through a client is theirs.
            client.grants.retain(|grant| *grant != GrantType::ClientCredentials);
        }
        Self { client, secret: row.client_secret }
    }
}

const FROM_CLIENT: &str = "(oauth2_provider_application AS a LEFT JOIN core_jheclient AS j ON j.application_id = a.id
        LEFT JOIN core_jheuser AS owner ON owner.id = a.user_id)";

/// Begins a statement about clients that ask, of a table `q` with `client_id` and `subject`.
fn asking(failures: Failures<'_>) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(SECRET);
    sql.push(CLIENT_COLUMNS);
    sql.push(", (SELECT count(*) FROM jhe_attempt AS f WHERE f.failed AND f.purpose = ")
        .push_bind(failures.purpose.to_owned());
    sql.push(" AND f.subject = q.subject AND f.occurred_at > ").push_bind(failures.since).push(") AS failed");
    sql
}

enum By<'a> {
    ClientId(&'a str),
    Row(ApplicationId),
    Name(&'a str),
}

impl Work {
    async fn oauth_client(&mut self, by: By<'_>) -> Result<Option<ClientCredentials>, Error> {
        let mut sql = QueryBuilder::<Postgres>::new(SECRET);
        sql.push(CLIENT_COLUMNS).push(" FROM ").push(FROM_CLIENT).push(" WHERE ");
        match by {
            By::ClientId(client_id) => sql.push("a.client_id = ").push_bind(client_id.to_owned()),
            By::Row(id) => sql.push("a.id = ").push_bind(id.0),
            By::Name(name) => sql.push("a.name = ").push_bind(name.to_owned()),
        };
        sql.push(" ORDER BY a.id LIMIT 1");
        let row: Option<CredentialRow> = sql.build_query_as().fetch_optional(self.connection()).await.db()?;
        Ok(row.map(Into::into))
    }

    /// Whether an enabled client lists a web origin, as a browser spells it, among its allowed origins.
    pub async fn any_client_allows_origin(&mut self, origin: &str) -> Result<bool, Error> {
        sqlx::query_scalar(
            r"SELECT EXISTS (SELECT 1 FROM oauth2_provider_application
                              WHERE enabled AND $1 = ANY (regexp_split_to_array(trim(allowed_origins), '\s+')))",
        )
        .bind(origin)
        .fetch_one(self.connection())
        .await
        .db()
    }

    /// The clients that say who they are, in their order, each with its failures of late and the live access token that it
    /// asks about: in one statement, because services ask all day.
    pub async fn asking_clients(
        &mut self,
        asked: &[Asked],
        failures: Failures<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Option<Asking<TokenInfo>>>, Error> {
        let mut sql = asking(failures);
        sql.push(", t.*, q.place FROM unnest(").push_bind(asked.iter().map(|one| &*one.client_id).collect::<Vec<_>>());
        sql.push("::text[], ").push_bind(asked.iter().map(|one| one.subject).collect::<Vec<_>>());
        sql.push("::bytea[], ").push_bind(asked.iter().map(|one| one.token).collect::<Vec<_>>());
        sql.push("::bytea[]) WITH ORDINALITY AS q (client_id, subject, token, place) JOIN ").push(FROM_CLIENT);
        sql.push(" ON a.client_id = q.client_id LEFT JOIN LATERAL (").push(LIVE_TOKEN);
        sql.push(" AND t.token_digest = q.token AND t.expires > ").push_bind(now).push(") AS t ON true");
        let rows = sql.build().fetch_all(self.connection()).await.db()?;
        in_place(asked.len(), rows, |row| Asking::read(row, "token_client_id"))
    }

    /// A client that says who it is, with a refresh token, which is not held and may be neither live nor the client's.
    pub async fn refreshing_client(
        &mut self,
        asked: &Asked,
        failures: Failures<'_>,
    ) -> Result<Option<Asking<RefreshRow>>, Error> {
        let mut sql = asking(failures);
        sql.push(", t.* FROM (VALUES (").push_bind(&*asked.client_id).push(", ").push_bind(asked.subject);
        sql.push(")) AS q (client_id, subject) JOIN ").push(FROM_CLIENT);
        sql.push(" ON a.client_id = q.client_id LEFT JOIN LATERAL (").push(REFRESH_TOKEN);
        sql.push(" WHERE t.token_digest = ").push_bind(asked.token).push(") AS t ON true");
        let row = sql.build().fetch_optional(self.connection()).await.db()?;
        row.map(|row| Asking::read(&row, "refresh_id")).transpose().db()
    }

    /// The client with a public identifier.
    pub async fn client_by_client_id(&mut self, client_id: &str) -> Result<Option<ClientCredentials>, Error> {
        self.oauth_client(By::ClientId(client_id)).await
    }

    /// The client in a row.
    pub async fn client_by_row(&mut self, id: ApplicationId) -> Result<Option<ClientCredentials>, Error> {
        self.oauth_client(By::Row(id)).await
    }

    /// The first client of a name.
    pub async fn client_by_name(&mut self, name: &str) -> Result<Option<ClientCredentials>, Error> {
        self.oauth_client(By::Name(name)).await
    }

    /// Replaces the stored form of a client's secret, unless it was changed meanwhile.
    pub async fn upgrade_client_secret(&mut self, id: ApplicationId, from: &str, to: &str) -> Result<(), Error> {
        sqlx::query("UPDATE oauth2_provider_application SET client_secret = $3 WHERE id = $1 AND client_secret = $2")
            .bind(id.0)
            .bind(from)
            .bind(to)
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }

    /// Whether any client in use may use the password grant: what discovery tells.
    pub async fn any_password_client(&mut self) -> Result<bool, Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM oauth2_provider_application WHERE enabled AND 'password' = ANY (grant_types))")
            .fetch_one(self.connection())
            .await
            .db()
    }

    /// Whether a user holds a live token of a client that covers some scopes.
    pub async fn has_live_token(
        &mut self,
        user: UserId,
        client: ApplicationId,
        scopes: &[String],
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM oauth2_provider_accesstoken
                             WHERE user_id = $1 AND application_id = $2 AND revoked IS NULL AND expires > $4
                               AND string_to_array(scope, ' ') @> $3)",
        )
        .bind(user.0)
        .bind(client.0)
        .bind(scopes)
        .bind(now)
        .fetch_one(self.connection())
        .await
        .db()
    }
}
