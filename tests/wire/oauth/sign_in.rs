//! Signing in by password, and what a browser is sent where.

use jhe_testkit::TestServer;

use super::{Browser, absolute, authorize_url};

const MARY: &str = "manager_mary@example.com";
const PASSWORD: &str = "Jhe1234!";
const WRONG: &str = "Please enter a correct Email Address and password. Note that both fields may be case-sensitive.";

#[tokio::test]
async fn the_page_is_what_scripts_and_people_expect() {
    let server = TestServer::start().await;
    let login = format!("{}/accounts/login/", server.base);
    let reply = server.get("/accounts/login/").send().await.expect(200);
    for part in [
        "Exchange Log In",
        "name=\"username\" type=\"email\"",
        "name=\"password\" type=\"password\"",
        "name=\"csrfmiddlewaretoken\" value=\"",
        "Log In</button>",
        "Forgot Password",
        "Sign Up",
    ] {
        assert!(reply.text().contains(part), "{part} is missing");
    }
    assert_eq!(reply.header("cache-control"), "max-age=0, no-cache, no-store, must-revalidate, private");
    assert!(reply.header("vary").contains("Cookie"));
    let policy = reply.header("content-security-policy");
    assert!(policy.contains("form-action 'self'") && policy.contains("frame-ancestors 'self'"), "{policy}");
    let slash = server.get("/accounts/login?next=/x").send().await.expect(301);
    assert_eq!(slash.header("location"), "/accounts/login/?next=/x");
    // Empty fields are named.
    let empty = Browser::new().submit(&login, &[("username", ""), ("password", "")]).await;
    assert_eq!(empty.text.matches("This field is required.").count(), 2);
    // Who the client expects is filled in.
    let url = authorize_url(&server, &[("login_hint", "somebody@example.org")]).await;
    let page = Browser::new();
    let shown = page.get(&absolute(&server, &page.get(&url).await.location)).await;
    assert!(shown.text.contains("value=\"somebody@example.org\""), "{}", shown.text);
    server.stop().await;
}

#[tokio::test]
async fn every_kind_of_wrong_looks_the_same() {
    let server = TestServer::start().await;
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10004").await;
    server.execute("UPDATE core_jheuser SET password = '!' WHERE id = 10003").await;
    for (email, password) in [
        (MARY, "wrong"),
        ("nobody@example.org", PASSWORD),
        ("viewer_victor@example.com", PASSWORD),
        ("member_megan@example.com", PASSWORD),
        ("member_megan@example.com", "!"),
        (MARY, &"x".repeat(5000)),
    ] {
        let page = Browser::new().sign_in(&server, email, password).await;
        assert!(page.status == 200 && page.text.contains(WRONG), "{email}: {} {}", page.status, page.text);
    }
    let good = Browser::new().sign_in(&server, " Manager_MARY@example.com ", PASSWORD).await;
    assert_eq!((good.status, good.location.as_str()), (302, "/accounts/profile/"));
    server.stop().await;
}

#[tokio::test]
async fn signing_in_leads_to_our_own_pages_only() {
    let server = TestServer::start().await;
    let login = format!("{}/accounts/login/", server.base);
    let fields = [("username", MARY), ("password", PASSWORD)];
    for (next, expected) in [
        ("/o/authorize/?x=1", "/o/authorize/?x=1"),
        ("https://evil.example/", "/accounts/profile/"),
        ("//evil.example/", "/accounts/profile/"),
        ("/\\evil.example", "/accounts/profile/"),
        ("javascript:alert(1)", "/accounts/profile/"),
    ] {
        let encoded = reqwest::Url::parse_with_params(&login, [("next", next)]).unwrap().to_string();
        assert_eq!(Browser::new().submit(&encoded, &fields).await.location, expected, "{next} in the query");
        let mut form = fields.to_vec();
        form.push(("next", next));
        assert_eq!(Browser::new().submit(&login, &form).await.location, expected, "{next} in the form");
    }
    let own = format!("{}/clients/", server.base);
    assert_eq!(Browser::new().submit(&format!("{login}?next={own}"), &fields).await.location, own);
    server.stop().await;
}

