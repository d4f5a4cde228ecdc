//! Uploading observations: one, a batch, a transaction (FHIR §5).
//!
//! An upload goes through the checks of §5.3 in their order and the first that fails is its answer. What needs no
//! database is done before a connection is taken: see [`Candidate::read`]. What the database knows is asked once for
//! all uploads of a request: patients and rights, then data sources, data types and identifiers.

mod candidate;
mod facts;
mod measure;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use jhe_authz::{Actor, Authorizer, ConsentedUpload, Location};
use jhe_domain::error::{Conflict, Error};
use jhe_domain::observation::{NewObservation, Observation};
use jhe_domain::{ObservationId, UserId};
use jhe_fhir::{Failure, catalogue};
use jhe_store::gather::Desk;
use jhe_store::observation::{IdentifierMatch, ObservationFilter, ObservationPage, StoredObservation, is_race};
use jhe_store::{Sender, Store, Work};

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
    /// It was stored now; else its condition found it there already.
    pub created: bool,
    /// It was there already, and the caller may not read it.
    pub hidden: bool,
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
    /// All of it, where that was asked for; of one that was there already, if the caller may read it.
    pub observation: Option<Observation>,
}

/// An upload that passed all checks.
struct Accepted {
    upload: ConsentedUpload,
    /// The account of its patient.
    user: Option<UserId>,
    new: NewObservation,
    coding: (String, String, String),
}

/// What is to be stored: the proof that it may be, the observation, and who sends it.
type Upload = (ConsentedUpload, NewObservation, Sender);

/// Stores single uploads, each of which has passed its checks before.
pub(crate) struct Shelf(pub(crate) Store);

impl Desk for Shelf {
    type Question = Upload;
    type Answer = StoredObservation;

    async fn answer(&self, uploads: &[Upload]) -> Result<Vec<StoredObservation>, Error> {
        let mut work = self.0.single().await?;
        work.observations().insert(uploads).await
    }
}

/// The verdict on an upload.
enum Judged {
    /// To be stored.
    New(Box<Accepted>),
    /// There already.
    Stored(IdentifierMatch),
    /// The same as one that is to be stored, by its number among those.
    Earlier(usize),
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
    let outcome = match attempts(app, actor, candidates, together, whole).await {
        Err(error) if together == Together::Batch && candidates.len() > 1 && is_refusal(&error) => {
            Ok(apart(app, actor, candidates, whole).await)
        }
        outcome => outcome,
    };
    measure::uploads(candidates.len(), &outcome);
    outcome
}

async fn attempts(
    app: &App,
    actor: &Actor,
    candidates: &[Result<Candidate, Failure>],
    together: Together,
    whole: bool,
) -> Result<Vec<Option<Result<Receipt, Failure>>>, Error> {
    for number in 1..ATTEMPTS {
        match attempt(app, actor, candidates, together, whole, number > 1).await {
            Err(error) if is_race(&error) => {}
            outcome => return outcome,
        }
    }
    attempt(app, actor, candidates, together, whole, true).await
}

/// Whether the database refused what the checks let through.
const fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Conflict(_) | Error::Invalid(_) | Error::NotFound(_))
}

/// Stores the halves of a batch that is refused as a whole, each for itself, down to the entry that is refused: it must not
/// fail the others. From here on something may be stored, so there is an answer for each.
async fn apart(
    app: &App,
    actor: &Actor,
    candidates: &[Result<Candidate, Failure>],
    whole: bool,
) -> Vec<Option<Result<Receipt, Failure>>> {
    let (first, second) = candidates.split_at(candidates.len() / 2);
    let mut outcomes = Vec::with_capacity(candidates.len());
    for half in [first, second] {
        match attempts(app, actor, half, Together::Batch, whole).await {
            Ok(half) => outcomes.extend(half),
            Err(error) if is_refusal(&error) && half.len() > 1 => {
                outcomes.extend(Box::pin(apart(app, actor, half, whole)).await);
            }
            Err(error) => {
                let failure = match &error {
                    Error::Conflict(Conflict::ObservationIdentifierTaken { system, value }) => {
                        catalogue::identifier_in_use(system.as_deref().unwrap_or_default(), value)
                    }
                    Error::Conflict(Conflict::Constraint(name)) => {
                        tracing::error!(
                            constraint = name,
                            "an upload passed the checks and was refused by the database"
                        );
                        catalogue::contradiction()
                    }
                    error if is_refusal(error) => catalogue::contradiction(),
                    _ => {
                        tracing::error!(entries = half.len(), "entries of a batch were not stored");
                        catalogue::unavailable()
                    }
                };
                outcomes.resize_with(outcomes.len() + half.len(), || Some(Err(failure.clone())));
            }
        }
    }
    outcomes
}

