//! Keys of other issuers, found by discovery: SMART configuration first, OpenID configuration second (identity §2.4).
//!
//! Fetched with limits of time and size, from public addresses, and kept for a while.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jhe_config::Config;
use jhe_domain::error::Error;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url, header};
use serde_json::Value;

use crate::address::is_public;
use crate::body;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer.
const LARGEST: usize = 1024 * 1024;
/// How long an address of keys is kept.
const DISCOVERY: Duration = Duration::from_mins(10);
/// How long keys are kept.
const KEYS: Duration = Duration::from_mins(5);
/// How soon keys are fetched again when a token names one that is missing.
const AGAIN: Duration = Duration::from_mins(1);
/// Redirects followed at most.
const REDIRECTS: usize = 3;
/// Where issuers tell where their keys are, in this order.
const DOCUMENTS: [&str; 2] = ["/.well-known/smart-configuration", "/.well-known/openid-configuration"];

/// Why the keys of an issuer cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerFault {
    /// No document tells an https address of its keys.
    #[error("no address of keys was found")]
    NoAddress,
    /// The address does not yield keys.
    #[error("no keys were found")]
    NoKeys,
}

/// Fetches and keeps the keys of other issuers.
pub struct Issuers {
    client: Client,
    allow_private: bool,
    kept: Mutex<HashMap<String, Kept>>,
}

#[derive(Clone)]
struct Kept {
    address: Url,
    found: Instant,
    keys: Arc<Value>,
    fetched: Instant,
}

/// The certificate authorities of a file an operator named.
fn authorities(file: &Path) -> Result<Vec<Certificate>, Error> {
    let fault = |why: &str| {
        Error::internal(format!(
            "JHE_SOF_CA_FILE is \"{}\" ({why}); allowed is a file with PEM certificates, \"BEGIN CERTIFICATE\"",
            file.display()
        ))
    };
    let pem = std::fs::read(file).map_err(|error| fault(&error.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|_| fault("it is not PEM"))?;
    if found.is_empty() { Err(fault("it holds no certificate")) } else { Ok(found) }
}

impl Issuers {
    /// Prepares to fetch; connects to nothing yet.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let allow_private = config.auth.sof_allow_private;
        let mut builder = Client::builder()
            .timeout(TIMEOUT)
            // A proxy would connect in our place, past the check of addresses.
            .no_proxy()
            .redirect(redirects(allow_private));
        if let Some(file) = &config.auth.sof_ca_file {
            builder = builder.tls_certs_merge(authorities(file)?);
        }
        if !allow_private {
            builder = builder.dns_resolver(Public);
        }
        let client = builder.build().map_err(Error::internal)?;
        Ok(Self { client, allow_private, kept: Mutex::new(HashMap::new()) })
    }

    /// The keys of an issuer, as a JWK set. `again` fetches them anew when the last time was a while ago: for a token
    /// that names a key that is not among them.
    ///
    /// # Errors
    /// See [`IssuerFault`].
    pub async fn keys(&self, issuer: &str, again: bool) -> Result<Arc<Value>, IssuerFault> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(issuer).cloned();
        let age = if again { AGAIN } else { KEYS };
        if let Some(kept) = kept.as_ref().filter(|kept| kept.fetched.elapsed() < age) {
            return Ok(Arc::clone(&kept.keys));
        }
        let (address, found) = match kept.filter(|kept| kept.found.elapsed() < DISCOVERY) {
            Some(kept) => (kept.address, kept.found),
            None => (self.discover(issuer).await?, Instant::now()),
        };
        let keys = self.json(address.clone()).await.filter(|keys| keys.get("keys").is_some_and(Value::is_array));
        let keys = Arc::new(keys.ok_or(IssuerFault::NoKeys)?);
        let kept = Kept { address, found, keys: Arc::clone(&keys), fetched: Instant::now() };
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(issuer.to_owned(), kept);
        Ok(keys)
    }

    async fn discover(&self, issuer: &str) -> Result<Url, IssuerFault> {
        for document in DOCUMENTS {
            let Ok(url) = format!("{}{document}", issuer.trim_end_matches('/')).parse() else { continue };
            let Some(body) = self.json(url).await else { continue };
            let address = body.get("jwks_uri").and_then(Value::as_str).and_then(|uri| uri.parse::<Url>().ok());
            if let Some(address) = address.filter(|address| address.scheme() == "https") {
                return Ok(address);
            }
        }
        Err(IssuerFault::NoAddress)
    }

    /// A JSON document; `None` for everything that is none.
    async fn json(&self, url: Url) -> Option<Value> {
        if !may_reach(&url, self.allow_private) {
            tracing::warn!("an issuer names an address that is not public");
            return None;
        }
        let request = self.client.get(url).header(header::ACCEPT, "application/json");
        let answer = request.send().await.ok()?.error_for_status().ok()?;
        body::json(answer, LARGEST).await
    }
}

/// Whether a URL may be asked: names are judged when they are resolved, addresses here.
fn may_reach(url: &Url, allow_private: bool) -> bool {
    let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    matches!(url.scheme(), "http" | "https") && (allow_private || literal.is_none_or(is_public))
}

/// A few redirects, never to another scheme.
fn redirects(allow_private: bool) -> Policy {
    Policy::custom(move |attempt| {
        let first = attempt.previous().first().map(|url| url.scheme().to_owned());
        let same = first.is_some_and(|scheme| scheme == attempt.url().scheme());
        if attempt.previous().len() > REDIRECTS || !same || !may_reach(attempt.url(), allow_private) {
            attempt.stop()
        } else {
            attempt.follow()
        }
    })
}

/// Resolves names to public addresses only.
struct Public;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err("the name has no public address".into());
            }
            let addresses: Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}
