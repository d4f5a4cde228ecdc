//! Signing in, tokens, invitations and clients to the last word: what the neighbouring modules leave open.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jhe_crypto::seal::hmac_sha256;
use jhe_crypto::signing::SigningKey;
use jhe_domain::client::GrantType;
use jhe_testkit::{ADMIN, MARY, Mail, Mailbox, PAMELA, PETER, Reply, TestIssuer, TestServer};
use serde_json::{Value, json};

use crate::privacy::log;

use super::{Browser, VERIFIER, absolute, authorize_url, code, console, exchange, parameter, register, text, token};

const EMAIL: &str = "manager_mary@example.com";
const PATIENT: &str = "ll_patient_peter@example.com";
const PASSWORD: &str = "Jhe1234!";
const CHOSEN: &str = "a quiet harbour at dusk";
const PROFILE: &str = "/api/v1/users/profile";

async fn signed_in(server: &TestServer) -> Browser {
    let browser = Browser::new();
    assert_eq!(browser.sign_in(server, EMAIL, PASSWORD).await.status, 302);
    browser
}

/// A server whose mail is kept.
async fn with_mail() -> (TestServer, Mailbox) {
    let mailbox = Mailbox::start().await;
    let port = mailbox.port.to_string();
    (TestServer::with(&[("SMTP_HOST", "127.0.0.1"), ("SMTP_PORT", &port)]).await, mailbox)
}

/// The sign-in code in a mail.
fn code_in(mail: &Mail) -> String {
    let shown = |line: &&str| line.len() == 9 && line.chars().nth(4) == Some('-');
    mail.text.lines().map(str::trim).find(shown).unwrap_or_else(|| panic!("{mail:?}")).to_owned()
}

fn sorted_keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// A redirect URI left out is the single registered one; the exchange may leave it out as well, but not name another.
#[tokio::test]
async fn a_redirect_uri_left_out_is_the_registered_one() {
    let server = TestServer::start().await;
    let browser = signed_in(&server).await;
    let client = console(&server).await;
    let landing = browser.get(&authorize_url(&server, &[("redirect_uri", "")]).await).await;
    assert!(landing.location.starts_with(&format!("{}/auth/callback?code=", server.base)), "{}", landing.location);
    let unnamed = parameter(&landing.location, "code").unwrap();
    let other = exchange(&server, &unnamed, &client, &[("redirect_uri", "https://evil.example/")]).await.expect(400);
    assert_eq!(other.at("/error_description"), "Mismatching redirect URI.");
    let named = code(&server, &browser).await;
    for code in [unnamed, named] {
        exchange(&server, &code, &client, &[("redirect_uri", "")]).await.expect(200);
    }
    server.stop().await;
}

/// A code of a confidential client needs its secret, in the header or the form, with or without a slash at the end of
/// the address. Used again it is refused as a grant and what it gave ends, also where it gave no refresh token.
/// A public client may send an empty secret.
#[tokio::test]
async fn a_code_is_exchanged_by_its_client_however_that_proves_itself() {
    let server = TestServer::start().await;
    let browser = signed_in(&server).await;
    let callback = "https://broker.example/callback";
    let (id, secret) = register(&server, "Broker", &[GrantType::AuthorizationCode], &[callback], |request| {
        request.confidential = true;
        request.skip_authorization = true;
    })
    .await;
    let url = authorize_url(&server, &[("client_id", id.as_str()), ("redirect_uri", callback)]).await;
    let first = parameter(&browser.get(&url).await.location, "code").unwrap();
    exchange(&server, &first, &id, &[("redirect_uri", callback)]).await.expect(401);
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let form = [
        ("grant_type", "authorization_code"),
        ("code", first.as_str()),
        ("redirect_uri", callback),
        ("code_verifier", VERIFIER),
    ];
    let ask = async || server.post("/o/token").header("authorization", &basic).form(&form).send().await;
    let tokens = ask().await.expect(200).json();
    assert!(tokens.get("refresh_token").is_none(), "{tokens}");
    let access = text(&tokens, "access_token");
    server.get(PROFILE).bearer(&access).send().await.expect(200);
    assert_eq!(ask().await.expect(400).at("/error"), "invalid_grant");
    server.get(PROFILE).bearer(&access).send().await.expect(401);
    let second = parameter(&browser.get(&url).await.location, "code").unwrap();
    exchange(&server, &second, &id, &[("redirect_uri", callback), ("client_secret", &secret)]).await.expect(200);

    let (public, client) = (code(&server, &browser).await, console(&server).await);
    let redirect = format!("{}/auth/callback", server.base);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", public.as_str()),
        ("redirect_uri", redirect.as_str()),
        ("client_id", client.as_str()),
        ("client_secret", ""),
        ("code_verifier", VERIFIER),
    ];
    token(&server, &form).await.expect(200);
    assert_eq!(token(&server, &form).await.expect(400).at("/error"), "invalid_grant");
    server.stop().await;
}

