//! Finds the keys of a process, making what is missing once for all processes of a database.

use jhe_config::Config;
use jhe_crypto::seal::SealKey;
use jhe_crypto::signing::{PublicKey, SigningKey};
use jhe_crypto::{CryptoError, OsEntropy, pkce, token};
use jhe_domain::Phi;
use jhe_domain::error::Error;
use jhe_store::{Store, Work};

use super::Stored;

pub(super) struct Keys {
    pub(super) signing: Option<SigningKey>,
    pub(super) published: Vec<PublicKey>,
    pub(super) static_verifier: Option<String>,
    pub(super) static_challenge: String,
    pub(super) seal: SealKey,
}

pub(super) async fn load(store: &Store, config: &Config) -> Result<Keys, Error> {
    let mut work = store.begin().await?;
    // Processes that start together must not each make their own.
    work.lock_keys().await?;
    let seals = seals(&mut work, config).await?;
    let (signing, published) = signing_keys(&mut work, config, &seals).await?;
    let (static_verifier, static_challenge) = static_pair(&mut work, config, &seals).await?;
    work.commit().await?;
    Ok(Keys { signing, published, static_verifier, static_challenge, seal: seals.current })
}

/// Reads all keys of a configuration, which no database is needed for.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    configured_key(config)?;
    inactive_keys(config)?;
    vault(config).map(|_| ())
}

/// The key for secrets that are shown again, where there is one of its own.
pub(super) fn vault(config: &Config) -> Result<Option<SealKey>, Error> {
    let key = config.auth.data_encryption_key.as_ref().map(|key| SealKey::from_base64(key.reveal()));
    key.transpose().map_err(|error| {
        Error::internal(format!("DATA_ENCRYPTION_KEY is \"[secret]\" ({error}); allowed is 32 bytes as base64"))
    })
}

/// As [`load`], for those who only look: nothing is made, nobody is waited for.
pub(super) async fn stored(store: &Store, config: &Config) -> Result<Stored, Error> {
    let configured = configured_key(config)?;
    let mut work = store.read().await?;
    let seals = known_seals(config, work.server_secret(SECRET).await?.as_deref())?;
    let is_open = |sealed: &str| seals.as_ref().is_some_and(|seals| open_key(seals, sealed).is_some());
    let mut stored = Stored {
        kid: configured.map(|key| key.public().kid()),
        is_locked: false,
        static_verifier: config.invitation.verifier.as_ref().map(|verifier| Phi::new(verifier.reveal().to_owned())),
    };
    for key in work.signing_keys().await? {
        if let (None, true, Some(sealed)) = (&stored.kid, key.active, &key.private_sealed) {
            if is_open(sealed) {
                stored.kid = Some(PublicKey::from_jwk(&key.jwk).map_err(Error::internal)?.kid());
            } else {
                stored.is_locked = true;
            }
        }
    }
    if stored.static_verifier.is_none()
        && config.invitation.challenge.is_none()
        && let Some(sealed) = work.server_secret(VERIFIER).await?
    {
        let opened = seals.as_ref().and_then(|seals| seals.open(&sealed).ok());
        stored.static_verifier = Some(Phi::new(opened.ok_or_else(locked_verifier)?));
    }
    Ok(stored)
}

/// Invite codes of examples and demos.
const EXAMPLE_CODES: [&str; 2] = ["jhe", "helloworld"];

fn is_known_to_all(invite_code: &str) -> bool {
    EXAMPLE_CODES.iter().any(|known| invite_code.trim().eq_ignore_ascii_case(known))
}

/// What operators should know of.
pub(super) fn warn(config: &Config, invite_code: &str) {
    if config.site.production && is_known_to_all(invite_code) {
        tracing::warn!(
            "the invite code is one that everybody knows, so anybody can sign up as a practitioner: change the setting \
             site.registration_invite_code"
        );
    }
    tracing::warn!(
        "every patient link is exchanged with the same verifier, so a link is as good as a password until it is used"
    );
    if config.site.url.host().contains('_') {
        tracing::error!("the host of SITE_URL holds an underscore, so patients' apps cannot read invitation links");
    }
}

/// The key that seals, for those who only read: it is not made where it is missing.
pub(super) async fn stored_seal(store: &Store, config: &Config) -> Result<SealKey, Error> {
    let made = match &config.auth.secret_key {
        Some(configured) => return derive(configured.reveal()),
        None => store.read().await?.server_secret(SECRET).await?,
    };
    derive(&made.ok_or_else(|| Error::internal("SECRET_KEY is not set, and none was made yet"))?)
}

