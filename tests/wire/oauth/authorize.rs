//! The authorization endpoint and the sign-in page.

use jhe_domain::client::GrantType;
use jhe_testkit::TestServer;
use reqwest::Method;

use super::{Browser, absolute, authorize_url, code, console_tokens, exchange, parameter, register, text};

const MARY: &str = "manager_mary@example.com";
const PASSWORD: &str = "Jhe1234!";

/// The way back is the request as it was sent, letter by letter (identity case 12).
#[tokio::test]
async fn the_way_back_is_the_request_itself() {
    let server = TestServer::start().await;
    let (browser, client) = (Browser::new(), super::console(&server).await);
    let redirect = format!("{}/auth/callback", server.base).replace(':', "%3A").replace('/', "%2F");
    let rest = format!(
        "client_id={client}&redirect_uri={redirect}&scope=openid+email&state=a%2bb%20c&code_challenge={}&code_challenge_method=S256",
        super::CHALLENGE
    );
    for (asked, back) in [
        (format!("/o/authorize/?response_type=code&{rest}"), format!("/o/authorize/?response_type=code&{rest}")),
        (format!("/o/authorize?response_type=code&{rest}"), format!("/o/authorize?response_type=code&{rest}")),
        // What the new sign-in fulfils is left out.
        (format!("/o/authorize/?prompt=login&{rest}&max_age=0"), format!("/o/authorize/?{rest}")),
        ("/o/authorize/".to_owned(), "/o/authorize/".to_owned()),
        ("/o/applications/register/".to_owned(), "/o/applications/register/".to_owned()),
    ] {
        let landing = browser.get(&format!("{}{asked}", server.base)).await;
        assert_eq!(parameter(&format!("{}{}", server.base, landing.location), "next"), Some(back), "{asked}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stranger_signs_in_and_comes_back_with_a_code() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    let url = authorize_url(&server, &[]).await;
    let login = browser.get(&url).await;
    assert_eq!(login.status, 302);
    assert!(login.location.contains("/accounts/login/?next="), "{}", login.location);
    let login_url = format!("{}{}", server.base, login.location.trim_start_matches(&server.base));
    let wrong = browser.submit(&login_url, &[("username", MARY), ("password", "wrong")]).await;
    assert_eq!(wrong.status, 200);
    assert!(wrong.text.contains("correct"), "{}", wrong.text);
    let landing = browser.submit(&login_url, &[("username", "MANAGER_MARY@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(landing.status, 302);
    let back = format!("{}{}", server.base, landing.location.trim_start_matches(&server.base));
    let done = browser.get(&back).await;
    assert!(done.location.starts_with(&format!("{}/auth/callback?", server.base)), "{}", done.location);
    assert_eq!(parameter(&done.location, "state").unwrap(), "a state");
    assert!(parameter(&done.location, "code").is_some());
    server.stop().await;
}

#[tokio::test]
async fn forms_need_their_token() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    let forged =
        browser.forge(&format!("{}/accounts/login/", server.base), &[("username", MARY), ("password", PASSWORD)]).await;
    assert_eq!(forged.status, 403);
    server.stop().await;
}

#[tokio::test]
async fn an_untrusted_redirect_gets_no_redirect() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let changes = [
        ("client_id", "unknown"),
        ("client_id", ""),
        ("redirect_uri", "https://evil.example.org/callback"),
        ("redirect_uri", "javascript:alert(1)"),
    ];
    for change in changes {
        let landing = browser.get(&authorize_url(&server, &[change]).await).await;
        assert_eq!((landing.status, landing.location.as_str()), (400, ""), "{change:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn faults_of_the_request_go_back_to_the_client() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let check = [
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("scope", "everything"), "invalid_scope"),
    ];
    for (change, error) in check {
        let landing = browser.get(&authorize_url(&server, &[change]).await).await;
        assert_eq!(landing.status, 302, "{change:?}: {}", landing.text);
        assert_eq!(parameter(&landing.location, "error").as_deref(), Some(error), "{change:?}");
        assert_eq!(parameter(&landing.location, "state").as_deref(), Some("a state"));
    }
    let silent = Browser::new().get(&authorize_url(&server, &[("prompt", "none")]).await).await;
    assert_eq!(parameter(&silent.location, "error").as_deref(), Some("login_required"));
    server.stop().await;
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    let landing = browser.sign_in(&server, MARY, PASSWORD).await;
    assert_eq!(landing.status, 302);
    code(&server, &browser).await;
    browser.get(&format!("{}/accounts/logout/", server.base)).await;
    let login = browser.get(&authorize_url(&server, &[]).await).await;
    assert!(login.location.contains("/accounts/login/"), "{}", login.location);
    server.stop().await;
}

#[tokio::test]
async fn a_new_sign_in_can_be_demanded_and_not_skipped() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    for demand in [("prompt", "login"), ("max_age", "0")] {
        let landing = browser.get(&authorize_url(&server, &[demand]).await).await;
        assert!(landing.location.contains("/accounts/login/?next="), "{demand:?}: {}", landing.location);
        let next = parameter(&format!("http://x{}", landing.location), "next").unwrap();
        assert!(!next.contains("prompt=") && !next.contains("max_age="), "{next}");
        let skipped = browser.get(&format!("{}{next}", server.base)).await;
        assert!(skipped.location.contains("/accounts/login/"), "{demand:?}: {}", skipped.location);
        let silent = browser.get(&authorize_url(&server, &[demand, ("prompt", "none")]).await).await;
        if demand.0 == "max_age" {
            assert!(silent.location.contains("error=login_required"), "{}", silent.location);
        }
        server.clock.advance(chrono::TimeDelta::seconds(1));
        let login = format!("{}{}", server.base, landing.location.trim_start_matches(&server.base));
        let back = browser.submit(&login, &[("username", MARY), ("password", PASSWORD)]).await;
        let done = browser.get(&format!("{}{}", server.base, back.location.trim_start_matches(&server.base))).await;
        assert!(parameter(&done.location, "code").is_some(), "{demand:?}: {}", done.location);
    }
    server.stop().await;
}

#[tokio::test]
async fn sessions_end_with_the_account_and_forms_have_a_limit() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10002").await;
    server.execute("UPDATE core_jheuser SET is_active = true WHERE id = 10002").await;
    let landing = browser.get(&authorize_url(&server, &[]).await).await;
    assert!(landing.location.contains("/accounts/login/"), "{}", landing.location);
    let login = format!("{}/accounts/login/", server.base);
    let long = browser.submit(&login, &[("username", MARY), ("password", &"x".repeat(70_000))]).await;
    assert_eq!(long.status, 200);
    let longer = browser.submit(&login, &[("username", MARY), ("password", &"x".repeat(2_000_000))]).await;
    assert_eq!(longer.status, 413);
    server.stop().await;
}

/// A client with one page of its own and a consent page, and a browser of Mary's.
async fn asking_client(server: &TestServer, redirect_uris: &[&str]) -> (String, Browser) {
    let grants = [GrantType::AuthorizationCode, GrantType::RefreshToken];
    let (client, _) = register(server, "Study App", &grants, redirect_uris, |_| {}).await;
    let browser = Browser::new();
    browser.sign_in(server, MARY, PASSWORD).await;
    (client, browser)
}

const CALLBACK: &str = "https://app.example/cb";

#[tokio::test]
async fn success_goes_to_the_client_with_state_and_issuer() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    for changes in [&[][..], &[("prompt", "none")], &[("scope", "read write")], &[("response_mode", "query")]] {
        let landing = browser.get(&authorize_url(&server, changes).await).await;
        assert!(landing.location.starts_with(&format!("{}/auth/callback?code=", server.base)), "{changes:?}");
        assert_eq!(parameter(&landing.location, "state").as_deref(), Some("a state"));
        assert_eq!(parameter(&landing.location, "iss").unwrap(), format!("{}/o", server.base));
        assert_eq!(parameter(&landing.location, "code").unwrap().len(), 30);
    }
    let without = browser.get(&authorize_url(&server, &[("state", "")]).await).await;
    assert_eq!(parameter(&without.location, "state"), None);
    let call = server.get("/o/authorize?client_id=x").send().await.expect(302);
    assert_eq!(
        (call.header("cache-control"), call.header("referrer-policy")),
        ("no-store".into(), "no-referrer".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn faults_of_client_and_address_are_a_page() {
    let server = TestServer::start().await;
    let (client, browser) = asking_client(&server, &[CALLBACK, "https://app.example/other"]).await;
    let own = async |changes: &[(&str, &str)]| {
        let mut all = vec![("client_id", client.as_str()), ("redirect_uri", CALLBACK)];
        for change in changes {
            all.retain(|(name, _)| *name != change.0);
            all.push(*change);
        }
        authorize_url(&server, &all).await
    };
    let base = own(&[]).await;
    let check = [
        (own(&[("client_id", "")]).await, "Missing client_id parameter."),
        (own(&[("client_id", "unknown")]).await, "Invalid client_id parameter value."),
        (own(&[("redirect_uri", "")]).await, "Missing redirect URI."),
        (own(&[("redirect_uri", "https://evil.example/cb")]).await, "Mismatching redirect URI."),
        (own(&[("redirect_uri", "https://app.example/cb/")]).await, "Mismatching redirect URI."),
        (own(&[("redirect_uri", "https://app.example/cb?x=1")]).await, "Mismatching redirect URI."),
        (own(&[("redirect_uri", "no address")]).await, "Invalid redirect URI."),
        (format!("{base}&client_id=other"), "Duplicate client_id parameter."),
        (format!("{base}&redirect_uri=https%3A%2F%2Fevil.example"), "Duplicate redirect_uri parameter."),
        (format!("{base}&state=other"), "Duplicate state parameter."),
        (own(&[("client_id", "x\0")]).await, "Invalid client_id parameter value."),
        (own(&[("redirect_uri", "https://app.example/cb\0")]).await, "Mismatching redirect URI."),
    ];
    for (url, said) in check {
        let page = browser.get(&url).await;
        assert_eq!((page.status, page.location.as_str()), (400, ""), "{said}");
        assert!(page.text.contains(said), "{said}: {}", page.text);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_single_registered_address_need_not_be_named_and_loopback_ports_vary() {
    let server = TestServer::start().await;
    let (client, browser) = asking_client(&server, &["http://127.0.0.1/cb"]).await;
    let go = async |redirect: &str| {
        let url = authorize_url(&server, &[("client_id", &client), ("redirect_uri", redirect)]).await;
        browser.get(&url).await
    };
    for good in ["", "http://127.0.0.1/cb", "http://127.0.0.1:5555/cb"] {
        assert_eq!(go(good).await.status, 200, "{good}");
    }
    for bad in ["http://localhost:5555/cb", "http://127.0.0.1:5555/other", "http://127.0.0.1:5555@evil.example/cb"] {
        assert_eq!(go(bad).await.status, 400, "{bad}");
    }
    server.stop().await;
}

#[tokio::test]
async fn faults_are_told_to_the_client_in_its_words() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let check: &[(&[(&str, &str)], &str, Option<&str>)] = &[
        (&[("response_type", "")], "invalid_request", Some("Missing response_type parameter.")),
        (&[("response_type", "id_token")], "unsupported_response_type", None),
        (&[("response_type", "code id_token")], "unsupported_response_type", None),
        (&[("code_challenge", "")], "invalid_request", Some("Code challenge required.")),
        (&[("code_challenge_method", "")], "invalid_request", Some("Transform algorithm not supported.")),
        (&[("code_challenge", "short")], "invalid_request", Some("Invalid code_challenge.")),
        (&[("scope", "openid bogus")], "invalid_scope", None),
        (&[("prompt", "none login")], "invalid_request", None),
        (&[("max_age", "soon")], "invalid_request", Some("Invalid max_age.")),
        (&[("max_age", "-1")], "invalid_request", Some("Invalid max_age.")),
        (&[("scope", "openid\0")], "invalid_scope", None),
        (&[("code_challenge", "\0")], "invalid_request", Some("Invalid code_challenge.")),
        (&[("nonce", "\0")], "invalid_request", Some("A parameter holds a character that is not allowed.")),
        (&[("x", "\0")], "invalid_request", Some("A parameter holds a character that is not allowed.")),
        (&[("request", "x")], "request_not_supported", None),
        (&[("request_uri", "https://x")], "request_uri_not_supported", None),
    ];
    for (changes, error, description) in check {
        let landing = browser.get(&authorize_url(&server, changes).await).await;
        assert_eq!(landing.status, 302, "{changes:?}");
        assert_eq!(parameter(&landing.location, "error").as_deref(), Some(*error), "{changes:?}");
        assert_eq!(parameter(&landing.location, "error_description").as_deref(), *description, "{changes:?}");
        assert_eq!(parameter(&landing.location, "iss").unwrap(), format!("{}/o", server.base));
    }
    // A client without the grant.
    let (client, _) = asking_client(&server, &[CALLBACK]).await;
    server.execute("UPDATE oauth2_provider_application SET grant_types = '{password}' WHERE name = 'Study App'").await;
    let url = authorize_url(&server, &[("client_id", &client), ("redirect_uri", CALLBACK)]).await;
    assert_eq!(parameter(&browser.get(&url).await.location, "error").as_deref(), Some("unauthorized_client"));
    let create = browser.get(&authorize_url(&server, &[("prompt", "create")]).await).await;
    assert_eq!(create.status, 400);
    assert!(create.text.contains("\"error\":\"invalid_request\""), "{}", create.text);
    server.stop().await;
}

#[tokio::test]
async fn people_are_asked_where_the_client_is_not_ours() {
    let server = TestServer::start().await;
    let (client, browser) = asking_client(&server, &[CALLBACK]).await;
    let request = [("client_id", client.as_str()), ("redirect_uri", CALLBACK), ("scope", "openid email read")];
    let url = authorize_url(&server, &request).await;
    let page = browser.get(&url).await;
    for part in [
        "Authorize Study App?",
        "OpenID Connect scope",
        "Email address",
        "Reading scope",
        "Cancel",
        "name=\"allow\" value=\"Authorize\"",
    ] {
        assert!(page.status == 200 && page.text.contains(part), "{part}: {}", page.text);
    }
    let hidden: Vec<(String, String)> = page
        .text
        .split("<input type=\"hidden\" name=\"")
        .skip(1)
        .map(|rest| {
            let mut parts = rest.split('"');
            let name = parts.next().unwrap().to_owned();
            (name, parts.nth(1).unwrap().replace("&#38;", "&"))
        })
        .collect();
    let answer = async |extra: &[(&str, &str)]| {
        let mut form: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for (name, value) in extra {
            form.retain(|(known, _)| known != name);
            form.push((name, value));
        }
        browser.forge(&format!("{}/o/authorize/", server.base), &form).await
    };
    let refused = answer(&[]).await;
    assert_eq!(parameter(&refused.location, "error").as_deref(), Some("access_denied"), "{}", refused.text);
    assert_eq!(answer(&[("allow", "Authorize"), ("csrfmiddlewaretoken", "x")]).await.status, 403);
    // The hidden fields are checked again.
    let elsewhere = answer(&[("allow", "Authorize"), ("redirect_uri", "https://evil.example/")]).await;
    assert_eq!((elsewhere.status, elsewhere.location.as_str()), (400, ""));
    let wider = answer(&[("allow", "Authorize"), ("scope", "everything")]).await;
    assert_eq!(parameter(&wider.location, "error").as_deref(), Some("invalid_scope"));
    let silent = authorize_url(&server, &[&request[..], &[("prompt", "none")]].concat()).await;
    assert_eq!(parameter(&browser.get(&silent).await.location, "error").as_deref(), Some("consent_required"));
    let granted = answer(&[("allow", "Authorize")]).await;
    let code = parameter(&granted.location, "code").unwrap();
    let tokens = exchange(&server, &code, &client, &[("redirect_uri", CALLBACK)]).await.expect(200).json();
    assert_eq!(tokens["scope"], "openid email read");
    // Who holds a token for all of it need not be asked again, if the client says so.
    let again = authorize_url(&server, &[&request[..], &[("approval_prompt", "auto")]].concat()).await;
    assert!(parameter(&browser.get(&again).await.location, "code").is_some());
    let more = [("scope", "openid email read write"), ("approval_prompt", "auto")];
    let more = authorize_url(&server, &[&request[..2], &more[..]].concat()).await;
    assert_eq!(browser.get(&more).await.status, 200);
    server.stop().await;
}

/// The hidden fields of a consent page.
fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let fields = page.split("<input type=\"hidden\" name=\"").skip(1);
    fields
        .map(|rest| {
            let mut parts = rest.split('"');
            let name = parts.next().unwrap().to_owned();
            (name, parts.nth(1).unwrap().replace("&#38;", "&"))
        })
        .collect()
}

#[tokio::test]
async fn a_consent_answers_only_what_a_recent_enough_sign_in_asked() {
    let server = TestServer::start().await;
    let (client, browser) = asking_client(&server, &[CALLBACK]).await;
    let url = format!("{}/o/authorize/", server.base);
    let open = async |changes: &[(&str, &str)]| {
        let request = [&[("client_id", client.as_str()), ("redirect_uri", CALLBACK)], changes].concat();
        browser.get(&authorize_url(&server, &request).await).await
    };
    let answer = async |fields: &[(String, String)], more: &[(&str, &str)]| {
        let mut form: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        form.extend_from_slice(more);
        form.push(("allow", "Authorize"));
        browser.forge(&url, &form).await
    };
    // A sign-in that was young enough for the page is too old for the answer.
    let page = open(&[("max_age", "60")]).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let fields = hidden_fields(&page.text);
    assert!(parameter(&answer(&fields, &[]).await.location, "code").is_some(), "in time");
    server.clock.advance(chrono::TimeDelta::seconds(61));
    let late = answer(&fields, &[]).await;
    assert!(late.status == 302 && late.location.starts_with("/accounts/login/?next="), "{}", late.location);
    let next = parameter(&format!("http://x{}", late.location), "next").unwrap();
    assert!(!next.contains("allow=") && !next.contains("csrf") && next.contains("fresh="), "{next}");

    // A demand that is posted holds as one in the address does.
    let fields = hidden_fields(&open(&[]).await.text);
    for demand in [("prompt", "login"), ("max_age", "0")] {
        let landing = answer(&fields, &[demand]).await;
        assert!(landing.location.starts_with("/accounts/login/?next="), "{demand:?}: {}", landing.location);
    }
    assert_eq!(
        parameter(&answer(&fields, &[("prompt", "none")]).await.location, "error").as_deref(),
        Some("consent_required")
    );
    assert!(parameter(&answer(&fields, &[]).await.location, "code").is_some(), "without a demand");

    // After the new sign-in that was demanded the answer counts, and not in an older session of the same page.
    let login = open(&[("prompt", "login")]).await.location;
    let next = parameter(&format!("http://x{login}"), "next").unwrap();
    server.clock.advance(chrono::TimeDelta::seconds(1));
    let back = browser.submit(&format!("{}{login}", server.base), &[("username", MARY), ("password", PASSWORD)]).await;
    assert_eq!(back.location, next);
    let fields = hidden_fields(&browser.get(&format!("{}{next}", server.base)).await.text);
    assert!(parameter(&answer(&fields, &[]).await.location, "code").is_some());
    server.execute("UPDATE jhe_session SET auth_time = auth_time - interval '1 day'").await;
    let older = answer(&fields, &[]).await;
    assert!(older.location.starts_with("/accounts/login/?next="), "{}", older.location);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_method_is_told_which_are_served() {
    let server = TestServer::start().await;
    for (method, path, served) in [
        (Method::HEAD, "/o/authorize/", "GET, POST, OPTIONS"),
        (Method::PUT, "/o/authorize/", "GET, POST, OPTIONS"),
        (Method::DELETE, "/o/authorize", "GET, POST, OPTIONS"),
        (Method::GET, "/o/token/", "POST, OPTIONS"),
        (Method::PUT, "/o/token/", "POST, OPTIONS"),
        (Method::GET, "/o/introspect/", "POST, OPTIONS"),
        (Method::GET, "/o/token-exchange", "POST, OPTIONS"),
        (Method::PUT, "/o/userinfo/", "GET, HEAD, POST, OPTIONS"),
    ] {
        let reply = server.call(method.clone(), path).send().await.expect(405);
        assert_eq!(reply.header("allow"), served, "{method} {path}");
    }
    server.get("/o/authorize/").send().await.expect(302);
    server.stop().await;
}

#[tokio::test]
async fn nothing_that_is_sent_here_breaks_the_server_or_leads_away() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let nasty = [
        "%00",
        "%ff%fe",
        "..%2f..",
        "%0d%0aSet-Cookie:x=1",
        "javascript:alert(1)",
        "%F0%9F%92%A9",
        "-1",
        "9999999999999999999",
    ];
    let names = [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "max_age",
        "response_mode",
        "approval_prompt",
        "login_hint",
        "ui_locales",
        "resource",
        "claims",
        "fresh",
        "request",
    ];
    for name in names {
        for value in nasty {
            let base = authorize_url(&server, &[(name, "")]).await;
            let landing = browser.get(&format!("{base}&{name}={value}")).await;
            assert!(landing.status < 500, "{name}={value}: {}", landing.status);
            let own = landing.location.is_empty()
                || landing.location.starts_with('/')
                || landing.location.starts_with(&format!("{}/auth/callback?", server.base));
            assert!(own, "{name}={value} leads to {}", landing.location);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_may_be_posted_and_may_name_whom_it_means() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let url = reqwest::Url::parse(&authorize_url(&server, &[]).await).unwrap();
    let fields: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let posted = browser.forge(&format!("{}/o/authorize/", server.base), &fields).await;
    assert!(posted.status == 302 && posted.location.starts_with("/o/authorize/?"), "{}", posted.text);
    assert!(parameter(&browser.follow(&server, &posted.location).await.location, "code").is_some());
    // An answer of the consent page is none without its token.
    let answer = [&fields[..], &[("allow", "Authorize")]].concat();
    assert_eq!(browser.forge(&format!("{}/o/authorize/", server.base), &answer).await.status, 403);

    let other = Browser::new();
    other.sign_in(&server, "member_megan@example.com", PASSWORD).await;
    let own = text(&console_tokens(&server, &browser, "openid").await, "id_token");
    let foreign = text(&console_tokens(&server, &other, "openid").await, "id_token");
    let go = async |hint: &str, prompt: &str| {
        browser.get(&authorize_url(&server, &[("id_token_hint", hint), ("prompt", prompt)]).await).await.location
    };
    for prompt in ["none", ""] {
        assert!(parameter(&go(&own, prompt).await, "code").is_some(), "{prompt}");
    }
    for hint in [foreign.as_str(), "x.y.z"] {
        assert_eq!(parameter(&go(hint, "none").await, "error").as_deref(), Some("login_required"));
        assert!(go(hint, "").await.starts_with("/accounts/login/?next="));
    }
    // Signing in as somebody else once more ends the matter, instead of going round and round.
    let login = absolute(&server, &go(&foreign, "").await);
    server.clock.advance(chrono::TimeDelta::seconds(1));
    let back = browser.submit(&login, &[("username", MARY), ("password", PASSWORD)]).await;
    let end = browser.follow(&server, &back.location).await;
    assert_eq!(parameter(&end.location, "error").as_deref(), Some("login_required"), "{}", end.location);
    server.stop().await;
}

#[tokio::test]
async fn forms_on_the_way_to_a_client_may_lead_there() {
    let server = TestServer::start().await;
    let (client, _) = asking_client(&server, &["https://app.example/cb"]).await;
    let url = authorize_url(&server, &[("client_id", &client), ("redirect_uri", "https://app.example/cb")]).await;
    let next = url.replace(&server.base, "");
    for path in ["/accounts/login/", "/accounts/signup/"] {
        let page = reqwest::Url::parse_with_params(&format!("{}{path}", server.base), [("next", &next)]).unwrap();
        let reply = server.get(page.as_str()).send().await.expect(200);
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("form-action 'self' https://app.example;"), "{path}: {policy}");
    }
    server.stop().await;
}