/// A refresh asks for what was granted or for less, in whatever spelling: a blank scope stands for what was granted, or
/// is refused; never for the scopes that an authorization has by default.
#[tokio::test]
async fn a_refresh_grants_no_more_than_was_granted() {
    let server = TestServer::start().await;
    let form = [
        ("grant_type", "password"),
        ("username", EMAIL),
        ("password", PASSWORD),
        ("client_id", "demo-notebook"),
        ("scope", "read"),
    ];
    let held = text(&token(&server, &form).await.expect(200).json(), "refresh_token");
    let refresh = async |scope: &str| {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", held.as_str()),
            ("client_id", "demo-notebook"),
            ("scope", scope),
        ];
        token(&server, &form).await
    };
    for wider in ["openid", "email", "read write", "read  openid", "bogus"] {
        assert_eq!(refresh(wider).await.expect(400).at("/error"), "invalid_scope", "{wider}");
    }
    // The token itself is as good as before; each answer within the minute is a sibling of the first.
    for same in ["", "read", " ", "   "] {
        let reply = refresh(same).await;
        let kept = reply.status.as_u16() == 200 && reply.at("/scope") == "read";
        let refused = reply.status.as_u16() == 400 && reply.at("/error") == "invalid_scope";
        assert!(kept || (refused && same.starts_with(' ')), "{same:?}: {}", reply.text());
    }
    server.stop().await;
}

/// The password grant is for the client registered for it: neither for the public clients of the demo data nor for its
/// confidential one.
#[tokio::test]
async fn no_other_client_takes_passwords() {
    let server = TestServer::start().await;
    let others = server
        .scalar(
            "SELECT string_agg(client_id, ' ') FROM oauth2_provider_application
              WHERE client_type = 'public' AND client_id <> 'demo-notebook'",
        )
        .await;
    let mut clients: Vec<(&str, &str)> = others.split(' ').map(|client| (client, "")).collect();
    assert_eq!(clients.len(), 4, "{others}");
    clients.push(("sof-ehr-launch", "sof-ehr-launch-dev-secret"));
    for (client, secret) in clients {
        for scope in ["", "openid", "read write"] {
            let form = [
                ("grant_type", "password"),
                ("username", EMAIL),
                ("password", PASSWORD),
                ("client_id", client),
                ("client_secret", secret),
                ("scope", scope),
            ];
            assert_eq!(token(&server, &form).await.expect(400).at("/error"), "unauthorized_client", "{client} {scope}");
        }
    }
    server.stop().await;
}

/// A server that trusts an issuer of its own, and what that issuer says about Mary.
async fn trusting() -> (TestServer, TestIssuer, Value) {
    let issuer = TestIssuer::start().await;
    let file = issuer.ca_file.display().to_string();
    let server = TestServer::with(&[("JHE_SOF_ALLOW_PRIVATE", "1"), ("JHE_SOF_CA_FILE", &file)]).await;
    server.set("auth.sof.trusted_issuers", "json", &format!("'[\"{}\"]'", issuer.url)).await;
    server.set("auth.sof.trusted_audience", "string", "'our-registration'").await;
    let now = server.app().now().timestamp();
    let claims = json!({"iss": issuer.url, "aud": "our-registration", "iat": now, "exp": now + 300, "sub": "x",
        "fhirUser": "Practitioner/fhir-222"});
    (server, issuer, claims)
}