async fn attempt(
    app: &App,
    actor: &Actor,
    candidates: &[Result<Candidate, Failure>],
    together: Together,
    whole: bool,
    again: bool,
) -> Result<Vec<Option<Result<Receipt, Failure>>>, Error> {
    // One statement stores all there is to store, so it needs no transaction, but for holding a place in the line.
    let mut work = if again { app.store().begin().await? } else { app.store().single().await? };
    if again {
        work.queue_up(LINE).await?;
    }
    let readable = candidates.iter().enumerate();
    let readable = readable.filter_map(|(number, candidate)| Some((number, candidate.as_ref().ok()?)));
    let facts = Facts::load(&mut work, actor, readable).await?;
    let mut seen = Seen::default();
    let judged: Vec<Result<Judged, Failure>> = candidates
        .iter()
        .enumerate()
        .map(|(number, candidate)| match candidate {
            Ok(candidate) => facts.judge(number, candidate, &mut seen),
            Err(failure) => Err(failure.clone()),
        })
        .collect();
    if together == Together::Transaction && judged.iter().any(Result::is_err) {
        return Ok(judged.into_iter().map(|outcome| outcome.err().map(Err)).collect());
    }
    let sender = work.sender();
    let (mut rows, mut codings, mut verdicts) = (Vec::new(), Vec::new(), Vec::with_capacity(judged.len()));
    for outcome in judged {
        verdicts.push(outcome.map(|judged| match judged {
            Judged::New(accepted) => {
                rows.push((accepted.upload, accepted.new, sender.clone()));
                codings.push((accepted.user, accepted.coding));
                Verdict { created: true, place: Place::Made(rows.len() - 1) }
            }
            Judged::Earlier(number) => Verdict { created: false, place: Place::Made(number) },
            Judged::Stored(found) => Verdict { created: false, place: Place::Stored(found) },
        }));
    }
    if let ([upload], [_], false) = (rows.as_slice(), candidates, again) {
        // The connection goes back before the upload lines up with others.
        work.commit().await?;
        let stored = app.gathers().uploads.ask(upload.clone()).await?;
        return Ok(receipts(&rows, vec![stored], codings, whole).into_iter().map(|made| Some(Ok(made))).collect());
    }
    // Read first: once something is stored, nothing may fail any more.
    let known = verdicts.iter().filter_map(|verdict| match verdict {
        Ok(Verdict { place: Place::Stored(found), .. }) => Some(found.id),
        _ => None,
    });
    let known = read_again(&mut work, actor, known.collect()).await?;
    let stored = work.observations().insert(&rows).await?;
    if again {
        work.commit().await?;
    } else {
        // Its entries go to the audit trail with those of reads.
        drop(work);
    }
    let made = receipts(&rows, stored, codings, whole);
    let receipt = |verdict: Verdict| match verdict.place {
        Place::Made(number) => made.get(number).map(|made| Receipt { created: verdict.created, ..made.clone() }),
        Place::Stored(found) => Some(Receipt {
            created: false,
            hidden: !known.contains_key(&found.id),
            id: ObservationId(found.id),
            last_updated: found.last_updated,
            status: found.status,
            coding_system: found.coding_system,
            coding_code: found.coding_code,
            coding_text: found.coding_text,
            observation: known.get(&found.id).cloned(),
        }),
    };
    Ok(verdicts.into_iter().map(|verdict| verdict.map(receipt).transpose()).collect())
}

/// Where the observation of an upload is.
struct Verdict {
    created: bool,
    place: Place,
}

enum Place {
    /// Among those stored now.
    Made(usize),
    /// It was there.
    Stored(IdentifierMatch),
}

/// Observations that were there already, as far as the caller may read them: to have written one is no right to read it.
async fn read_again(work: &mut Work, actor: &Actor, ids: Vec<i64>) -> Result<HashMap<i64, Observation>, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let everywhere = Location::default();
    let scope = Authorizer::new(actor, work).fhir_observations(&everywhere, everywhere.clone()).await?;
    let mut page = ObservationPage::window(0, i64::try_from(ids.len()).unwrap_or(i64::MAX));
    page.identifiers = true;
    let filter = ObservationFilter { ids: Some(ids), ..ObservationFilter::default() };
    let rows = work.observations().search(&scope, &filter, &page).await?.rows;
    Ok(rows.into_iter().map(|row| (row.id.0, row)).collect())
}

fn receipts(
    rows: &[Upload],
    stored: Vec<StoredObservation>,
    known: Vec<(Option<UserId>, (String, String, String))>,
    whole: bool,
) -> Vec<Receipt> {
    let receipts = rows.iter().zip(stored).zip(known).map(|((upload, stored), (user, (system, code, text)))| {
        let (consented, new, _) = upload;
        let observation = whole.then(|| Observation {
            id: stored.id,
            patient_id: consented.patient(),
            patient_user_id: user,
            patient_name_family: None,
            patient_name_given: None,
            scope_code_id: consented.code(),
            coding_system: system.clone(),
            coding_code: code.clone(),
            coding_text: text.clone(),
            data_source_id: new.data_source_id,
            data_source_name: None,
            status: new.status.clone(),
            document: Some(new.document.clone()),
            effective: new.effective,
            identifiers: new.identifiers.clone(),
            created: stored.created,
            last_updated: stored.last_updated,
        });
        Receipt {
            created: true,
            hidden: false,
            id: stored.id,
            last_updated: stored.last_updated,
            status: new.status.clone(),
            coding_system: system,
            coding_code: code,
            coding_text: text,
            observation,
        }
    });
    receipts.collect()
}
