//! What is broken on purpose, and how long it takes until the server answers again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jhe_testkit::connection::Connection;

use crate::client::Shared;
use crate::dice::Dice;
use crate::history::Stop;
use crate::place::Place;
use crate::server::Server;
use crate::world;

/// How long the server may take to answer after a fault, to stop, and the database to be rid of what was before.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two looks whether all is settled.
const SETTLE: Duration = Duration::from_millis(25);

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The server's process is killed, and started again.
    KillServer,
    /// PostgreSQL ends at once and recovers.
    CrashDatabase,
    /// All connections to the database end.
    Cut,
    /// They end, and new ones wait for a while.
    Close,
    /// A second server takes over and the first is told to stop.
    Roll,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::KillServer, Self::CrashDatabase, Self::Cut, Self::Close, Self::Roll];

    /// As it is printed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::KillServer => "server killed",
            Self::CrashDatabase => "database crashed",
            Self::Cut => "connections to the database cut",
            Self::Close => "database out of reach for 200 ms",
            Self::Roll => "rolling restart",
        }
    }
}

/// Breaks something, mends it and waits until the server answers; says how long that took from when the database took
/// connections and could be reached.
pub(crate) async fn happen(fault: Fault, place: &mut Place, shared: &Arc<Shared>, dice: &mut Dice) -> Result<Duration> {
    let before = place.scalar("SELECT clock_timestamp()::text".to_owned()).await?;
    match fault {
        Fault::KillServer => {
            let port = place.server.port;
            place.server.kill()?;
            place.server = place.program.serve(port)?;
        }
        Fault::CrashDatabase => {
            place.crash_database().await?;
            tokio::time::sleep(dice.millis(0, 200)).await;
            place.start_database().await?;
        }
        Fault::Cut => place.proxy.cut(),
        Fault::Close => {
            place.proxy.close();
            tokio::time::sleep(Duration::from_millis(200)).await;
            place.proxy.open();
        }
        Fault::Roll => roll(place, shared).await?,
    }
    place.ask("SELECT 1::text").await?;
    let accepts = Instant::now();
    answers(place, place.target.port()).await?;
    let recovered = accepts.elapsed();
    if let Some(status) = place.server.ended()? {
        shared.history.wrong("processes", format!("{}: the server ended with {status}", fault.name()));
        bail!("the server did not survive: {}", fault.name());
    }
    let heard = shared.history.now();
    forget(place, &before).await?;
    shared.history.settle(heard);
    Ok(recovered)
}

/// Lets clients work for a while. Now and then it is looked whether what they heard of so far is over in the database too:
/// the sooner that is known, the less an unknown outcome can explain.
pub(crate) async fn work(place: &Place, shared: &Arc<Shared>, time: Duration) -> Result<()> {
    const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text";
    const OLDEST: &str =
        "SELECT (extract(epoch FROM coalesce(min(xact_start), clock_timestamp())) * 1000000)::bigint::text
           FROM pg_stat_activity
          WHERE application_name = 'jhe' AND pid <> pg_backend_pid() AND state <> 'idle'";
    let end = Instant::now() + time;
    loop {
        // What clients have heard of by now was answered by a server that had heard of it from the database.
        let heard = shared.history.now();
        let mark = place.number(NOW).await?;
        while place.number(OLDEST).await? < mark {
            tokio::time::sleep(PAUSE).await;
        }
        shared.history.settle(heard);
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        tokio::time::sleep(left.min(SETTLE)).await;
    }
}

/// Waits until a server answers a question that needs the database.
pub(crate) async fn answers(place: &Place, port: u16) -> Result<()> {
    let headers = format!("authorization: Bearer {}\r\n", world::reader_token(world::reader(0)));
    let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let once = async {
            let mut connection = Connection::open(address).await?;
            connection.send("GET", "/api/v1/users/profile", &headers, "").await
        };
        if once.await.is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("the server does not answer; its log is in {}", place.folder().display())
}

/// Lets a second server take over, then stops the first. Nobody may notice.
async fn roll(place: &mut Place, shared: &Arc<Shared>) -> Result<()> {
    let [one, other] = place.ports;
    let port = if place.server.port == one { other } else { one };
    let next = place.program.serve(port)?;
    let mut last: Server = std::mem::replace(&mut place.server, next);
    answers(place, port).await?;
    let switched = shared.history.now();
    place.target.switch(port);
    // What was sent before is in the server's hands by then, or nearly.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let asked = shared.history.now();
    last.terminate()?;
    let status = last.wait(PATIENCE).await.context("after it was told to")?;
    let gone = shared.history.now();
    shared.history.records().stops.push(Stop { switched, asked, gone });
    if !status.success() {
        shared.history.wrong("processes", format!("a server that was told to stop ended with {status}"));
    }
    Ok(())
}

/// Waits until the database has ended every connection that the server had before a moment: what came through them has
/// happened by then, or never will.
async fn forget(place: &Place, before: &str) -> Result<()> {
    let sql: &'static str = format!(
        "SELECT count(*)::text FROM pg_stat_activity
          WHERE application_name = 'jhe' AND pid <> pg_backend_pid() AND backend_start < '{before}'"
    )
    .leak();
    let deadline = Instant::now() + PATIENCE;
    while place.number(sql).await? > 0 {
        if Instant::now() > deadline {
            bail!("the database keeps connections that were cut");
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
