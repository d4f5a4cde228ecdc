//! `jhe check` and `jhe healthcheck`.

use std::process::ExitCode;

use anyhow::Result;
use jhe_app::App;
use jhe_app::identity::{self, Stored};
use jhe_app::schemas;
use jhe_app::settings::Settings;
use jhe_config::{Config, ConfigError, MailTransport};
use jhe_store::Store;
use jhe_store::maintenance::{self, Schema};

use crate::cli::print;
use crate::database::{CLUSTER, Database, options, readable};

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub name: String,
    /// What holds: without accounts, and without secrets but the one that is shown to whoever runs the server.
    pub text: String,
    /// Whether that is fine.
    pub good: bool,
}

impl Row {
    fn good(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), good: true }
    }

    fn bad(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), good: false }
    }
}

/// Reads the configuration, reaches the database, checks migrations and keys, prints a table.
pub async fn run(config: Config) -> Result<ExitCode> {
    report(&table(&config).await)
}

/// What is wrong with the settings, as a table.
pub fn faults(error: &anyhow::Error) -> Result<ExitCode> {
    let faults =
        error.downcast_ref::<ConfigError>().map_or_else(|| vec![format!("{error:#}")], |all| all.faults.clone());
    report(&faults.into_iter().map(|fault| Row::bad("configuration", fault)).collect::<Vec<_>>())
}

/// All there is to say about a configuration and what it leads to.
pub async fn table(config: &Config) -> Vec<Row> {
    let mut rows = settings(config);
    // Without a database too: a server would stop before it touches one.
    for checked in [App::check(config), schemas::check(&config.site.omh_schema_dirs).await] {
        if let Err(error) = checked {
            rows.push(Row::bad("configuration", readable(error).to_string()));
        }
    }
    match Database::existing(config).await {
        Ok(Some(database)) => {
            if let Err(error) = examine(&database, config, &mut rows).await {
                rows.push(Row::bad("database", format!("{error:#}")));
            }
            replicas(config, &mut rows).await;
            if let Err(error) = database.close().await {
                rows.push(Row::bad("database", format!("{error:#}")));
            }
        }
        Ok(None) => rows.push(not_yet(config)),
        Err(error) => rows.push(Row::bad("database", format!("{error:#}"))),
    }
    rows
}

/// A private database that nobody has needed so far.
fn not_yet(config: &Config) -> Row {
    let folder = jhe_pg::planned_data_dir(config.server.data_dir.as_deref());
    match folder.and_then(|folder| jhe_pg::programs(&folder.path.join(CLUSTER))) {
        Ok(programs) => Row::good("database", format!("{NONE_YET}, with {}", programs.display())),
        Err(error) => Row::bad("database", format!("none yet: {error}")),
    }
}

/// What the settings alone say.
fn settings(config: &Config) -> Vec<Row> {
    let mode = if config.site.production { "production" } else { "development" };
    let database = &config.database;
    let folder = match (&database.url, jhe_pg::planned_data_dir(config.server.data_dir.as_deref())) {
        (Some(_), _) => Row::good("data folder", "not used: the database is elsewhere"),
        (None, Ok(folder)) => Row::good("data folder", folder.path.display().to_string()),
        (None, Err(error)) => Row::bad("data folder", format!("{error:#}")),
    };
    let metrics = config.server.metrics_bind.map_or_else(|| "off".to_owned(), |address| format!("{address}/metrics"));
    vec![
        Row::good("configuration", format!("{} ({mode})", config.site.url.as_str())),
        Row::good("address", config.server.bind.to_string()),
        Row::good("metrics", metrics),
        mail(config),
        folder,
        Row::good("database address", database.description()),
        Row::good(
            "database pool",
            format!(
                "{} connections, {} s for one, {} s for a statement",
                database.max_connections,
                database.acquire_timeout.as_secs(),
                database.statement_timeout.as_secs()
            ),
        ),
    ]
}

fn mail(config: &Config) -> Row {
    match &config.mail.transport {
        MailTransport::Smtp(smtp) => {
            let from = &config.mail.from;
            Row::good("mail", format!("{}:{}, {}, from {from}", smtp.host, smtp.port, smtp.security.as_str()))
        }
        MailTransport::Folder(path) if path.is_file() => {
            Row::bad("mail", format!("{} is a file, not a folder", path.display()))
        }
        MailTransport::Folder(path) => Row::good("mail", format!("files in {}", path.display())),
        MailTransport::Log { whole: true } => {
            Row::good("mail", "none is sent: SMTP_HOST is not set; the log holds it whole, with its links")
        }
        MailTransport::Log { whole: false } => Row::good(
            "mail",
            "none is sent: SMTP_HOST is not set, so nobody gets links to sign up or to reset a password; the log notes each",
        ),
    }
}

