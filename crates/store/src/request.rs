//! The request that units of work are done for, and what the audit trail says of it.
//!
//! A request runs within its [`Trail`]. Whatever its units of work read is written when the request has ended, together
//! with its status, and before the answer leaves: an answer whose entry is not stored is none. A request that is given up
//! in the middle leaves its entries all the same.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jhe_authz::port::Attribution;
use jhe_domain::audit::AuditEntry;
use jhe_domain::error::Error;
use tokio::sync::{mpsc, oneshot};

use crate::audit::{Batch, Message};
use crate::work::Store;

tokio::task_local! {
    static CURRENT: Arc<Trail>;
}

/// How long an answer waits for its entry.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the audit trail says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFacts {
    /// Its id, which its answer and its line in the log bear.
    pub id: String,
    /// Method and route template.
    pub template: String,
    /// From where it came.
    pub ip: Option<IpAddr>,
}

/// What a request is about to be answered with, as HTTP statuses. Entries that are stored with a change are stored before
/// its answer is made, so whoever answers says this before the change begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// When it did what it was asked for.
    pub done: u16,
    /// When what it was to make was there already.
    pub there_already: u16,
    /// When somebody was not let in.
    pub refused: u16,
}

/// Says what the request that is running is about to be answered with.
pub fn announce(answers: Answers) {
    if let Some(trail) = Trail::current() {
        trail.kept().answers = Some(answers);
    }
}

/// What one request did, until it is written.
#[derive(Debug)]
pub struct Trail {
    facts: Arc<RequestFacts>,
    writer: mpsc::Sender<Message>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: Vec<(Attribution, AuditEntry)>,
    place: Option<mpsc::OwnedPermit<Message>>,
    /// Entries, those among them that a change has stored with itself.
    noted: usize,
    answers: Option<Answers>,
}

impl Store {
    /// A trail for one request.
    pub fn trail(&self, facts: RequestFacts) -> Arc<Trail> {
        Arc::new(Trail { facts: Arc::new(facts), writer: self.audit.clone(), kept: Mutex::default() })
    }
}

impl Trail {
    /// The trail of the request that is running.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Runs a request, whose units of work leave their entries here.
    pub async fn within<F: Future>(self: &Arc<Self>, request: F) -> F::Output {
        CURRENT.scope(Arc::clone(self), request).await
    }

    pub(crate) fn facts(&self) -> &Arc<RequestFacts> {
        &self.facts
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nothing that holds the lock can panic half-way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was announced.
    pub(crate) fn answers(&self) -> Option<Answers> {
        self.kept().answers
    }

    /// Entries that a change stores with itself.
    pub(crate) fn count(&self, entries: usize) {
        self.kept().noted += entries;
    }

    /// Takes over what a unit of work read, with its place in the writer's queue.
    pub(crate) fn take_over(
        &self,
        who: Attribution,
        entries: Vec<AuditEntry>,
        place: Option<mpsc::OwnedPermit<Message>>,
    ) {
        let mut kept = self.kept();
        kept.noted += entries.len();
        kept.entries.extend(entries.into_iter().map(|entry| (who, entry)));
        if let Some(place) = place {
            kept.place.get_or_insert(place);
        }
    }

    /// Adds an entry about the request as a whole.
    pub fn note(&self, who: Attribution, entry: AuditEntry) {
        self.take_over(who, vec![entry], None);
    }

    /// Nothing was written about this request yet.
    pub fn is_empty(&self) -> bool {
        self.kept().noted == 0
    }

    fn batch(&self, kept: &mut Kept, status: Option<u16>, done: Option<oneshot::Sender<()>>) -> Message {
        let entries = std::mem::take(&mut kept.entries);
        Message::Batch(Batch { facts: Some(Arc::clone(&self.facts)), status, entries, done })
    }

    /// Ends the request: returns when its entries are stored, with the status of its answer.
    pub async fn end(&self, status: u16) -> Result<(), Error> {
        let (done, stored) = oneshot::channel();
        let (message, place) = {
            let mut kept = self.kept();
            if kept.entries.is_empty() {
                return Ok(());
            }
            (self.batch(&mut kept, Some(status), Some(done)), kept.place.take())
        };
        let write = async {
            match place {
                Some(place) => drop(place.send(message)),
                None => self.writer.send(message).await.map_err(Error::internal)?,
            }
            // The writer has ended without storing them, as it does when a process ends while the database is away.
            stored.await.map_err(|lost| Error::Unavailable { retry_after: PATIENCE, source: lost.into() })
        };
        let late =
            |_| Error::Unavailable { retry_after: PATIENCE, source: "the audit trail is not written in time".into() };
        tokio::time::timeout(PATIENCE, write).await.map_err(late)?
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        let mut kept = std::mem::take(&mut *self.kept());
        if kept.entries.is_empty() {
            return;
        }
        let message = self.batch(&mut kept, None, None);
        match kept.place.take() {
            Some(place) => drop(place.send(message)),
            // Without a place only denials are kept, which are made at the end: the queue is full when it cannot take one.
            None => {
                if self.writer.try_send(message).is_err() {
                    tracing::error!("audit entries of a request that was given up found no place");
                }
            }
        }
    }
}