async fn exchange_id_token(server: &TestServer, id_token: &str) -> Reply {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", id_token),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("audience", server.base.as_str()),
        ("client_id", "sof-ehr-launch"),
        ("client_secret", "sof-ehr-launch-dev-secret"),
    ];
    server.post("/o/token-exchange").form(&form).send().await
}

/// An id token counts only as its issuer signed it: not with other claims under the same signature, not with a
/// published key used as a shared secret, not unsigned, not signed by another key under the name of a published one.
#[tokio::test]
async fn an_id_token_is_worth_its_signature() {
    let (server, issuer, claims) = trusting().await;
    let (good, posing, published) =
        (SigningKey::generate().unwrap(), SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    // The third key stands under the name of the second one.
    let mut disguised = published.jwk();
    disguised["kid"] = json!(posing.kid());
    issuer.publish("/keys", &json!({ "keys": [good.jwk(), disguised] }));
    let signed = good.sign("JWT", &claims).unwrap();
    exchange_id_token(&server, &signed).await.expect(200);

    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let parts: Vec<&str> = signed.split('.').collect();
    let mut others = claims.clone();
    others["fhirUser"] = json!("Practitioner/fhir-333");
    let changed = format!("{}.{}.{}", parts[0], encoded(&others), parts[2]);
    let message = format!("{}.{}", encoded(&json!({"alg": "HS256", "typ": "JWT", "kid": good.kid()})), parts[1]);
    let shared = good.jwk()["n"].as_str().unwrap().to_owned();
    let mac = format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac_sha256(shared.as_bytes(), message.as_bytes())));
    let unsigned = format!("{}.{}.", encoded(&json!({"alg": "none", "kid": good.kid()})), parts[1]);
    for forged in [changed, mac, unsigned, posing.sign("JWT", &claims).unwrap()] {
        let refused = exchange_id_token(&server, &forged).await.expect(401);
        assert_eq!(refused.at("/error"), "id_token failed validation", "{forged}");
    }
    server.stop().await;
}

/// An issuer that does not answer is a bad gateway; without trusted issuers nothing is exchanged at all.
#[tokio::test]
async fn an_issuer_must_be_there_and_be_trusted() {
    let (server, issuer, mut claims) = trusting().await;
    server.set("auth.sof.trusted_issuers", "json", "'[\"https://localhost:1\"]'").await;
    assert_eq!(exchange_id_token(&server, &issuer.sign(&claims)).await.expect(403).at("/error"), "Issuer not trusted");
    claims["iss"] = json!("https://localhost:1");
    let down = exchange_id_token(&server, &issuer.sign(&claims)).await.expect(502);
    assert_eq!(down.at("/error"), "Could not discover jwks_uri for issuer 'https://localhost:1'");
    server.set("auth.sof.trusted_issuers", "json", "'[]'").await;
    let closed = exchange_id_token(&server, &issuer.sign(&claims)).await.expect(400);
    assert_eq!(closed.at("/error"), "unsupported_grant_type");
    assert_eq!(closed.at("/error_description"), "Token exchange is not configured.");
    server.stop().await;
}

