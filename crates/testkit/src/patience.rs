//! Waiting for what comes by itself, on machines of any speed.

use std::time::Duration;

use jhe_store::Work;
use tokio::task::JoinHandle;

use crate::TestServer;

/// Looks again and again until something holds.
///
/// # Panics
/// After a minute, with what did not come to hold.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let patience = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_mins(1), patience).await.is_ok(), "not within a minute: {what}");
}

/// A table that nobody else can use.
pub struct Locked {
    keeper: Work,
    holder: JoinHandle<()>,
}

impl TestServer {
    /// Locks a table until it is released.
    pub async fn lock(&self, table: &str) -> Locked {
        let mut keeper = self.store().begin().await.expect("a unit of work");
        keeper.queue_up("a test's lock").await.expect("nobody else in line");
        let hold = format!(
            "BEGIN; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; LOCK TABLE {table};
             SELECT pg_advisory_xact_lock(hashtextextended('a test''s lock', 0)); COMMIT"
        );
        let store = self.store().clone();
        let holder = tokio::spawn(async move { store.execute_raw(hold.leak()).await.expect("a lock") });
        let held = format!(
            "SELECT count(*)::text FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = '{table}'::regclass"
        )
        .leak();
        eventually("the table is locked", async || self.scalar(held).await != "0").await;
        Locked { keeper, holder }
    }
}

impl Locked {
    /// Lets others use the table again.
    pub async fn release(self) {
        self.keeper.commit().await.expect("a commit");
        self.holder.await.expect("a lock that is released");
    }
}
