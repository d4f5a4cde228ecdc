//! Signing keys, password hashing, tokens, sessions, invitations: what `/o`, the account pages and the invitation
//! flows do. [`Identity`] holds the keys and pools of one process.

pub mod account;
pub mod client;
pub mod exchange;
mod hashing;
pub mod invitation;
mod keys;
mod line;
pub mod one_time_code;
pub mod sealing;
pub mod session;
pub mod sign_in;
mod throttle;
pub mod token;

use std::sync::{Arc, PoisonError, RwLock};

use jhe_config::Config;
use jhe_crypto::password;
use jhe_crypto::signing::{PublicKey, SigningKey};
use jhe_crypto::{OsEntropy, pkce};
use jhe_domain::Phi;
use jhe_domain::error::Error;
use jhe_store::Store;
use serde_json::{Value, json};

use crate::App;
use crate::identity::hashing::Hashing;
use crate::identity::sealing::Sealing;
use crate::settings::Settings;

/// The name of the web console's client.
pub const CONSOLE_NAME: &str = "JHE Admin UI";

/// The keys of id tokens.
struct Ring {
    signing: Option<SigningKey>,
    published: Vec<PublicKey>,
}

/// Keys and pools of one process.
pub struct Identity {
    ring: RwLock<Arc<Ring>>,
    static_verifier: Option<Phi<String>>,
    static_challenge: String,
    sealing: Sealing,
    /// For secrets that are shown again.
    vault: Sealing,
    hashing: Hashing,
}

impl Identity {
    /// Reads the keys, making those that are missing.
    pub async fn load(store: &Store, config: &Config, settings: &Settings) -> Result<Self, Error> {
        let keys = keys::load(store, config).await?;
        keys::warn(config, &settings.string("site.registration_invite_code"));
        let sealing = Sealing::new(keys.seal);
        Ok(Self {
            ring: RwLock::new(Arc::new(Ring { signing: keys.signing, published: keys.published })),
            static_verifier: keys.static_verifier.map(Phi::new),
            static_challenge: keys.static_challenge,
            vault: keys::vault(config)?.map_or_else(|| sealing.clone(), Sealing::new),
            sealing,
            hashing: Hashing::start(config.auth.hashing_wait)?,
        })
    }

    /// Reads the signing keys again: another process may have made a new one.
    pub(crate) async fn reload(&self, store: &Store, config: &Config) -> Result<(), Error> {
        let keys = keys::load(store, config).await?;
        let ring = Arc::new(Ring { signing: keys.signing, published: keys.published });
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    /// Turns a sign-in away when it would wait too long for its turn: to be asked before anything is done for it.
    ///
    /// # Errors
    /// [`Error::Overloaded`].
    pub fn admit_sign_in(&self) -> Result<(), Error> {
        self.hashing.admit()
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The id of the signing key.
    pub fn kid(&self) -> Option<String> {
        self.ring().signing.as_ref().map(|key| key.public().kid())
    }

    /// The published keys as a JWK set.
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.ring().published.iter().map(PublicKey::jwk).collect::<Vec<_>>() })
    }

    /// The static PKCE verifier of patient links, where it is known: with a configured challenge alone it is not.
    pub fn static_verifier(&self) -> Option<String> {
        self.static_verifier.as_ref().map(|verifier| verifier.reveal().clone())
    }

    /// The static PKCE challenge of patient links.
    pub fn static_challenge(&self) -> &str {
        &self.static_challenge
    }

    /// What an account without a password stores.
    pub fn unusable_password(&self) -> String {
        password::unusable(&mut OsEntropy)
    }

    /// Signs claims as a JWT of a type.
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> Result<String, Error> {
        let ring = self.ring();
        let key = ring.signing.as_ref().ok_or_else(|| Error::internal("there is no signing key"))?;
        key.sign(typ, claims).map_err(Error::internal)
    }

    /// The claims of a JWT that one of our own keys signed, however old. `None` when none did.
    pub fn own_claims(&self, jwt: &str) -> Option<Value> {
        self.ring().published.iter().find_map(|key| key.verify(jwt).ok())
    }

    /// Seals and signs what travels through a caller.
    pub fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    /// Seals a secret that is shown again, with the key for those (`DATA_ENCRYPTION_KEY`).
    pub(crate) fn lock_away(&self, purpose: &str, secret: &str) -> Result<String, Error> {
        self.vault.seal(purpose, secret)
    }

    /// Opens one; also one that was sealed before there was a key of its own.
    pub(crate) fn take_out(&self, purpose: &str, sealed: &str) -> Option<String> {
        self.vault.open(purpose, sealed).or_else(|| self.sealing.open(purpose, sealed))
    }
}

/// What seals and signs, for those who only read: no key is made, and none of the others is needed.
pub async fn stored_sealing(store: &Store, config: &Config) -> Result<Sealing, Error> {
    keys::stored_seal(store, config).await.map(Sealing::new)
}

/// Checks the keys of a configuration, for which no database is needed.
///
/// # Errors
/// [`Error::Internal`] with the name of the variable.
pub(crate) fn check(config: &Config) -> Result<(), Error> {
    keys::check(config)
}

/// What a database holds of the keys that a server starts with.
#[derive(Debug)]
pub struct Stored {
    /// The id of the signing key, configured or stored.
    pub kid: Option<String>,
    /// There is a stored one, and it cannot be opened.
    pub is_locked: bool,
    /// The static PKCE verifier of patient links.
    pub static_verifier: Option<Phi<String>>,
}

/// The keys a server would start with, for those who only look: none is made.
///
/// # Errors
/// [`Error::Internal`] where a server would not start.
pub async fn stored(store: &Store, config: &Config) -> Result<Stored, Error> {
    keys::stored(store, config).await
}

/// The name of the site, for the pages people see.
pub fn site_title(app: &App) -> String {
    let title = app.settings().string("site.ui.title");
    if title.is_empty() { "JupyterHealth Exchange".to_owned() } else { title }
}

/// The `client_id` of the web console.
pub async fn console_client_id(app: &App) -> Result<Option<String>, Error> {
    let mut work = app.store().read().await?;
    Ok(work.client_by_name(CONSOLE_NAME).await?.map(|found| found.client.client_id))
}

/// A verifier that clients may derive from their invitation token.
pub(crate) fn invitation_challenge(token: &str) -> String {
    pkce::challenge_s256(&pkce::invitation_verifier(token))
}
