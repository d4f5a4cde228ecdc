//! Connections that ask for a while, each as soon as it has its answer or at given times, and what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::{Mutex, mpsc};

use crate::cpu;
use crate::place::Place;

/// How long, and how many at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) duration: Duration,
    pub(crate) connections: usize,
}

impl Plan {
    /// The same with another number of connections.
    pub(crate) const fn with(self, connections: usize) -> Self {
        Self { connections, ..self }
    }
}

/// What a load reached.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    name: String,
    times: Vec<Duration>,
    failed: usize,
    failure: Option<String>,
    elapsed: Duration,
    server: f64,
    database: f64,
    load: f64,
}

impl Outcome {
    /// Operations a second.
    #[expect(clippy::cast_precision_loss, reason = "counts of operations are small")]
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Operations that worked.
    pub(crate) const fn done(&self) -> usize {
        self.times.len()
    }

    /// Rate and CPU of the parts of an operation, for a remark: a Bundle has as many parts as entries.
    #[expect(clippy::cast_precision_loss, reason = "counts of operations are small")]
    pub(crate) fn parts(&self, parts: usize, what: &str) -> String {
        let all = (self.times.len() * parts).max(1) as f64;
        format!(
            "= {:.0} {what}/s, CPU each: server {:.1} µs, database {:.1} µs",
            self.rate() * parts as f64,
            self.server * 1e6 / all,
            self.database * 1e6 / all,
        )
    }

    fn quantile(&self, part: f64) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index within the list"
        )]
        let index = (self.times.len() as f64 * part) as usize;
        self.times.get(index.min(self.times.len().saturating_sub(1))).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    }

    /// How many operations failed, and why the first did.
    fn failures(&self) -> String {
        match &self.failure {
            Some(why) => format!("FAILED {} ({why}) ", self.failed),
            None => String::new(),
        }
    }

    /// One line of the table.
    pub(crate) fn print(&self, remark: &str) {
        #[expect(clippy::cast_precision_loss, reason = "counts of operations are small")]
        let each = |seconds: f64| seconds * 1e6 / self.times.len().max(1) as f64;
        println!(
            "{:<34} {:>8.0}/s  p50 {:>7.2} ms  p99 {:>7.2} ms  CPU each: server {:>6.0} µs, database {:>6.0} µs, load {:>5.0} µs  {}{remark}",
            self.name,
            self.rate(),
            self.quantile(0.5),
            self.quantile(0.99),
            each(self.server),
            each(self.database),
            each(self.load),
            self.failures(),
        );
    }
}

/// What one worker reached.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    times: Vec<Duration>,
    failed: usize,
    failure: Option<String>,
}

impl Tally {
    /// Adds an operation that began, or should have, at a moment. `false` from a worker without work.
    pub(crate) fn add(&mut self, begun: Instant, outcome: Result<bool>) -> bool {
        match outcome {
            Ok(true) => self.times.push(begun.elapsed()),
            Ok(false) => return false,
            Err(error) => {
                self.failed += 1;
                self.failure.get_or_insert_with(|| format!("{error:#}"));
            }
        }
        true
    }

    fn join(&mut self, other: Self) {
        self.times.extend(other.times);
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
    }
}

/// Time and CPU from here on.
pub(crate) struct Meter<'a> {
    place: &'a Place,
    started: Instant,
    before: [f64; 3],
}

impl<'a> Meter<'a> {
    pub(crate) fn begin(place: &'a Place) -> Self {
        Self { place, started: Instant::now(), before: Self::cpu(place) }
    }

    /// Of the server, the database, the load.
    fn cpu(place: &Place) -> [f64; 3] {
        [cpu::of_process(place.server_pid), cpu::of_tree(place.postmaster), cpu::of_process(std::process::id())]
    }

    pub(crate) fn end(self, name: String, mut all: Tally) -> Outcome {
        let elapsed = self.started.elapsed();
        let ([server, database, load], [server_before, database_before, load_before]) =
            (Self::cpu(self.place), self.before);
        all.times.sort_unstable();
        Outcome {
            name,
            times: all.times,
            failed: all.failed,
            failure: all.failure,
            elapsed,
            server: server - server_before,
            database: database - database_before,
            load: load - load_before,
        }
    }
}

/// Runs one worker for each connection until the time is over. A worker does one operation when asked, and says whether
/// it worked.
pub(crate) async fn drive<W>(
    name: impl Into<String>,
    place: &Place,
    plan: Plan,
    mut workers: Vec<W>,
    operate: impl AsyncFn(&mut W) -> Result<bool> + Send + Sync + Clone + 'static,
) -> Result<Outcome>
where
    W: Send + 'static,
{
    workers.truncate(plan.connections);
    let end = Instant::now() + plan.duration;
    gather(name.into(), place, workers, async move |mut worker: W| {
        let mut tally = Tally::default();
        while Instant::now() < end {
            let begun = Instant::now();
            if !tally.add(begun, operate(&mut worker).await) {
                break;
            }
        }
        tally
    })
    .await
}

/// Lets operations begin at a steady rate, whatever became of those before: they wait for a free worker, and their time
/// counts from when they should have begun.
pub(crate) async fn drive_at<W>(
    name: impl Into<String>,
    place: &Place,
    plan: Plan,
    rate: f64,
    mut workers: Vec<W>,
    operate: impl AsyncFn(&mut W) -> Result<bool> + Send + Sync + Clone + 'static,
) -> Result<Outcome>
where
    W: Send + 'static,
{
    ensure!(rate > 0.0, "no rate to go by");
    workers.truncate(plan.connections);
    let (sender, due) = mpsc::unbounded_channel();
    let due = Arc::new(Mutex::new(due));
    // Timers of the runtime are no finer than a millisecond.
    let pacer = std::thread::spawn(move || pace(rate, plan.duration, &sender));
    let outcome = gather(name.into(), place, workers, async move |mut worker: W| {
        let mut tally = Tally::default();
        loop {
            let next = due.lock().await.recv().await;
            let Some(begun) = next else { break };
            if !tally.add(begun, operate(&mut worker).await) {
                break;
            }
        }
        tally
    })
    .await?;
    ensure!(pacer.join().is_ok(), "the pacer ended early");
    Ok(outcome)
}

/// Sends the moments at which operations are to begin, each when it comes.
fn pace(rate: f64, duration: Duration, sender: &mpsc::UnboundedSender<Instant>) {
    let started = Instant::now();
    for number in 0_u32.. {
        let offset = Duration::from_secs_f64(f64::from(number) / rate);
        if offset >= duration {
            return;
        }
        std::thread::sleep((started + offset).saturating_duration_since(Instant::now()));
        if sender.send(started + offset).is_err() {
            return;
        }
    }
}

/// Lets all workers do their work, and adds up.
async fn gather<W>(
    name: String,
    place: &Place,
    workers: Vec<W>,
    work: impl AsyncFn(W) -> Tally + Clone + 'static,
) -> Result<Outcome>
where
    W: 'static,
{
    let local = tokio::task::LocalSet::new();
    let meter = Meter::begin(place);
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|worker| {
            let work = work.clone();
            local.spawn_local(async move { work(worker).await })
        })
        .collect();
    let mut all = Tally::default();
    local
        .run_until(async {
            for task in tasks {
                all.join(task.await.context("a worker ended early")?);
            }
            anyhow::Ok(())
        })
        .await?;
    Ok(meter.end(name, all))
}
