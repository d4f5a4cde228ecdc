//! Accounts: signing up, confirming an address, choosing passwords, signing in with a code.

use chrono::TimeDelta;
use jhe_testkit::{Mailbox, TestServer, eventually};

use super::{Browser, VERIFIER, absolute, authorize_url, code, console, parameter, token};

const MARY: &str = "manager_mary@example.com";
const PETER: &str = "ll_patient_peter@example.com";
const PASSWORD: &str = "Jhe1234!";
const CHOSEN: &str = "a quiet harbour at dusk";

/// A server whose mail is kept.
async fn with_mail(variables: &[(&str, &str)]) -> (TestServer, Mailbox) {
    let mailbox = Mailbox::start().await;
    let port = mailbox.port.to_string();
    let mut all = vec![("SMTP_HOST", "127.0.0.1"), ("SMTP_PORT", port.as_str())];
    all.extend_from_slice(variables);
    (TestServer::with(&all).await, mailbox)
}

fn page(server: &TestServer, path: &str) -> String {
    format!("{}{path}", server.base)
}

async fn sign_up(server: &TestServer, browser: &Browser, email: &str, changes: &[(&str, &str)]) -> super::Landing {
    let mut fields = vec![("joincode", "harbour"), ("email", email), ("password", CHOSEN), ("password2", CHOSEN)];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    browser.submit(&page(server, "/accounts/signup/?user_type=patient"), &fields).await
}

#[tokio::test]
async fn a_practitioner_signs_up_with_the_invite_code() {
    let (server, mailbox) = with_mail(&[]).await;
    server.set("site.registration_invite_code", "string", "'harbour'").await;
    server.set("auth.default_orgs", "string", "'20003:m'").await;
    let browser = Browser::new();
    let landing = sign_up(&server, &browser, "new@Example.org", &[]).await;
    assert_eq!((landing.status, landing.location.as_str()), (302, "/clients/jhe-admin/"), "{}", landing.text);
    // Signed in, a practitioner whatever was asked for, and a member where the setting says.
    let kind = "SELECT u.user_type || ' ' || m.organization_id || ' ' || m.role FROM core_jheuser AS u
                  JOIN core_practitioner AS p ON p.jhe_user_id = u.id
                  JOIN core_practitionerorganization AS m ON m.practitioner_id = p.id WHERE u.email = 'new@example.org'";
    assert_eq!(server.scalar(kind).await, "practitioner 20003 member");
    assert_eq!(browser.get(&authorize_url(&server, &[]).await).await.status, 302);

    // Scripts leave the second password empty.
    let once = sign_up(&server, &Browser::new(), "script@example.org", &[("password2", "")]).await;
    assert_eq!((once.status, once.location.as_str()), (302, "/clients/jhe-admin/"), "{}", once.text);

    // The mail that came confirms the address, once.
    let mail = mailbox.wait("new@example.org", 1).await;
    assert_eq!(mail.subject, "JHE E-mail Verification");
    let link = mail.link(&page(&server, "/accounts/verify_email_confirm/"));
    let stranger = Browser::new();
    assert_eq!(stranger.get(&link).await.location, "/accounts/verify_email_complete/");
    let verified = "SELECT email_is_verified::text FROM core_jheuser WHERE email = 'new@example.org'";
    assert_eq!(server.scalar(verified).await, "true");
    assert!(stranger.get(&link).await.text.contains("The link is invalid."));
    server.stop().await;
}

