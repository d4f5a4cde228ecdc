//! The main job once, over HTTP, as its users do it: practitioner, patient's app, notebook.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jhe_app::App;
use jhe_app::seed::DEMO_PASSWORD;
use jhe_crypto::{OsEntropy, pkce};
use reqwest::cookie::{CookieStore, Jar};
use reqwest::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::cli::print;

/// Why a step did not hold.
type Fault = String;
type Outcome<T> = Result<T, Fault>;

const ORGANIZATION: i64 = 20003;
const GLUCOSE: i64 = 50001;
const DEXCOM: i64 = 70002;
const CAREX: i64 = 1;
const READINGS: usize = 3;

/// Runs every step; prints each as a line with details below it. `true` when all held.
pub(crate) async fn run(app: &App, address: SocketAddr) -> bool {
    let mut walk = match Walk::new(app, address).await {
        Ok(walk) => walk,
        Err(fault) => {
            print(&format!("step 0/{STEPS} prepare: FAILED {fault}")).ok();
            return false;
        }
    };
    walk.all().await
}

const STEPS: usize = 13;

struct Walk {
    place: Place,
    http: Client,
    console: String,
    static_verifier: String,
    stamp: String,
    step: usize,
    details: String,
    practitioner: String,
    patient_token: String,
    study: i64,
    patient: i64,
    invitation: String,
}

/// An answer: status and body.
struct Answer {
    status: StatusCode,
    body: Value,
}

impl Answer {
    fn expect(self, status: StatusCode) -> Outcome<Value> {
        if self.status == status {
            Ok(self.body)
        } else {
            Err(format!("answered {} {}", self.status, shorten(&self.body.to_string())))
        }
    }
}

fn shorten(text: &str) -> String {
    let short: String = text.chars().take(160).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

fn need<'a>(body: &'a Value, pointer: &str) -> Outcome<&'a Value> {
    body.pointer(pointer).ok_or_else(|| format!("the answer has no {pointer}: {}", shorten(&body.to_string())))
}

fn number(body: &Value, pointer: &str) -> Outcome<i64> {
    need(body, pointer)?.as_i64().ok_or_else(|| format!("{pointer} is not a number"))
}

fn text(body: &Value, pointer: &str) -> Outcome<String> {
    Ok(need(body, pointer)?.as_str().ok_or_else(|| format!("{pointer} is not text"))?.to_owned())
}

fn equal(what: &str, got: i64, expected: i64) -> Outcome<()> {
    if got == expected { Ok(()) } else { Err(format!("{what} is {got}, not {expected}")) }
}

/// The code of a link. What stands before it, prefix, host and separator, is the operator's choice; the code is always its
/// last thirty letters.
fn code_of(link: &str) -> Option<&str> {
    const LENGTH: usize = 30;
    let code = link.get(link.len().checked_sub(LENGTH)?..)?;
    code.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(code)
}

/// The site, as people know it and as it is reached from here: whatever SITE_URL says, requests go to our own listener, with
/// the headers that a proxy in front of it would send.
struct Place {
    /// As the setting has it, which redirect URIs begin with letter by letter.
    text: String,
    site: Url,
    /// Without a path.
    here: String,
}

impl Place {
    fn new(site: &str, address: SocketAddr) -> Outcome<Self> {
        let text = site.trim_end_matches('/').to_owned();
        let site = Url::parse(site).map_err(|error| format!("the site has no usable address: {error}"))?;
        Ok(Self { text, site, here: format!("http://{address}") })
    }

    /// Where the console gets its codes.
    fn callback(&self) -> String {
        format!("{}/auth/callback", self.text)
    }

    /// How to ask for a path from here.
    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.here)
    }

    /// How to ask for an address of the site from here.
    fn near(&self, url: &Url) -> String {
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        self.path(&format!("{}{query}", url.path()))
    }

    /// What answers a redirect: an address of the site, or elsewhere.
    fn location(&self, response: &reqwest::Response) -> Outcome<Url> {
        let target = response
            .headers()
            .get(reqwest::header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| format!("answered {} without a redirect", response.status()))?;
        self.site.join(target).map_err(|error| error.to_string())
    }

    fn client(&self) -> Outcome<ClientBuilder> {
        let value = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
        let host = self.text.split_once("://").map_or(self.text.as_str(), |(_, host)| host);
        let mut headers = HeaderMap::from_iter([(HOST, value(host)?), (ORIGIN, value(&self.text)?)]);
        if self.site.scheme() == "https" {
            headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        }
        let client = Client::builder().redirect(Policy::none()).no_proxy();
        Ok(client.default_headers(headers).timeout(std::time::Duration::from_secs(30)))
    }
}

