//! The `jhe` command; see `jhe --help`.

use std::process::ExitCode;

use clap::Parser;
use jhe_server::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    jhe_server::cli::run(Cli::parse())
}