#[tokio::test]
async fn signing_up_is_refused_for_each_reason() {
    let (server, _mailbox) = with_mail(&[]).await;
    let browser = Browser::new();
    // Without a setting it is closed, even to those who leave the code out.
    server.execute("DELETE FROM core_jhesetting WHERE key = 'site.registration_invite_code'").await;
    server.app().settings().reload().await.unwrap();
    for code in ["", "jhe", "harbour"] {
        let landing = sign_up(&server, &browser, "a@example.org", &[("joincode", code)]).await;
        assert!(
            landing.status == 200 && landing.text.contains("Your Invite Code is invalid."),
            "{code}: {}",
            landing.text
        );
    }
    server.set("site.registration_invite_code", "string", "'harbour'").await;
    let check = async |email: &str, changes: &[(&str, &str)], said: &str| {
        let landing = sign_up(&server, &browser, email, changes).await;
        assert!(landing.status == 200 && landing.text.contains(said), "{said}: {}", landing.text);
        landing
    };
    // Who does not hold the code learns nothing about addresses.
    let hidden = check(MARY, &[("joincode", "Harbour")], "Your Invite Code is invalid.").await;
    assert!(!hidden.text.contains("already exists"));
    let marked: Vec<_> = hidden.text.lines().filter(|line| line.contains("aria-invalid")).collect();
    assert!(matches!(marked[..], [field] if field.contains("name=\"joincode\"")), "what is at fault alone: {marked:?}");
    check("MANAGER_mary@example.com", &[], "This Email already exists").await;
    check("no address", &[], "Enter a valid email address.").await;
    check("a@example.org", &[("password2", "other")], "The two password fields didn’t match.").await;
    check("a@example.org", &[("password", "short"), ("password2", "short")], "It must contain at least 8 characters.")
        .await;
    check("a@example.org", &[("password", "password1"), ("password2", "password1")], "too common").await;
    check("a@example.org", &[("password", "739284650192"), ("password2", "739284650192")], "entirely numeric").await;
    check("harbourside@example.org", &[("password", "harbourside"), ("password2", "harbourside")], "too similar").await;
    server.set("auth.password.min_length", "int", "30").await;
    check("a@example.org", &[], "It must contain at least 30 characters.").await;
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_jheuser WHERE email LIKE '%@example.org'").await, "0");
    server.stop().await;
}

