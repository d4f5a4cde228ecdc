//! Patients' apps that upload: one reading, a batch, a transaction; some hang up, most send again what they had no
//! answer to.

use std::sync::Arc;
use std::time::Duration;

use jhe_testkit::connection::Answer;
use serde_json::{Value, json};

use super::{Client, Question, turn};
use crate::history::{Attempt, Fate, Outcome, What};
use crate::world::{self, Pair};

/// How often the same upload is sent at most.
const SENDINGS: usize = 40;
/// Readings of a Bundle.
const FEWEST: usize = 2;
const MOST: usize = 8;

/// Uploads until it is over.
pub(super) async fn run(mut client: Client) {
    while !client.shared.is_over() {
        let what = client.dice.pick(&[What::Single, What::Single, What::Batch, What::Transaction]);
        let pairs: Vec<Pair> = Pair::all().collect();
        let (Some(what), Some(pair)) = (what, client.dice.pick(&pairs)) else { return };
        // One patient's readings, of any of the data types.
        let own: Vec<Pair> = pairs.into_iter().filter(|other| other.patient() == pair.patient()).collect();
        let entries = if what == What::Single { 1 } else { FEWEST + client.dice.below(MOST - FEWEST + 1) };
        let numbers: Vec<u64> =
            (0..entries).filter_map(|_| client.dice.pick(&own)).map(|pair| client.shared.new_reading(pair)).collect();
        send(&mut client, what, pair.patient(), &numbers).await;
        client.rest(5, 40).await;
    }
}

/// Sends readings, again and again where it is not known what became of them, as phones do.
async fn send(client: &mut Client, what: What, patient: i64, numbers: &[u64]) {
    let body = match what {
        What::Single => numbers.first().map(|number| world::resource(*number)).unwrap_or_default(),
        What::Batch => bundle("batch", numbers),
        _ => bundle("transaction", numbers),
    };
    let body = body.to_string();
    let token = world::patient_token(patient);
    let path = if what == What::Single { "/fhir/r5/Observation" } else { "/fhir/r5/" };
    let gives_up = client.dice.percent(30);
    for _ in 0..SENDINGS {
        let mut question = Question::post(path, &token, "application/fhir+json", &body);
        if client.dice.percent(4) {
            question.patience = client.dice.millis(0, 10).max(Duration::from_micros(500));
        }
        let shared = Arc::clone(&client.shared);
        let pass = turn(&shared).await;
        if client.shared.is_over() {
            return;
        }
        let Some((span, heard)) = client.ask(question).await else { continue };
        let (outcome, fates) = match heard {
            Ok(answer) => judge(client, question, what, &answer, numbers.len()),
            Err(outcome) => (outcome, vec![Fate::Unknown; numbers.len()]),
        };
        let entries: Vec<(u64, Fate)> = numbers.iter().copied().zip(fates).collect();
        for (number, fate) in &entries {
            if let Fate::Stored(id) = fate {
                client.shared.remember(*number, *id, &mut client.dice);
            }
        }
        client.shared.history.records().attempts.push(Attempt { what, span, outcome, entries });
        drop(pass);
        if !outcome.is_unknown() || gives_up {
            return;
        }
        client.rest(1, 30).await;
    }
}

fn bundle(kind: &str, numbers: &[u64]) -> Value {
    let entry = |number: &u64| json!({ "resource": world::resource(*number), "request": { "method": "POST", "url": "Observation" } });
    json!({ "resourceType": "Bundle", "type": kind, "entry": numbers.iter().map(entry).collect::<Vec<_>>() })
}

/// What an answer says about each reading.
fn judge(client: &Client, question: Question<'_>, what: What, answer: &Answer, entries: usize) -> (Outcome, Vec<Fate>) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let whole = |outcome, fate| (outcome, vec![fate; entries]);
    let id = |value: Option<&Value>| value.and_then(Value::as_str).and_then(|id| id.parse::<i64>().ok());
    match (what, answer.status) {
        (What::Single, 201) => {
            if let Some(id) = id(body.get("id")) {
                return (Outcome::Acknowledged, vec![Fate::Stored(id)]);
            }
        }
        // All or nothing: where one is known, all are.
        (What::Single | What::Transaction, 409) => return whole(Outcome::Acknowledged, Fate::Known),
        (What::Single | What::Transaction, 403) => return whole(Outcome::Refused, Fate::Refused),
        (What::Batch | What::Transaction, 200) => {
            let fates: Vec<Fate> = body
                .get("entry")
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default()
                .iter()
                .filter_map(|entry| {
                    let status = entry.pointer("/response/status")?.as_str()?;
                    match status.split(' ').next()? {
                        "201" => id(entry.pointer("/resource/id")).map(Fate::Stored),
                        "409" => Some(Fate::Known),
                        "403" => Some(Fate::Refused),
                        "503" => Some(Fate::Unknown),
                        _ => None,
                    }
                })
                .collect();
            if fates.len() == entries {
                let unknown = fates.contains(&Fate::Unknown);
                return (if unknown { Outcome::Failed } else { Outcome::Acknowledged }, fates);
            }
        }
        _ => {}
    }
    client.unexpected(question, answer);
    whole(Outcome::Failed, Fate::Unknown)
}
