//! Whom bearer tokens stand for. Those that are shown at the same time are looked up by one statement.

use chrono::{DateTime, Utc};
use jhe_authz::port::{Account, Bearer, CredentialPort};
use jhe_domain::error::Error;
use jhe_domain::{ApplicationId, PatientId, PractitionerId, UserId};
use sqlx::postgres::PgRow;
use sqlx::{FromRow as _, PgConnection, PgPool};

use crate::fault::Db;
use crate::gather::Desk;
use crate::pool;
use crate::port::in_place;
use crate::work::{Store, Work};

#[derive(sqlx::FromRow)]
struct BearerRow {
    expires: DateTime<Utc>,
    revoked: bool,
    application_id: i64,
    enabled: bool,
    patient_client: bool,
    scope: String,
    user_id: Option<i64>,
    is_active: Option<bool>,
    is_superuser: Option<bool>,
    typed_practitioner: Option<bool>,
    patient_id: Option<i64>,
    practitioner_id: Option<i64>,
}

impl From<BearerRow> for Bearer {
    fn from(row: BearerRow) -> Self {
        Self {
            expires: row.expires,
            revoked: row.revoked,
            application_id: ApplicationId(row.application_id),
            application_enabled: row.enabled,
            patient_client: row.patient_client,
            oauth_scope: row.scope,
            account: row.user_id.map(|user_id| Account {
                user_id: UserId(user_id),
                is_active: row.is_active.unwrap_or_default(),
                is_superuser: row.is_superuser.unwrap_or_default(),
                typed_practitioner: row.typed_practitioner.unwrap_or_default(),
                patient_id: row.patient_id.map(PatientId),
                practitioner_id: row.practitioner_id.map(PractitionerId),
            }),
        }
    }
}

/// A statement about tokens, from what follows FROM up to the tokens. One without an account belongs to the owner of its
/// client.
macro_rules! bearers {
    ($place:literal, $tokens:literal, $which:literal) => {
        concat!(
            "SELECT ",
            $place,
            "t.expires, t.revoked IS NOT NULL AS revoked, a.id AS application_id, a.enabled,
             EXISTS (SELECT 1 FROM core_jheclient AS c WHERE c.application_id = a.id) AS patient_client,
             t.scope, u.id AS user_id, u.is_active, u.is_superuser, u.user_type = 'practitioner' AS typed_practitioner,
             pt.id AS patient_id, pr.id AS practitioner_id
        FROM ",
            $tokens,
            " JOIN oauth2_provider_application AS a ON a.id = t.application_id
        LEFT JOIN core_jheuser AS u ON u.id = coalesce(t.user_id, a.user_id)
        LEFT JOIN core_patient AS pt ON pt.jhe_user_id = u.id
        LEFT JOIN core_practitioner AS pr ON pr.jhe_user_id = u.id ",
            $which
        )
    };
}

async fn one(connection: &mut PgConnection, digest: &[u8; 32]) -> Result<Option<Bearer>, Error> {
    let row: Option<BearerRow> =
        sqlx::query_as(bearers!("", "oauth2_provider_accesstoken AS t", "WHERE t.token_digest = $1"))
            .bind(digest)
            .fetch_optional(connection)
            .await
            .db()?;
    Ok(row.map(Into::into))
}

async fn many(connection: &mut PgConnection, digests: &[[u8; 32]]) -> Result<Vec<Option<Bearer>>, Error> {
    let rows: Vec<PgRow> = sqlx::query(bearers!(
        "q.place, ",
        "unnest($1::bytea[]) WITH ORDINALITY AS q (digest, place)
         JOIN oauth2_provider_accesstoken AS t ON t.token_digest = q.digest",
        ""
    ))
    .bind(digests)
    .fetch_all(connection)
    .await
    .db()?;
    in_place(digests.len(), rows, |row| BearerRow::from_row(row).map(Into::into))
}

/// Finds tokens by the SHA-256 digests of their texts.
#[derive(Debug)]
pub(crate) struct Register(pub(crate) PgPool);

impl Desk for Register {
    type Question = [u8; 32];
    type Answer = Option<Bearer>;

    async fn answer(&self, digests: &[[u8; 32]]) -> Result<Vec<Option<Bearer>>, Error> {
        let mut connection = pool::measured(self.0.acquire()).await.db()?;
        match digests {
            [digest] => Ok(vec![one(&mut connection, digest).await?]),
            digests => many(&mut connection, digests).await,
        }
    }
}

/// With the others that come at the same time.
impl CredentialPort for &Store {
    async fn bearer(&mut self, digest: &[u8; 32]) -> Result<Option<Bearer>, Error> {
        self.bearers.ask(*digest).await
    }
}

/// Alone.
impl CredentialPort for Work {
    async fn bearer(&mut self, digest: &[u8; 32]) -> Result<Option<Bearer>, Error> {
        one(self.connection(), digest).await
    }
}
