//! The command line.

use std::ffi::OsStr;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use jhe_config::Config;
use tracing_subscriber::EnvFilter;

use crate::{audit, check, demo, manage, openapi, serve};

/// The JupyterHealth Exchange: patient-consented health data for research.
#[derive(Debug, Parser)]
#[command(name = "jhe", version, propagate_version = true)]
pub struct Cli {
    /// Settings file (TOML); its keys are the variables' names in lower case, and the environment wins.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    #[command(after_long_help = jhe_config::help_text())]
    Serve {
        /// Refuse to start when migrations are pending, instead of applying them.
        #[arg(long)]
        no_migrate: bool,
    },
    /// Start with demo data, run the main job once against the server, and keep serving.
    Demo(demo::DemoArgs),
    /// Apply pending migrations.
    Migrate {
        /// Only tell whether any are pending (exit status 1).
        #[arg(long)]
        check: bool,
    },
    /// Make reference data, and demo data if asked for.
    Seed {
        /// The demo data too, on a database that holds no other organizations.
        #[arg(long)]
        demo: bool,
        /// Twenty more patients with weeks of glucose and months of a wearable, once the demo data is there.
        #[arg(long)]
        rich_demo: bool,
    },
    /// Manage accounts.
    User {
        #[command(subcommand)]
        command: manage::UserCommand,
    },
    /// Manage OAuth clients.
    Client {
        #[command(subcommand)]
        command: manage::ClientCommand,
    },
    /// Manage signing keys.
    Keys {
        #[command(subcommand)]
        command: manage::KeysCommand,
    },
    /// Check the audit trail.
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Print the OpenAPI document.
    Openapi(OpenapiArgs),
    /// Check configuration, database, migrations and keys.
    Check,
    /// Ask the server at the configured address whether it is alive; for container health checks.
    Healthcheck,
    /// Print the table of variables as Markdown.
    #[command(hide = true)]
    ConfigTable,
}

#[derive(Debug, Args)]
struct OpenapiArgs {
    /// As JSON instead of YAML.
    #[arg(long)]
    json: bool,
}

/// Runs a command; errors are one readable line.
pub fn run(cli: Cli) -> ExitCode {
    match execute(cli) {
        Ok(code) => code,
        Err(error) => {
            // The error stream may be closed; then there is nobody left to tell.
            writeln!(std::io::stderr(), "jhe: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> Result<ExitCode> {
    if matches!(cli.command, Command::ConfigTable) {
        return print(&jhe_config::markdown_table());
    }
    let config = match read_config(cli.config.as_deref(), &[]) {
        Err(error) if matches!(cli.command, Command::Check) => return check::faults(&error),
        read => read?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match cli.command {
        Command::Serve { no_migrate } => {
            log_to_stderr(&config)?;
            runtime.block_on(serve::run(config, !no_migrate))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(args) => {
            let config = read_config(cli.config.as_deref(), &args.variables())?;
            log_to_stderr(&config)?;
            runtime.block_on(demo::run(config, args))
        }
        Command::Migrate { check } => runtime.block_on(manage::migrate(config, check)),
        Command::Seed { demo, rich_demo } => runtime.block_on(manage::seed(config, demo, rich_demo)),
        Command::User { command } => runtime.block_on(manage::user(config, command)),
        Command::Client { command } => runtime.block_on(manage::client(config, command)),
        Command::Keys { command } => runtime.block_on(manage::keys(config, command)),
        Command::Audit { command } => runtime.block_on(audit::run(config, command)),
        Command::Openapi(args) => {
            let document = openapi::document();
            let text = if args.json { document.to_pretty_json()? } else { document.to_yaml()? };
            print(&text)
        }
        Command::Check => runtime.block_on(check::run(config)),
        Command::Healthcheck => runtime.block_on(check::health(config)),
        Command::ConfigTable => Ok(ExitCode::SUCCESS),
    }
}

/// Prints to standard output; a closed pipe is no error.
pub(crate) fn print(text: &str) -> Result<ExitCode> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn read_config(file: Option<&std::path::Path>, defaults: &[(String, String)]) -> Result<Config> {
    let text = file
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())))
        .transpose()?;
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut variables: Vec<(String, String)> = defaults.to_vec();
    variables.extend(environment);
    let files = |path: &std::path::Path| std::fs::read_to_string(path).map_err(|error| error.to_string());
    let config = Config::read_with_files(variables, text.as_deref(), &files)?;
    for warning in &config.warnings {
        writeln!(std::io::stderr(), "jhe: warning: {warning}").ok();
    }
    Ok(config)
}

/// Colours are for people (https://no-color.org): what reads the log from a file or a pipe would have to take them out.
fn has_colours(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

fn log_to_stderr(config: &Config) -> Result<()> {
    // That a table is there already is no news, unless somebody has asked for what is told.
    let quiet = if config.server.log == "info" { ",sqlx::postgres::notice=warn" } else { "" };
    let filter = EnvFilter::try_new(format!("{}{quiet}", config.server.log))
        .with_context(|| format!("JHE_LOG is \"{}\", which is no log filter", config.server.log))?;
    let ansi = has_colours(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr);
    // A second call in one process, as tests may make, keeps the first subscriber.
    if config.server.log_json {
        builder.json().try_init().ok();
    } else {
        builder.try_init().ok();
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        // Only what stands in the program as it is: a text that was put together may hold a person's data.
        let text = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("-");
        tracing::error!(location, text, "a panic");
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_log_has_colours_on_terminals_alone() {
        assert!(has_colours(true, None) && has_colours(true, Some(OsStr::new(""))));
        assert!(!has_colours(false, None) && !has_colours(true, Some(OsStr::new("1"))));
    }

    #[test]
    fn the_help_begins_with_the_product() {
        let help = Cli::command().render_help().to_string();
        assert!(help.starts_with("The JupyterHealth Exchange: "), "{help}");
    }
}
