//! Patients who withdraw consents and give them again.

use std::sync::Arc;

use super::{Client, Question, Shared, turn};
use crate::dice::Dice;
use crate::history::{Change, Outcome};
use crate::world::{self, Pair};

/// Withdraws and gives the consents of some pairs, one after the other, until it is over.
pub(super) async fn run(mut client: Client, own: Vec<Pair>) {
    while !client.shared.is_over() {
        let Some(pair) = client.dice.pick(&own) else { return };
        change(&mut client, pair, false).await;
        client.rest(20, 100).await;
        change(&mut client, pair, true).await;
        client.rest(5, 60).await;
    }
}

/// Asks until the change is acknowledged.
async fn change(client: &mut Client, pair: Pair, given: bool) {
    loop {
        let shared = Arc::clone(&client.shared);
        let pass = turn(&shared).await;
        if client.shared.is_over() || change_once(client, pair, given).await {
            return;
        }
        drop(pass);
        client.rest(1, 30).await;
    }
}

/// Whether the change is acknowledged.
async fn change_once(client: &mut Client, pair: Pair, given: bool) -> bool {
    let path = format!("/api/v1/patients/{}/consents", pair.patient());
    let (token, body) = (world::patient_token(pair.patient()), world::consent(pair, given).to_string());
    let question = Question::post(&path, &token, "application/json", &body);
    let Some((span, heard)) = client.ask(question).await else { return false };
    let outcome = match heard {
        Ok(answer) if matches!(answer.status, 200 | 201) => Outcome::Acknowledged,
        Ok(answer) => {
            client.unexpected(question, &answer);
            Outcome::Refused
        }
        Err(outcome) => outcome,
    };
    client.shared.history.records().changes.push(Change { pair, given, span, outcome });
    outcome == Outcome::Acknowledged
}

/// Gives every consent, while nobody else changes any.
pub(crate) async fn give_all(shared: &Arc<Shared>) {
    let mut client = Client::new(Arc::clone(shared), Dice::new(0));
    for pair in Pair::all() {
        // The server answers: faults are over.
        for _ in 0..100 {
            if change_once(&mut client, pair, true).await {
                break;
            }
        }
    }
}
