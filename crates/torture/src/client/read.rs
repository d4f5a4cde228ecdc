//! Practitioners who search, list and read, and look at every document they get.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Client, Question, Shared, turn};
use crate::dice::Dice;
use crate::history::{Outcome, Read, What};
use crate::world::{self, Pair, STUDY};

/// The members of a row, as they were written.
type Row = HashMap<String, Box<RawValue>>;

/// Entries of a page.
const PAGE: usize = 50;

/// Reads until it is over.
pub(super) async fn run(mut client: Client, reader: i64) {
    const KINDS: [What; 6] =
        [What::SearchPatient, What::SearchStudy, What::ListPatient, What::ListStudy, What::ReadOne, What::GetOne];
    let token = world::reader_token(reader);
    while !client.shared.is_over() {
        if let Some(what) = client.dice.pick(&KINDS) {
            let shared = Arc::clone(&client.shared);
            let _pass = turn(&shared).await;
            read(&mut client, reader, &token, what).await;
        }
        client.rest(1, 15).await;
    }
}

async fn read(client: &mut Client, reader: i64, token: &str, what: What) {
    let pairs: Vec<Pair> = Pair::all().collect();
    let Some(patient) = client.dice.pick(&pairs).map(Pair::patient) else { return };
    let one = matches!(what, What::ReadOne | What::GetOne);
    let wanted = if one { client.shared.recall(&mut client.dice) } else { None };
    let (wanted, id) = match wanted {
        Some((number, id)) => (Some(number), id),
        None if one => return,
        None => (None, 0),
    };
    let path = match what {
        What::SearchPatient => format!("/fhir/r5/Observation?patient={patient}&_count={PAGE}"),
        What::SearchStudy => format!("/fhir/r5/Observation?patient._has:Group:member:_id={STUDY}&_count={PAGE}"),
        What::ListPatient => format!("/api/v1/observations?patient_id={patient}&page_size={PAGE}"),
        What::ListStudy => format!("/api/v1/observations?study_id={STUDY}&page_size={PAGE}"),
        What::ReadOne => format!("/fhir/r5/Observation/{id}"),
        _ => format!("/api/v1/observations/{id}"),
    };
    let question = Question::get(&path, token);
    let Some((span, heard)) = client.ask(question).await else { return };
    let (mut rows, mut seen) = (0, 0);
    let outcome = match heard {
        Ok(answer) if answer.status == 200 => {
            let numbers = numbers(what, &answer.body);
            match &numbers {
                Ok(numbers) => {
                    rows = numbers.len();
                    seen = numbers.iter().fold(0, |seen, number| seen | Pair::of(*number).bit());
                    for number in numbers {
                        let strange = match what {
                            What::SearchPatient | What::ListPatient => Pair::of(*number).patient() != patient,
                            What::ReadOne | What::GetOne => Some(*number) != wanted,
                            _ => false,
                        };
                        if strange {
                            client.shared.history.wrong("answers", format!("{path}: holds reading {number}"));
                        }
                    }
                }
                Err(error) => client.shared.history.wrong("acknowledged", format!("{path}: {error:#}")),
            }
            Outcome::Acknowledged
        }
        // Consent decides; whether it was right to is looked at later.
        Ok(answer) if answer.status == 404 && one => Outcome::Refused,
        Ok(answer) => {
            client.unexpected(question, &answer);
            Outcome::Refused
        }
        Err(outcome) => outcome,
    };
    let about = if one { Some(id) } else { world::only_patient(seen) };
    client.shared.history.records().reads.push(Read { what, reader, span, outcome, rows, seen, wanted, about });
}

/// The readings of an answer. Each document must be, byte for byte, the one that was sent.
fn numbers(what: What, body: &[u8]) -> Result<Vec<u64>> {
    match what {
        What::SearchPatient | What::SearchStudy => {
            let bundle: Value = serde_json::from_slice(body)?;
            let entries = bundle.get("entry").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let resources = entries.iter().filter_map(|entry| entry.get("resource"));
            resources
                .filter(|one| one.get("resourceType").is_some_and(|kind| kind == "Observation"))
                .map(number_of_entry)
                .collect()
        }
        What::ListPatient | What::ListStudy => {
            let list: Row = serde_json::from_slice(body)?;
            let rows: Vec<Row> = serde_json::from_str(list.get("results").context("no results")?.get())?;
            rows.iter().map(number_of_row).collect()
        }
        What::ReadOne => Ok(vec![number_of_entry(&serde_json::from_slice(body)?)?]),
        _ => Ok(vec![number_of_row(&serde_json::from_slice(body)?)?]),
    }
}

/// The reading that an Observation is.
fn number_of_entry(observation: &Value) -> Result<u64> {
    verified(&world::document_of(observation).context("an observation without a document")?)
}

fn number_of_row(row: &Row) -> Result<u64> {
    verified(row.get("omhData").context("a row without a document")?.get())
}

fn verified(document: &str) -> Result<u64> {
    let number = world::number_of(document).with_context(|| format!("a document of nobody: {document}"))?;
    ensure!(document == world::document(number), "reading {number} was changed: {document}");
    Ok(number)
}

/// Everything that the last of the practitioners finds in the study, page by page.
pub(crate) async fn pages(shared: &Arc<Shared>) -> Result<Vec<u64>> {
    let token = world::reader_token(world::reader(world::READERS - 1));
    let mut client = Client::new(Arc::clone(shared), Dice::new(0));
    let mut next = Some(format!("/fhir/r5/Observation?patient._has:Group:member:_id={STUDY}&_count=1000"));
    let mut found = Vec::new();
    while let Some(path) = next.take() {
        let (_, heard) = client.ask(Question::get(&path, &token)).await.context("nobody listens")?;
        let answer = heard.map_err(|outcome| anyhow::anyhow!("{path}: {outcome:?}"))?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        found.extend(numbers(What::SearchStudy, &answer.body)?);
        let bundle: Value = serde_json::from_slice(&answer.body)?;
        let links = bundle.get("link").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let link = links.iter().find(|link| link.get("relation").is_some_and(|relation| relation == "next"));
        let address = link.and_then(|link| link.get("url")).and_then(Value::as_str);
        next = address
            .and_then(|address| address.split_once("://")?.1.split_once('/'))
            .map(|(_, path)| format!("/{path}"));
    }
    Ok(found)
}
