//! The service that gathers readings of wearables, Open Wearables (integrations §2).

use std::time::Duration;

use jhe_domain::error::Error;
use jhe_domain::{Phi, Secret};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

/// How long an answer may take (integrations §2).
const TIMEOUT: Duration = Duration::from_secs(10);
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
        service: &str,
        key: &Secret,
        account: &Phi<String>,
        provider: &str,
    ) -> Result<(), WearableFault> {
        let fault = |reason: &str| WearableFault { reason: reason.to_owned() };
        let mut url = address(service).ok_or_else(|| fault("the address of the service is none"))?;
        if matches!(account.reveal().as_str(), "." | "..") {
            return Err(fault("the account is none"));
        }
        url.path_segments_mut().map_err(|()| fault("the address of the service is none"))?.pop_if_empty().extend([
            "api",
            "v1",
            "users",
            account.reveal(),
            "connections",
            provider,
        ]);
        let answer = self.0.delete(url).header(KEY, key.reveal()).send().await;
        match answer.map(|answer| answer.status()) {
            Ok(status) if status.is_success() || matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) => Ok(()),
            Ok(status) => Err(fault(&format!("the service answered {}", status.as_u16()))),
            Err(error) if error.is_timeout() => Err(fault("the service did not answer in time")),
            Err(_) => Err(fault("the service cannot be reached")),
        }
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
