//! The audit trail: writes commit their entries with the change; reads hand theirs to the writer when they end.
//!
//! A read reserves its place in the queue before it starts and waits when the queue is full, so an entry can neither
//! be skipped nor lost to a full queue, and a request does not wait for the insert itself.

use jhe_authz::port::Attribution;
use jhe_domain::audit::AuditEntry;
use jhe_domain::error::Error;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot};

use crate::fault::Db;

/// Entries of one unit of work.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) who: Attribution,
    pub(crate) entries: Vec<AuditEntry>,
}

#[derive(Debug)]
pub(crate) enum Message {
    Batch(Batch),
    Flush(oneshot::Sender<()>),
}

/// Units of work that may wait for the writer.
const QUEUE: usize = 4096;
/// Units of work written with one statement.
const GROUP: usize = 256;

/// The background task that writes the entries of reads.
#[derive(Debug)]
pub struct AuditWriter {
    sender: mpsc::Sender<Message>,
    task: tokio::task::JoinHandle<()>,
}

impl AuditWriter {
    pub(crate) fn start(pool: PgPool) -> (mpsc::Sender<Message>, Self) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let task = tokio::spawn(write(pool, receiver));
        (sender.clone(), Self { sender, task })
    }

    /// Waits until everything handed in so far is written.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.sender.send(Message::Flush(done)).await.is_ok() {
            wait.await.ok();
        }
    }

    /// Writes what is queued and ends the task.
    pub async fn stop(self) {
        self.flush().await;
        self.task.abort();
    }
}

async fn write(pool: PgPool, mut receiver: mpsc::Receiver<Message>) {
    let mut messages = Vec::with_capacity(GROUP);
    while receiver.recv_many(&mut messages, GROUP).await > 0 {
        let mut batches = Vec::with_capacity(messages.len());
        let mut waiting = Vec::new();
        for message in messages.drain(..) {
            match message {
                Message::Batch(batch) => batches.push(batch),
                Message::Flush(done) => waiting.push(done),
            }
        }
        // An entry must not be lost to a passing fault of the database: try again until it is stored.
        while !batches.is_empty() {
            match store(&pool, &batches).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(error = %error, batches = batches.len(), "audit entries could not be written yet");
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                    if pool.is_closed() {
                        break;
                    }
                }
            }
        }
        for done in waiting {
            done.send(()).ok();
        }
    }
}

async fn store(pool: &PgPool, batches: &[Batch]) -> Result<(), Error> {
    let mut connection = pool.acquire().await.db()?;
    let entries: Vec<(&Attribution, &AuditEntry)> =
        batches.iter().flat_map(|batch| batch.entries.iter().map(move |entry| (&batch.who, entry))).collect();
    insert(&mut connection, &entries).await
}

/// Appends entries with one statement.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    entries: &[(&Attribution, &AuditEntry)],
) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let column = |f: fn(&(&Attribution, &AuditEntry)) -> Option<i64>| entries.iter().map(f).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO jhe_audit_event
             (actor_user_id, application_id, action, resource, resource_id, patient_id, organization_id, rows, reason, ip)
         SELECT a, b, c, d, e, f, g, h, i, j::inet FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                              $8::bigint[], $9::text[], $10::text[]) AS entry (a, b, c, d, e, f, g, h, i, j)",
    )
    .bind(column(|(who, _)| who.user_id.map(|id| id.0)))
    .bind(column(|(who, _)| who.application_id.map(|id| id.0)))
    .bind(entries.iter().map(|(_, entry)| entry.action.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|(_, entry)| entry.resource).collect::<Vec<_>>())
    .bind(entries.iter().map(|(_, entry)| entry.resource_id.map(|id| id.to_string())).collect::<Vec<_>>())
    .bind(column(|(_, entry)| entry.patient_id.map(|id| id.0)))
    .bind(column(|(_, entry)| entry.organization_id.map(|id| id.0)))
    .bind(column(|(_, entry)| entry.rows))
    .bind(entries.iter().map(|(_, entry)| entry.reason.clone()).collect::<Vec<_>>())
    .bind(entries.iter().map(|(who, _)| who.ip.map(|ip| ip.to_string())).collect::<Vec<_>>())
    .execute(connection)
    .await
    .db()?;
    Ok(())
}
