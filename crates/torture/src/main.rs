//! `jhe-torture`: breaks what is around and under a server while clients use it, and looks whether what the server said
//! still holds.
//!
//! A private PostgreSQL that writes through to disk, a proxy before it, the server as a process of its own, clients over
//! HTTP. Each cycle has one fault. What clients heard is kept in a history, which the checks compare with the database and
//! with what the API answers. What is guaranteed: docs/reliability.md.

mod check;
mod client;
mod dice;
mod fault;
mod history;
mod place;
mod proxy;
mod report;
mod server;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;

use client::{Shared, Traffic};
use dice::Dice;
use fault::Fault;
use place::Place;
use report::Recoveries;

/// Faults under load, and whether what the server acknowledged still holds afterwards.
#[derive(Debug, Parser)]
#[command(name = "jhe-torture", version)]
struct Cli {
    /// Faults, one each cycle.
    #[arg(long, default_value_t = 200)]
    cycles: usize,
    /// What the order of faults and the choices of clients come from; another one each time by default.
    #[arg(long)]
    seed: Option<u64>,
    /// The server's program; the one beside this one by default.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Keep the folder with the database and the server's log.
    #[arg(long)]
    keep: bool,
}

/// Cycles between two looks at everything.
const BETWEEN_CHECKS: usize = 25;

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&cli))
}

async fn run(cli: &Cli) -> Result<ExitCode> {
    let beside = std::env::current_exe()?.with_file_name("jhe");
    let seed = cli.seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("{} cycles, seed {seed}", cli.cycles);
    let mut place = Place::start(cli.server.as_deref().unwrap_or(&beside)).await.context("no server")?;
    let outcome = tokio::select! {
        outcome = torture(cli.cycles, seed, &mut place) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    // What ended the run early is to be found in the logs.
    place.stop(cli.keep || outcome.is_err()).await?;
    Ok(if outcome? == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs all cycles and says how many things were wrong.
async fn torture(cycles: usize, seed: u64, place: &mut Place) -> Result<usize> {
    let mut dice = Dice::new(seed);
    let shared = Arc::new(Shared::new(Arc::clone(&place.target)));
    fault::answers(place, place.target.port()).await?;
    let traffic = Traffic::start(&shared, &mut dice);
    let mut trail = check::Trail::default();
    let mut recoveries = Recoveries::default();
    let mut violations = 0;
    let mut deck: Vec<Fault> = Vec::new();
    for cycle in 1..=cycles {
        if deck.is_empty() {
            // Every kind comes equally often.
            deck = Fault::ALL.to_vec();
            dice.shuffle(&mut deck);
        }
        let Some(fault) = deck.pop() else { break };
        fault::work(place, &shared, dice.millis(150, 500)).await?;
        let took = fault::happen(fault, place, &shared, &mut dice).await;
        recoveries.add(fault, took.with_context(|| format!("cycle {cycle}: {}", fault.name()))?);
        if cycle % BETWEEN_CHECKS == 0 && cycle < cycles {
            let _silence = traffic.silence().await;
            for finding in check::run(place, &shared, &mut trail, false).await? {
                violations += finding.violations();
                if finding.violations() > 0 {
                    print!("after cycle {cycle}: ");
                    finding.print();
                }
            }
        }
    }
    fault::work(place, &shared, dice.millis(150, 500)).await?;
    traffic.stop().await;
    recoveries.print();
    println!();
    report::operations(&shared.history.records());
    println!();
    for finding in check::run(place, &shared, &mut trail, true).await? {
        finding.print();
        violations += finding.violations();
    }
    Ok(violations)
}
