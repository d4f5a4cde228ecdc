//! The FHIR API (contract: FHIR).

mod arrival;
mod authorization;
mod bundles;
mod corners;
mod create;
mod filters;
mod more;
mod others;
mod paging;
mod patients;
mod samples;
mod transport;

use jhe_testkit::{Person, Reply, TestServer, omh};
use serde_json::Value;

pub(crate) const HEART_RATE: &str = "omh:heart-rate:2.0";

/// A search or read as a person.
pub(crate) async fn get(server: &TestServer, person: Person, path: &str) -> Reply {
    server.get(&format!("/fhir/r5/{path}")).as_user(person).send().await
}

/// The total of a search that must succeed.
#[track_caller]
pub(crate) fn total(reply: Reply) -> i64 {
    reply.expect(200).at("/total").as_i64().unwrap()
}

/// The ids of a page, in order.
pub(crate) fn ids(reply: &Reply) -> Vec<i64> {
    let bundle = reply.json();
    let entries = bundle["entry"].as_array().unwrap();
    entries.iter().map(|entry| entry["resource"]["id"].as_str().unwrap().parse().unwrap()).collect()
}

/// The link of a page, if it has one.
pub(crate) fn link(reply: &Reply, relation: &str) -> Option<String> {
    let bundle = reply.json();
    let links = bundle["link"].as_array().unwrap();
    links.iter().find(|link| link["relation"] == relation).map(|link| link["url"].as_str().unwrap().to_owned())
}

/// A heart rate of Peter's.
pub(crate) fn heart_rate(value: &str) -> Value {
    omh::observation(40001, 70001, HEART_RATE, &omh::heart_rate(value))
}

/// Stores `count` heart rates of Peter's in one batch.
pub(crate) async fn store_many(server: &TestServer, person: Person, count: usize) {
    let entry = |n: usize| serde_json::json!({"resource": heart_rate(&n.to_string()), "request": {"method": "POST", "url": "Observation"}});
    let bundle = serde_json::json!({"resourceType": "Bundle", "type": "batch",
        "entry": (0..count).map(|n| entry(n + 40)).collect::<Vec<_>>()});
    let reply = server.post("/fhir/r5").as_user(person).json(&bundle).send().await.expect(200);
    let stored =
        reply.json()["entry"].as_array().unwrap().iter().filter(|e| e["response"]["status"] == "201 Created").count();
    assert_eq!(stored, count);
}
