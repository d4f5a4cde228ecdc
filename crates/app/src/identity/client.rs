//! Authentication of clients at `/o` (identity §1.5), and where their answers may go.

use std::net::IpAddr;

use chrono::TimeDelta;
use jhe_crypto::{client_secret, token};
use jhe_domain::client::Client;
use jhe_domain::error::Error;
use jhe_store::credential::{Asking, ClientCredentials, Failures, TokenInfo};

use crate::App;
use crate::identity::throttle::{self, Limit};

/// Wrong secrets a client may send from one address in a minute.
const FAILURES: Limit =
    Limit { purpose: "client.secret", window: TimeDelta::minutes(1), attempts: i64::MAX, failures: 10 };

/// Who a client says it is, and what it shows for it.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// Public identifier.
    pub client_id: &'a str,
    /// Secret.
    pub secret: Option<&'a str>,
    /// From where.
    pub ip: Option<IpAddr>,
}

/// The client that proved who it is. `None` when it is unknown, switched off, or did not.
///
/// # Errors
/// [`Error::Throttled`] after too many wrong secrets, also for the right one.
pub async fn authenticate(app: &App, presented: Presented<'_>) -> Result<Option<Client>, Error> {
    let Some(asking) = ask(app, presented, None).await? else { return Ok(None) };
    judge(app, presented, asking.credentials, asking.failed).await
}

/// The client that proved who it is, with the live token it asks about (RFC 7662). What it may learn is the caller's to
/// decide.
///
/// # Errors
/// As for [`authenticate`].
pub async fn introspect(
    app: &App,
    presented: Presented<'_>,
    token: &str,
) -> Result<Option<(Client, Option<TokenInfo>)>, Error> {
    let digest = token::digest(token);
    let Some(asking) = ask(app, presented, Some(&digest)).await? else { return Ok(None) };
    let client = judge(app, presented, asking.credentials, asking.failed).await?;
    Ok(client.map(|client| (client, asking.token)))
}

/// Under what wrong secrets are counted: for each client and address.
fn subject(presented: Presented<'_>) -> [u8; 32] {
    let ip = presented.ip.map(|ip| ip.to_string()).unwrap_or_default();
    token::digest(&format!("{}\0{ip}", presented.client_id))
}

async fn ask(app: &App, presented: Presented<'_>, token: Option<&[u8]>) -> Result<Option<Asking>, Error> {
    if presented.client_id.contains('\0') {
        return Ok(None);
    }
    let (now, subject) = (app.now(), subject(presented));
    let failures = Failures { purpose: FAILURES.purpose, subject: &subject, since: now - FAILURES.window };
    let mut work = app.store().read().await?;
    work.asking_client(presented.client_id, failures, token, now).await
}

async fn judge(
    app: &App,
    presented: Presented<'_>,
    found: ClientCredentials,
    failed: i64,
) -> Result<Option<Client>, Error> {
    if !found.client.enabled {
        return Ok(None);
    }
    let Some(secret) = presented.secret.filter(|secret| !secret.is_empty()) else {
        // A public client has nothing to prove.
        return Ok(Some(found.client).filter(|client| !client.confidential));
    };
    if app.config().auth.throttle && failed >= FAILURES.failures {
        let now = app.now();
        return Err(throttle::until(now + FAILURES.window, now));
    }
    let good = check_secret(app, &found, secret).await?;
    if !good {
        throttle::record(app, &FAILURES, &subject(presented), true).await?;
        tracing::warn!(client.id = found.client.id.0, "a client sent a wrong secret");
    }
    // A public client without a secret must not pretend to have one.
    Ok(Some(found.client).filter(|_| good))
}

/// The enabled client with a public identifier.
pub async fn find(app: &App, client_id: &str) -> Result<Option<ClientCredentials>, Error> {
    if client_id.contains('\0') {
        return Ok(None);
    }
    let mut work = app.store().read().await?;
    let found = work.client_by_client_id(client_id).await?;
    Ok(found.filter(|found| found.client.enabled))
}

async fn check_secret(app: &App, found: &ClientCredentials, secret: &str) -> Result<bool, Error> {
    if client_secret::is_fast(&found.secret) {
        return Ok(client_secret::verify(secret, &found.secret));
    }
    let place = app.identity().hashing.place().await?;
    let good = place.check_secret(secret.to_owned(), found.secret.clone()).await?;
    // Imported secrets are kept in a form whose check costs as much as ten sign-ins: once is enough.
    if good && found.secret.starts_with("pbkdf2_") {
        let hash = place.hash(secret.to_owned()).await?;
        let mut work = app.store().begin().await?;
        work.upgrade_client_secret(found.client.id, &found.secret, &hash).await?;
        work.commit().await?;
    }
    Ok(good)
}
