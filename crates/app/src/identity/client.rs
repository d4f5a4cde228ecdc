//! Authentication of clients at `/o` (identity §1.5), and where their answers may go.

use std::net::IpAddr;

use chrono::TimeDelta;
use jhe_crypto::{client_secret, token};
use jhe_domain::client::Client;
use jhe_domain::error::Error;
use jhe_store::credential::ClientCredentials;

use crate::App;
use crate::identity::throttle::{self, Limit};

/// Wrong secrets a client may send from one address in a minute.
const FAILURES: Limit =
    Limit { purpose: "client.secret", window: TimeDelta::minutes(1), attempts: i64::MAX, failures: 10 };

/// The client that proved who it is. `None` when it is unknown, switched off, or did not.
///
/// # Errors
/// [`Error::Throttled`] after too many wrong secrets, also for the right one.
pub async fn authenticate(
    app: &App,
    client_id: &str,
    secret: Option<&str>,
    ip: Option<IpAddr>,
) -> Result<Option<Client>, Error> {
    let Some(found) = find(app, client_id).await? else { return Ok(None) };
    let secret = secret.filter(|secret| !secret.is_empty());
    let Some(secret) = secret else {
        // A public client has nothing to prove.
        return Ok(Some(found.client).filter(|client| !client.confidential));
    };
    let subject = token::digest(&format!("{client_id}\0{}", ip.map(|ip| ip.to_string()).unwrap_or_default()));
    throttle::refuse(app, &FAILURES, &subject).await?;
    let good = check_secret(app, &found, secret).await?;
    if !good {
        throttle::record(app, &FAILURES, &subject, true).await?;
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
