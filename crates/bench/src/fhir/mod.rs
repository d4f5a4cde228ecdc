//! Observations under load: a study of many rows is loaded, read, exported and added to, each beside what the database
//! does alone. Only right answers count: of the right status, with as many entries as must be there.

mod answer;
mod audit;
mod document;
mod export;
mod limit;
mod read;
mod study;
mod write;

use anyhow::{Result, ensure};
use jhe_testkit::connection::{Answer, Connection};

use crate::load::Plan;
use crate::memory::Watch;
use crate::place::Place;
use study::Study;

/// The token of a practitioner who manages the study's organization.
const PRACTITIONER: &str = "bench-mary";
/// Enough to keep all cores busy.
const UPLOADERS: usize = 16;

/// Loads so many rows, drives everything and prints the table. What reads comes first, while the number of rows is known.
pub(crate) async fn run(place: &Place, plan: Plan, rows: i64, mut memory: Watch) -> Result<()> {
    memory.phase("before the suite");
    let study = Study::load(place, rows).await?;
    read::run(place, plan, &study).await?;
    memory.phase("after reading");
    export::run(place, &study).await?;
    memory.phase("after the export");
    write::run(place, plan, &study).await?;
    memory.phase("after writing");
    memory.end();
    let counted = place.number("SELECT coalesce(sum(n), 0)::bigint FROM jhe_observation_stats").await?;
    let stored = place.number("SELECT count(*) FROM core_observation WHERE codeable_concept_id IS NOT NULL").await?;
    ensure!(counted == stored, "the counters say {counted} observations, the table has {stored}");
    println!("{stored} observations are stored, and the counters say the same");
    println!();
    Ok(())
}

/// Loads a small study, and measures what the audit trail costs and how it is read with so many entries.
pub(crate) async fn run_audit(place: &Place, plan: Plan, entries: i64) -> Result<()> {
    const SMALL: i64 = 100_000;
    let study = Study::load(place, SMALL).await?;
    audit::run(place, plan, &study, entries).await
}

/// Numbers that look random and are the same in every run.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    /// A number from 0 up to a bound (SplitMix64).
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap_or_default() % bound.max(1)
    }

    /// One of several.
    fn pick<'a>(&mut self, from: &'a [String]) -> &'a str {
        let index = self.below(i64::try_from(from.len()).unwrap_or(i64::MAX));
        usize::try_from(index).ok().and_then(|index| from.get(index)).map_or("", String::as_str)
    }
}

/// A connection that asks.
struct Asker {
    connection: Connection,
    dice: Dice,
}

impl Asker {
    /// One for each connection.
    async fn several(place: &Place, number: usize) -> Result<Vec<Self>> {
        let connections = place.connections(number).await?;
        Ok((1..).zip(connections).map(|(seed, connection)| Self { connection, dice: Dice(seed) }).collect())
    }

    /// Asks as the practitioner.
    async fn get(&mut self, path: &str) -> Result<Answer> {
        let answer =
            self.connection.send("GET", path, &format!("authorization: Bearer {PRACTITIONER}\r\n"), "").await?;
        ensure!(answer.status == 200, "status {}", answer.status);
        Ok(answer)
    }
}