/// Redeeming an invitation hands out a grant in the words of the token endpoint, good for a minute; the code of a link
/// is no grant any more once it was used.
#[tokio::test]
async fn what_a_patients_app_is_handed_is_exact() {
    let server = TestServer::start().await;
    let body = json!({"patientId": 40001, "clientId": 1});
    let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json();
    let redeemed = server.post(&format!("/api/v1/invitation/{}", text(&made, "token"))).send().await.expect(200).json();
    assert_eq!(sorted_keys(&redeemed), ["expires", "grant", "token_endpoint"]);
    let grant = &redeemed["grant"];
    assert_eq!(sorted_keys(grant), ["client_id", "code", "grant_type", "redirect_uri"]);
    assert_eq!(grant["grant_type"], "authorization_code");
    assert_eq!(grant["redirect_uri"], format!("{}/auth/callback", server.base));
    assert_eq!(
        grant["client_id"],
        server.scalar("SELECT client_id FROM oauth2_provider_application WHERE id = 1").await
    );
    assert_eq!(text(grant, "code").len(), 30);
    let expires = chrono::DateTime::parse_from_rfc3339(redeemed["expires"].as_str().unwrap()).unwrap();
    assert_eq!(expires.timestamp(), server.app().now().timestamp() + 60);

    let link = server.get("/api/v1/patients/40001/invitation_link").as_user(MARY).send().await.expect(200);
    let once = link.at("/invitationLink").as_str().unwrap().rsplit('|').next().unwrap().to_owned();
    let (client, verifier) = (console(&server).await, server.app().identity().static_verifier().unwrap());
    let changes = [("code_verifier", verifier.as_str())];
    exchange(&server, &once, &client, &changes).await.expect(200);
    assert_eq!(exchange(&server, &once, &client, &changes).await.expect(400).at("/error"), "invalid_grant");
    server.stop().await;
}

/// An account that is more than a patient gets neither an invitation nor a link, whatever it is that makes it more.
#[tokio::test]
async fn no_invitation_opens_an_account_with_other_rights() {
    let server = TestServer::start().await;
    let ask = async || {
        let body = json!({"patientId": 40001, "clientId": 1});
        let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await;
        (made, server.get("/api/v1/patients/40001/invitation_link").as_user(MARY).send().await)
    };
    let refused = async |why: &str| {
        let (made, link) = ask().await;
        for reply in [made, link] {
            assert_eq!(reply.expect(400).detail(), "This account cannot be invited as a patient.", "{why}");
        }
    };
    server.execute("UPDATE core_jheuser SET is_superuser = true WHERE id = 10006").await;
    refused("administrator").await;
    server.execute("UPDATE core_jheuser SET is_superuser = false, is_staff = true WHERE id = 10006").await;
    refused("staff").await;
    server.execute("UPDATE core_jheuser SET is_staff = false, user_type = 'practitioner' WHERE id = 10006").await;
    refused("practitioner by type").await;
    server.execute("UPDATE core_jheuser SET user_type = 'patient' WHERE id = 10006").await;
    let (made, link) = ask().await;
    made.expect(201);
    link.expect(200);
    server.execute("INSERT INTO core_practitioner (jhe_user_id, name_family) VALUES (10006, 'Dual')").await;
    refused("practitioner by profile").await;
    server.stop().await;
}

/// New practitioners belong where the setting says, in the roles it spells out.
#[tokio::test]
async fn default_roles_may_be_spelled_out() {
    let server = TestServer::start().await;
    server.set("site.registration_invite_code", "string", "'harbour'").await;
    server.set("auth.default_orgs", "string", "'20003:member;20007:viewer;20008:v'").await;
    let fields = [("joincode", "harbour"), ("email", "new@example.org"), ("password", CHOSEN), ("password2", CHOSEN)];
    let landing = Browser::new().submit(&format!("{}/accounts/signup/", server.base), &fields).await;
    assert_eq!((landing.status, landing.location.as_str()), (302, "/clients/jhe-admin/"), "{}", landing.text);
    let roles = "SELECT string_agg(m.organization_id || ' ' || m.role, ', ' ORDER BY m.organization_id)
                   FROM core_practitionerorganization AS m JOIN core_practitioner AS p ON p.id = m.practitioner_id
                   JOIN core_jheuser AS u ON u.id = p.jhe_user_id WHERE u.email = 'new@example.org'";
    assert_eq!(server.scalar(roles).await, "20003 member, 20007 viewer, 20008 viewer");
    server.stop().await;
}

