//! The audit trail: writes commit their entries with the change; reads hand theirs to the writer when they end.
//!
//! A read reserves its place in the queue before it starts and waits when the queue is full, so an entry can neither
//! be skipped nor lost to a full queue. What requests read at the same time is stored with one statement and one commit,
//! for which their answers wait: see [`crate::request`].

mod event;
mod seal;

use std::sync::Arc;

use jhe_authz::port::Attribution;
use jhe_domain::PatientId;
use jhe_domain::audit::AuditEntry;
use jhe_domain::error::Error;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot};

use crate::fault::Db;
use crate::request::RequestFacts;

pub use event::{AuditEvents, AuditFilter};
pub use seal::{Summed, Unsealed};

/// Entries of one request, or of one unit of work that none stands behind.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) facts: Option<Arc<RequestFacts>>,
    /// How the request ended.
    pub(crate) status: Option<u16>,
    pub(crate) entries: Vec<(Attribution, AuditEntry)>,
    /// Who waits until they are stored.
    pub(crate) done: Option<oneshot::Sender<()>>,
}

/// One entry with all that is known of it.
pub(crate) struct Line<'a> {
    pub(crate) who: &'a Attribution,
    pub(crate) facts: Option<&'a RequestFacts>,
    pub(crate) status: Option<u16>,
    pub(crate) entry: &'a AuditEntry,
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

/// How long a process that ends waits for the database.
const LAST_CHANCE: std::time::Duration = std::time::Duration::from_secs(10);

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

    /// Writes what is queued and ends the task. A database that does not come back in time cannot keep a process from
    /// ending: answers whose entries are not stored have not left.
    pub async fn stop(self) {
        if tokio::time::timeout(LAST_CHANCE, self.flush()).await.is_err() {
            tracing::error!("audit entries of requests that got no answer could not be written");
        }
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
                        // Nobody may take it for stored: without a word the answers that wait do not leave.
                        batches.clear();
                    }
                }
            }
        }
        for done in batches.into_iter().filter_map(|batch| batch.done).chain(waiting) {
            done.send(()).ok();
        }
    }
}

async fn store(pool: &PgPool, batches: &[Batch]) -> Result<(), Error> {
    let mut connection = pool.acquire().await.db()?;
    let mut lines = Vec::new();
    for Batch { facts, status, entries, .. } in batches {
        lines.extend(entries.iter().map(|(who, entry)| Line { who, facts: facts.as_deref(), status: *status, entry }));
    }
    insert(&mut connection, &lines).await
}

/// Appends entries with one statement.
pub(crate) async fn insert(connection: &mut PgConnection, lines: &[Line<'_>]) -> Result<(), Error> {
    if lines.is_empty() {
        return Ok(());
    }
    let number = |f: fn(&Line<'_>) -> Option<i64>| lines.iter().map(f).collect::<Vec<_>>();
    let text = |f: fn(&Line<'_>) -> Option<String>| lines.iter().map(f).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO jhe_audit_event
             (actor_user_id, application_id, action, resource, resource_id, patient_id, organization_id, rows, reason, ip,
              status, request_id, template, patient_ids)
         SELECT a, b, c, d, e, f, g, h, i, j::inet, k, l, m, n::bigint[]
           FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                       $8::bigint[], $9::text[], $10::text[], $11::integer[], $12::text[], $13::text[], $14::text[])
                AS entry (a, b, c, d, e, f, g, h, i, j, k, l, m, n)",
    )
    .bind(number(|line| line.who.user_id.map(|id| id.0)))
    .bind(number(|line| line.who.application_id.map(|id| id.0)))
    .bind(lines.iter().map(|line| line.entry.action.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.entry.resource).collect::<Vec<_>>())
    .bind(text(|line| line.entry.resource_id.map(|id| id.to_string())))
    .bind(number(|line| line.entry.patient_id.map(|id| id.0)))
    .bind(number(|line| line.entry.organization_id.map(|id| id.0)))
    .bind(number(|line| line.entry.rows))
    .bind(text(|line| line.entry.reason.clone()))
    .bind(text(|line| line.who.ip.or(line.facts.and_then(|facts| facts.ip)).map(|ip| ip.to_string())))
    .bind(lines.iter().map(|line| line.entry.status.or(line.status).map(i32::from)).collect::<Vec<_>>())
    .bind(text(|line| line.facts.map(|facts| facts.id.clone())))
    .bind(text(|line| line.facts.map(|facts| facts.template.clone())))
    // Arrays of several lengths are no array of arrays, so each goes as text.
    .bind(text(|line| several(&line.entry.patients)))
    .execute(connection)
    .await
    .db()?;
    Ok(())
}

/// Whose data, when there are several, as the text of an array.
fn several(patients: &[PatientId]) -> Option<String> {
    if patients.is_empty() {
        return None;
    }
    let ids: Vec<String> = patients.iter().map(|id| id.0.to_string()).collect();
    Some(format!("{{{}}}", ids.join(",")))
}
