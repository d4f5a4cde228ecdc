//! The service that gathers readings of wearables, Open Wearables (integrations §2).

use std::time::Duration;

use jhe_domain::error::Error;
use jhe_domain::{Phi, Secret};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header};
use serde::Deserialize;
use serde_json::Value;

use crate::body;

/// How long an answer may take (integrations §2).
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer.
const LARGEST: usize = 1024 * 1024;
/// What the service knows us by.
const KEY: &str = "X-Open-Wearables-API-Key";

/// Why the service did not do what it was asked. Names neither account nor key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WearableFault {
    /// In words.
    pub reason: String,
}

/// Whether a text is an address such a service can have.
pub fn is_address(text: &str) -> bool {
    address(text).is_some()
}

fn address(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then_some(url)
}

/// Where the service is, and the key it knows us by.
pub struct Service {
    /// Base address, perhaps with a path.
    pub address: String,
    /// What requests carry.
    pub key: Secret,
}

/// A patient's connection with a provider, as the service describes it. Whatever else it tells is left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Connection {
    /// Id at the service.
    pub id: Option<String>,
    /// The account at the service.
    pub user_id: Option<String>,
    /// Whose devices.
    pub provider: Option<String>,
    /// The account at the provider.
    pub provider_user_id: Option<String>,
    /// Its name there.
    pub provider_username: Option<String>,
    /// What the provider was permitted to tell.
    pub scope: Option<String>,
    /// `active`, `revoked` or `expired`.
    pub status: Option<String>,
    /// When readings came last.
    pub last_synced_at: Option<String>,
    /// Since when.
    pub created_at: Option<String>,
    /// Changed last.
    pub updated_at: Option<String>,
}

impl Connection {
    /// Whether readings come: neither revoked nor expired.
    pub fn is_active(&self) -> bool {
        self.status.as_deref().is_none_or(|status| status == "active")
    }
}

fn fault(reason: &str) -> WearableFault {
    WearableFault { reason: reason.to_owned() }
}

impl Service {
    /// The address of an account's connections, and of what is below them.
    fn connections(&self, account: &Phi<String>, below: Option<&str>) -> Result<Url, WearableFault> {
        let mut url = address(&self.address).ok_or_else(|| fault("the address of the service is none"))?;
        if matches!(account.reveal().as_str(), "." | "..") {
            return Err(fault("the account is none"));
        }
        url.path_segments_mut()
            .map_err(|()| fault("the address of the service is none"))?
            .pop_if_empty()
            .extend(["api", "v1", "users", account.reveal(), "connections"])
            .extend(below);
        Ok(url)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, WearableFault> {
        let answer = request.header(KEY, self.key.reveal()).send().await;
        answer.map_err(|error| {
            fault(if error.is_timeout() {
                "the service did not answer in time"
            } else {
                "the service cannot be reached"
            })
        })
    }
}

/// Asks the service that an administrator named.
pub struct Wearables(Client);

impl Wearables {
    /// Prepares to ask; connects to nothing yet.
    pub fn new() -> Result<Self, Error> {
        // The key goes to the address that was named, and nowhere it might point to.
        Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .redirect(Policy::none())
            .build()
            .map(Self)
            .map_err(Error::internal)
    }

    /// Ends the connection of an account with a provider; done, too, when there is none.
    pub async fn disconnect(
        &self,
        service: &Service,
        account: &Phi<String>,
        provider: &str,
    ) -> Result<(), WearableFault> {
        let url = service.connections(account, Some(provider))?;
        let answer = service.send(self.0.delete(url)).await?;
        match answer.status() {
            status if status.is_success() || matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) => Ok(()),
            status => Err(fault(&format!("the service answered {}", status.as_u16()))),
        }
    }

    /// The connections of an account, as the service describes them; none when it refuses to say.
    pub async fn connections(
        &self,
        service: &Service,
        account: &Phi<String>,
    ) -> Result<Vec<Connection>, WearableFault> {
        let request = self.0.get(service.connections(account, None)?).header(header::ACCEPT, "application/json");
        let answer = service.send(request).await?;
        if answer.status() != StatusCode::OK {
            return Ok(Vec::new());
        }
        let body = body::json(answer, LARGEST).await.ok_or_else(|| fault("the service answered no JSON"))?;
        // Lists of it come bare or in `data`.
        let rows = match body {
            Value::Object(mut page) => page.remove("data").unwrap_or_default(),
            rows => rows,
        };
        serde_json::from_value(rows).map_err(|_| fault("the service answered no list"))
    }
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn addresses_are_web_addresses_without_anything_secret() {
        for text in
            ["http://localhost:8001", "https://ow.example.org", "https://example.org/wearables/", "http://[::1]:8001"]
        {
            assert!(is_address(text), "{text}");
        }
        for text in [
            "",
            "localhost:8001",
            "ftp://x.example",
            "https://u:p@x.example",
            "https://x.example/?a=1",
            "//x",
            "https://",
        ] {
            assert!(!is_address(text), "{text}");
        }
    }
}
