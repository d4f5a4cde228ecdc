//! `jhe demo`: demo data, the main job once over HTTP, then a server to look around in.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Args;
use jhe_app::App;
use jhe_app::seed::{self, DEMO_PASSWORD};
use jhe_config::Config;
use tokio::net::TcpListener;

use crate::cli::print;
use crate::clock::SystemClock;
use crate::database::{Database, readable};
use crate::{serve, walk};

/// Options of `jhe demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Port to listen on.
    #[arg(long, default_value_t = 8000)]
    pub port: u16,
    /// Folder of the private database.
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Stop after the walk; exit status 0 only when every step held.
    #[arg(long)]
    pub exit: bool,
}

impl DemoArgs {
    /// What the options say, as variables below the environment.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("SITE_URL".to_owned(), format!("http://localhost:{}", self.port)),
            ("JHE_LOG".to_owned(), "warn".to_owned()),
        ];
        if let Some(folder) = &self.data_dir {
            variables.push(("JHE_DATA_DIR".to_owned(), folder.display().to_string()));
        }
        variables
    }
}

/// The accounts of the demo data, for people to sign in with.
const ACCOUNTS: &[(&str, &str)] = &[
    ("admin@example.com", "superuser"),
    ("manager_mary@example.com", "manager of 20001, 20002, 20003"),
    ("member_megan@example.com", "member of 20003"),
    ("viewer_victor@example.com", "viewer of 20003"),
    ("three_org_tom@example.com", "viewer of 20003, member of 20007, manager of 20008"),
    ("manager_mark@example.com", "manager of 20004, 20005, 20006, 20007"),
    ("ll_patient_peter@example.com", "patient 40001"),
    ("ll_patient_pamela@example.com", "patient 40002"),
    ("npl_patient_percy@example.com", "patient 40003"),
    ("ccl_patient_paul@example.com", "patient 40004"),
    ("ccl_cardio_patient_pat@example.com", "patient 40005"),
];

/// Runs the demo.
pub async fn run(mut config: Config, args: DemoArgs) -> Result<ExitCode> {
    ensure!(!config.site.production, "the demo does not run in production mode");
    check(&config)?;
    App::check(&config).map_err(readable)?;
    if let Some(folder) = &args.data_dir {
        config.server.data_dir = Some(folder.clone());
    }
    let listeners = listen(args.port).await?;
    let database = Database::open(&config).await?;
    let outcome = Box::pin(on_database(&database, config, &args, listeners)).await;
    database.close().await?;
    outcome
}

/// What the demo cannot do by itself: it listens without TLS, and walks to the host of its site.
fn check(config: &Config) -> Result<()> {
    let site = &config.site;
    ensure!(
        !site.ssl_redirect || (site.url.is_https() && site.trusted_proxies.contains(Ipv4Addr::LOCALHOST.into())),
        "the demo listens without TLS, so SECURE_SSL_REDIRECT would send everybody away; unset it, or let SITE_URL begin with \
         https:// and JHE_TRUSTED_PROXIES hold 127.0.0.1"
    );
    ensure!(
        site.allows_host(site.url.host()),
        "ALLOWED_HOSTS does not hold {}, the host of SITE_URL: the demo would refuse its own requests",
        site.url.host()
    );
    Ok(())
}

async fn on_database(
    database: &Database,
    config: Config,
    args: &DemoArgs,
    listeners: Vec<TcpListener>,
) -> Result<ExitCode> {
    serve::prepare(database, true).await?;
    {
        let (store, audit) = database.connect().await?;
        seed::demo(&store, &config).await.map_err(readable)?;
        seed::follow_site(&store, config.site.url.as_str()).await.map_err(readable)?;
        audit.stop().await;
        store.close().await;
    }
    let running = serve::start(database, config, Arc::new(SystemClock), listeners).await?;
    let address = *running.addresses.first().context("nobody listens")?;
    let held = walk::run(&running.app, address).await;
    print(if held { "walk: ok" } else { "walk: FAILED" })?;
    facts(&running).await?;
    if !args.exit && held {
        print("\nServing until Ctrl-C.")?;
        serve::interrupted().await;
    }
    running.stop().await;
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loopback, in both families where there are two.
async fn listen(port: u16) -> Result<Vec<TcpListener>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let first = TcpListener::bind(address).await.with_context(|| serve::in_use(address))?;
    let mut listeners = vec![first];
    if let Ok(second) = TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
        listeners.push(second);
    }
    Ok(listeners)
}

/// One fact a line.
async fn facts(running: &serve::Running) -> Result<()> {
    let app = &running.app;
    let site = app.settings().site_url();
    let console = jhe_app::identity::console_client_id(app).await.map_err(readable)?;
    let mut lines = vec![
        format!("Site: {site}"),
        format!("Swagger UI: {site}/api/v1/schema/swagger-ui/"),
        format!("ReDoc: {site}/api/v1/schema/redoc/"),
        format!("OIDC discovery: {site}/o/.well-known/openid-configuration"),
        format!("FHIR base: {site}/fhir/r5"),
        format!("Console client id: {}", console.unwrap_or_default()),
        "Notebook client id: demo-notebook".to_owned(),
        format!("Patient code verifier: {}", app.identity().static_verifier().unwrap_or_default()),
        format!("Demo password: {DEMO_PASSWORD}"),
    ];
    lines.extend(ACCOUNTS.iter().map(|(email, what)| format!("{email}: {what}")));
    print(&lines.join("\n"))?;
    Ok(())
}
