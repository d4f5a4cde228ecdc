//! Keys and secrets the server made for itself.

use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use serde_json::Value;
use sqlx::types::Json;

use crate::fault::Db;
use crate::work::Work;

/// A stored signing key.
#[derive(Debug, Clone)]
pub struct StoredKey {
    /// The private half, sealed; gone once the key is retired.
    pub private_sealed: Option<String>,
    /// The public half.
    pub jwk: Value,
    /// It signs.
    pub active: bool,
}

impl Work {
    /// Waits until no other process makes keys.
    pub async fn lock_keys(&mut self) -> Result<(), Error> {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtext('jhe.keys'))").execute(self.connection()).await.db()?;
        Ok(())
    }

    /// All stored signing keys, the active one first.
    pub async fn signing_keys(&mut self) -> Result<Vec<StoredKey>, Error> {
        let rows: Vec<(Option<String>, Json<Value>, bool)> = sqlx::query_as(
            "SELECT private_sealed, jwk, active FROM jhe_signing_key ORDER BY active DESC, created DESC",
        )
        .fetch_all(self.connection())
        .await
        .db()?;
        Ok(rows
            .into_iter()
            .map(|(private_sealed, jwk, active)| StoredKey { private_sealed, jwk: jwk.0, active })
            .collect())
    }

    /// Keeps a new active signing key; the one before signs no more.
    pub async fn insert_signing_key(&mut self, kid: &str, private_sealed: &str, jwk: &Value) -> Result<(), Error> {
        sqlx::query("UPDATE jhe_signing_key SET active = false WHERE active").execute(self.connection()).await.db()?;
        sqlx::query("INSERT INTO jhe_signing_key (kid, private_sealed, jwk, active) VALUES ($1, $2, $3, true)")
            .bind(kid)
            .bind(private_sealed)
            .bind(Json(jwk))
            .execute(self.connection())
            .await
            .db()?;
        // Keys are named by their thumbprint, which is no row id.
        self.audit(AuditEntry::new(AuditAction::Create, "SigningKey"));
        Ok(())
    }

    /// A secret the server made at an earlier start.
    pub async fn server_secret(&mut self, name: &str) -> Result<Option<String>, Error> {
        sqlx::query_scalar("SELECT value FROM jhe_server_secret WHERE name = $1")
            .bind(name)
            .fetch_optional(self.connection())
            .await
            .db()
    }

    /// Keeps a secret.
    pub async fn insert_server_secret(&mut self, name: &str, value: &str) -> Result<(), Error> {
        sqlx::query("INSERT INTO jhe_server_secret (name, value) VALUES ($1, $2)")
            .bind(name)
            .bind(value)
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }
}
