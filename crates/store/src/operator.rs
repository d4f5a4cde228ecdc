//! What operators do at the shell: accounts and clients before there is anybody who could make them.

use jhe_authz::{Grant, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::client::{Client, GrantType};
use jhe_domain::error::Error;
use jhe_domain::user::UserType;
use jhe_domain::{ApplicationId, Phi, UserId};

use crate::client::{CLIENT_COLUMNS, ClientRow};
use crate::fault::Db;
use crate::work::Work;

type Admin = Grant<resource::Server, action::Administer>;

/// An account to make.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Login name.
    pub email: Phi<String>,
    /// Hash of its password.
    pub password_hash: String,
    /// Patient, practitioner or neither.
    pub user_type: Option<UserType>,
    /// Administrator of the whole server.
    pub superuser: bool,
}

/// A client to register.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// Public identifier.
    pub client_id: String,
    /// Name for people.
    pub name: String,
    /// Digest of the secret; none for a public client.
    pub secret_digest: Option<String>,
    /// Grants it may use, the primary one first.
    pub grants: Vec<GrantType>,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// Where people may return to after signing out.
    pub post_logout_redirect_uris: Vec<String>,
    /// No consent page.
    pub skip_authorization: bool,
    /// Overrides the access token lifetime.
    pub access_token_seconds: Option<i64>,
    /// May introspect tokens of other clients.
    pub can_introspect: bool,
}

