//! A closed loop of connections for a while, and what came of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

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
    name: &'static str,
    times: Vec<Duration>,
    failed: usize,
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
            if self.failed == 0 { String::new() } else { format!("FAILED {} ", self.failed) },
        );
    }
}

/// Runs one worker for each connection until the time is over. A worker does one operation when asked, and says whether
/// it worked.
pub(crate) async fn drive<W>(
    name: &'static str,
    place: &Place,
    plan: Plan,
    mut workers: Vec<W>,
    operate: impl AsyncFn(&mut W) -> Result<bool> + Send + Sync + Clone + 'static,
) -> Result<Outcome>
where
    W: Send + 'static,
{
    workers.truncate(plan.connections);
    let local = tokio::task::LocalSet::new();
    let before =
        (cpu::of_process(place.server_pid), cpu::of_tree(place.postmaster), cpu::of_process(std::process::id()));
    let started = Instant::now();
    let end = started + plan.duration;
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|mut worker| {
            let operate = operate.clone();
            local.spawn_local(async move {
                let (mut times, mut failed) = (Vec::new(), 0);
                while Instant::now() < end {
                    let begun = Instant::now();
                    match operate(&mut worker).await {
                        Ok(true) => times.push(begun.elapsed()),
                        // A worker without work is done.
                        Ok(false) => break,
                        Err(_) => failed += 1,
                    }
                }
                (times, failed)
            })
        })
        .collect();
    let (mut times, mut failed) = (Vec::new(), 0);
    local
        .run_until(async {
            for task in tasks {
                let (own, wrong) = task.await.context("a worker ended early")?;
                times.extend(own);
                failed += wrong;
            }
            anyhow::Ok(())
        })
        .await?;
    let elapsed = started.elapsed();
    times.sort_unstable();
    Ok(Outcome {
        name,
        times,
        failed,
        elapsed,
        server: cpu::of_process(place.server_pid) - before.0,
        database: cpu::of_tree(place.postmaster) - before.1,
        load: cpu::of_process(std::process::id()) - before.2,
    })
}