/// The right code opens nothing after three wrong ones, nor after three minutes; before that it does.
#[tokio::test]
async fn the_right_code_comes_too_late_after_three_wrong_ones_and_three_minutes() {
    let (server, mailbox) = with_mail().await;
    let login = format!("{}/accounts/login-otp/", server.base);
    let confirm = format!("{}/allauth/login/code/confirm/", server.base);
    // With the form token of another page of the browser: the page of the code is gone by then.
    let type_in = async |browser: &Browser, code: &str| {
        let page = browser.get(&login).await.text;
        let field = page.split("name=\"csrfmiddlewaretoken\" value=\"").nth(1).unwrap();
        let csrf = field.split('"').next().unwrap();
        browser.forge(&confirm, &[("csrfmiddlewaretoken", csrf), ("action", "verify"), ("code", code)]).await
    };
    let authorize = authorize_url(&server, &[]).await;
    let refused = async |browser: &Browser, code: &str| {
        let landing = type_in(browser, code).await;
        assert_eq!((landing.status, landing.location.as_str()), (302, "/allauth/login/code/"), "{}", landing.text);
        assert!(browser.get(&authorize).await.location.contains("/accounts/login/"), "nobody was signed in");
    };
    let browser = Browser::new();
    browser.submit(&login, &[("email", PATIENT)]).await;
    let right = code_in(&mailbox.wait(PATIENT, 1).await);
    for _ in 0..3 {
        type_in(&browser, "BBBB-BBBB").await;
    }
    refused(&browser, &right).await;

    let browser = Browser::new();
    browser.submit(&login, &[("email", PATIENT)]).await;
    let right = code_in(&mailbox.wait(PATIENT, 2).await);
    server.clock.advance(chrono::TimeDelta::seconds(181));
    refused(&browser, &right).await;

    let browser = Browser::new();
    browser.submit(&login, &[("email", PATIENT)]).await;
    let right = code_in(&mailbox.wait(PATIENT, 3).await);
    server.clock.advance(chrono::TimeDelta::seconds(179));
    let landing = type_in(&browser, &right).await;
    assert_eq!((landing.status, landing.location.as_str()), (302, "/accounts/profile/"), "{}", landing.text);
    server.stop().await;
}

/// Where no identity provider is configured, the pages name none, whatever the setting says, and its addresses do not
/// exist. Both files that phones read are JSON, for everybody.
#[tokio::test]
async fn pages_offer_what_exists() {
    let server = TestServer::start().await;
    for flag in ["0", "1"] {
        server.set("auth.sso.saml2", "int", flag).await;
        let page = server.get("/accounts/login/").send().await.expect(200).text();
        assert!(!page.to_lowercase().contains("saml"), "{flag}: {page}");
    }
    for path in ["/allauth/saml/any/login/", "/allauth/saml/any/metadata/", "/sso/acs/", "/saml/login/"] {
        server.get(path).send().await.expect(404);
    }
    server.post("/allauth/saml/any/acs/").form(&[("SAMLResponse", "x")]).send().await.expect(404);
    for path in ["/.well-known/apple-app-site-association", "/.well-known/assetlinks.json"] {
        let reply = server.get(path).send().await.expect(200);
        assert_eq!(reply.header("content-type"), "application/json", "{path}");
        reply.json();
    }
    server.stop().await;
}

/// A profile says who the caller is, under the name its id token has; a patient without an organization has an empty
/// list of them.
#[tokio::test]
async fn a_profile_says_who_the_caller_is() {
    let server = TestServer::start().await;
    let profile = server.get(PROFILE).as_user(MARY).send().await.expect(200).json();
    assert_eq!((&profile["id"], &profile["email"]), (&json!(10002), &json!(EMAIL)));
    assert_eq!((&profile["firstName"], &profile["lastName"]), (&json!("ManagerMary"), &json!("Miller")));
    assert_eq!((&profile["userType"], &profile["isSuperuser"]), (&json!("practitioner"), &json!(false)));
    assert_eq!(profile["patient"], Value::Null);
    assert_eq!((&profile["practitioner"]["id"], &profile["practitioner"]["jheUserId"]), (&json!(80002), &json!(10002)));
    let browser = signed_in(&server).await;
    let tokens = super::console_tokens(&server, &browser, "openid").await;
    assert_eq!(super::claims(&text(&tokens, "id_token"))["sub"], profile["id"].to_string());

    server.execute("DELETE FROM core_patientorganization WHERE patient_id = 40001").await;
    let patient = server.get(PROFILE).as_user(PETER).send().await.expect(200).json();
    assert_eq!(sorted_keys(&patient), ["id", "isSuperuser", "patient", "userType"]);
    assert_eq!((&patient["userType"], &patient["patient"]["organizations"]), (&json!("patient"), &json!([])));
    server.stop().await;
}

