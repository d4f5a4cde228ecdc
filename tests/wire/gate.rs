//! Two of whom the first is held half-way while the second comes.

use std::pin::pin;

use futures_util::future::{Either, select};
use jhe_testkit::{TestServer, eventually};

/// How many statements wait for a lock.
const WAITING: &str = "SELECT count(*)::text FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// Waits until so many statements wait for a lock.
async fn waiting(server: &TestServer, count: usize) {
    let enough = async || server.scalar(WAITING).await.parse::<usize>().unwrap() >= count;
    eventually("statements wait", enough).await;
}

/// Does `first`, which is held once it has done what a gate names (an event, a table), then `second`; lets go when the second
/// waits too, or is done. What both came to.
pub(crate) async fn meet<A, B>(
    server: &TestServer,
    gates: &[(&str, &str)],
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> (A, B) {
    let function = "CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
        BEGIN PERFORM pg_advisory_xact_lock_shared(hashtextextended('gate', 0)); RETURN NULL; END $$";
    server.execute(function).await;
    for (event, table) in gates {
        let trigger = format!(
            "CREATE TRIGGER z_gate_{event} AFTER {event} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION wait_at_gate()"
        );
        server.execute(trigger.leak()).await;
    }
    let outcome = held(server, first, second).await;
    server.execute("DROP FUNCTION wait_at_gate() CASCADE").await;
    outcome
}

/// The same where the first comes to the gate, the advisory lock of that name, by itself.
pub(crate) async fn held<A, B>(
    server: &TestServer,
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> (A, B) {
    let mut keeper = server.store().begin().await.unwrap();
    keeper.queue_up("gate").await.unwrap();
    let mut first = pin!(first);
    let is_held = matches!(select(first.as_mut(), pin!(waiting(server, 1))).await, Either::Right(_));
    assert!(is_held, "the first passed no gate");
    let then = async {
        match select(pin!(second), pin!(waiting(server, 2))).await {
            Either::Left((came, _)) => {
                keeper.commit().await.unwrap();
                came
            }
            Either::Right(((), second)) => {
                keeper.commit().await.unwrap();
                second.await
            }
        }
    };
    tokio::join!(first, then)
}
