//! Who a bearer token stands for (identity §3.5).

use jhe_authz::Actor;
use jhe_authz::port::{Bearer, CredentialPort};
use jhe_domain::error::Error;
use jhe_store::Store;

use crate::App;
use crate::gather::Desk;

/// Finds bearer tokens by the digests of their texts.
pub(crate) struct Register(pub(crate) Store);

impl Desk for Register {
    type Question = [u8; 32];
    type Answer = Option<Bearer>;

    async fn answer(&self, digests: &[[u8; 32]]) -> Result<Vec<Option<Bearer>>, Error> {
        let mut work = self.0.read().await?;
        if let [digest] = digests {
            return Ok(vec![work.bearer(digest).await?]);
        }
        work.bearers(digests).await
    }
}

struct Gathered<'a>(&'a App);

impl CredentialPort for Gathered<'_> {
    async fn bearer(&mut self, digest: &[u8; 32]) -> Result<Option<Bearer>, Error> {
        self.0.gathers().bearers.ask(*digest).await
    }
}

/// The actor behind a bearer token.
///
/// # Errors
/// As for [`jhe_authz::authenticate`].
pub async fn actor(app: &App, token: &str) -> Result<Actor, Error> {
    let digest = jhe_crypto::token::digest(token);
    jhe_authz::authenticate(&mut Gathered(app), &digest, app.now()).await
}
