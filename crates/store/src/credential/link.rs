//! Links to an account that are sent to its address, by the digest of their token. A used one is gone.

use chrono::{DateTime, Utc};
use jhe_domain::UserId;
use jhe_domain::error::Error;

use crate::fault::Db;
use crate::work::Work;

/// What a link is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPurpose {
    /// To show that its reader gets mail at the address.
    VerifyEmail,
    /// To choose a new password.
    ResetPassword,
}

impl LinkPurpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }
}

impl Work {
    /// Keeps a link; earlier ones of the account for the same purpose end. Without an account nothing is kept, and it takes
    /// as long.
    pub async fn insert_account_link(
        &mut self,
        digest: &[u8],
        user: Option<UserId>,
        purpose: LinkPurpose,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<(), Error> {
        if let Some(user) = user {
            self.share_account(user).await?;
        }
        sqlx::query("DELETE FROM jhe_account_link WHERE user_id = $1 AND purpose = $2")
            .bind(user.map(|user| user.0))
            .bind(purpose.as_str())
            .execute(self.connection())
            .await
            .db()?;
        sqlx::query(
            "INSERT INTO jhe_account_link (digest, user_id, purpose, created, expires)
             SELECT $1, $2::bigint, $3, $4, $5 WHERE $2 IS NOT NULL",
        )
        .bind(digest)
        .bind(user.map(|user| user.0))
        .bind(purpose.as_str())
        .bind(now)
        .bind(expires)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// The account a link that lives belongs to. Both are held until the unit of work ends.
    pub async fn account_of_link(
        &mut self,
        digest: &[u8],
        purpose: LinkPurpose,
        now: DateTime<Utc>,
    ) -> Result<Option<UserId>, Error> {
        sqlx::query(
            "SELECT 1 FROM core_jheuser WHERE id = (SELECT user_id FROM jhe_account_link WHERE digest = $1) FOR UPDATE",
        )
        .bind(digest)
        .execute(self.connection())
        .await
        .db()?;
        let user: Option<i64> = sqlx::query_scalar(
            "SELECT user_id FROM jhe_account_link WHERE digest = $1 AND purpose = $2 AND expires > $3 FOR UPDATE",
        )
        .bind(digest)
        .bind(purpose.as_str())
        .bind(now)
        .fetch_optional(self.connection())
        .await
        .db()?;
        Ok(user.map(UserId))
    }

    /// Uses a link up.
    pub async fn end_account_link(&mut self, digest: &[u8]) -> Result<(), Error> {
        sqlx::query("DELETE FROM jhe_account_link WHERE digest = $1")
            .bind(digest)
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }
}