/// What the secret is called that is made while none is configured.
const SECRET: &str = "secret_key";

fn derive(secret: &str) -> Result<SealKey, Error> {
    SealKey::from_secret(secret, "stored secrets").map_err(Error::internal)
}

/// The key that seals, and the one that sealed before it.
struct Seals {
    current: SealKey,
    /// Derived from the secret that was made while none was configured.
    earlier: Option<SealKey>,
}

impl Seals {
    fn open(&self, sealed: &str) -> Result<String, CryptoError> {
        let opened = self.current.open(sealed);
        match &self.earlier {
            Some(earlier) => opened.or_else(|_| earlier.open(sealed)),
            None => opened,
        }
    }
}

async fn seals(work: &mut Work, config: &Config) -> Result<Seals, Error> {
    let made = work.server_secret(SECRET).await?;
    if let Some(seals) = known_seals(config, made.as_deref())? {
        return Ok(seals);
    }
    // Configuration refuses production mode without a key; in development one is made and kept.
    let made = token::random_base64url(&mut OsEntropy);
    work.insert_server_secret(SECRET, &made).await?;
    Ok(Seals { current: derive(&made)?, earlier: None })
}

/// What seals where a secret is configured or was made.
fn known_seals(config: &Config, made: Option<&str>) -> Result<Option<Seals>, Error> {
    let made = made.map(derive).transpose()?;
    Ok(match &config.auth.secret_key {
        Some(configured) => Some(Seals { current: derive(configured.reveal())?, earlier: made }),
        None => made.map(|current| Seals { current, earlier: None }),
    })
}

fn open_key(seals: &Seals, sealed: &str) -> Option<SigningKey> {
    seals.open(sealed).and_then(|pem| SigningKey::from_pem(&pem)).ok()
}

async fn signing_keys(
    work: &mut Work,
    config: &Config,
    seals: &Seals,
) -> Result<(Option<SigningKey>, Vec<PublicKey>), Error> {
    let mut published = Vec::new();
    let mut signing = configured_key(config)?;
    for stored in work.signing_keys().await? {
        let public = PublicKey::from_jwk(&stored.jwk).map_err(Error::internal)?;
        if let (None, true, Some(sealed)) = (&signing, stored.active, &stored.private_sealed) {
            if let Some(key) = open_key(seals, sealed) {
                signing = Some(key);
            } else {
                tracing::error!("the stored signing key cannot be opened: SECRET_KEY has changed");
            }
        }
        published.push(public);
    }
    if signing.is_none() && config.auth.generate_keys {
        // The first key, or the next after the last was retired or can no longer be opened; old ones stay published.
        let key = SigningKey::generate().map_err(Error::internal)?;
        let sealed =
            key.to_pkcs8_pem().and_then(|pem| seals.current.seal(&pem, &mut OsEntropy)).map_err(Error::internal)?;
        work.insert_signing_key(&key.public().kid(), &sealed, &key.public().jwk()).await?;
        signing = Some(key);
    }
    published.extend(inactive_keys(config)?);
    if let Some(key) = &signing {
        // The key that signs comes first.
        published.retain(|public| public != key.public());
        published.insert(0, key.public().clone());
    } else {
        tracing::error!("there is no signing key: requests that need an id token will fail");
    }
    Ok((signing, published))
}

/// The id of a key whose private half was published as an example: whoever has read it signs as this server would.
const PUBLISHED: &str = "OVaKi6HUvACvmHgCR3YVh96orOQfyDdDYGpcpBNhn0E";

/// Reads a key an operator configured; an error names the variable, and never holds its value.
fn read_key(variable: &str, pem: &str) -> Result<SigningKey, Error> {
    SigningKey::from_pem(pem).map_err(|error| {
        Error::internal(format!(
            "{variable} is \"[secret]\" ({error}); allowed is an RSA private key of at least 2048 bits as PEM, \
             \"BEGIN PRIVATE KEY\" or \"BEGIN RSA PRIVATE KEY\""
        ))
    })
}

fn configured_key(config: &Config) -> Result<Option<SigningKey>, Error> {
    let pem = config.auth.oidc_rsa_private_key.as_ref();
    let key = pem.map(|pem| read_key("OIDC_RSA_PRIVATE_KEY", pem.reveal())).transpose()?;
    refuse_published(key.as_ref().map(|key| key.public().kid()).as_deref(), config.site.production)?;
    Ok(key)
}