#[tokio::test]
async fn signing_up_leads_only_to_our_own_pages_and_survives_a_broken_setting() {
    let (server, _mailbox) = with_mail(&[]).await;
    server.set("site.registration_invite_code", "string", "'harbour'").await;
    server.set("auth.default_orgs", "string", "'20003:member;999:member'").await;
    let browser = Browser::new();
    let landing = sign_up(&server, &browser, "b@example.org", &[("next", "//evil.example")]).await;
    assert_eq!(landing.location, "/clients/jhe-admin/");
    let count = "SELECT count(*)::text FROM core_practitionerorganization AS m JOIN core_practitioner AS p ON p.id = m.practitioner_id
                   JOIN core_jheuser AS u ON u.id = p.jhe_user_id WHERE u.email = 'b@example.org'";
    assert_eq!(server.scalar(count).await, "0");
    let kept = sign_up(&server, &Browser::new(), "c@example.org", &[("next", "/o/authorize/?x=1")]).await;
    assert_eq!(kept.location, "/o/authorize/?x=1");
    // The original's second sign-up, which needed no code, does not exist.
    assert_eq!(browser.get(&page(&server, "/allauth/signup/")).await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn an_address_is_confirmed_by_those_signed_in() {
    let (server, mailbox) = with_mail(&[]).await;
    server.execute("UPDATE core_jheuser SET email_is_verified = false WHERE id = 10002").await;
    let (browser, verify) = (Browser::new(), page(&server, "/accounts/verify_email/"));
    let done = page(&server, "/accounts/password_change/done/");
    for path in [&verify, &done] {
        assert!(browser.get(path).await.location.starts_with("/accounts/login/?next="), "{path}");
    }
    browser.sign_in(&server, MARY, PASSWORD).await;
    assert_eq!(browser.get(&done).await.status, 200);
    assert_eq!(browser.submit(&verify, &[]).await.location, "/accounts/verify_email_done");
    let link = mailbox.wait(MARY, 1).await.link(&page(&server, "/accounts/verify_email_confirm/"));
    // A second mail has to wait.
    assert_eq!(browser.submit(&verify, &[]).await.status, 429);
    // A link of somebody else's account, or one that is too old, confirms nothing.
    let foreign = link.replace("/MTAwMDI/", "/MTAwMDM/");
    assert_ne!(foreign, link);
    assert!(browser.get(&foreign).await.text.contains("The link is invalid."));
    server.clock.advance(TimeDelta::hours(25));
    assert!(browser.get(&link).await.text.contains("The link is invalid."));
    assert_eq!(browser.submit(&verify, &[]).await.location, "/accounts/verify_email_done");
    let link = mailbox.wait(MARY, 2).await.link(&page(&server, "/accounts/verify_email_confirm/"));
    assert_eq!(browser.get(&link).await.location, "/accounts/verify_email_complete/");
    assert_eq!(browser.submit(&verify, &[]).await.location, "/accounts/verify_email_complete/");
    assert_eq!(mailbox.count(MARY), 2);
    server.stop().await;
}

#[tokio::test]
async fn an_unconfirmed_address_keeps_people_out_only_where_the_site_says_so() {
    let (server, mailbox) = with_mail(&[]).await;
    server.execute("UPDATE core_jheuser SET email_is_verified = false WHERE id = 10002").await;
    assert_eq!(Browser::new().sign_in(&server, MARY, PASSWORD).await.status, 302);
    server.set("auth.require_verified_email", "bool", "true").await;
    let browser = Browser::new();
    let asked = browser.sign_in(&server, MARY, PASSWORD).await;
    assert!(asked.status == 200 && asked.text.contains("Confirm your e-mail address"), "{}", asked.text);
    let login = browser.get(&authorize_url(&server, &[]).await).await;
    assert!(login.location.contains("/accounts/login/"), "nobody was signed in");
    let form = [("grant_type", "password"), ("client_id", "demo-notebook"), ("username", MARY), ("password", PASSWORD)];
    token(&server, &form).await.expect(400);
    // The button of that page sends the mail, from the page it is shown on.
    assert!(!asked.text.contains(" action="), "{}", asked.text);
    let field = |name: &str| {
        let rest = asked.text.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let (csrf, account) = (field("csrfmiddlewaretoken"), field("account"));
    let sent = browser
        .forge(&page(&server, "/accounts/login/"), &[("csrfmiddlewaretoken", &csrf), ("account", &account)])
        .await;
    assert_eq!(sent.location, "/accounts/verify_email_done");
    let link = mailbox.wait(MARY, 1).await.link(&page(&server, "/accounts/verify_email_confirm/"));
    browser.get(&link).await;
    assert_eq!(browser.sign_in(&server, MARY, PASSWORD).await.status, 302);
    token(&server, &form).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_a_link() {
    let (server, mailbox) = with_mail(&[]).await;
    let reset = page(&server, "/accounts/password_reset/");
    let browser = Browser::new();
    // Nobody learns whether there is such an account.
    for email in ["nobody@example.org", "MANAGER_MARY@example.com"] {
        let landing = browser.submit(&reset, &[("email", email)]).await;
        assert_eq!((landing.status, landing.location.as_str()), (302, "/accounts/password_reset/done/"), "{email}");
    }
    assert!(browser.submit(&reset, &[("email", "no address")]).await.text.contains("Enter a valid email address."));
    let mail = mailbox.wait(MARY, 1).await;
    assert!(mail.subject.starts_with("Password reset on localhost") && mail.text.contains(MARY), "{mail:?}");
    assert_eq!(mailbox.count("nobody@example.org"), 0);
    let link = mail.link(&page(&server, "/accounts/reset/"));

    // The account is in use elsewhere.
    let elsewhere = Browser::new();
    let tokens = {
        // Signing in would end the link, so the session is older than it.
        elsewhere.sign_in(&server, PETER, PASSWORD).await;
        let form =
            [("grant_type", "password"), ("client_id", "demo-notebook"), ("username", PETER), ("password", PASSWORD)];
        token(&server, &form).await.expect(200).json()
    };
    let opened = browser.get(&link).await;
    assert_eq!(opened.status, 302);
    assert!(opened.location.ends_with("/set-password/"), "the token leaves the address: {}", opened.location);
    let choose = absolute(&server, &opened.location);
    let check = async |one: &str, two: &str, said: &str| {
        let landing = browser.submit(&choose, &[("new_password1", one), ("new_password2", two)]).await;
        assert!(landing.status == 200 && landing.text.contains(said), "{said}: {}", landing.text);
    };
    check(CHOSEN, "other", "The two password fields didn’t match.").await;
    check("manager_mary", "manager_mary", "too similar").await;
    let done = browser.submit(&choose, &[("new_password1", CHOSEN), ("new_password2", CHOSEN)]).await;
    assert_eq!((done.status, done.location.as_str()), (302, "/accounts/reset/done/"));
    // The link is used up, the old password gone; nobody was signed in by it.
    assert!(browser.get(&link).await.text.contains("invalid"));
    assert!(browser.get(&authorize_url(&server, &[]).await).await.location.contains("/accounts/login/"));
    assert_eq!(Browser::new().sign_in(&server, MARY, PASSWORD).await.status, 200);
    assert_eq!(Browser::new().sign_in(&server, MARY, CHOSEN).await.status, 302);
    assert!(mailbox.wait(MARY, 2).await.text.contains("was changed"));
    // Others are left alone.
    assert_eq!(elsewhere.get(&authorize_url(&server, &[]).await).await.status, 302);
    server.get("/api/v1/users/profile").bearer(tokens["access_token"].as_str().unwrap()).send().await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn a_new_password_by_link_ends_sessions_and_tokens() {
    let (server, mailbox) = with_mail(&[]).await;
    let (old, client) = (Browser::new(), console(&server).await);
    old.sign_in(&server, MARY, PASSWORD).await;
    let code = code(&server, &old).await;
    let redirect = page(&server, "/auth/callback");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", redirect.as_str()),
        ("client_id", client.as_str()),
        ("code_verifier", VERIFIER),
    ];
    let tokens = token(&server, &form).await.expect(200).json();
    let keys = server.post("/api/v1/practitioner_clients").as_user(jhe_testkit::MARY).json(&serde_json::json!({}));
    let basic = format!("Basic {}", keys.send().await.expect(201).at("/key").as_str().unwrap());
    let machine = [("grant_type", "client_credentials")];
    let machine = server.post("/o/token/").header("authorization", &basic).form(&machine).send().await.expect(200);
    let machine = machine.at("/access_token").as_str().unwrap().to_owned();
    server.get("/api/v1/users/profile").bearer(&machine).send().await.expect(200);
    let browser = Browser::new();
    browser.submit(&page(&server, "/accounts/password_reset/"), &[("email", MARY)]).await;
    let link = mailbox.wait(MARY, 2).await.link(&page(&server, "/accounts/reset/"));
    let choose = absolute(&server, &browser.get(&link).await.location);
    browser.submit(&choose, &[("new_password1", CHOSEN), ("new_password2", CHOSEN)]).await;
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    server.get("/api/v1/users/profile").bearer(access).send().await.expect(401);
    server.get("/api/v1/users/profile").bearer(&machine).send().await.expect(401);
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", client.as_str())];
    token(&server, &form).await.expect(400);
    assert!(old.get(&authorize_url(&server, &[]).await).await.location.contains("/accounts/login/"));
    server.stop().await;
}

#[tokio::test]
async fn a_reset_link_ends_with_time_with_a_sign_in_and_with_the_next_link() {
    let (server, mailbox) = with_mail(&[]).await;
    let (browser, reset) = (Browser::new(), page(&server, "/accounts/password_reset/"));
    let link = async |number: usize| {
        browser.submit(&reset, &[("email", MARY)]).await;
        mailbox.wait(MARY, number).await.link(&page(&server, "/accounts/reset/"))
    };
    let first = link(1).await;
    let second = link(2).await;
    assert!(browser.get(&first).await.text.contains("invalid"), "a newer one replaces it");
    assert_eq!(browser.get(&second).await.status, 302);
    Browser::new().sign_in(&server, MARY, PASSWORD).await;
    assert!(browser.get(&second).await.text.contains("invalid"), "its owner has come in");
    let third = link(3).await;
    server.clock.advance(TimeDelta::hours(25));
    assert!(browser.get(&third).await.text.contains("invalid"), "it is too old");
    // Accounts made by staff have no password yet and choose their first one this way; closed accounts do not.
    server.execute("UPDATE core_jheuser SET password = '!' WHERE id = 10003").await;
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10004").await;
    for email in ["member_megan@example.com", "viewer_victor@example.com"] {
        browser.submit(&reset, &[("email", email)]).await;
    }
    mailbox.wait("member_megan@example.com", 1).await;
    assert_eq!(mailbox.count("viewer_victor@example.com"), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_password_is_changed_with_the_old_one() {
    let (server, mailbox) = with_mail(&[]).await;
    let (here, there) = (Browser::new(), Browser::new());
    let change = page(&server, "/accounts/password_change/");
    assert!(here.get(&change).await.location.starts_with("/accounts/login/?next="));
    here.sign_in(&server, MARY, PASSWORD).await;
    there.sign_in(&server, MARY, PASSWORD).await;
    let fields =
        |old: &'static str, new: &'static str| [("old_password", old), ("new_password1", new), ("new_password2", new)];
    let wrong = here.submit(&change, &fields("wrong", CHOSEN)).await;
    assert!(wrong.text.contains("Your old password was entered incorrectly. Please enter it again."), "{}", wrong.text);
    assert!(here.submit(&change, &fields(PASSWORD, "short")).await.text.contains("too short"));
    let done = here.submit(&change, &fields(PASSWORD, CHOSEN)).await;
    assert_eq!((done.status, done.location.as_str()), (302, "/accounts/password_change/done/"), "{}", done.text);
    // This browser goes on, the other one starts anew.
    assert_eq!(here.get(&change).await.status, 200);
    assert!(there.get(&change).await.location.starts_with("/accounts/login/?next="));
    assert_eq!(Browser::new().sign_in(&server, MARY, PASSWORD).await.status, 200);
    assert_eq!(Browser::new().sign_in(&server, MARY, CHOSEN).await.status, 302);
    assert!(mailbox.wait(MARY, 1).await.subject.contains("Security notice"));
    server.stop().await;
}

#[tokio::test]
async fn an_account_that_operators_close_is_shut_out_until_they_open_it() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let key = server.post("/api/v1/practitioner_clients").as_user(jhe_testkit::MARY).json(&serde_json::json!({}));
    let basic = format!("Basic {}", key.send().await.expect(201).at("/key").as_str().unwrap());
    let machine = async || {
        let form = [("grant_type", "client_credentials")];
        server.post("/o/token/").header("authorization", &basic).form(&form).send().await
    };
    let access = machine().await.expect(200).at("/access_token").as_str().unwrap().to_owned();
    let profile = async |token: &str| server.get("/api/v1/users/profile").bearer(token).send().await.status.as_u16();
    assert_eq!(profile(&access).await, 200);
    jhe_app::operator::set_active(server.store(), "Manager_Mary@example.com", false).await.unwrap();
    assert_eq!(profile(&access).await, 401);
    assert_eq!(profile(&jhe_testkit::MARY.token()).await, 401);
    assert!(machine().await.status.as_u16() >= 400, "its API keys give nothing");
    assert_eq!(Browser::new().sign_in(&server, MARY, PASSWORD).await.status, 200);
    assert!(browser.get(&authorize_url(&server, &[]).await).await.location.contains("/accounts/login/"));
    jhe_app::operator::set_active(server.store(), MARY, true).await.unwrap();
    assert_eq!(profile(&access).await, 401, "what ended stays ended");
    // Its API keys ended, too: their holders may be why it was closed. New ones work.
    machine().await.expect(401);
    let keys = server.get("/api/v1/practitioner_clients").as_user(jhe_testkit::MARY);
    let browser = Browser::new();
    assert_eq!(browser.sign_in(&server, MARY, PASSWORD).await.status, 302);
    keys.send().await.expect(401);
    let access = super::text(&super::console_tokens(&server, &browser, "openid").await, "access_token");
    let keys = server.get("/api/v1/practitioner_clients").bearer(&access).send().await.expect(200);
    assert_eq!(keys.at("/count"), 0, "{}", keys.text());
    let key = server.post("/api/v1/practitioner_clients").bearer(&access).json(&serde_json::json!({}));
    let basic = format!("Basic {}", key.send().await.expect(201).at("/key").as_str().unwrap());
    let form = [("grant_type", "client_credentials")];
    server.post("/o/token/").header("authorization", &basic).form(&form).send().await.expect(200);
    // Keys of others are not touched by any of it, and opening an open account changes nothing.
    jhe_app::operator::set_active(server.store(), MARY, true).await.unwrap();
    jhe_app::operator::set_active(server.store(), "manager_mark@example.com", false).await.unwrap();
    server.post("/o/token/").header("authorization", &basic).form(&form).send().await.expect(200);
    assert!(jhe_app::operator::set_active(server.store(), "nobody@example.org", false).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn people_see_and_end_their_own_sessions() {
    let (server, _mailbox) = with_mail(&[]).await;
    let (here, there, other) = (Browser::new(), Browser::new(), Browser::new());
    here.sign_in(&server, MARY, PASSWORD).await;
    server.clock.advance(TimeDelta::minutes(1));
    there.sign_in(&server, MARY, PASSWORD).await;
    other.sign_in(&server, PETER, PASSWORD).await;
    let sessions = page(&server, "/accounts/sessions/");
    let shown = here.get(&sessions).await.text;
    let names: Vec<&str> =
        shown.split("name=\"session\" value=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(names.len(), 2, "{shown}");
    // This browser comes first. Nobody ends somebody else's session.
    other.submit(&sessions, &[("session", names[1])]).await;
    assert_eq!(there.get(&sessions).await.status, 200);
    here.submit(&sessions, &[("session", names[1])]).await;
    assert_eq!(there.get(&sessions).await.status, 302);
    assert_eq!(here.get(&sessions).await.status, 200);
    server.stop().await;
}

/// Asks for a code in a browser that came on behalf of the console's client.
async fn ask_for_code(server: &TestServer, browser: &Browser, email: &str) -> String {
    let client = console(server).await;
    server.set("auth.patient_access_clients", "json", &format!("'[\"{client}\"]'")).await;
    let login = browser.get(&authorize_url(server, &[]).await).await.location;
    let routed = browser.follow(server, &login).await;
    assert!(routed.location.starts_with("/accounts/login-otp/?next="), "{}", routed.location);
    let asked = browser.submit(&absolute(server, &routed.location), &[("email", email)]).await;
    assert!(asked.location.starts_with("/allauth/login/code/confirm/?next="), "{}", asked.location);
    absolute(server, &asked.location)
}

/// The code in a mail.
fn code_in(mail: &jhe_testkit::Mail) -> String {
    let shown = |line: &&str| line.len() == 9 && line.chars().nth(4) == Some('-');
    mail.text.lines().map(str::trim).find(shown).unwrap_or_else(|| panic!("{mail:?}")).to_owned()
}

#[tokio::test]
async fn patients_of_some_clients_sign_in_with_a_code() {
    let (server, mailbox) = with_mail(&[]).await;
    server.execute("UPDATE core_jheuser SET email_is_verified = false WHERE id = 10006").await;
    let browser = Browser::new();
    let confirm = ask_for_code(&server, &browser, PETER).await;
    assert!(browser.get(&confirm).await.text.contains(&format!("We've sent a sign-in code to {PETER}.")));
    let mail = mailbox.wait(PETER, 1).await;
    assert!(
        mail.subject.ends_with("Sign-In Code") && mail.text.contains("JupyterHealth Exchange sign-in code"),
        "{mail:?}"
    );
    let typed = code_in(&mail).to_lowercase().replace('-', " ");
    // Another browser cannot use it.
    assert_eq!(Browser::new().get(&confirm).await.status, 302);
    let landing = browser.submit(&confirm, &[("action", "verify"), ("code", &typed)]).await;
    assert!(landing.location.starts_with("/o/authorize/?"), "{} {}", landing.location, landing.text);
    let back = browser.follow(&server, &landing.location).await;
    assert!(parameter(&back.location, "code").is_some());
    assert_eq!(server.scalar("SELECT email_is_verified::text FROM core_jheuser WHERE id = 10006").await, "true");
    // It is used up.
    assert_eq!(browser.get(&confirm).await.status, 302);
    // Who is signed in is not sent there; neither are other clients, nor a plain sign-in.
    let login = page(&server, "/accounts/login/");
    let next = encoded(&authorize_url(&server, &[]).await.replace(&server.base, ""));
    assert_eq!(browser.get(&format!("{login}?next={next}")).await.status, 200);
    for url in [
        login.clone(),
        format!("{login}?next=/o/authorize/"),
        format!("{login}?next=%2Fo%2Fauthorize%2F%3Fclient_id%3Dother"),
    ] {
        assert_eq!(Browser::new().get(&url).await.status, 200, "{url}");
    }
    server.stop().await;
}

fn encoded(text: &str) -> String {
    reqwest::Url::parse_with_params("http://x/", [("v", text)]).unwrap().query().unwrap()[2..].to_owned()
}

#[tokio::test]
async fn a_code_is_good_for_three_tries_three_minutes_and_one_browser() {
    let (server, mailbox) = with_mail(&[]).await;
    let browser = Browser::new();
    let confirm = ask_for_code(&server, &browser, PETER).await;
    let code = code_in(&mailbox.wait(PETER, 1).await);
    for _ in 0..2 {
        let wrong = browser.submit(&confirm, &[("action", "verify"), ("code", "BBBB-BBBB")]).await;
        assert!(wrong.text.contains("That sign-in code is incorrect. Please try again."), "{}", wrong.text);
    }
    let third = browser.submit(&confirm, &[("action", "verify"), ("code", "BBBB-BBBB")]).await;
    assert!(third.location.starts_with("/allauth/login/code/"), "{}", third.location);
    let again = browser.follow(&server, &third.location).await;
    assert!(
        again.text.contains("Too many incorrect attempts. Please request a new code and try again."),
        "{}",
        again.text
    );
    assert_eq!(browser.get(&confirm).await.status, 302);

    // A new one replaces the old one, at most twice, and ends after three minutes.
    let confirm = ask_for_code(&server, &browser, PETER).await;
    let second = code_in(&mailbox.wait(PETER, 2).await);
    assert_eq!(browser.submit(&confirm, &[("action", "resend")]).await.status, 200);
    let third = code_in(&mailbox.wait(PETER, 3).await);
    assert!(code != second && second != third);
    let old = browser.submit(&confirm, &[("action", "verify"), ("code", &second)]).await;
    assert!(old.text.contains("incorrect"), "{}", old.text);
    assert_eq!(browser.submit(&confirm, &[("action", "resend")]).await.status, 200);
    assert_eq!(browser.submit(&confirm, &[("action", "resend")]).await.status, 429);
    let fourth = code_in(&mailbox.wait(PETER, 4).await);
    server.clock.advance(TimeDelta::seconds(181));
    assert_eq!(browser.get(&confirm).await.status, 302, "{fourth} is too old");
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_only_looks_like_one_of_ours_is_unknown() {
    let (server, mailbox) = with_mail(&[]).await;
    // The Kelvin sign becomes a `k` where Unicode folds case; mail for it goes to somebody else.
    for lookalike in ["manager_mar\u{212a}@example.com", "MANAGER_MAR\u{212a}@EXAMPLE.COM"] {
        let login = page(&server, "/accounts/login-otp/");
        assert_eq!(Browser::new().submit(&login, &[("email", lookalike)]).await.status, 302);
        assert_eq!(Browser::new().sign_in(&server, lookalike, PASSWORD).await.status, 200, "no such account");
    }
    Browser::new()
        .submit(&page(&server, "/accounts/password_reset/"), &[("email", "manager_mar\u{212a}@example.com")])
        .await;
    let patient = serde_json::json!({"organizationId": 20003, "telecomEmail": "manager_mar\u{212a}@example.com",
        "nameFamily": "K", "nameGiven": "K", "birthDate": "1990-01-01"});
    server.post("/api/v1/patients").as_user(jhe_testkit::MARY).json(&patient).send().await.expect(400);
    // What was sent went to the look-alike and speaks of no account; the owner's other spelling still works.
    assert_eq!(server.scalar("SELECT count(*)::text FROM jhe_one_time_code WHERE user_id IS NOT NULL").await, "0");
    let confirm = ask_for_code(&server, &Browser::new(), "Manager_Mark@Example.com").await;
    assert!(!confirm.is_empty());
    code_in(&mailbox.wait("manager_mark@example.com", 1).await);
    server.stop().await;
}

#[tokio::test]
async fn proving_oneself_by_mail_lifts_the_lock_of_wrong_passwords() {
    let (server, mailbox) = with_mail(&[]).await;
    let lock = async || {
        for _ in 0..6 {
            Browser::new().sign_in(&server, "manager_mark@example.com", "wrong").await;
        }
        assert_eq!(Browser::new().sign_in(&server, "manager_mark@example.com", PASSWORD).await.status, 429);
        // What this address may try is counted too, for a minute.
        server.clock.advance(TimeDelta::seconds(61));
    };
    lock().await;
    let browser = Browser::new();
    let confirm = ask_for_code(&server, &browser, "manager_mark@example.com").await;
    let code = code_in(&mailbox.wait("manager_mark@example.com", 1).await);
    browser.submit(&confirm, &[("action", "verify"), ("code", &code)]).await;
    assert_eq!(Browser::new().sign_in(&server, "manager_mark@example.com", PASSWORD).await.status, 302);
    lock().await;
    browser.submit(&page(&server, "/accounts/password_reset/"), &[("email", "manager_mark@example.com")]).await;
    let link = mailbox.wait("manager_mark@example.com", 2).await.link(&page(&server, "/accounts/reset/"));
    let choose = absolute(&server, &browser.get(&link).await.location);
    browser.submit(&choose, &[("new_password1", CHOSEN), ("new_password2", CHOSEN)]).await;
    assert_eq!(Browser::new().sign_in(&server, "manager_mark@example.com", CHOSEN).await.status, 302);
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_address_gets_the_same_pages_and_another_mail() {
    let (server, mailbox) = with_mail(&[]).await;
    let browser = Browser::new();
    let confirm = ask_for_code(&server, &browser, "nobody@example.org").await;
    assert!(browser.get(&confirm).await.text.contains("We've sent a sign-in code to nobody@example.org."));
    let mail = mailbox.wait("nobody@example.org", 1).await;
    assert!(
        mail.text.contains("we don't have an account on record") && mail.text.contains("nobody@example.org"),
        "{mail:?}"
    );
    // Administrators come in by password only.
    ask_for_code(&server, &Browser::new(), "admin@example.com").await;
    assert!(mailbox.wait("admin@example.com", 1).await.text.contains("password only"));
    // Four codes a minute for one address are one too many.
    let login = page(&server, "/accounts/login-otp/");
    for expected in [302, 302, 429] {
        assert_eq!(Browser::new().submit(&login, &[("email", "Nobody@example.org")]).await.status, expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_address_with_a_zero_byte_is_none_and_no_code_is_made_right_by_leaving_one_out() {
    let (server, _mailbox) = with_mail(&[]).await;
    server.set("site.registration_invite_code", "string", "'harbour'").await;
    for path in ["/accounts/password_reset/", "/accounts/login-otp/"] {
        for email in ["manager\0_mary@example.com", "manager_mary@example.com\0", "\0manager_mary@example.com"] {
            let refused = Browser::new().submit(&page(&server, path), &[("email", email)]).await;
            assert_eq!(refused.status, 200, "{path} {email:?}");
            assert!(refused.text.contains("Enter a valid email address."), "{path} {email:?}: {}", refused.text);
        }
        assert_eq!(Browser::new().submit(&page(&server, path), &[("email", MARY)]).await.status, 302);
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM jhe_mail").await, "2");
    let refused = sign_up(&server, &Browser::new(), "z@example.org", &[("joincode", "har\0bour")]).await;
    assert!(refused.text.contains("Your Invite Code is invalid."), "{}", refused.text);
    assert_eq!(sign_up(&server, &Browser::new(), "z@example.org", &[]).await.status, 302);
    server.stop().await;
}

#[tokio::test]
async fn imported_hashes_verify_and_are_replaced() {
    let server = TestServer::start().await;
    server
        .execute("UPDATE core_jheuser SET password = 'pbkdf2_sha256$1000$testsalt$rxId5JAnijGXWeXyqPpwmArDSjJodtuYmixzaBuvAyI=' WHERE id = 10002")
        .await;
    server.execute("UPDATE core_jheuser SET password = '!' WHERE id = 10003").await;
    assert_eq!(Browser::new().sign_in(&server, MARY, PASSWORD).await.status, 302);
    let hash = server.scalar("SELECT password FROM core_jheuser WHERE id = 10002").await;
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert_eq!(Browser::new().sign_in(&server, MARY, PASSWORD).await.status, 302);
    assert_eq!(Browser::new().sign_in(&server, "member_megan@example.com", PASSWORD).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn mail_waits_for_its_server_and_is_not_kept_once_sent() {
    let (server, mailbox) = with_mail(&[]).await;
    Browser::new().submit(&page(&server, "/accounts/password_reset/"), &[("email", MARY)]).await;
    mailbox.wait(MARY, 1).await;
    eventually("the mail is sent", async || server.scalar("SELECT state FROM jhe_mail").await == "sent").await;
    assert_eq!(server.scalar("SELECT state || length(body_text) FROM jhe_mail").await, "sent0");
    server.stop().await;

    // Nobody listens there: the mail stays, its text sealed, and the reason is kept.
    let server = TestServer::with(&[("SMTP_HOST", "127.0.0.1"), ("SMTP_PORT", "9")]).await;
    Browser::new().submit(&page(&server, "/accounts/password_reset/"), &[("email", MARY)]).await;
    eventually("it was tried", async || !server.scalar("SELECT last_error FROM jhe_mail").await.is_empty()).await;
    let row = "SELECT state || ' ' || attempts || ' ' || (next_attempt > clock_timestamp()) || ' ' || last_error FROM jhe_mail";
    assert_eq!(server.scalar(row).await, "queued 1 true the mail server could not be reached");
    assert!(!server.scalar("SELECT body_text FROM jhe_mail").await.contains("http"), "links are sealed");
    server.stop().await;
}
