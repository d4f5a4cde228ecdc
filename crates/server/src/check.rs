//! `jhe check` and `jhe healthcheck`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use jhe_app::App;
use jhe_config::Config;
use jhe_store::maintenance;

use crate::cli::print;
use crate::clock::SystemClock;
use crate::database::{Database, readable};

/// Reads the configuration, reaches the database, checks migrations and keys, prints a table.
pub async fn run(config: Config) -> Result<ExitCode> {
    let mut rows: Vec<(&str, String, bool)> = vec![(
        "configuration",
        format!("{} ({})", config.site.url.as_str(), if config.site.production { "production" } else { "development" }),
        true,
    )];
    let database = match Database::open(&config).await {
        Ok(database) => database,
        Err(error) => {
            rows.push(("database", format!("{error:#}"), false));
            return report(&rows);
        }
    };
    match examine(&database, &config, &mut rows).await {
        Ok(()) => {}
        Err(error) => rows.push(("database", format!("{error:#}"), false)),
    }
    database.close().await?;
    report(&rows)
}

async fn examine(database: &Database, config: &Config, rows: &mut Vec<(&str, String, bool)>) -> Result<()> {
    let (store, audit) = database.connect().await?;
    store.ping().await.map_err(readable)?;
    rows.push(("database", "reachable".to_owned(), true));
    let pending = maintenance::pending(&database.options).await.map_err(readable)?;
    let text = if pending.is_empty() { "current".to_owned() } else { format!("pending: {}", pending.join(", ")) };
    rows.push(("migrations", text, pending.is_empty()));
    if pending.is_empty() {
        let app = App::start(store.clone(), config.clone(), Arc::new(SystemClock)).await.map_err(readable)?;
        let kid = app.identity().kid();
        rows.push(("signing key", kid.clone().unwrap_or_else(|| "none".to_owned()), kid.is_some()));
        rows.push(("patient code verifier", app.identity().static_verifier().unwrap_or_default(), true));
        let stored = app.settings().site_url();
        let same = stored == config.site.url.as_str();
        let text = if same {
            stored
        } else {
            format!("{stored}, while SITE_URL is {}: the setting holds", config.site.url.as_str())
        };
        rows.push(("site.url", text, true));
    }
    audit.stop().await;
    store.close().await;
    Ok(())
}

fn report(rows: &[(&str, String, bool)]) -> Result<ExitCode> {
    let lines: Vec<String> = rows
        .iter()
        .map(|(name, text, good)| format!("{:<22} {}  {text}", name, if *good { "ok " } else { "BAD" }))
        .collect();
    print(&lines.join("\n"))?;
    Ok(if rows.iter().all(|(_, _, good)| *good) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks the server at the configured address whether it is alive.
pub async fn health(config: Config) -> Result<ExitCode> {
    let mut address = config.server.bind;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let client = reqwest::Client::builder().no_proxy().timeout(std::time::Duration::from_secs(3)).build()?;
    let response = client.get(format!("http://{address}/health")).send().await?;
    Ok(if response.status().is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