/// The public halves of earlier keys.
fn inactive_keys(config: &Config) -> Result<Vec<PublicKey>, Error> {
    let text = config.auth.oidc_rsa_private_keys_inactive.as_ref();
    let text = text.map(|text| text.reveal().replace("\\n", "\n")).unwrap_or_default();
    let pems = text.split("\n\n").filter(|pem| !pem.trim().is_empty());
    pems.map(|pem| Ok(read_key("OIDC_RSA_PRIVATE_KEYS_INACTIVE", pem)?.public().clone())).collect()
}

fn refuse_published(kid: Option<&str>, production: bool) -> Result<(), Error> {
    if kid != Some(PUBLISHED) {
        return Ok(());
    }
    if production {
        return Err(Error::internal("the configured signing key is a published example: make one of your own"));
    }
    tracing::warn!("the configured signing key is a published example: for development only");
    Ok(())
}

/// What the static verifier is called that is made while none is configured.
const VERIFIER: &str = "static_pkce_verifier";

fn locked_verifier() -> Error {
    Error::internal(
        "the stored static PKCE verifier cannot be opened: SECRET_KEY has changed; restore it, or set \
         PATIENT_AUTHORIZATION_CODE_VERIFIER",
    )
}

async fn static_pair(work: &mut Work, config: &Config, seals: &Seals) -> Result<(Option<String>, String), Error> {
    let verifier = config.invitation.verifier.as_ref().map(|verifier| verifier.reveal().to_owned());
    match (verifier, &config.invitation.challenge) {
        (Some(verifier), challenge) => {
            let derived = pkce::challenge_s256(&verifier);
            if challenge.as_ref().is_some_and(|challenge| *challenge != derived) {
                tracing::warn!(
                    "the configured static challenge does not belong to the static verifier; the challenge holds"
                );
            }
            Ok((Some(verifier), challenge.clone().unwrap_or(derived)))
        }
        (None, Some(challenge)) => Ok((None, challenge.clone())),
        (None, None) => {
            let verifier = if let Some(sealed) = work.server_secret(VERIFIER).await? {
                seals.open(&sealed).map_err(|_| locked_verifier())?
            } else {
                let (verifier, _) = pkce::new_pair(&mut OsEntropy);
                let sealed = seals.current.seal(&verifier, &mut OsEntropy).map_err(Error::internal)?;
                work.insert_server_secret(VERIFIER, &sealed).await?;
                verifier
            };
            let challenge = pkce::challenge_s256(&verifier);
            Ok((Some(verifier), challenge))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_none_is_told_by_its_variable_and_without_its_value() {
        let read = |pem: &str| {
            let values = [("OIDC_RSA_PRIVATE_KEY".to_owned(), pem.to_owned())];
            configured_key(&Config::read(values, None).unwrap())
        };
        let small = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----";
        for pem in ["c2VjcmV0", small] {
            let Err(Error::Internal(source)) = read(pem).map(|_| ()) else { panic!("{pem} is no key") };
            let text = source.to_string();
            assert!(text.starts_with("OIDC_RSA_PRIVATE_KEY is \"[secret]\""), "{text}");
            assert!(text.contains("allowed is an RSA private key") && !text.contains("c2VjcmV0"), "{text}");
        }
        let good = SigningKey::generate().unwrap().to_pkcs8_pem().unwrap();
        assert!(read(&good).unwrap().is_some());
        assert!(configured_key(&Config::read([], None).unwrap()).unwrap().is_none());
    }

    #[test]
    fn invite_codes_that_everybody_knows_are_recognized() {
        for known in ["jhe", "JHE", " helloworld ", "HelloWorld"] {
            assert!(is_known_to_all(known), "{known}");
        }
        for own in ["", "jhe-4f9a", "quiet harbour"] {
            assert!(!is_known_to_all(own), "{own}");
        }
    }

    #[test]
    fn a_published_key_signs_nothing_in_production() {
        assert!(refuse_published(Some(PUBLISHED), true).is_err());
        assert!(refuse_published(Some(PUBLISHED), false).is_ok());
        assert!(refuse_published(Some("another"), true).is_ok());
        assert!(refuse_published(None, true).is_ok());
    }
}
