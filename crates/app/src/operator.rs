//! What operators do at the shell.

use jhe_authz::{Actor, Authorizer, InternalReason};
use jhe_config::LONGEST_SECONDS;
use jhe_crypto::{OsEntropy, client_secret, password, token};
use jhe_domain::Phi;
use jhe_domain::client::{Client, GrantType, redirect_uri_fault};
use jhe_domain::error::{Conflict, Error};
use jhe_domain::setting::SettingValue;
use jhe_domain::text::normalize_email;
use jhe_domain::user::UserType;
use jhe_store::Store;
use jhe_store::operator::{NewClient, NewUser};

#[expect(
    clippy::disallowed_methods,
    reason = "whoever can run the binary with the database's password is the operator"
)]
fn operator() -> Actor {
    Actor::internal(InternalReason::Operator)
}

fn check_email(email: &str) -> Result<Phi<String>, Error> {
    normalize_email(email).map(Phi::new).ok_or_else(|| Error::sentence("that is not an e-mail address"))
}

async fn hash(store: &Store, password: &str, email: &Phi<String>) -> Result<String, Error> {
    let local = email.reveal().split('@').next().unwrap_or_default();
    let length = match store.settings().await?.get("auth.password.min_length") {
        Some(SettingValue::Int(length)) => usize::try_from(*length).unwrap_or(8).clamp(8, 128),
        _ => 8,
    };
    let faults = password::faults(password, length, &[local]);
    if !faults.is_empty() {
        return Err(Error::sentence(faults.join(" ")));
    }
    password::hash(password, &mut OsEntropy).map_err(Error::internal)
}

/// Makes an account.
pub async fn create_user(
    store: &Store,
    email: &str,
    password: &str,
    user_type: Option<UserType>,
    superuser: bool,
) -> Result<i64, Error> {
    let email = check_email(email)?;
    let password_hash = hash(store, password, &email).await?;
    // Administrators work through a practitioner profile.
    let user_type = if superuser { Some(UserType::Practitioner) } else { user_type };
    let mut work = store.begin().await?;
    let actor = operator();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    let user = NewUser { email, password_hash, user_type, superuser };
    let id = work.create_user(&admin, &user).await.map_err(|error| match error {
        Error::Conflict(Conflict::EmailTaken) => Error::sentence("an account with this e-mail address exists"),
        other => other,
    })?;
    work.commit().await?;
    Ok(id.0)
}

/// Sets the password of an account, which ends its sessions and tokens.
pub async fn set_password(store: &Store, email: &str, password: &str) -> Result<(), Error> {
    let email = check_email(email)?;
    let hash = hash(store, password, &email).await?;
    let mut work = store.begin().await?;
    let actor = operator();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    if !work.set_password(&admin, &email, &hash).await? {
        return Err(Error::sentence("there is no account with this e-mail address"));
    }
    work.commit().await
}

/// Opens or closes an account. Closing ends its sessions and tokens.
///
/// # Errors
/// [`Error::Invalid`] when there is no such account.
pub async fn set_active(store: &Store, email: &str, active: bool) -> Result<(), Error> {
    let email = check_email(email)?;
    let mut work = store.begin().await?;
    let actor = operator();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    if !work.set_active(&admin, &email, active).await? {
        return Err(Error::sentence("there is no account with this e-mail address"));
    }
    work.commit().await
}

