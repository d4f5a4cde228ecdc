//! How often things may be tried (contract: identity §4.9), counted in the database for all processes.

use std::collections::BTreeMap;

use jhe_domain::client::GrantType;
use jhe_testkit::{Call, TestServer};

use super::{Browser, register, token};

const MARY: &str = "manager_mary@example.com";
const PASSWORD: &str = "Jhe1234!";

/// How often each status came back for requests sent at the same time.
async fn at_once(calls: Vec<Call>) -> BTreeMap<u16, usize> {
    let sent: Vec<_> = calls.into_iter().map(|call| tokio::spawn(call.send())).collect();
    let mut statuses = BTreeMap::new();
    for reply in sent {
        *statuses.entry(reply.await.unwrap().status.as_u16()).or_insert(0) += 1;
    }
    statuses
}

/// What a browser that opened a page posts from its form.
async fn filled_in(server: &TestServer, path: &str, fields: &[(&str, &str)]) -> Call {
    let page = server.get(path).send().await.expect(200);
    let cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
    let text = page.text();
    let token = text.split("name=\"csrfmiddlewaretoken\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut form = vec![("csrfmiddlewaretoken", token)];
    form.extend_from_slice(fields);
    server.post(path).header("cookie", &cookie).form(&form)
}

async fn many(server: &TestServer, number: usize, path: &str, fields: &[(&str, &str)]) -> BTreeMap<u16, usize> {
    let mut calls = Vec::new();
    for _ in 0..number {
        calls.push(filled_in(server, path, fields).await);
    }
    at_once(calls).await
}

#[tokio::test]
async fn what_is_limited_by_attempts_is_limited_for_those_that_come_at_once() {
    let server = TestServer::start().await;
    server.set("site.registration_invite_code", "string", "'harbour'").await;
    let counts = |few: u16, number: usize, all: usize| BTreeMap::from([(few, number), (429, all - number)]);
    // One address of mail: three codes a minute, five links; one network address: twenty of either.
    assert_eq!(many(&server, 20, "/accounts/login-otp/", &[("email", MARY)]).await, counts(302, 3, 20));
    assert_eq!(server.scalar("SELECT count(*)::text FROM jhe_one_time_code").await, "3");
    assert_eq!(many(&server, 20, "/accounts/password_reset/", &[("email", MARY)]).await, counts(302, 5, 20));
    let guess = [("joincode", "guess"), ("email", "x")];
    assert_eq!(many(&server, 40, "/accounts/signup/", &guess).await, counts(200, 20, 40));
    // A minute later there are as many again.
    server.clock.advance(chrono::TimeDelta::seconds(61));
    assert_eq!(many(&server, 3, "/accounts/login-otp/", &[("email", MARY)]).await, BTreeMap::from([(302, 3)]));
    server.stop().await;
}

#[tokio::test]
async fn of_passwords_guessed_at_once_five_are_checked() {
    let server = TestServer::start().await;
    let wrong = [("username", MARY), ("password", "wrong")];
    let statuses = many(&server, 20, "/accounts/login/", &wrong).await;
    assert_eq!(statuses, BTreeMap::from([(200, 5), (429, 15)]));
    assert_eq!(server.scalar("SELECT count(*)::text FROM jhe_audit_event WHERE action = 'login_failed'").await, "5");
    assert_eq!(server.scalar("SELECT count(*)::text FROM jhe_audit_event WHERE action = 'lockout'").await, "1");
    // The right one is refused as well until the lock ends, and right ones that come at once do not stand in each other's way.
    let right = [("username", MARY), ("password", PASSWORD)];
    assert_eq!(many(&server, 1, "/accounts/login/", &right).await, BTreeMap::from([(429, 1)]));
    server.clock.advance(chrono::TimeDelta::seconds(301));
    assert_eq!(many(&server, 12, "/accounts/login/", &right).await, BTreeMap::from([(302, 12)]));
    server.stop().await;
}

#[tokio::test]
async fn of_secrets_and_invitations_guessed_at_once_ten_are_answered() {
    let server = TestServer::start().await;
    let grants = [GrantType::ClientCredentials];
    let (client, secret) = register(&server, "Service", &grants, &[], |request| request.confidential = true).await;
    let ask = |secret: &str| {
        let form = [("grant_type", "client_credentials"), ("client_id", client.as_str()), ("client_secret", secret)];
        server.post("/o/token/").form(&form)
    };
    let ten = BTreeMap::from([(401, 10), (429, 30)]);
    assert_eq!(at_once((0..40).map(|_| ask("wrong")).collect()).await, ten);
    server.clock.advance(chrono::TimeDelta::seconds(61));
    assert_eq!(at_once((0..40).map(|_| ask(&secret)).collect()).await, BTreeMap::from([(200, 40)]));
    // A secret that a person chose, which is hashed slowly.
    let chosen = jhe_crypto::password::hash("a chosen secret", &mut jhe_crypto::OsEntropy).unwrap();
    let sql = format!("UPDATE oauth2_provider_application SET client_secret = '{chosen}' WHERE name = 'Service'");
    server.execute(Box::leak(sql.into_boxed_str())).await;
    let mixed = (0..20).map(|_| ask("wrong")).chain((0..4).map(|_| ask("a chosen secret"))).collect();
    let statuses = at_once(mixed).await;
    assert_eq!(statuses.get(&401), Some(&10), "{statuses:?}");
    server.clock.advance(chrono::TimeDelta::seconds(61));
    assert_eq!(at_once((0..12).map(|_| ask("a chosen secret")).collect()).await, BTreeMap::from([(200, 12)]));

    let redeem = |number: usize| server.post(&format!("/api/v1/invitation/{}", format!("{number:02}").repeat(16)));
    assert_eq!(at_once((0..25).map(redeem).collect()).await, BTreeMap::from([(404, 10), (429, 15)]));
    server.stop().await;
}

#[tokio::test]
async fn servers_that_share_a_database_share_their_limits() {
    let server = TestServer::start().await;
    let mut other = TestServer::on(server.database(), &[]).await;
    let redeem = |number: usize| {
        let of = if number.is_multiple_of(2) { &server } else { &other };
        of.post(&format!("/api/v1/invitation/{}", format!("{number:02}").repeat(16)))
    };
    assert_eq!(at_once((0..24).map(redeem).collect()).await, BTreeMap::from([(404, 10), (429, 14)]));
    other.begin_stop().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn an_old_password_is_guessed_five_times() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let change = format!("{}/accounts/password_change/", server.base);
    let fields =
        |old| [("old_password", old), ("new_password1", "a quiet harbour"), ("new_password2", "a quiet harbour")];
    for _ in 0..5 {
        assert_eq!(browser.submit(&change, &fields("wrong")).await.status, 200);
    }
    assert_eq!(browser.submit(&change, &fields(PASSWORD)).await.status, 429);
    server.clock.advance(chrono::TimeDelta::seconds(301));
    assert_eq!(browser.submit(&change, &fields(PASSWORD)).await.status, 302);
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_may_try_no_more_passwords_is_told_so_and_a_locked_account_is_not() {
    let server = TestServer::start().await;
    let ask = async |name: &str, password: &str| {
        let form =
            [("grant_type", "password"), ("client_id", "demo-notebook"), ("username", name), ("password", password)];
        token(&server, &form).await
    };
    for _ in 0..5 {
        assert_eq!(ask(MARY, "wrong").await.expect(400).at("/error"), "invalid_grant");
    }
    let locked = ask(MARY, PASSWORD).await.expect(400);
    assert_eq!(locked.at("/error"), "invalid_grant");
    assert_eq!(locked.at("/error_description"), "Invalid credentials given.");
    for number in 0..5 {
        ask(&format!("nobody{number}@example.org"), "wrong").await.expect(400);
    }
    let limited = ask("manager_mark@example.com", PASSWORD).await.expect(429);
    assert_eq!(limited.at("/error"), "temporarily_unavailable");
    assert_eq!(limited.at("/error_description"), "Too many requests.");
    assert!(limited.header("retry-after").parse::<u64>().unwrap() > 0);
    server.clock.advance(chrono::TimeDelta::seconds(61));
    ask("manager_mark@example.com", PASSWORD).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn asking_for_a_link_takes_the_same_statements_whether_there_is_such_an_account() {
    let server = TestServer::start().await;
    server.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10004").await;
    // Those of the request alone: what sends the mail works behind it.
    let ran = async || {
        server
            .scalar(
                "SELECT coalesce(string_agg(calls || ' ' || left(query, 40), ', ' ORDER BY query), '') FROM pg_stat_statements
                  WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND query ~ 'jhe_account_link|INTO jhe_mail|jhe_settle_attempt|FROM core_jheuser AS u'",
            )
            .await
    };
    let mut taken = Vec::new();
    for email in [MARY, "nobody@example.org", "viewer_victor@example.com"] {
        let call = filled_in(&server, "/accounts/password_reset/", &[("email", email)]).await;
        // Of this database alone: others count theirs.
        server
            .execute(
                "SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)",
            )
            .await;
        call.send().await.expect(302);
        taken.push(ran().await);
    }
    assert!(taken[0].contains("INTO jhe_mail") && taken[0].contains("jhe_account_link"), "{taken:#?}");
    assert!(taken.iter().all(|one| *one == taken[0]), "{taken:#?}");
    // Nothing is kept about strangers but that somebody asked.
    let kept = "SELECT (SELECT count(*) FROM jhe_mail) || ' ' || (SELECT count(*) FROM jhe_account_link)";
    assert_eq!(server.scalar(kept).await, "1 1");
    server.stop().await;
}

#[tokio::test]
async fn an_address_gets_so_many_failures_a_minute() {
    let server = TestServer::start().await;
    for number in 0..10 {
        let page = Browser::new().sign_in(&server, &format!("nobody{number}@example.org"), "wrong").await;
        assert_eq!(page.status, 200, "{number}");
    }
    let page = Browser::new().sign_in(&server, "manager_mary@example.com", "Jhe1234!").await;
    assert_eq!(page.status, 429);
    assert!(
        page.text.contains("You're making requests too quickly. Please wait a moment and try again."),
        "{}",
        page.text
    );
    server.clock.advance(chrono::TimeDelta::seconds(61));
    assert_eq!(Browser::new().sign_in(&server, "manager_mary@example.com", "Jhe1234!").await.status, 302);
    server.stop().await;
}

#[tokio::test]
async fn a_client_gets_ten_wrong_secrets_a_minute() {
    let server = TestServer::start().await;
    let grants = [GrantType::ClientCredentials];
    let (client, secret) = register(&server, "Service", &grants, &[], |request| request.confidential = true).await;
    let ask = async |secret: &str| {
        let form = [("grant_type", "client_credentials"), ("client_id", client.as_str()), ("client_secret", secret)];
        token(&server, &form).await
    };
    for _ in 0..10 {
        ask("wrong").await.expect(401);
    }
    let refused = ask(&secret).await.expect(429);
    assert_eq!(refused.at("/error"), "temporarily_unavailable");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    server.clock.advance(chrono::TimeDelta::seconds(61));
    ask(&secret).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn pages_that_send_mail_have_limits() {
    let server = TestServer::start().await;
    server.set("site.registration_invite_code", "string", "'harbour'").await;
    let reset = format!("{}/accounts/password_reset/", server.base);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(Browser::new().submit(&reset, &[("email", "Manager_Mary@example.com")]).await.status);
    }
    assert_eq!(statuses, [302, 302, 302, 302, 302, 429]);
    let sign_up = format!("{}/accounts/signup/", server.base);
    for number in 0..21 {
        let status = Browser::new().submit(&sign_up, &[("joincode", "guess"), ("email", "x")]).await.status;
        assert_eq!(status, if number < 20 { 200 } else { 429 }, "{number}");
    }
    server.stop().await;
}

#[tokio::test]
async fn unknown_invitations_are_guessed_ten_times_a_minute() {
    let server = TestServer::start().await;
    for number in 0..10 {
        server.post(&format!("/api/v1/invitation/{}", format!("{number}").repeat(32))).send().await.expect(404);
    }
    let refused = server.post(&format!("/api/v1/invitation/{}", "x".repeat(32))).send().await.expect(429);
    assert!(refused.detail().starts_with("Request was throttled. Expected available in "), "{}", refused.detail());
    server.stop().await;
}

#[tokio::test]
async fn expired_rows_are_removed_after_a_week_and_nothing_else_is() {
    let server = TestServer::start().await;
    let form = [
        ("grant_type", "password"),
        ("username", "manager_mary@example.com"),
        ("password", "Jhe1234!"),
        ("client_id", "demo-notebook"),
    ];
    token(&server, &form).await.expect(200);
    Browser::new().sign_in(&server, "manager_mary@example.com", "Jhe1234!").await;
    let count = "SELECT concat_ws(' ', (SELECT count(*) FROM oauth2_provider_accesstoken WHERE created > '2026-09-01' AND expires < '2027-01-01'),
                   (SELECT count(*) FROM oauth2_provider_refreshtoken), (SELECT count(*) FROM jhe_session))";
    assert_eq!(server.scalar(count).await, "1 1 1");
    server.clock.advance(chrono::TimeDelta::days(6));
    jhe_app::housekeeping::purge(server.app()).await.unwrap();
    assert_eq!(server.scalar(count).await, "1 1 1");
    server.clock.advance(chrono::TimeDelta::days(2));
    jhe_app::housekeeping::purge(server.app()).await.unwrap();
    assert_eq!(server.scalar(count).await, "0 1 1", "the access token lived ten hours");
    server.clock.advance(chrono::TimeDelta::days(200));
    jhe_app::housekeeping::purge(server.app()).await.unwrap();
    assert_eq!(server.scalar(count).await, "0 0 0");
    server.stop().await;
}