/// A registered patient client is a public one for codes and refresh tokens; the list shows patient clients alone,
/// newest first; its link template changes, and all its rows go with it.
#[tokio::test]
async fn a_patient_client_is_public_listed_changed_and_gone() {
    let server = TestServer::start().await;
    for body in [json!({}), json!({"name": "Mobile"})] {
        let missing = server.post("/api/v1/clients").as_user(ADMIN).json(&body).send().await.expect(400);
        for field in ["clientId", "invitationUrl"] {
            assert_eq!(missing.at(&format!("/{field}/0")), "This field is required.", "{body}");
        }
    }
    let body = json!({"name": "Mobile", "clientId": "mob1", "invitationUrl": "https://app.example.org/i/CODE"});
    let made = server.post("/api/v1/clients").as_user(ADMIN).json(&body).send().await.expect(201).at("/id");
    let kind =
        "SELECT concat_ws(' ', client_type, skip_authorization::text, array_to_string(grant_types, ','), algorithm,
                       redirect_uris) FROM oauth2_provider_application WHERE client_id = 'mob1'";
    let expected = format!("public true authorization_code,refresh_token RS256 {}/auth/callback", server.base);
    assert_eq!(server.scalar(kind).await, expected);

    server.post("/api/v1/practitioner_clients").as_user(MARY).json(&json!({})).send().await.expect(201);
    for person in [MARY, ADMIN] {
        let list = server.get("/api/v1/clients").as_user(person).send().await.expect(200).at("/results");
        let names: Vec<&str> = list.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Mobile", "Patient Access", "CommonHealth", "CareX"]);
        assert_eq!(sorted_keys(&list[0]), ["clientId", "id", "invitationUrl", "name"]);
    }
    let path = format!("/api/v1/clients/{made}");
    let change = json!({"invitationUrl": "https://app.example.org/new?invitation=CODE"});
    let changed = server.patch(&path).as_user(ADMIN).json(&change).send().await.expect(200);
    assert_eq!(
        (changed.at("/invitationUrl"), changed.at("/clientId")),
        (change["invitationUrl"].clone(), json!("mob1"))
    );
    let link = json!({"clientId": made});
    server.post("/api/v1/studies/30001/clients").as_user(MARY).json(&link).send().await.expect(201);
    server.delete(&path).as_user(ADMIN).send().await.expect(204);
    server.get(&path).as_user(ADMIN).send().await.expect(404);
    let left = server.get("/api/v1/studies/30001/clients").as_user(MARY).send().await.expect(200).json();
    assert_eq!(left.as_array().unwrap().len(), 2);
    let rows = "SELECT concat_ws(' ', (SELECT count(*) FROM oauth2_provider_application WHERE client_id = 'mob1'),
                       (SELECT count(*) FROM core_jheclient),
                       (SELECT count(*) FROM core_studyclient WHERE study_id = 30001))";
    assert_eq!(server.scalar(rows).await, "0 3 2");
    server.stop().await;
}

