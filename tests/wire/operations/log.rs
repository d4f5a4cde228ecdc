//! The line of each request in the log: it tells by ids who asked, wherever that is known.

use jhe_testkit::{MARY, TestServer};

use crate::oauth::{Browser, console, console_tokens, text, token};
use crate::privacy::log;

const EMAIL: &str = "manager_mary@example.com";
const PASSWORD: &str = "Jhe1234!";

/// The last line about a request of this name.
fn line(id: &str) -> String {
    let field = format!("request.id=\"{id}\"");
    let written = log().written();
    written.lines().rfind(|line| line.contains(&field)).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn lines_of_the_authorization_server_tell_the_client_and_whose_tokens_they_are() {
    log();
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, EMAIL, PASSWORD).await;
    let access = text(&console_tokens(&server, &browser, "openid").await, "access_token");
    let client = console(&server).await;
    let row = format!("SELECT id::text FROM oauth2_provider_application WHERE client_id = '{client}'");
    let row = server.scalar(row.leak()).await;
    let asked = server.get("/o/userinfo").bearer(&access).header("x-request-id", "log-userinfo");
    asked.send().await.expect(200);
    let told = line("log-userinfo");
    assert!(told.contains("user.id=10002") && told.contains(&format!("client.id={row}")), "{told}");
    let form = [("token", access.as_str()), ("client_id", client.as_str())];
    server.post("/o/revoke_token/").form(&form).header("x-request-id", "log-revoke").send().await.expect(200);
    let told = line("log-revoke");
    assert!(told.contains(&format!("client.id={row}")) && !told.contains("user.id"), "{told}");
    let form =
        [("grant_type", "password"), ("username", EMAIL), ("password", PASSWORD), ("client_id", "demo-notebook")];
    server.post("/o/token/").form(&form).header("x-request-id", "log-token").send().await.expect(200);
    let told = line("log-token");
    assert!(told.contains("user.id=10002") && told.contains("client.id="), "{told}");
    token(&server, &[("grant_type", "password"), ("client_id", "unknown")]).await.expect(400);
    server.stop().await;
}

#[tokio::test]
async fn lines_of_pages_tell_whose_session_it_is() {
    log();
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, EMAIL, PASSWORD).await;
    let known = || {
        log()
            .written()
            .lines()
            .filter(|line| line.contains("route=\"/accounts/sessions/\"") && line.contains("user.id=10002"))
            .count()
    };
    let before = known();
    browser.get(&format!("{}/accounts/sessions/", server.base)).await;
    assert!(known() > before);
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_is_cut_off_tells_who_asked() {
    log();
    // Enough for a slow machine to find out who asks.
    let server = TestServer::with(&[("JHE_REQUEST_TIMEOUT", "4")]).await;
    let locked = server.lock("core_patientorganization").await;
    server.get("/api/v1/patients").as_user(MARY).header("x-request-id", "log-cut").send().await.expect(503);
    let told = line("log-cut");
    locked.release().await;
    assert!(told.contains("user.id=10002") && told.contains("client.id="), "{told}");
    server.stop().await;
}