/// A client to register, as asked for.
#[derive(Debug, Clone, Default)]
pub struct ClientRequest {
    /// Public identifier; made when missing.
    pub client_id: Option<String>,
    /// Name for people.
    pub name: String,
    /// It authenticates itself.
    pub confidential: bool,
    /// Grants, the primary one first.
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

/// Registers a client: its public identifier and, once, its secret. `site_host` is the host of the site where that is
/// served by plain http.
pub async fn create_client(
    store: &Store,
    request: ClientRequest,
    site_host: Option<&str>,
) -> Result<(String, Option<String>), Error> {
    if request.name.trim().is_empty() {
        return Err(Error::sentence("a client needs a name"));
    }
    let mut addresses = request.redirect_uris.iter().chain(&request.post_logout_redirect_uris);
    if let Some(fault) = addresses.find_map(|uri| redirect_uri_fault(uri, site_host)) {
        return Err(Error::sentence(fault));
    }
    if request.access_token_seconds.is_some_and(|seconds| !(1..=LONGEST_SECONDS).contains(&seconds)) {
        return Err(Error::sentence(format!("access tokens live for 1 to {LONGEST_SECONDS} seconds")));
    }
    if request.grants.contains(&GrantType::TokenExchange) && !request.confidential {
        return Err(Error::sentence("the token exchange grant is for confidential clients"));
    }
    if request.grants.contains(&GrantType::AuthorizationCode) && request.redirect_uris.is_empty() {
        return Err(Error::sentence("a client that receives codes needs a redirect URI"));
    }
    if request.grants.contains(&GrantType::ClientCredentials) && !request.confidential {
        return Err(Error::sentence("the client credentials grant is for confidential clients"));
    }
    let secret = request.confidential.then(|| token::alphanumeric(&mut OsEntropy, 48));
    let client = NewClient {
        client_id: request.client_id.unwrap_or_else(|| token::alphanumeric(&mut OsEntropy, 40)),
        name: request.name,
        secret_digest: secret.as_deref().map(client_secret::digest),
        grants: request.grants,
        redirect_uris: request.redirect_uris,
        post_logout_redirect_uris: request.post_logout_redirect_uris,
        skip_authorization: request.skip_authorization,
        access_token_seconds: request.access_token_seconds,
        can_introspect: request.can_introspect,
    };
    let mut work = store.begin().await?;
    let actor = operator();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    work.create_client(&admin, &client).await.map_err(|error| match error {
        Error::Conflict(Conflict::ClientIdTaken) => Error::sentence("a client with this client id exists"),
        other => other,
    })?;
    work.commit().await?;
    Ok((client.client_id, secret))
}

fn no_such_client() -> Error {
    Error::sentence("there is no client with this client id")
}

/// All registered clients, by row.
pub async fn clients(store: &Store) -> Result<Vec<Client>, Error> {
    let mut work = store.read().await?;
    let actor = operator();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    work.all_clients(&admin).await
}

/// Gives a confidential client a new secret: the secret, told once.
pub async fn rotate_client_secret(store: &Store, client_id: &str) -> Result<String, Error> {
    let secret = token::alphanumeric(&mut OsEntropy, 48);
    let mut work = store.begin().await?;
    let actor = operator();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    let found = work.client_by_client_id(client_id).await?.ok_or_else(no_such_client)?;
    if !found.client.confidential {
        return Err(Error::sentence("this client is public: it has no secret"));
    }
    work.set_client_secret(&admin, found.client.id, &client_secret::digest(&secret)).await?;
    work.commit().await?;
    Ok(secret)
}

/// Takes a client out of use, or back into use.
pub async fn enable_client(store: &Store, client_id: &str, enabled: bool) -> Result<(), Error> {
    let mut work = store.begin().await?;
    let actor = operator();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    let found = work.client_by_client_id(client_id).await?.ok_or_else(no_such_client)?;
    work.enable_client(&admin, found.client.id, enabled).await?;
    work.commit().await
}

/// Removes a client with everything that belongs to it.
pub async fn delete_client(store: &Store, client_id: &str) -> Result<(), Error> {
    let mut work = store.begin().await?;
    let actor = operator();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    let found = work.client_by_client_id(client_id).await?.ok_or_else(no_such_client)?;
    work.delete_client(&admin, found.client.id).await?;
    work.commit().await
}

/// Takes the stored signing key out of use; its public half stays published.
pub async fn retire_signing_key(store: &Store) -> Result<bool, Error> {
    let mut work = store.begin().await?;
    let actor = operator();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    let retired = work.retire_signing_key(&admin).await?;
    work.commit().await?;
    Ok(retired)
}