/// What a study or a patient works with names clients and states of invitations: never a secret, its hash or a token.
#[tokio::test]
async fn clients_of_a_study_and_of_a_patient_hold_no_secret() {
    let server = TestServer::start().await;
    server.execute("UPDATE oauth2_provider_application SET client_secret = 'pbkdf2_sha256$1$salt$canary'").await;
    let path = "/api/v1/studies/30001/clients";
    let list = server.get(path).as_user(MARY).send().await.expect(200);
    let ids: Vec<Value> = list.json().as_array().unwrap().iter().map(|row| row["client"]["id"].clone()).collect();
    assert_eq!(ids, [json!(1), json!(3)]);
    let made = server.post(path).as_user(MARY).json(&json!({"client_id": 2})).send().await.expect(201);
    for body in [list.text(), made.text()] {
        assert!(!body.to_lowercase().contains("secret") && !body.contains("canary"), "{body}");
    }
    server.delete(path).as_user(MARY).json(&json!({"client_id": 2})).send().await.expect(204);

    let invite = json!({"patientId": 40001, "clientId": 1});
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let made = server.post("/api/v1/invitation").as_user(MARY).json(&invite).send().await.expect(201).json();
        tokens.push(text(&made, "token"));
    }
    let path = "/api/v1/patients/40001/consolidated_clients";
    for person in [PETER, MARY, ADMIN] {
        let reply = server.get(path).as_user(person).send().await.expect(200);
        let rows = reply.json();
        // Enrolled in two studies that work with the first client, the patient has it once.
        let ids: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["id"]).collect();
        assert_eq!(ids, [&json!(1), &json!(3)]);
        let invitations = rows[0]["patientInvitations"].as_array().unwrap();
        let states: Vec<&Value> = invitations.iter().map(|row| &row["status"]).collect();
        assert_eq!(states, [&json!("issued"), &json!("reissued")], "the newest first");
        assert!(invitations.iter().all(|row| row["token"].is_null() && row["patientId"] == 40001));
        assert_eq!(rows[1]["patientInvitations"], json!([]));
        assert!(tokens.iter().all(|token| !reply.text().contains(token)));
    }
    server.get(path).as_user(PAMELA).send().await.expect(403);
    server.stop().await;
}

fn add_tokens(secrets: &mut Vec<String>, body: &Value) {
    let names = ["access_token", "refresh_token", "id_token"];
    secrets.extend(names.iter().filter_map(|name| body[name].as_str()).map(str::to_owned));
}

/// What a browser, a notebook and a key of a practitioner are handed.
async fn of_sign_ins(server: &TestServer) -> Vec<String> {
    let (browser, client) = (signed_in(server).await, console(server).await);
    let one = code(server, &browser).await;
    let first = exchange(server, &one, &client, &[]).await.expect(200).json();
    let held = text(&first, "refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", held.as_str()), ("client_id", client.as_str())];
    let second = token(server, &form).await.expect(200).json();
    let access = text(&second, "access_token");
    server.get("/o/userinfo/").bearer(&access).send().await.expect(200);
    server.get(PROFILE).bearer(&access).send().await.expect(200);
    server.get(&format!("{PROFILE}?access_token={access}")).send().await.expect(401);
    server.get(PROFILE).bearer(&text(&second, "id_token")).send().await.expect(401);
    let key = server.post("/api/v1/practitioner_clients").as_user(MARY).json(&json!({})).send().await.expect(201);
    let key = key.at("/key").as_str().unwrap().to_owned();
    let basic = format!("Basic {key}");
    let asked = server.post("/o/introspect/").header("authorization", &basic).form(&[("token", access.as_str())]);
    asked.send().await.expect(200);
    let form = [("grant_type", "client_credentials")];
    let machine = server.post("/o/token/").header("authorization", &basic).form(&form).send().await.expect(200).json();
    let form =
        [("grant_type", "password"), ("username", EMAIL), ("password", PASSWORD), ("client_id", "demo-notebook")];
    let notebook = token(server, &form).await.expect(200).json();
    let form = [("token", access.as_str()), ("client_id", client.as_str())];
    server.post("/o/revoke_token/").form(&form).send().await.expect(200);
    // A code used twice is told of in the log, without the code.
    exchange(server, &one, &client, &[]).await.expect(400);
    let pair = String::from_utf8(STANDARD.decode(&key).unwrap()).unwrap();
    let mut secrets = vec![one, pair.split_once(':').unwrap().1.to_owned(), key];
    for body in [&first, &second, &machine, &notebook] {
        add_tokens(&mut secrets, body);
    }
    secrets
}

