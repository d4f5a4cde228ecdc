//! Uploading observations: one, a batch, a transaction (FHIR §5).
//!
//! An upload goes through the checks of §5.3 in their order and the first that fails is its answer. What needs no
//! database is done before a connection is taken: see [`Candidate::read`]. What the database knows is asked once for
//! all uploads of a request: patients and rights, data sources, data types, identifiers.

mod candidate;
mod facts;

use chrono::{DateTime, Utc};
use jhe_authz::{Actor, ConsentedUpload};
use jhe_domain::ObservationId;
use jhe_domain::error::Error;
use jhe_domain::observation::{NewObservation, Observation};
use jhe_fhir::Failure;
use jhe_store::Work;
use jhe_store::observation::is_identifier_race;

pub use candidate::Candidate;
use facts::{Facts, Seen};

use crate::App;

/// How often an upload starts over after another one used its identifier first. Those that start over form a line, so
/// each time only newcomers can be faster.
const ATTEMPTS: usize = 12;

/// The line of those that start over.
const LINE: &str = "ingest.identifiers";

/// What became of an upload.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The stored observation.
    pub id: ObservationId,
    /// Its version.
    pub last_updated: DateTime<Utc>,
    /// Its status.
    pub status: String,
    /// Coding system of its data type.
    pub coding_system: String,
    /// Code of its data type.
    pub coding_code: String,
    /// Name of its data type.
    pub coding_text: String,
    /// All of it, where that was asked for.
    pub observation: Option<Observation>,
}

/// An upload that passed all checks.
struct Accepted {
    upload: ConsentedUpload,
    new: NewObservation,
    coding: (String, String, String),
}

/// How uploads of one request stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// Each for itself.
    Batch,
    /// All or none.
    Transaction,
}

/// Stores what passes the checks; the answers are in the order of `candidates`. Of a transaction with a failure nothing
/// is stored, and the answers that are no failures are missing.
///
/// `whole` asks for the complete observations back.
pub async fn store(
    app: &App,
    actor: &Actor,
    candidates: &[Result<Candidate, Failure>],
    together: Together,
    whole: bool,
) -> Result<Vec<Option<Result<Receipt, Failure>>>, Error> {
    for number in 1..ATTEMPTS {
        match attempt(app, actor, candidates, together, whole, number > 1).await {
            Err(error) if is_identifier_race(&error) => {}
            outcome => return outcome,
        }
    }
    attempt(app, actor, candidates, together, whole, true).await
}

async fn attempt(
    app: &App,
    actor: &Actor,
    candidates: &[Result<Candidate, Failure>],
    together: Together,
    whole: bool,
    again: bool,
) -> Result<Vec<Option<Result<Receipt, Failure>>>, Error> {
    let mut work = app.store().begin().await?;
    if again {
        work.queue_up(LINE).await?;
    }
    let facts =
        Facts::load(&mut work, actor, candidates.iter().filter_map(|candidate| candidate.as_ref().ok())).await?;
    let mut seen = Seen::default();
    let judged: Vec<Result<Accepted, Failure>> = candidates
        .iter()
        .map(|candidate| match candidate {
            Ok(candidate) => facts.judge(candidate, &mut seen),
            Err(failure) => Err(failure.clone()),
        })
        .collect();
    if together == Together::Transaction && judged.iter().any(Result::is_err) {
        return Ok(judged.into_iter().map(|outcome| outcome.err().map(Err)).collect());
    }
    let mut rows = Vec::new();
    let mut codings = Vec::new();
    let mut outcomes = Vec::with_capacity(judged.len());
    for outcome in judged {
        match outcome {
            Ok(accepted) => {
                rows.push((accepted.upload, accepted.new));
                codings.push(accepted.coding);
                outcomes.push(None);
            }
            Err(failure) => outcomes.push(Some(Err(failure))),
        }
    }
    let receipts = insert(&mut work, &rows, codings, whole).await?;
    work.commit().await?;
    let mut receipts = receipts.into_iter();
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
        *outcome = receipts.next().map(Ok);
    }
    Ok(outcomes)
}

async fn insert(
    work: &mut Work,
    rows: &[(ConsentedUpload, NewObservation)],
    codings: Vec<(String, String, String)>,
    whole: bool,
) -> Result<Vec<Receipt>, Error> {
    let stored = work.observations().insert(rows).await?;
    let mut observations = Vec::new();
    if whole {
        let uploads: Vec<_> = rows.iter().zip(&stored).map(|((upload, _), stored)| (*upload, stored.id)).collect();
        observations = work.observations().just_stored(&uploads).await?;
    }
    let mut observations = observations.into_iter();
    let receipts = rows.iter().zip(stored).zip(codings).map(|(((_, new), stored), (system, code, text))| Receipt {
        id: stored.id,
        last_updated: stored.last_updated,
        status: new.status.clone(),
        coding_system: system,
        coding_code: code,
        coding_text: text,
        observation: observations.next(),
    });
    Ok(receipts.collect())
}