async fn examine(database: &Database, config: &Config, rows: &mut Vec<Row>) -> Result<()> {
    let (store, audit) = database.connect().await?;
    store.ping().await.map_err(readable)?;
    rows.push(Row::good("database", "reachable"));
    rows.push(Row::good("database TLS", tls(&store).await?));
    let schema = maintenance::schema(&database.options).await.map_err(readable)?;
    rows.push(migrations(&schema));
    if schema.pending.is_empty() {
        match identity::stored(&store, config).await {
            Ok(stored) => rows.extend(keys(&stored, config)),
            Err(error) => rows.push(Row::bad("signing key", readable(error).to_string())),
        }
        rows.push(site(&Settings::load(&store, config).await.map_err(readable)?, config));
    }
    audit.stop().await;
    store.close().await;
    Ok(())
}

const NONE_YET: &str = "none yet: the first start of the server makes it";

/// The keys a server would start with.
fn keys(stored: &Stored, config: &Config) -> [Row; 2] {
    let key = match &stored.kid {
        Some(kid) => Row::good("signing key", kid),
        None if stored.is_locked => Row::bad("signing key", "the stored one cannot be opened: SECRET_KEY has changed"),
        None if config.auth.generate_keys => Row::good("signing key", NONE_YET),
        None => Row::bad("signing key", "none, and JHE_GENERATE_KEYS is off"),
    };
    let verifier = match &stored.static_verifier {
        Some(verifier) => Row::good("patient code verifier", verifier.reveal().as_str()),
        None if config.invitation.challenge.is_some() => Row::good("patient code verifier", "known to apps alone"),
        None => Row::good("patient code verifier", NONE_YET),
    };
    [key, verifier]
}

fn site(settings: &Settings, config: &Config) -> Row {
    let stored = settings.site_url();
    let text = if stored == config.site.url.as_str() {
        stored
    } else {
        format!("{stored}, while SITE_URL is {}: the setting holds", config.site.url.as_str())
    };
    Row::good("site.url", text)
}

/// How the connection is protected in fact, as the database sees it.
async fn tls(store: &Store) -> Result<String> {
    let sql = "SELECT CASE WHEN ssl THEN version ELSE 'none' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ok(store.scalar_raw(sql).await.map_err(readable)?.unwrap_or_else(|| "not known".to_owned()))
}

fn migrations(schema: &Schema) -> Row {
    let fits = schema.pending.is_empty() && schema.fault.is_none();
    Row { name: "migrations".to_owned(), text: standing(schema), good: fits }
}

/// How a schema stands to this program, in words.
pub(crate) fn standing(schema: &Schema) -> String {
    match (&schema.fault, schema.pending.as_slice()) {
        (Some(fault), []) => fault.clone(),
        (Some(fault), pending) => format!("{fault}; pending: {}", pending.join(", ")),
        (None, []) => "current".to_owned(),
        (None, pending) => format!("pending: {}", pending.join(", ")),
    }
}

/// Whether the copies can be read from.
async fn replicas(config: &Config, rows: &mut Vec<Row>) {
    let descriptions = config.database.read_descriptions();
    if descriptions.is_empty() {
        rows.push(Row::good("read replicas", "none"));
    }
    for (url, place) in config.database.read_urls.iter().zip(descriptions) {
        rows.push(match maintenance::schema(&options(config, url.reveal())).await {
            Ok(schema) if migrations(&schema).good => {
                Row::good("read replica", format!("{place}: reachable and current"))
            }
            Ok(schema) => Row::bad("read replica", format!("{place}: {}", standing(&schema))),
            Err(error) => Row::bad("read replica", format!("{place}: {:#}", readable(error))),
        });
    }
}

fn report(rows: &[Row]) -> Result<ExitCode> {
    let lines: Vec<String> = rows
        .iter()
        .map(|row| format!("{:<22} {}  {}", row.name, if row.good { "ok " } else { "BAD" }, row.text))
        .collect();
    print(&lines.join("\n"))?;
    Ok(if rows.iter().all(|row| row.good) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
