//! What was asked, when, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::world::Pair;

/// From before an operation was sent until after its outcome was known, since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: Duration,
    pub(crate) end: Duration,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} s to {:.4} s", self.start.as_secs_f64(), self.end.as_secs_f64())
    }
}

/// What an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Single,
    Batch,
    Transaction,
    Withdraw,
    Give,
    SearchPatient,
    SearchStudy,
    ListPatient,
    ListStudy,
    ReadOne,
    GetOne,
}

impl What {
    /// As it is printed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Single => "upload of one",
            Self::Batch => "upload of a batch",
            Self::Transaction => "upload of a transaction",
            Self::Withdraw => "withdrawal of a consent",
            Self::Give => "gift of a consent",
            Self::SearchPatient => "FHIR search of a patient",
            Self::SearchStudy => "FHIR search of a study",
            Self::ListPatient => "REST list of a patient",
            Self::ListStudy => "REST list of a study",
            Self::ReadOne => "FHIR read by id",
            Self::GetOne => "REST read by id",
        }
    }
}

/// What is known of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The server said that it is done.
    Acknowledged,
    /// The server said that it is not done.
    Refused,
    /// The server said that something failed, and so not whether it is done.
    Failed,
    /// The connection ended before the answer.
    Unanswered,
    /// The client hung up before the answer.
    HungUp,
}

impl Outcome {
    /// Whether it may have been done, or may yet be.
    pub(crate) const fn is_unknown(self) -> bool {
        matches!(self, Self::Failed | Self::Unanswered | Self::HungUp)
    }
}

/// What became of one reading of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Stored now, under this id.
    Stored(i64),
    /// Stored before, says the server.
    Known,
    /// Not stored.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// One upload, as often as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) what: What,
    pub(crate) span: Span,
    pub(crate) outcome: Outcome,
    /// Readings by number.
    pub(crate) entries: Vec<(u64, Fate)>,
}

/// One change of a consent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) pair: Pair,
    pub(crate) given: bool,
    pub(crate) span: Span,
    pub(crate) outcome: Outcome,
}

/// One question of a practitioner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    pub(crate) what: What,
    /// The account that asked.
    pub(crate) reader: i64,
    pub(crate) span: Span,
    pub(crate) outcome: Outcome,
    /// Observations in the answer.
    pub(crate) rows: usize,
    /// The pairs of those, as a set.
    pub(crate) seen: u32,
    /// The one that was asked for by id.
    pub(crate) wanted: Option<u64>,
    /// That id, or the patient if all observations are of one, whoever was asked for: so the audit trail has it.
    pub(crate) about: Option<i64>,
}

/// A server that was told to stop while another one served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    /// From here on clients were sent to the other.
    pub(crate) switched: Duration,
    /// The server was told.
    pub(crate) asked: Duration,
    /// It had ended.
    pub(crate) gone: Duration,
}

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) changes: Vec<Change>,
    pub(crate) reads: Vec<Read>,
    pub(crate) stops: Vec<Stop>,
    /// Moments, and when nothing was under way any more of what had been heard of by then.
    pub(crate) settled: Vec<(Duration, Duration)>,
    /// Moments at which nobody listened.
    pub(crate) unreachable: Vec<Duration>,
    /// What was seen to be wrong at once, by the check that tells of it.
    pub(crate) wrong: BTreeMap<&'static str, Vec<String>>,
}

/// Everything, and the clock it goes by.
#[derive(Debug)]
pub(crate) struct History {
    begun: Instant,
    records: Mutex<Records>,
}

impl History {
    /// An empty one, beginning now.
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), records: Mutex::default() }
    }

    /// Now.
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// For reading and adding.
    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Notes what is wrong, for the check of a name.
    pub(crate) fn wrong(&self, check: &'static str, text: String) {
        self.records().wrong.entry(check).or_default().push(text);
    }

    /// Notes that from now on nothing is under way of what had been heard of by a moment.
    pub(crate) fn settle(&self, heard: Duration) {
        let now = self.now();
        self.records().settled.push((heard, now));
    }
}

impl Records {
    /// The moment after which an operation can have no effect any more: its end when that is known, else when all was
    /// settled next.
    pub(crate) fn last_effect(&self, span: Span, outcome: Outcome) -> Duration {
        if !outcome.is_unknown() {
            return span.end;
        }
        let next = self.settled.partition_point(|(heard, _)| *heard < span.end);
        self.settled.get(next).map_or(Duration::MAX, |(_, settled)| *settled)
    }

    /// How often each thing was asked, by outcome.
    pub(crate) fn counts(&self) -> BTreeMap<(What, Outcome), usize> {
        let mut counts = BTreeMap::new();
        let attempts = self.attempts.iter().map(|attempt| (attempt.what, attempt.outcome));
        let changes =
            self.changes.iter().map(|change| (if change.given { What::Give } else { What::Withdraw }, change.outcome));
        let reads = self.reads.iter().map(|read| (read.what, read.outcome));
        for key in attempts.chain(changes).chain(reads) {
            *counts.entry(key).or_default() += 1;
        }
        counts
    }
}
