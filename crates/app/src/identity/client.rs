//! Authentication of clients at `/o` (identity §1.5), and where their answers may go.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use jhe_crypto::{client_secret, token};
use jhe_domain::client::Client;
use jhe_domain::clock::Clock;
use jhe_domain::error::Error;
use jhe_store::Store;
pub use jhe_store::credential::TokenInfo;
use jhe_store::credential::{Asked, Asking, ClientCredentials, Failures, RefreshRow};
use jhe_store::gather::Desk;

use crate::App;
use crate::identity::throttle::{self, Limit};

/// Wrong secrets a client may send from one address in a minute.
const FAILURES: Limit = Limit::of_failures("client.secret", TimeDelta::minutes(1), MOST);
const MOST: i64 = 10;

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
    let Some(asked) = asked(presented, None) else { return Ok(None) };
    let found = app.gathers().clients.ask(asked).await?;
    Ok(judge(app, presented, found).await?.map(|(client, _)| client))
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
    let Some(asked) = asked(presented, Some(token)) else { return Ok(None) };
    let found = app.gathers().clients.ask(asked).await?;
    judge(app, presented, found).await
}

/// The client that proved who it is, with the refresh token it shows, whatever became of that one.
///
/// # Errors
/// As for [`authenticate`].
pub async fn refresh(
    app: &App,
    presented: Presented<'_>,
    token: &str,
) -> Result<Option<(Client, Option<RefreshRow>)>, Error> {
    let Some(asked) = asked(presented, Some(token)) else { return Ok(None) };
    let mut work = app.store().read().await?;
    let found = work.refreshing_client(&asked, failures(app.now())).await?;
    drop(work);
    judge(app, presented, found).await
}

/// Under what wrong secrets are counted: for each client and address.
fn subject(presented: Presented<'_>) -> [u8; 32] {
    let ip = presented.ip.map(|ip| ip.to_string()).unwrap_or_default();
    token::digest(&format!("{}\0{ip}", presented.client_id))
}

/// What is asked of the database. `None` for what no client is called.
fn asked(presented: Presented<'_>, token: Option<&str>) -> Option<Asked> {
    (!presented.client_id.contains('\0')).then(|| Asked {
        client_id: presented.client_id.to_owned(),
        subject: subject(presented),
        token: token.map(token::digest),
    })
}

fn failures(now: DateTime<Utc>) -> Failures<'static> {
    Failures { purpose: FAILURES.purpose, since: now - FAILURES.bounds.window }
}

/// Finds clients that say who they are, and the tokens that they ask about.
pub(crate) struct Register {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Desk for Register {
    type Question = Asked;
    type Answer = Option<Asking<TokenInfo>>;

    async fn answer(&self, asked: &[Asked]) -> Result<Vec<Self::Answer>, Error> {
        let now = self.clock.now();
        self.store.read().await?.asking_clients(asked, failures(now), now).await
    }
}

async fn judge<T>(
    app: &App,
    presented: Presented<'_>,
    found: Option<Asking<T>>,
) -> Result<Option<(Client, Option<T>)>, Error> {
    let Some(Asking { credentials: found, failed, token }) = found.filter(|found| found.credentials.client.enabled)
    else {
        return Ok(None);
    };
    let Some(secret) = presented.secret.filter(|secret| !secret.is_empty()) else {
        // A public client has nothing to prove.
        return Ok(Some((found.client, token)).filter(|(client, _)| !client.confidential));
    };
    if app.config().auth.throttle && failed >= MOST {
        return Err(FAILURES.exceeded(app.now()));
    }
    let (good, upgrade) = check_secret(app, &found, secret).await?;
    // A right secret that a machine made needs no statement more, which services would pay all day: nobody guesses one.
    // Where secrets were wrong a moment ago, or people chose them, others may have used up meanwhile what was left.
    if !good || failed > 0 || !client_secret::is_fast(&found.secret) {
        throttle::settle(app, &FAILURES, &subject(presented), !good).await?;
    }
    if !good {
        tracing::warn!(client.id = found.client.id.0, "a client sent a wrong secret");
    }
    if upgrade {
        upgrade_secret(app, &found, secret).await?;
    }
    // A public client without a secret must not pretend to have one.
    Ok(Some((found.client, token)).filter(|_| good))
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

/// Whether a secret is right, and is kept in a form that should be replaced now that it is known.
async fn check_secret(app: &App, found: &ClientCredentials, secret: &str) -> Result<(bool, bool), Error> {
    if client_secret::is_fast(&found.secret) {
        return Ok((client_secret::verify(secret, &found.secret), false));
    }
    let place = app.identity().hashing.place().await?;
    let good = place.check_secret(secret.to_owned(), found.secret.clone()).await?;
    Ok((good, good && found.secret.starts_with("pbkdf2_")))
}

/// Imported secrets are kept in a form whose check costs as much as ten sign-ins: once is enough.
async fn upgrade_secret(app: &App, found: &ClientCredentials, secret: &str) -> Result<(), Error> {
    let hash = app.identity().hashing.place().await?.hash(secret.to_owned()).await?;
    let mut work = app.store().begin().await?;
    work.upgrade_client_secret(found.client.id, &found.secret, &hash).await?;
    work.commit().await
}
