//! What never appears in the log: credentials, personal data, payloads, the values of queries.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jhe_testkit::{MARY, PETER, TestServer, eventually, omh};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use super::fhir::HEART_RATE;
use super::oauth::{Browser, token};

/// Begins every text that must not be logged.
const CANARY: &str = "canary7f3a91";

/// The log of this process, kept from the first call on.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What was logged so far.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

pub(crate) fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let filter = tracing_subscriber::EnvFilter::new("debug");
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone()).with_ansi(false).init();
        log
    })
}

#[tokio::test]
async fn production_warns_of_an_invite_code_that_everybody_knows() {
    const SAID: &str = "the invite code is one that everybody knows";
    let log = log();
    let secret = "s".repeat(32);
    let production = [("JHE_ENV", "production"), ("SECRET_KEY", secret.as_str())];
    let server = TestServer::start().await;
    for (code, is_told) in [("quiet harbour", false), ("JHE", true)] {
        server.set("site.registration_invite_code", "string", &format!("'{code}'")).await;
        TestServer::on(server.database(), &production).await.begin_stop().await.unwrap();
        // Nothing was said in development either, where the demo has such a code.
        assert_eq!(log.written().contains(SAID), is_told, "{code}");
    }
    server.stop().await;
}

#[tokio::test]
async fn secrets_and_personal_data_stay_out_of_the_log() {
    let log = log();
    // All statements are slow, so that those noted as slow are looked at too.
    let server = TestServer::with(&[("JHE_LOG_SLOW_MS", "1")]).await;
    let canary = |name: &str| format!("{CANARY}-{name}");

    // Wrong and right credentials, by form and by page, in bodies and in a query.
    let wrong = canary("password");
    let email = format!("{}@example.org", canary("email"));
    token(
        &server,
        &[("grant_type", "password"), ("client_id", "demo-notebook"), ("username", &email), ("password", &wrong)],
    )
    .await
    .expect(400);
    Browser::new().sign_in(&server, &email, &wrong).await;
    token(&server, &[("grant_type", "authorization_code"), ("client_id", "demo-notebook"), ("code", &canary("code"))])
        .await;
    server.get("/api/v1/users/profile").bearer(&canary("bearer")).send().await.expect(401);
    server.get(&format!("/fhir/r5/Patient?access_token={}", canary("query-token"))).send().await.expect(401);
    server.post(&format!("/api/v1/invitation/{CANARY:x<32}")).send().await.expect(404);

    // The account pages, their links and their forms.
    server.set("site.registration_invite_code", "string", "'harbour'").await;
    let page = |path: &str| format!("{}{path}", server.base);
    let browser = Browser::new();
    let code = canary("invite-code");
    let fields = [("joincode", code.as_str()), ("email", &email), ("password", &wrong), ("password2", &wrong)];
    browser.submit(&page("/accounts/signup/"), &fields).await;
    // The address begins like the other texts, so the password must not.
    let chosen = "a quiet harbour at dusk";
    let good = [("joincode", "harbour"), ("email", email.as_str()), ("password", chosen), ("password2", chosen)];
    assert_eq!(browser.submit(&page("/accounts/signup/"), &good).await.status, 302);
    browser.submit(&page("/accounts/password_reset/"), &[("email", &email)]).await;
    browser.submit(&page("/accounts/login-otp/"), &[("email", &email)]).await;
    let guess = canary("one-time-code");
    browser.submit(&page("/allauth/login/code/confirm/"), &[("action", "verify"), ("code", &guess)]).await;
    for path in ["verify_email_confirm", "reset"] {
        browser.get(&page(&format!("/accounts/{path}/MQ/{}/", canary("link")))).await;
    }
    browser.get(&page(&format!("/o/logout/?id_token_hint={}", canary("hint")))).await;
    browser.get(&page(&format!("/o/authorize/?client_id={}&state={}", canary("client"), canary("state")))).await;
    let secret = canary("client-secret");
    let id_token = canary("id-token");
    let form = [("subject_token", id_token.as_str()), ("client_id", "sof-ehr-launch"), ("client_secret", &secret)];
    server.post("/o/token-exchange").form(&form).send().await.expect(400);
    server.post("/o/introspect/").form(&[("token", &secret)]).send().await.expect(401);
    server.post("/api/v1/invitation/redeem").json(&json!({"token": canary("token")})).send().await.expect(404);
    // Mail has somewhere to go in time, or is told of without its text.
    let tried = "SELECT (count(*) = 0)::text FROM jhe_mail WHERE state = 'queued' AND attempts = 0";
    eventually("mail was tried", async || server.scalar(tried).await == "true").await;

    // A person's data, accepted and refused.
    let family = canary("family");
    let person = json!({"organizationId": 20003, "nameFamily": family, "nameGiven": canary("given"),
        "birthDate": "1980-01-01", "telecomEmail": format!("{}@example.org", canary("mail")),
        "identifiers": [{"system": "https://hospital.example.org", "value": canary("identifier")}]});
    server.post("/api/v1/patients").as_user(MARY).json(&person).send().await.expect(201);
    server.post("/api/v1/patients").as_user(MARY).json(&person).send().await;
    server.get(&format!("/fhir/r5/Patient?name={family}")).as_user(MARY).send().await.expect(200);
    server.get(&format!("/api/v1/patients/global_lookup?email={}", canary("lookup"))).as_user(MARY).send().await;
    server.get(&format!("/api/v1/patients/{}", canary("path"))).as_user(MARY).send().await.expect(404);

    // A reading, stored and refused by its schema.
    let note = canary("note");
    let document = omh::heart_rate("64").replace("Zürich", &note);
    let mut encoded = Vec::new();
    for document in [document.clone(), document.replace("beats/min", &canary("unit"))] {
        encoded.push(STANDARD.encode(&document));
        let body = omh::observation(40001, 70001, HEART_RATE, &document);
        server.post("/fhir/r5/Observation").as_user(PETER).json(&body).send().await;
    }
    server.post("/fhir/r5/").as_user(PETER).body("application/json", canary("body")).send().await.expect(400);

    server.stop().await;
    let written = log.written();
    assert!(written.contains("request"), "the log is kept");
    let found: Vec<&str> =
        written.lines().filter(|line| line.contains(CANARY) || line.contains("harbour at dusk")).collect();
    assert!(found.is_empty(), "in the log: {found:#?}");
    for payload in encoded {
        assert!(!written.contains(&payload), "a payload is in the log");
    }
}
