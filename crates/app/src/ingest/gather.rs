//! Single uploads that come at the same time share a statement and a commit.
//!
//! Nobody waits for others to come: while one statement runs, those that arrive line up for the next. Each has passed its
//! own checks before, keeps its own answer, and hears of success only after the commit.

use std::sync::Arc;

use jhe_domain::error::Error;
use jhe_store::Store;
use jhe_store::observation::StoredObservation;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::Upload;

/// Uploads of one statement.
const GROUP: usize = 64;
/// Statements at once: while one waits for the disk, the other works.
const STATEMENTS: usize = 2;

/// Where uploads are stored: the database, by one statement for all that are given, of which all or none is stored.
trait Shelf: Send + Sync + 'static {
    /// What is stored.
    type Upload: Send + Sync;
    /// What is known of it then.
    type Stored: Send;

    /// Stores all of them; the answers are in their order.
    fn insert(&self, uploads: &[Self::Upload]) -> impl Future<Output = Result<Vec<Self::Stored>, Error>> + Send;
}

impl Shelf for Store {
    type Upload = Upload;
    type Stored = StoredObservation;

    async fn insert(&self, uploads: &[Upload]) -> Result<Vec<StoredObservation>, Error> {
        let mut work = self.single().await?;
        work.observations().insert(uploads).await
    }
}

struct Waiting<S: Shelf> {
    upload: S::Upload,
    done: oneshot::Sender<Result<S::Stored, Error>>,
}

/// The line in front of the database.
pub(crate) struct Gather {
    line: mpsc::Sender<Waiting<Store>>,
}

impl Gather {
    /// Starts the tasks that store what lines up; they end with the last sender.
    pub(crate) fn start(store: &Store) -> Self {
        let (line, receiver) = mpsc::channel(GROUP * 16);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..STATEMENTS {
            tokio::spawn(serve(store.clone(), Arc::clone(&receiver)));
        }
        Self { line }
    }

    /// Stores one upload, with those that come at the same time.
    pub(crate) async fn store(&self, upload: Upload) -> Result<StoredObservation, Error> {
        let (done, answer) = oneshot::channel();
        self.line.send(Waiting { upload, done }).await.map_err(Error::internal)?;
        answer.await.map_err(Error::internal)?
    }
}

async fn serve<S: Shelf>(shelf: S, line: Arc<Mutex<mpsc::Receiver<Waiting<S>>>>) {
    loop {
        let mut group = Vec::new();
        if line.lock().await.recv_many(&mut group, GROUP).await == 0 {
            return;
        }
        // Whoever has given up meanwhile will send it again.
        group.retain(|one| !one.done.is_closed());
        let (uploads, waiting): (Vec<_>, Vec<_>) = group.into_iter().map(|one| (one.upload, one.done)).unzip();
        match shelf.insert(&uploads).await {
            Ok(stored) => {
                for (done, stored) in waiting.into_iter().zip(stored) {
                    done.send(Ok(stored)).ok();
                }
            }
            // What is wrong with one must not fail the others.
            Err(Error::Conflict(_) | Error::Invalid(_) | Error::NotFound(_)) if uploads.len() > 1 => {
                for (done, upload) in waiting.into_iter().zip(&uploads) {
                    let alone = shelf.insert(std::slice::from_ref(upload)).await;
                    done.send(alone.and_then(first)).ok();
                }
            }
            // Whether it was stored is not known, so it is not tried again here.
            Err(error) => {
                let mut waiting = waiting.into_iter();
                let last = waiting.next_back();
                for done in waiting {
                    done.send(Err(shared(&error))).ok();
                }
                // With its cause, which so is logged once.
                if let Some(done) = last {
                    done.send(Err(error)).ok();
                }
            }
        }
    }
}

/// The failure of a group, for each of it.
fn shared(error: &Error) -> Error {
    match error {
        Error::Unavailable { retry_after, .. } => {
            Error::Unavailable { retry_after: *retry_after, source: error.to_string().into() }
        }
        _ => Error::internal(error.to_string()),
    }
}

fn first<T>(stored: Vec<T>) -> Result<T, Error> {
    stored.into_iter().next().ok_or_else(|| Error::internal("an upload that was stored and has no row"))
}

#[cfg(test)]
mod tests;
