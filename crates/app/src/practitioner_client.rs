//! API keys of practitioners (identity §6.4). A key is `client_id:client_secret` in Base64, ready for HTTP Basic.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jhe_authz::{Actor, Authorizer};
use jhe_crypto::{OsEntropy, client_secret, token};
use jhe_domain::Phi;
use jhe_domain::error::{Error, Lookup, Why};
use jhe_domain::page::{Page, Window};
use jhe_store::practitioner_client::{NewPractitionerClient, PractitionerClient};

use crate::App;
use crate::mail::{self, Letter};

/// What a secret is sealed for.
const PURPOSE: &str = "practitioner client";
/// Keys a practitioner may have.
const MOST: i64 = 20;

/// An API key as its owner sees it.
#[derive(Debug, Clone)]
pub struct Key {
    /// The row.
    pub row: PractitionerClient,
    /// The key; none where it is shown once only, and was.
    pub key: Option<Phi<String>>,
}

fn missing() -> Error {
    Error::NotFound(Lookup::Entity("PractitionerClient"))
}

fn encoded(client_id: &str, secret: &str) -> Phi<String> {
    Phi::new(STANDARD.encode(format!("{client_id}:{secret}")))
}

fn opened(app: &App, row: PractitionerClient) -> Key {
    let secret = row.sealed.as_deref().and_then(|sealed| app.identity().take_out(PURPOSE, sealed));
    let key = secret.map(|secret| encoded(&row.client_id, &secret));
    Key { row, key }
}

/// The caller's keys, newest first.
pub async fn list(app: &App, actor: &Actor, window: Window) -> Result<Page<Key>, Error> {
    let mut work = app.store().read().await?;
    let owner = Authorizer::new(actor, &mut work).own_keys()?;
    let page = work.practitioner_clients().list(&owner, window).await?;
    Ok(page.map(|row| opened(app, row)))
}

/// One of the caller's keys.
pub async fn get(app: &App, actor: &Actor, id: i64) -> Result<Key, Error> {
    let mut work = app.store().read().await?;
    let owner = Authorizer::new(actor, &mut work).own_keys()?;
    let row = work.practitioner_clients().find(&owner, id).await?.ok_or_else(missing)?;
    Ok(opened(app, row))
}

/// Makes a key for the caller.
pub async fn create(app: &App, actor: &Actor, validate: impl FnOnce() -> Result<String, Error>) -> Result<Key, Error> {
    let mut work = app.store().begin().await?;
    let owner = Authorizer::new(actor, &mut work).own_keys()?;
    let label = validate()?;
    if work.practitioner_clients().count(&owner).await? >= MOST {
        return Err(Error::sentence(format!("A practitioner can have at most {MOST} clients.")));
    }
    let (client_id, secret) = (token::alphanumeric(&mut OsEntropy, 16), token::alphanumeric(&mut OsEntropy, 32));
    let once = app.settings().bool("auth.practitioner_client.reveal_once", false);
    let new = NewPractitionerClient {
        label,
        name: format!("_practitioner_client_{}_{}", owner.id(), app.now().format("%Y%m%d%H%M%S")),
        secret_digest: client_secret::digest(&secret),
        sealed: if once { None } else { Some(app.identity().lock_away(PURPOSE, &secret)?) },
        client_id,
    };
    let id = work.practitioner_clients().create(&owner, &new).await?;
    let id = id.ok_or_else(|| Error::denied(Why::PractitionerClientsOnly))?;
    let row = work.practitioner_clients().find(&owner, id).await?.ok_or_else(missing)?;
    if let Some(account) = work.account_by_id(actor.user_id()).await? {
        mail::queue(app, &mut work, &account.email, &Letter::key_made(app)).await?;
    }
    work.commit().await?;
    let key = Some(encoded(&row.client_id, &secret));
    Ok(Key { row, key })
}

/// Labels one of the caller's keys anew; no label leaves it.
pub async fn label(
    app: &App,
    actor: &Actor,
    id: i64,
    validate: impl FnOnce() -> Result<Option<String>, Error>,
) -> Result<Key, Error> {
    let mut work = app.store().begin().await?;
    let owner = Authorizer::new(actor, &mut work).own_keys()?;
    work.practitioner_clients().find(&owner, id).await?.ok_or_else(missing)?;
    if let Some(label) = validate()? {
        work.practitioner_clients().label(&owner, id, &label).await?;
    }
    let row = work.practitioner_clients().find(&owner, id).await?.ok_or_else(missing)?;
    work.commit().await?;
    Ok(opened(app, row))
}

/// Removes one of the caller's keys; its tokens end at once.
pub async fn delete(app: &App, actor: &Actor, id: i64) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let owner = Authorizer::new(actor, &mut work).own_keys()?;
    if !work.practitioner_clients().delete(&owner, id).await? {
        return Err(missing());
    }
    work.commit().await
}