impl Work {
    /// Makes an account with its profile.
    pub async fn create_user(&mut self, _admin: &Admin, user: &NewUser) -> Result<UserId, Error> {
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO core_jheuser (email, password, user_type, is_superuser, is_staff) VALUES ($1, $2, $3, $4, $4) RETURNING id",
        )
        .bind(user.email.reveal())
        .bind(&user.password_hash)
        .bind(user.user_type.map(UserType::as_str))
        .bind(user.superuser)
        .fetch_one(self.connection())
        .await
        .db()?;
        self.audit(AuditEntry::new(AuditAction::Create, "JheUser").id(id));
        let profile = match user.user_type {
            Some(UserType::Practitioner) => {
                "INSERT INTO core_practitioner (jhe_user_id, name_family, name_given) VALUES ($1, '', '')"
            }
            Some(UserType::Patient) => "INSERT INTO core_patient (jhe_user_id) VALUES ($1)",
            None => return Ok(UserId(id)),
        };
        sqlx::query(profile).bind(id).execute(self.connection()).await.db()?;
        Ok(UserId(id))
    }

    /// Sets the password of an account and ends its sessions and tokens. `false` when there is no such account.
    pub async fn set_password(&mut self, _admin: &Admin, email: &Phi<String>, hash: &str) -> Result<bool, Error> {
        let Some(account) = self.account_by_email(email).await? else { return Ok(false) };
        let id = account.id.0;
        self.hold_account(account.id).await?;
        sqlx::query("UPDATE core_jheuser SET password = $2 WHERE id = $1")
            .bind(id)
            .bind(hash)
            .execute(self.connection())
            .await
            .db()?;
        let now = self.database_time().await?;
        self.end_all_access(account.id, now).await?;
        self.audit(AuditEntry::new(AuditAction::PasswordReset, "JheUser").id(id));
        Ok(true)
    }

    /// Opens or closes an account; closing ends its sessions, tokens and API keys. `false` when there is no such account.
    pub async fn set_active(&mut self, _admin: &Admin, email: &Phi<String>, active: bool) -> Result<bool, Error> {
        let Some(account) = self.account_by_email(email).await? else { return Ok(false) };
        let id = account.id.0;
        self.hold_account(account.id).await?;
        sqlx::query("UPDATE core_jheuser SET is_active = $2 WHERE id = $1")
            .bind(id)
            .bind(active)
            .execute(self.connection())
            .await
            .db()?;
        if !active {
            let now = self.database_time().await?;
            self.end_all_access(account.id, now).await?;
        }
        self.audit(AuditEntry::new(AuditAction::Update, "JheUser").id(id));
        Ok(true)
    }

    /// Registers a client.
    pub async fn create_client(&mut self, _admin: &Admin, client: &NewClient) -> Result<ApplicationId, Error> {
        let primary = match client.grants.first() {
            Some(GrantType::ClientCredentials) => "client-credentials",
            Some(GrantType::Password) => "password",
            _ => "authorization-code",
        };
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO oauth2_provider_application
                 (client_id, name, client_secret, client_type, authorization_grant_type, grant_types, redirect_uris,
                  skip_authorization, access_token_seconds, can_introspect, post_logout_redirect_uris)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
        )
        .bind(&client.client_id)
        .bind(&client.name)
        .bind(client.secret_digest.as_deref().unwrap_or_default())
        .bind(if client.secret_digest.is_some() { "confidential" } else { "public" })
        .bind(primary)
        .bind(client.grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>())
        .bind(client.redirect_uris.join(" "))
        .bind(client.skip_authorization)
        .bind(client.access_token_seconds)
        .bind(client.can_introspect)
        .bind(client.post_logout_redirect_uris.join(" "))
        .fetch_one(self.connection())
        .await
        .db()?;
        self.audit(AuditEntry::new(AuditAction::Create, "Application").id(id));
        Ok(ApplicationId(id))
    }

    /// All registered clients, by row.
    pub async fn all_clients(&mut self, _admin: &Admin) -> Result<Vec<Client>, Error> {
        let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new("SELECT ");
        sql.push(CLIENT_COLUMNS);
        sql.push(" FROM oauth2_provider_application AS a LEFT JOIN core_jheclient AS j ON j.application_id = a.id ORDER BY a.id");
        let rows: Vec<ClientRow> = sql.build_query_as().fetch_all(self.connection()).await.db()?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Replaces the secret of a client.
    pub async fn set_client_secret(&mut self, _admin: &Admin, id: ApplicationId, digest: &str) -> Result<(), Error> {
        sqlx::query(
            "UPDATE oauth2_provider_application SET client_secret = $2, client_secret_sealed = NULL, updated = clock_timestamp() WHERE id = $1",
        )
        .bind(id.0)
        .bind(digest)
        .execute(self.connection())
        .await
        .db()?;
        self.audit(AuditEntry::new(AuditAction::Update, "Application").id(id.0));
        Ok(())
    }

    /// Puts a client into use or takes it out.
    pub async fn enable_client(&mut self, _admin: &Admin, id: ApplicationId, enabled: bool) -> Result<(), Error> {
        sqlx::query("UPDATE oauth2_provider_application SET enabled = $2, updated = clock_timestamp() WHERE id = $1")
            .bind(id.0)
            .bind(enabled)
            .execute(self.connection())
            .await
            .db()?;
        self.audit(AuditEntry::new(AuditAction::Update, "Application").id(id.0));
        Ok(())
    }

    /// Removes a client with its codes, tokens, links and invitations.
    pub async fn delete_client(&mut self, _admin: &Admin, id: ApplicationId) -> Result<(), Error> {
        sqlx::query("DELETE FROM oauth2_provider_application WHERE id = $1")
            .bind(id.0)
            .execute(self.connection())
            .await
            .db()?;
        self.audit(AuditEntry::new(AuditAction::Delete, "Application").id(id.0));
        Ok(())
    }

    /// Takes the stored signing key out of use; the next start makes a new one. The old public half stays published.
    pub async fn retire_signing_key(&mut self, _admin: &Admin) -> Result<bool, Error> {
        let changed = sqlx::query("UPDATE jhe_signing_key SET active = false, private_sealed = NULL WHERE active")
            .execute(self.connection())
            .await
            .db()?
            .rows_affected();
        if changed > 0 {
            self.audit(AuditEntry::new(AuditAction::Update, "SigningKey"));
        }
        Ok(changed > 0)
    }
}
