//! `jhe-bench`: drives a server of this tree over HTTP and prints what it reached beside what the machine allows: the
//! cost of one signature, one password hash, one indexed lookup, the same rows without a server, taken in the same run.
//!
//! A private PostgreSQL that writes through to disk, the server as a process of its own, the load from this one. CPU is
//! what the kernel accounts to each. Never part of a test: numbers are for people to read.

mod cpu;
mod fhir;
mod identity;
mod ingest;
mod limits;
mod load;
mod memory;
mod overload;
mod place;
mod storm;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

/// Load for the whole server.
#[derive(Debug, Parser)]
#[command(name = "jhe-bench", version)]
struct Cli {
    /// What to drive; everything when none is named.
    suites: Vec<Suite>,
    /// The server's program; the one beside this one by default.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Seconds for each operation.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections that ask at once.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Observations to load for the suite fhir.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(i64).range(10_000..=100_000_000))]
    rows: i64,
    /// Entries of the audit trail to load for the suite audit.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1_000..=100_000_000))]
    entries: i64,
    /// A setting of the database, as NAME=VALUE, instead of what the machine would give it. Several times for several.
    #[arg(long, value_parser = setting)]
    database: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or("not NAME=VALUE".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Introspection, tokens, sign-in.
    Identity,
    /// Uploads, alone and while people sign in.
    Ingest,
    /// Many more sign-ins than can be served.
    Overload,
    /// What the audit trail costs, and reading it.
    Audit,
    /// Reading, exporting and storing observations of a study of many rows.
    Fhir,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let beside = std::env::current_exe()?.with_file_name("jhe");
    let server = cli.server.clone().unwrap_or(beside);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&cli, server))
}

async fn run(cli: &Cli, server: PathBuf) -> Result<()> {
    // Those who wait for their answers are not to be turned away, but for the suite that is about just that.
    let patience = if cli.suites.contains(&Suite::Overload) { "100" } else { "60000" };
    let place = place::Place::start(&server, patience, cli.database.clone()).await.context("no server")?;
    let outcome = drive(cli, &place).await;
    place.stop().await?;
    outcome
}

async fn drive(cli: &Cli, place: &place::Place) -> Result<()> {
    let wanted = |suite: Suite| cli.suites.is_empty() || cli.suites.contains(&suite);
    let plan = load::Plan { duration: Duration::from_secs(cli.seconds), connections: cli.connections };
    let memory = memory::Watch::begin(place.server_pid);
    let limits = limits::measure(place, plan).await?;
    limits.print();
    if wanted(Suite::Identity) {
        identity::run(place, plan, &limits).await?;
    }
    if wanted(Suite::Ingest) {
        ingest::run(place, plan).await?;
    }
    if cli.suites.contains(&Suite::Overload) {
        return overload::run(place, plan, limits.hashes).await;
    }
    // Alone: its study is that of the next suite.
    if cli.suites.contains(&Suite::Audit) {
        return fhir::run_audit(place, plan, cli.entries).await;
    }
    if wanted(Suite::Fhir) {
        fhir::run(place, plan, cli.rows, memory).await?;
    }
    Ok(())
}