#[tokio::test]
async fn cookies_are_kept_from_scripts_and_renewed() {
    let server = TestServer::start().await;
    let reply = server.get("/accounts/login/").send().await.expect(200);
    let csrf = reply.header("set-cookie");
    assert!(
        csrf.starts_with("csrftoken=") && csrf.contains("SameSite=Lax") && csrf.contains("Max-Age=31449600"),
        "{csrf}"
    );
    let value = csrf.split(['=', ';']).nth(1).unwrap().to_owned();
    let field = reply
        .text()
        .split("name=\"csrfmiddlewaretoken\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let form = [("username", MARY), ("password", PASSWORD), ("csrfmiddlewaretoken", field.as_str())];
    let cookie = format!("csrftoken={value}; sessionid=planted");
    // A form token is bound to the session: with one planted it does not fit, and what was planted is never kept.
    server.post("/accounts/login/").header("cookie", &cookie).form(&form).send().await.expect(403);
    let good = server.post("/accounts/login/").header("cookie", &format!("csrftoken={value}")).form(&form).send().await;
    let set = good.expect(302).header("set-cookie");
    assert!(set.contains("sessionid=") && set.contains("HttpOnly") && set.contains("Max-Age=1209600"), "{set}");
    assert!(set.contains("csrftoken=") && !set.contains(&value), "both are new: {set}");
    // A session opens pages, never the APIs.
    let session = set.split("sessionid=").nth(1).unwrap().split(';').next().unwrap().to_owned();
    for path in ["/api/v1/users/profile", "/fhir/r5/Patient", "/o/userinfo/"] {
        server.get(path).header("cookie", &format!("sessionid={session}")).send().await.expect(401);
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM jhe_session").await, "1");
    let stored = server.scalar("SELECT string_agg(s::text, '') FROM jhe_session AS s").await;
    assert!(!stored.contains(&session), "only a digest is stored");
    server.stop().await;
}

#[tokio::test]
async fn the_end_of_a_sign_in_says_whether_it_was_one() {
    let server = TestServer::start().await;
    let code = server.get("/auth/callback?code=x&state=y").send().await.expect(200);
    assert!(code.text().contains("Signed in") && !code.text().contains("Sign-in failed"), "{}", code.text());
    let long = "x".repeat(5000);
    for (query, said) in [
        ("error=access_denied", "access_denied"),
        ("error=invalid_request&error_description=Code%20challenge%20required.&state=y", "Code challenge required."),
        ("code=x&error=access_denied", "access_denied"),
        ("error=x&error_description=%3Cscript%3Ealert(1)%3C%2Fscript%3E", "&lt;script&gt;"),
        ("error=x%22%3E%3Cb%3E", "&lt;b&gt;"),
        (&format!("error=x&error_description={long}"), "xxx"),
    ] {
        for path in ["/auth/callback", "/auth/callback/", "/auth/callback_popup/"] {
            let page = server.get(&format!("{path}?{query}")).send().await.expect(200);
            let text = page.text();
            assert!(text.contains("Sign-in failed") && text.contains(said), "{query}: {text}");
            assert!(!text.contains("Signed in") && !text.contains("<script>") && text.len() < 3000, "{query}: {text}");
            assert!(text.contains("href=\"/auth/login/\""), "{text}");
            assert_eq!(page.header("referrer-policy"), "no-referrer");
        }
    }
    let slash = server.get("/auth/callback_popup?code=x&state=y").send().await.expect(301);
    assert_eq!(slash.header("location"), "/auth/callback_popup/?code=x&state=y");
    let neither = server.get("/auth/callback").send().await.expect(200).text();
    assert!(!neither.contains("Signed in") && neither.contains("href=\"/auth/login/\""), "{neither}");
    // Signing in begins where it leads on to the web pages.
    let login = server.get("/auth/login/").send().await.expect(302);
    assert_eq!(login.header("location"), "/accounts/login/?next=/clients/jhe-admin/");
    assert_eq!(server.get("/auth/login").send().await.expect(301).header("location"), "/auth/login/");
    server.stop().await;
}

#[tokio::test]
async fn earlier_addresses_lead_to_the_present_ones() {
    let server = TestServer::start().await;
    for (path, target) in [
        ("/allauth/login/?next=/x", "/accounts/login/?next=/x"),
        ("/allauth/password/reset/", "/accounts/password_reset/"),
        ("/allauth/logout/", "/"),
        ("/accounts/profile/", "/clients/jhe-admin/"),
    ] {
        assert_eq!(server.get(path).send().await.expect(302).header("location"), target, "{path}");
    }
    server.get("/allauth/login/code/").send().await.expect(200);
    server.get("/auth/callback?code=x").send().await.expect(200);
    let asked = server.get("/accounts/logout/").header("sec-fetch-site", "cross-site").send().await.expect(200);
    assert!(asked.text().contains("Log out?"));
    server.stop().await;
}
