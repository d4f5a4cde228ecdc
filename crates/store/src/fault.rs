//! What a database error means to the Exchange. Constraints are told apart by name, never by message.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jhe_domain::error::{Conflict, Error, Lookup};

/// How long callers are asked to wait when the database does not answer.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Turns a result of sqlx into one of the domain.
pub(crate) trait Db<T> {
    /// Maps the error.
    fn db(self) -> Result<T, Error>;
}

impl<T> Db<T> for Result<T, sqlx::Error> {
    fn db(self) -> Result<T, Error> {
        self.map_err(fault)
    }
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
/// When a connection last broke, in milliseconds since the first question for it; 0 is never.
static BROKEN: AtomicU64 = AtomicU64::new(0);

fn since_start() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

/// Whether a connection to the database broke within this time: others that lay idle then may be broken too.
pub(crate) fn broke_within(time: Duration) -> bool {
    let broken = BROKEN.load(Ordering::Relaxed);
    let age = Duration::from_millis(since_start().saturating_sub(broken));
    broken > 0 && age <= time
}

fn note_break(error: &sqlx::Error) {
    let broke = match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(database) => matches!(database.code().as_deref(), Some("57P01" | "57P02" | "57P03")),
        _ => false,
    };
    if broke {
        BROKEN.store(since_start(), Ordering::Relaxed);
    }
}

fn fault(error: sqlx::Error) -> Error {
    note_break(&error);
    match &error {
        sqlx::Error::Database(database) => {
            // A value beyond what an index can hold names the index as if it were a constraint.
            if database.code().as_deref() == Some("54000") {
                return Error::sentence("A value is too long.");
            }
            if let Some(constraint) = database.constraint() {
                return match conflict(constraint) {
                    // What a new row points to was there when it was looked at: deleted meanwhile. Readings are a
                    // conflict, which devices send again.
                    Conflict::Constraint(name)
                        if database.is_foreign_key_violation() && !name.starts_with("core_observation") =>
                    {
                        Error::NotFound(Lookup::Address)
                    }
                    known => Error::Conflict(known),
                };
            }
            match database.code().as_deref() {
                // Deadlock, serialization failure, lock timeout.
                Some("40P01" | "40001" | "55P03") => {
                    Error::Unavailable { retry_after: RETRY_AFTER, source: Box::new(error) }
                }
                // Connections, resources, intervention (statement timeout, shutdown), the system below.
                Some(code) if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
                    Error::Unavailable { retry_after: RETRY_AFTER, source: Box::new(error) }
                }
                // PostgreSQL holds every character but U+0000; what names it, or a number beyond all ids, matches nothing.
                Some("22021" | "22P05") => Error::sentence("Text must not contain the character U+0000."),
                Some("22003" | "22008") => Error::sentence("A number or a date is out of range."),
                _ => Error::internal(error),
            }
        }
        // A server that is going down may break off in the middle of a message.
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_) => Error::Unavailable { retry_after: RETRY_AFTER, source: Box::new(error) },
        // Rows that must be there are those an earlier statement of the request saw: deleted meanwhile.
        sqlx::Error::RowNotFound => Error::NotFound(Lookup::Address),
        _ => Error::internal(error),
    }
}

fn conflict(constraint: &str) -> Conflict {
    match constraint {
        "core_jheuser_email_key" => Conflict::EmailTaken,
        "oauth2_provider_application_client_id_key" => Conflict::ClientIdTaken,
        "core_jhesetting_key_key" => Conflict::SettingKeyTaken,
        "core_fhirsource_data_source_id_fkey" => Conflict::DataSourceInUse,
        other => Conflict::Constraint(other.to_owned()),
    }
}