/// Cookies of the site, wherever it is reached: those for TLS alone would not travel to our listener otherwise.
struct SiteCookies {
    jar: Jar,
    site: Url,
}

impl SiteCookies {
    fn seen(&self, url: &Url) -> Url {
        let mut seen = self.site.clone();
        seen.set_path(url.path());
        seen
    }
}

impl CookieStore for SiteCookies {
    fn set_cookies(&self, headers: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
        self.jar.set_cookies(headers, &self.seen(url));
    }

    fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        self.jar.cookies(&self.seen(url))
    }
}

impl Walk {
    async fn new(app: &App, address: SocketAddr) -> Outcome<Self> {
        let place = Place::new(&app.settings().site_url(), address)?;
        let http = place.client()?.build().map_err(|error| error.to_string())?;
        let console = jhe_app::identity::console_client_id(app).await.map_err(|error| error.to_string())?;
        Ok(Self {
            place,
            http,
            console: console.ok_or("there is no client named JHE Admin UI")?,
            static_verifier: app.identity().static_verifier().ok_or("there is no static verifier")?,
            stamp: app.now().timestamp_micros().to_string(),
            step: 0,
            details: String::new(),
            practitioner: String::new(),
            patient_token: String::new(),
            study: 0,
            patient: 0,
            invitation: String::new(),
        })
    }

    fn report(&mut self, what: &str, outcome: &Outcome<()>) -> bool {
        self.step += 1;
        let (step, details) = (self.step, std::mem::take(&mut self.details));
        let line = match outcome {
            Ok(()) => format!("step {step}/{STEPS} {what}: ok"),
            Err(fault) => format!("step {step}/{STEPS} {what}: FAILED {fault}"),
        };
        print(&format!("{line}{details}")).ok();
        outcome.is_ok()
    }

    fn note(&mut self, text: &str) {
        write!(self.details, "\n    {text}").ok();
    }

    async fn all(&mut self) -> bool {
        let mut held = true;
        macro_rules! step {
            ($what:literal, $step:expr) => {
                if held {
                    let outcome = $step.await;
                    held = self.report($what, &outcome);
                }
            };
        }
        step!("practitioner signs in (authorization code, PKCE)", self.sign_in());
        step!("practitioner creates a study with a scope request and a data source", self.create_study());
        step!("practitioner creates a patient and enrols it", self.create_patient());
        step!("practitioner creates an invitation link", self.create_link());
        step!("patient's app exchanges the link for a token", self.exchange_link());
        step!("the same patient redeems an invitation of a client", self.redeem_invitation());
        step!("patient's app reads the requested scopes", self.read_pending());
        step!("patient consents", self.consent());
        step!("patient's app uploads a Bundle of blood glucose readings", self.upload());
        step!("practitioner reads them through /api/v1 and FHIR", self.read_back());
        step!("patient withdraws consent", self.withdraw());
        step!("the same reads return nothing", self.read_nothing());
        // What the walk made goes, also after a failure, so that it leaves no trace in lists and counts.
        let cleaned = self.clean_up().await;
        let cleaned = if held { self.report("practitioner deletes the study and the patient", &cleaned) } else { true };
        held && cleaned
    }

