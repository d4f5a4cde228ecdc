//! What must hold after all that happened. Each check looks at everything since the run began.

mod audit;
mod audit_chain;
mod consent;
mod consented;
mod counters;
mod stop;
mod stored;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::client::{Shared, give_all};
use crate::place::Place;

pub(crate) use audit::Trail;

/// Details that are printed of each check.
const SHOWN: usize = 5;

/// What a check found.
#[derive(Debug)]
pub(crate) struct Finding {
    name: &'static str,
    looked_at: String,
    violations: Vec<String>,
}

impl Finding {
    fn new(name: &'static str, looked_at: String, violations: Vec<String>) -> Self {
        Self { name, looked_at, violations }
    }

    /// How many things are wrong.
    pub(crate) const fn violations(&self) -> usize {
        self.violations.len()
    }

    /// Prints it, with the first few of what is wrong.
    pub(crate) fn print(&self) {
        if self.violations.is_empty() {
            println!("{}: ok ({})", self.name, self.looked_at);
            return;
        }
        println!("{}: {} violations ({})", self.name, self.violations.len(), self.looked_at);
        for text in self.violations.iter().take(SHOWN) {
            println!("    {text}");
        }
    }
}

/// Looks at everything, while no client asks anything. The whole of it also through the API, which takes longer.
pub(crate) async fn run(place: &Place, shared: &Arc<Shared>, trail: &mut Trail, whole: bool) -> Result<Vec<Finding>> {
    let heard = shared.history.now();
    quiet(place).await?;
    shared.history.settle(heard);
    let consented = consented::check(place, shared).await?;
    let table = stored::Table::read(place).await?;
    let mut findings = vec![stored::acknowledged(&table, &shared.history.records())];
    if whole {
        give_all(shared).await;
        findings.push(stored::through_the_api(&table, shared).await);
    }
    findings.push(stored::halves(&table, &shared.history.records()));
    findings.push(counters::check(place).await?);
    findings.push(consented);
    findings.extend(consent::check(&shared.history.records()));
    findings.extend(trail.check(place, shared).await?);
    findings.extend(audit_chain::check(place)?);
    findings.push(stop::check(&table, &shared.history.records()));
    findings.extend(noted(shared));
    Ok(findings)
}

/// What clients saw to be wrong at once.
fn noted(shared: &Shared) -> Vec<Finding> {
    let records = shared.history.records();
    let wrong = |name| records.wrong.get(name).cloned().unwrap_or_default();
    vec![
        Finding::new("answers are those that may come", "every answer".to_owned(), wrong("answers")),
        Finding::new("servers live and stop as told", "every process".to_owned(), wrong("processes")),
    ]
}

/// Waits until the server does nothing in the database: clients that hung up may have left work behind.
async fn quiet(place: &Place) -> Result<()> {
    const BUSY: &str = "SELECT count(*)::text FROM pg_stat_activity
          WHERE application_name = 'jhe' AND pid <> pg_backend_pid() AND state <> 'idle'";
    let mut still = 0;
    for _ in 0..3000 {
        still = if place.number(BUSY).await? == 0 { still + 1 } else { 0 };
        if still == 10 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("the server does not come to rest")
}
