//! Signing in and tokens (contract: identity).

mod accounts;
mod audit;
mod authorize;
mod clients;
mod corners;
mod discovery;
mod exchange;
mod grants;
mod held;
mod introspection;
mod invitations;
mod limits;
mod logout;
mod sign_in;
mod tokens;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jhe_app::operator::{self, ClientRequest};
use jhe_domain::client::GrantType;
use jhe_testkit::{Reply, TestServer};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::Value;

/// RFC 7636, appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The web console's client.
pub(crate) async fn console(server: &TestServer) -> String {
    server.scalar("SELECT client_id FROM oauth2_provider_application WHERE name = 'JHE Admin UI'").await
}

/// Asks the token endpoint.
pub(crate) async fn token(server: &TestServer, form: &[(&str, &str)]) -> Reply {
    server.post("/o/token/").form(form).send().await
}

/// A browser: cookies, no automatic redirects.
pub(crate) struct Browser(Client);

/// What a browser was sent to.
pub(crate) struct Landing {
    pub(crate) status: u16,
    pub(crate) location: String,
    pub(crate) text: String,
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self(Client::builder().cookie_store(true).redirect(Policy::none()).no_proxy().build().unwrap())
    }

    /// One that opens a connection for each request.
    pub(crate) fn of_many_connections() -> Self {
        let builder = Client::builder().cookie_store(true).redirect(Policy::none()).no_proxy();
        Self(builder.pool_max_idle_per_host(0).build().unwrap())
    }

    pub(crate) async fn get(&self, url: &str) -> Landing {
        landing(self.0.get(url).send().await.unwrap()).await
    }

    pub(crate) async fn head(&self, url: &str) -> Landing {
        landing(self.0.head(url).send().await.unwrap()).await
    }

    /// Where an address of ours leads, which may be relative.
    pub(crate) async fn follow(&self, server: &TestServer, location: &str) -> Landing {
        self.get(&absolute(server, location)).await
    }

    /// Submits a form of the page at `url`, with its form token.
    pub(crate) async fn submit(&self, url: &str, fields: &[(&str, &str)]) -> Landing {
        let page = self.get(url).await;
        let csrf = page
            .text
            .split("name=\"csrfmiddlewaretoken\" value=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        let mut form = vec![("csrfmiddlewaretoken", csrf.as_str())];
        form.extend(fields);
        landing(self.0.post(url).form(&form).send().await.unwrap()).await
    }

    /// Submits a form without its token.
    pub(crate) async fn forge(&self, url: &str, fields: &[(&str, &str)]) -> Landing {
        landing(self.0.post(url).form(fields).send().await.unwrap()).await
    }

    /// Signs in.
    pub(crate) async fn sign_in(&self, server: &TestServer, email: &str, password: &str) -> Landing {
        self.submit(&format!("{}/accounts/login/", server.base), &[("username", email), ("password", password)]).await
    }
}

/// An address of ours with scheme and host.
pub(crate) fn absolute(server: &TestServer, location: &str) -> String {
    if location.starts_with('/') { format!("{}{location}", server.base) } else { location.to_owned() }
}

async fn landing(response: reqwest::Response) -> Landing {
    let location =
        response.headers().get("location").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    Landing { status: response.status().as_u16(), location, text: response.text().await.unwrap() }
}

/// An authorization request of the console, with changes.
pub(crate) async fn authorize_url(server: &TestServer, changes: &[(&str, &str)]) -> String {
    let client = console(server).await;
    let redirect = format!("{}/auth/callback", server.base);
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", client.as_str()),
        ("redirect_uri", redirect.as_str()),
        ("scope", "openid"),
        ("state", "a state"),
        ("nonce", "a nonce"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        if !value.is_empty() {
            fields.push((name, value));
        }
    }
    Url::parse_with_params(&format!("{}/o/authorize/", server.base), fields).unwrap().to_string()
}

/// A parameter of a URL.
pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The code a signed-in browser gets.
pub(crate) async fn code(server: &TestServer, browser: &Browser) -> String {
    let landing = browser.get(&authorize_url(server, &[]).await).await;
    assert_eq!(landing.status, 302, "{}", landing.text);
    parameter(&landing.location, "code").unwrap_or_else(|| panic!("no code in {}", landing.location))
}

/// Exchanges a code of the console's requests.
pub(crate) async fn exchange(server: &TestServer, code: &str, client: &str, changes: &[(&str, &str)]) -> Reply {
    let redirect = format!("{}/auth/callback", server.base);
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect.as_str()),
        ("client_id", client),
        ("code_verifier", VERIFIER),
    ];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        if !value.is_empty() {
            fields.push((name, value));
        }
    }
    token(server, &fields).await
}

/// The tokens the console gets for a signed-in browser and some scopes.
pub(crate) async fn console_tokens(server: &TestServer, browser: &Browser, scope: &str) -> Value {
    let landing = browser.get(&authorize_url(server, &[("scope", scope)]).await).await;
    let code = parameter(&landing.location, "code").unwrap_or_else(|| panic!("no code in {}", landing.location));
    exchange(server, &code, &console(server).await, &[]).await.expect(200).json()
}

/// A text of a JSON answer.
#[track_caller]
pub(crate) fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}")).to_owned()
}

/// The claims of a JWT, unverified.
pub(crate) fn claims(jwt: &str) -> Value {
    part(jwt, 1)
}

/// A part of a JWT, unverified: its header is 0, its claims are 1.
pub(crate) fn part(jwt: &str, index: usize) -> Value {
    let encoded = jwt.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}

/// Registers a client; its identifier and its secret, empty for a public one.
pub(crate) async fn register(
    server: &TestServer,
    name: &str,
    grants: &[GrantType],
    redirect_uris: &[&str],
    change: impl FnOnce(&mut ClientRequest),
) -> (String, String) {
    let mut request = ClientRequest {
        name: name.to_owned(),
        grants: grants.to_vec(),
        redirect_uris: redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(),
        ..ClientRequest::default()
    };
    change(&mut request);
    let (client, secret) = operator::create_client(server.store(), request, None).await.unwrap();
    (client, secret.unwrap_or_default())
}