    async fn call(&mut self, method: Method, path: &str, token: &str, body: Option<Value>) -> Outcome<Answer> {
        let shown = path.split('?').next().unwrap_or(path);
        let mut request = self.http.request(method.clone(), self.place.path(path));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| error.to_string())?;
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap_or(Value::Null) };
        self.note(&format!("{method} {shown} -> {}", status.as_u16()));
        Ok(Answer { status, body })
    }

    async fn token(&mut self, form: &[(&str, &str)]) -> Outcome<Value> {
        let request = self.http.post(self.place.path("/o/token/")).form(form);
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body: Value = response.json().await.map_err(|error| error.to_string())?;
        self.note(&format!("POST /o/token/ -> {}", status.as_u16()));
        Answer { status, body }.expect(StatusCode::OK)
    }

    async fn sign_in(&mut self) -> Outcome<()> {
        let pair = pkce::new_pair(&mut OsEntropy);
        let (verifier, challenge) = (pair.0, pair.1);
        let redirect = self.place.callback();
        let query = [
            ("response_type", "code"),
            ("client_id", &self.console),
            ("redirect_uri", &redirect),
            ("scope", "openid"),
            ("state", &self.stamp),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let authorize =
            Url::parse_with_params(&format!("{}/o/authorize/", self.place.text), query).map_err(|e| e.to_string())?;
        let cookies = SiteCookies { jar: Jar::default(), site: self.place.site.clone() };
        let browser =
            self.place.client()?.cookie_provider(Arc::new(cookies)).build().map_err(|error| error.to_string())?;
        let login = self.follow(&browser, &authorize).await?;
        let login = self.place.near(&login);
        let page =
            browser.get(&login).send().await.map_err(|e| e.to_string())?.text().await.map_err(|e| e.to_string())?;
        let csrf = page
            .split("name=\"csrfmiddlewaretoken\" value=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .ok_or("the sign-in page has no form token")?
            .to_owned();
        let form = [
            ("csrfmiddlewaretoken", csrf.as_str()),
            ("username", "manager_mary@example.com"),
            ("password", DEMO_PASSWORD),
        ];
        let response = browser.post(login).form(&form).send().await.map_err(|e| e.to_string())?;
        self.note(&format!("POST /accounts/login/ -> {}", response.status().as_u16()));
        let back = self.place.location(&response)?;
        let callback = self.follow(&browser, &back).await?;
        let pairs: std::collections::HashMap<_, _> = callback.query_pairs().into_owned().collect();
        if pairs.get("state") != Some(&self.stamp) {
            return Err("the state that came back is not the one sent".to_owned());
        }
        let code = pairs.get("code").ok_or("no code came back")?.clone();
        let console = self.console.clone();
        let body = self
            .token(&[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", &redirect),
                ("client_id", &console),
                ("code_verifier", &verifier),
            ])
            .await?;
        self.practitioner = text(&body, "/access_token")?;
        let profile = self.call(Method::GET, "/api/v1/users/profile", &self.practitioner.clone(), None).await?;
        let profile = profile.expect(StatusCode::OK)?;
        self.note(&format!("signed in as user {}", number(&profile, "/id")?));
        Ok(())
    }

    /// Follows one redirect.
    async fn follow(&self, browser: &Client, url: &Url) -> Outcome<Url> {
        let response = browser.get(self.place.near(url)).send().await.map_err(|error| error.to_string())?;
        self.place.location(&response)
    }

    async fn create_study(&mut self) -> Outcome<()> {
        let token = self.practitioner.clone();
        let body = json!({
            "organization": ORGANIZATION,
            "name": format!("Walk {}", self.stamp),
            "description": "Made and deleted by jhe demo",
        });
        let study =
            self.call(Method::POST, "/api/v1/studies", &token, Some(body)).await?.expect(StatusCode::CREATED)?;
        self.study = number(&study, "/id")?;
        let path = format!("/api/v1/studies/{}/scope_requests", self.study);
        let body = json!({ "scopeCodeId": GLUCOSE });
        self.call(Method::POST, &path, &token, Some(body)).await?.expect(StatusCode::CREATED)?;
        let path = format!("/api/v1/studies/{}/data_sources", self.study);
        let body = json!({ "dataSourceId": DEXCOM });
        self.call(Method::POST, &path, &token, Some(body)).await?.expect(StatusCode::CREATED)?;
        self.note(&format!("study {}", self.study));
        Ok(())
    }

    async fn create_patient(&mut self) -> Outcome<()> {
        let token = self.practitioner.clone();
        let body = json!({
            "organizationId": ORGANIZATION,
            "telecomEmail": format!("walk_{}@example.com", self.stamp),
            "nameFamily": format!("Walk{}", self.stamp),
            "nameGiven": "Wanda",
            "birthDate": "1990-01-31",
        });
        let patient =
            self.call(Method::POST, "/api/v1/patients", &token, Some(body)).await?.expect(StatusCode::CREATED)?;
        self.patient = number(&patient, "/id")?;
        let path = format!("/api/v1/studies/{}/patients", self.study);
        let body = json!({ "patientIds": [self.patient] });
        self.call(Method::POST, &path, &token, Some(body)).await?.expect(StatusCode::CREATED)?;
        self.note(&format!("patient {}", self.patient));
        Ok(())
    }

    async fn create_link(&mut self) -> Outcome<()> {
        let path = format!("/api/v1/patients/{}/invitation_link", self.patient);
        let body = self.call(Method::GET, &path, &self.practitioner.clone(), None).await?.expect(StatusCode::OK)?;
        self.invitation = text(&body, "/invitationLink")?;
        Ok(())
    }

    async fn exchange_link(&mut self) -> Outcome<()> {
        let code = code_of(&self.invitation).ok_or("the link does not end with a code")?.to_owned();
        let (console, verifier) = (self.console.clone(), self.static_verifier.clone());
        let redirect = self.place.callback();
        let body = self
            .token(&[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", &redirect),
                ("client_id", &console),
                ("code_verifier", &verifier),
            ])
            .await?;
        self.patient_token = text(&body, "/access_token")?;
        let profile = self.call(Method::GET, "/api/v1/users/profile", &self.patient_token.clone(), None).await?;
        equal("the patient of the token", number(&profile.expect(StatusCode::OK)?, "/patient/id")?, self.patient)
    }

    async fn redeem_invitation(&mut self) -> Outcome<()> {
        let body = json!({ "patientId": self.patient, "clientId": CAREX });
        let made = self.call(Method::POST, "/api/v1/invitation", &self.practitioner.clone(), Some(body)).await?;
        let token = text(&made.expect(StatusCode::CREATED)?, "/token")?;
        let request = self.http.post(self.place.path(&format!("/api/v1/invitation/{token}")));
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body: Value = response.json().await.map_err(|error| error.to_string())?;
        self.note(&format!("POST /api/v1/invitation/<token> -> {}", status.as_u16()));
        let grant = Answer { status, body }.expect(StatusCode::OK)?;
        let verifier = URL_SAFE_NO_PAD.encode(token.as_bytes());
        let (code, client, redirect) =
            (text(&grant, "/grant/code")?, text(&grant, "/grant/client_id")?, text(&grant, "/grant/redirect_uri")?);
        let body = self
            .token(&[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", &redirect),
                ("client_id", &client),
                ("code_verifier", &verifier),
            ])
            .await?;
        self.patient_token = text(&body, "/access_token")?;
        Ok(())
    }

    async fn read_pending(&mut self) -> Outcome<()> {
        let path = format!("/api/v1/patients/{}/consents", self.patient);
        let body = self.call(Method::GET, &path, &self.patient_token.clone(), None).await?.expect(StatusCode::OK)?;
        equal("the pending study", number(&body, "/studiesPendingConsent/0/id")?, self.study)?;
        let code = text(&body, "/studiesPendingConsent/0/pendingScopeConsents/0/code/codingCode")?;
        self.note(&format!("study {} asks for {code}", self.study));
        Ok(())
    }

    fn answer(&self, consented: bool) -> Value {
        json!({ "studyScopeConsents": [{ "studyId": self.study, "scopeConsents": [{
            "codingSystem": "https://w3id.org/openmhealth",
            "codingCode": "omh:blood-glucose:4.0",
            "consented": consented,
        }] }] })
    }

    async fn consent(&mut self) -> Outcome<()> {
        let path = format!("/api/v1/patients/{}/consents", self.patient);
        let body = self.answer(true);
        self.call(Method::POST, &path, &self.patient_token.clone(), Some(body)).await?.expect(StatusCode::CREATED)?;
        Ok(())
    }

    async fn upload(&mut self) -> Outcome<()> {
        let entries: Vec<Value> = (0..READINGS).map(|index| self.entry(index)).collect::<Outcome<_>>()?;
        let body = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries });
        let answer = self.call(Method::POST, "/fhir/r5/", &self.patient_token.clone(), Some(body)).await?;
        let body = answer.expect(StatusCode::OK)?;
        for index in 0..READINGS {
            let status = text(&body, &format!("/entry/{index}/response/status"))?;
            if status != "201 Created" {
                return Err(format!("entry {index} answered {status}"));
            }
        }
        self.note(&format!("{READINGS} readings stored"));
        Ok(())
    }

    fn entry(&self, index: usize) -> Outcome<Value> {
        let time = format!("2026-01-{:02}T08:30:00Z", index + 1);
        let code = "omh:blood-glucose:4.0";
        let document = jhe_omh::examples::synthetic(code, u64::try_from(index).unwrap_or_default(), &time)
            .ok_or("there is no example of blood glucose")?;
        Ok(json!({
            "request": { "method": "POST", "url": "Observation" },
            "resource": {
                "resourceType": "Observation",
                "status": "final",
                "identifier": [{ "system": "https://walk.example.com", "value": format!("{}-{index}", self.stamp) }],
                "subject": { "reference": format!("Patient/{}", self.patient) },
                "device": { "reference": format!("Device/{DEXCOM}") },
                "code": { "coding": [{ "system": "https://w3id.org/openmhealth", "code": code }] },
                "valueAttachment": { "contentType": "application/json", "data": STANDARD.encode(document) },
            },
        }))
    }

    async fn totals(&mut self) -> Outcome<(i64, i64, Value)> {
        let token = self.practitioner.clone();
        let (study, patient) = (self.study, self.patient);
        let path = format!("/api/v1/observations?organization_id={ORGANIZATION}&study_id={study}&patient_id={patient}");
        let admin = self.call(Method::GET, &path, &token, None).await?.expect(StatusCode::OK)?;
        let path = format!("/fhir/r5/Observation?patient._has:Group:member:_id={study}&patient={patient}");
        let fhir = self.call(Method::GET, &path, &token, None).await?.expect(StatusCode::OK)?;
        Ok((number(&admin, "/count")?, number(&fhir, "/total")?, fhir))
    }

    async fn read_back(&mut self) -> Outcome<()> {
        let expected = i64::try_from(READINGS).unwrap_or_default();
        let (admin, fhir, bundle) = self.totals().await?;
        equal("the count of /api/v1/observations", admin, expected)?;
        equal("the total of FHIR Observation", fhir, expected)?;
        let data = text(&bundle, "/entry/0/resource/valueAttachment/data")?;
        let document: Value = STANDARD
            .decode(data)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or("the attachment does not decode")?;
        let value = need(&document, "/body/blood_glucose")?;
        self.note(&format!("{admin} readings, the newest {value}"));
        Ok(())
    }

    async fn withdraw(&mut self) -> Outcome<()> {
        let path = format!("/api/v1/patients/{}/consents", self.patient);
        let body = self.answer(false);
        self.call(Method::PATCH, &path, &self.patient_token.clone(), Some(body)).await?.expect(StatusCode::OK)?;
        Ok(())
    }

    async fn read_nothing(&mut self) -> Outcome<()> {
        let (admin, fhir, _) = self.totals().await?;
        equal("the count of /api/v1/observations", admin, 0)?;
        equal("the total of FHIR Observation", fhir, 0)
    }

    async fn clean_up(&mut self) -> Outcome<()> {
        let token = self.practitioner.clone();
        if self.study != 0 {
            let path = format!("/api/v1/studies/{}", self.study);
            self.call(Method::DELETE, &path, &token, None).await?.expect(StatusCode::NO_CONTENT)?;
        }
        if self.patient != 0 {
            let path = format!("/api/v1/patients/{}?organization_id={ORGANIZATION}", self.patient);
            self.call(Method::DELETE, &path, &token, None).await?.expect(StatusCode::NO_CONTENT)?;
        }
        // The sign-in of the walk is remembered by the practitioner's profile only; put the selection back.
        let path = format!("/api/v1/patients?organization_id={ORGANIZATION}&study_id=30001");
        self.call(Method::GET, &path, &token, None).await?.expect(StatusCode::OK)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_is_asked_here_whatever_it_is_called() {
        let check = |site: &str, url: &str, expected: &str| {
            let place = Place::new(site, SocketAddr::from(([127, 0, 0, 1], 8000))).unwrap();
            assert_eq!(place.near(&Url::parse(url).unwrap()), expected, "{site}");
        };
        check("http://localhost:8000", "http://localhost:8000/a?b=c", "http://127.0.0.1:8000/a?b=c");
        check("https://localhost", "https://localhost/a?b=c", "http://127.0.0.1:8000/a?b=c");
        check("http://jhe.test:80", "http://jhe.test/", "http://127.0.0.1:8000/");
    }

    #[test]
    fn the_code_is_found_whatever_stands_before_it() {
        const CODE: &str = "LhS05iR1rOnpS4JWfP6GeVUIhaRcRh";
        for before in [
            "",
            "jhe.example:8443|",
            "jhe.example%3A8443%7C",
            "jhe.example~",
            "https://play.example/details?referrer=cloud_sharing=",
            "https://play.example/details?referrer=cloud_sharing=jhe.example|",
            "abc",
        ] {
            assert_eq!(code_of(&format!("{before}{CODE}")), Some(CODE), "{before}");
        }
        for bad in ["", "short", "jhe.example|LhS05iR1rOnpS4JWfP6Ge", "LhS05iR1rOnpS4JWfP6GeVUIhaRcR\u{fc}"] {
            assert_eq!(code_of(bad), None, "{bad}");
        }
    }
}
