//! Two processes behind one balancer, over one database with a streaming replica, are one server to whoever asks.

use jhe_testkit::omh::{heart_rate, observation};
use jhe_testkit::{Balancer, MARY, PETER, Replicated, TestServer};
use serde_json::{Value, json};

use crate::oauth::{Browser, console_tokens, token};

const SEARCH: &str = "/fhir/r5/Observation?patient=40001";

struct Balanced {
    balancer: Balancer,
    /// Asked through the balancer.
    site: TestServer,
    other: TestServer,
    database: Replicated,
}

impl Balanced {
    async fn start() -> Self {
        let database = Replicated::new().await;
        let balancer = Balancer::start().await;
        let variables = [("DATABASE_READ_URL", database.replica_url.as_str()), ("SITE_URL", balancer.base.as_str())];
        let mut site = TestServer::on(database.database.clone(), &variables).await;
        let other = TestServer::on(database.database.clone(), &variables).await;
        balancer.lead_to(&[&site, &other]);
        site.go_through(&balancer);
        Self { balancer, site, other, database }
    }

    async fn search(&self) -> Value {
        self.site.get(SEARCH).as_user(MARY).send().await.expect(200).json()
    }

    async fn upload(&self, value: &str) {
        let body = observation(40001, 70001, "omh:heart-rate:2.0", &heart_rate(value));
        self.site.post("/fhir/r5/Observation").as_user(PETER).json(&body).send().await.expect(201);
    }

    /// That both processes got a fair part of the connections.
    fn both_were_asked(&self) {
        let connections = self.balancer.connections();
        let all: usize = connections.iter().sum();
        assert!(connections.iter().all(|part| part * 3 >= all), "{connections:?}");
    }

    async fn stop(self) {
        self.other.stop().await;
        self.site.stop().await;
        self.database.stop().await;
    }
}

#[tokio::test]
async fn a_sign_in_and_its_tokens_hold_in_every_process() {
    let both = Box::pin(Balanced::start()).await;
    let browser = Browser::of_many_connections();
    let landing = browser.sign_in(&both.site, "manager_mary@example.com", "Jhe1234!").await;
    assert_eq!(landing.status, 302, "{}", landing.text);
    for _ in 0..3 {
        let tokens = console_tokens(&both.site, &browser, "openid read write").await;
        let access = tokens["access_token"].as_str().unwrap();
        for _ in 0..2 {
            let user = both.site.get("/o/userinfo/").bearer(access).send().await.expect(200);
            assert_eq!(user.at("/sub"), "10002");
        }
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let client = crate::oauth::console(&both.site).await;
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", client.as_str())];
        let renewed = token(&both.site, &form).await.expect(200).json();
        let renewed = renewed["access_token"].as_str().unwrap();
        // Revoked in one process, a token opens nothing in the other.
        let form = [("token", renewed), ("client_id", client.as_str())];
        both.site.post("/o/revoke_token/").form(&form).send().await.expect(200);
        for _ in 0..2 {
            both.site.get("/o/userinfo/").bearer(renewed).send().await.expect(401);
        }
    }
    both.both_were_asked();
    both.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_read_next_and_consent_decides_in_every_process() {
    let both = Box::pin(Balanced::start()).await;
    let before = both.search().await["total"].as_i64().unwrap();
    for number in 1..=20 {
        both.upload(&number.to_string()).await;
        assert_eq!(both.search().await["total"], before + number);
    }
    // Pages go on in whichever process is asked, each row once.
    let (mut url, mut ids) = (format!("{SEARCH}&_count=4"), Vec::new());
    loop {
        let page = both.site.get(&url).as_user(MARY).send().await.expect(200).json();
        ids.extend(page["entry"].as_array().unwrap().iter().map(|entry| entry["resource"]["id"].to_string()));
        match page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next") {
            Some(next) => url = next["url"].as_str().unwrap().to_owned(),
            None => break,
        }
    }
    ids.sort();
    let rows = ids.len();
    ids.dedup();
    assert_eq!((i64::try_from(rows).unwrap(), ids.len()), (before + 20, rows));
    for consented in [false, true, false] {
        let answer = json!({"studyScopeConsents": [{"studyId": 30001, "scopeConsents": [
            {"codingSystem": "https://w3id.org/openmhealth", "codingCode": "omh:heart-rate:2.0", "consented": consented}]}]});
        both.site.patch("/api/v1/patients/40001/consents").as_user(PETER).json(&answer).send().await.expect(200);
        for _ in 0..4 {
            let page = both.site.get(&format!("{SEARCH}&code=omh:heart-rate:2.0")).as_user(MARY).send().await;
            assert_eq!(page.expect(200).at("/total").as_i64() > Some(0), consented);
        }
    }
    both.both_were_asked();
    both.stop().await;
}

#[tokio::test]
async fn one_process_goes_and_another_comes_without_a_lost_request() {
    let mut both = Box::pin(Balanced::start()).await;
    let database = both.database.database.clone();
    let before = both.search().await["total"].as_i64().unwrap();
    let mut uploaded = 0;
    let stopping = both.other.begin_stop();
    while !stopping.is_finished() {
        uploaded += 1;
        both.upload(&uploaded.to_string()).await;
    }
    stopping.await.unwrap();
    for _ in 0..5 {
        uploaded += 1;
        both.upload(&uploaded.to_string()).await;
    }
    let variables =
        [("DATABASE_READ_URL", both.database.replica_url.as_str()), ("SITE_URL", both.balancer.base.as_str())];
    both.other = TestServer::on(database, &variables).await;
    both.balancer.lead_to(&[&both.other]);
    for _ in 0..5 {
        uploaded += 1;
        both.upload(&uploaded.to_string()).await;
    }
    assert_eq!(both.search().await["total"], before + uploaded);
    assert_eq!(both.balancer.connections().len(), 1);
    both.stop().await;
}