/// What a patient's app is handed.
async fn of_invitations(server: &TestServer) -> Vec<String> {
    let body = json!({"patientId": 40001, "clientId": 1, "sendEmail": true});
    let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json();
    let secret = text(&made, "token");
    let grant = server.post(&format!("/api/v1/invitation/{secret}")).send().await.expect(200).at("/grant");
    let (code, client, verifier) =
        (text(&grant, "code"), text(&grant, "client_id"), URL_SAFE_NO_PAD.encode(secret.as_bytes()));
    let app = exchange(server, &code, &client, &[("code_verifier", &verifier)]).await.expect(200).json();
    let path = "/api/v1/patients/40001/invitation_link?send_email=true";
    let link = text(&server.get(path).as_user(MARY).send().await.expect(200).json(), "invitationLink");
    let once = link.rsplit('|').next().unwrap().to_owned();
    let fixed = server.app().identity().static_verifier().unwrap();
    let linked = exchange(server, &once, &console(server).await, &[("code_verifier", &fixed)]).await.expect(200).json();
    let mut secrets = vec![secret, code, verifier, once, fixed];
    add_tokens(&mut secrets, &app);
    add_tokens(&mut secrets, &linked);
    secrets
}

/// What mails hold: the link to a new password, the link that confirms an address, a sign-in code.
async fn of_mails(server: &TestServer, mailbox: &Mailbox) -> Vec<String> {
    let page = |path: &str| format!("{}{path}", server.base);
    let last = |link: &str| link.trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
    let browser = Browser::new();
    browser.submit(&page("/accounts/password_reset/"), &[("email", "member_megan@example.com")]).await;
    let reset = mailbox.wait("member_megan@example.com", 1).await.link(&page("/accounts/reset/"));
    let choose = absolute(server, &browser.get(&reset).await.location);
    let done = browser.submit(&choose, &[("new_password1", CHOSEN), ("new_password2", CHOSEN)]).await;
    assert_eq!(done.location, "/accounts/reset/done/", "{}", done.text);

    server.execute("UPDATE core_jheuser SET email_is_verified = false WHERE id = 10004").await;
    let browser = Browser::new();
    browser.sign_in(server, "viewer_victor@example.com", PASSWORD).await;
    browser.submit(&page("/accounts/verify_email/"), &[]).await;
    let verify = mailbox.wait("viewer_victor@example.com", 1).await.link(&page("/accounts/verify_email_confirm/"));
    assert_eq!(browser.get(&verify).await.location, "/accounts/verify_email_complete/");

    let browser = Browser::new();
    browser.submit(&page("/accounts/login-otp/"), &[("email", "ll_patient_pamela@example.com")]).await;
    let code = code_in(&mailbox.wait("ll_patient_pamela@example.com", 1).await);
    let confirm = page("/allauth/login/code/confirm/");
    let landing = browser.submit(&confirm, &[("action", "verify"), ("code", &code)]).await;
    assert_eq!(landing.location, "/accounts/profile/", "{}", landing.text);
    vec![last(&reset), last(&verify), code.replace('-', ""), code]
}

/// Whatever the server hands out or is shown while people sign in, exchange, are invited and are mailed: no line of the
/// log holds a token, a code, a verifier, a secret, the token of a link or a password.
#[tokio::test]
async fn nothing_that_opens_an_account_is_logged() {
    let log = log();
    let (server, mailbox) = with_mail().await;
    let mut secrets = vec![PASSWORD.to_owned(), CHOSEN.to_owned(), VERIFIER.to_owned()];
    secrets.extend(of_sign_ins(&server).await);
    secrets.extend(of_invitations(&server).await);
    secrets.extend(of_mails(&server, &mailbox).await);
    server.stop().await;
    let written = log.written();
    assert!(written.contains("request") && written.contains("used twice"), "the log is kept");
    assert!(secrets.len() > 25, "{}", secrets.len());
    for secret in secrets {
        assert!(secret.len() >= 8 && !written.contains(&secret), "{secret} is in the log");
    }
}
