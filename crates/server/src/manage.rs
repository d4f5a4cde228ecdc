//! Commands that change a database: migrations, seeds, accounts, clients, keys.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use jhe_app::App;
use jhe_app::operator::{self, ClientRequest};
use jhe_config::Config;
use jhe_domain::client::GrantType;
use jhe_domain::user::UserType;
use jhe_store::{Store, maintenance};

use crate::cli::print;
use crate::clock::SystemClock;
use crate::database::{Database, readable};
use crate::serve;

/// Commands about accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account. The password comes from JHE_PASSWORD, standard input or a prompt, never from an argument.
    Create {
        /// Login name.
        #[arg(long)]
        email: String,
        /// Administrator of the whole server.
        #[arg(long)]
        superuser: bool,
        /// With a practitioner profile.
        #[arg(long, conflicts_with = "patient")]
        practitioner: bool,
        /// With a patient profile.
        #[arg(long)]
        patient: bool,
    },
    /// Set a password, which ends the account's sessions and tokens.
    SetPassword {
        /// Login name.
        #[arg(long)]
        email: String,
    },
}

/// Commands about OAuth clients.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Register a client; a secret is printed once.
    Create {
        /// Name for people.
        #[arg(long)]
        name: String,
        /// Public identifier; made when missing.
        #[arg(long)]
        client_id: Option<String>,
        /// It keeps a secret.
        #[arg(long)]
        confidential: bool,
        /// A grant it may use; may be repeated, the primary one first.
        #[arg(long = "grant", value_parser = parse_grant, default_values = ["authorization_code", "refresh_token"])]
        grants: Vec<GrantType>,
        /// Where codes may be sent; may be repeated.
        #[arg(long = "redirect-uri")]
        redirect_uris: Vec<String>,
        /// No consent page.
        #[arg(long)]
        skip_consent: bool,
        /// Seconds its access tokens live.
        #[arg(long)]
        access_token_seconds: Option<i64>,
        /// May introspect tokens of other clients.
        #[arg(long)]
        can_introspect: bool,
    },
}

/// Commands about signing keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make the signing key, if there is none.
    Generate,
    /// Make a new signing key; the old public half stays published.
    Rotate,
}

fn parse_grant(text: &str) -> Result<GrantType, String> {
    GrantType::parse(text)
        .ok_or_else(|| "authorization_code, refresh_token, client_credentials, password or token-exchange".to_owned())
}

/// Runs something on a migrated database.
async fn on_store<T>(config: &Config, run: impl AsyncFnOnce(&Store) -> Result<T>) -> Result<T> {
    let database = Database::open(config).await?;
    serve::prepare(&database, true).await?;
    let (store, audit) = database.connect().await?;
    let outcome = run(&store).await;
    audit.stop().await;
    store.close().await;
    database.close().await?;
    outcome
}

/// `jhe migrate`.
pub async fn migrate(config: Config, check: bool) -> Result<ExitCode> {
    let database = Database::open(&config).await?;
    let pending = maintenance::pending(&database.options).await.map_err(readable)?;
    let outcome = if check {
        let text = if pending.is_empty() {
            "no migrations are pending".to_owned()
        } else {
            format!("pending: {}", pending.join(", "))
        };
        print(&text)?;
        if pending.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    } else {
        maintenance::migrate(&database.options).await.map_err(readable)?;
        print(&format!("{} migrations applied", pending.len()))?
    };
    database.close().await?;
    Ok(outcome)
}

/// `jhe seed`.
pub async fn seed(config: Config, demo: bool) -> Result<ExitCode> {
    ensure!(!demo || !config.site.production, "demo data is not made in production mode");
    on_store(&config, async |store| {
        if demo {
            jhe_app::seed::demo(store, &config).await.map_err(readable)?;
        } else {
            jhe_app::seed::reference(store, &config).await.map_err(readable)?;
        }
        Ok(())
    })
    .await?;
    print("seeded")
}

/// A password from the environment, a pipe or a prompt.
fn read_password() -> Result<String> {
    if let Ok(password) = std::env::var("JHE_PASSWORD") {
        return Ok(password);
    }
    let mut text = String::new();
    if std::io::stdin().is_terminal() {
        write!(std::io::stderr(), "Password: ").ok();
        std::io::stdin().read_line(&mut text).context("no password")?;
    } else {
        std::io::stdin().read_to_string(&mut text).context("no password")?;
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// `jhe user`.
pub async fn user(config: Config, command: UserCommand) -> Result<ExitCode> {
    let password = read_password()?;
    let said = on_store(&config, async |store| match command {
        UserCommand::Create { email, superuser, practitioner, patient } => {
            let kind = match (practitioner, patient) {
                (true, _) => Some(UserType::Practitioner),
                (_, true) => Some(UserType::Patient),
                _ => None,
            };
            let id = operator::create_user(store, &email, &password, kind, superuser).await.map_err(readable)?;
            Ok(format!("user {id} created"))
        }
        UserCommand::SetPassword { email } => {
            operator::set_password(store, &email, &password).await.map_err(readable)?;
            Ok("password set".to_owned())
        }
    })
    .await?;
    print(&said)
}

/// `jhe client`.
pub async fn client(config: Config, command: ClientCommand) -> Result<ExitCode> {
    let ClientCommand::Create {
        name,
        client_id,
        confidential,
        grants,
        redirect_uris,
        skip_consent,
        access_token_seconds,
        can_introspect,
    } = command;
    if grants.contains(&GrantType::Password) {
        let warning = "jhe: warning: the password grant hands people's passwords to the client; RFC 9700 forbids it for new clients";
        writeln!(std::io::stderr(), "{warning}").ok();
    }
    let request = ClientRequest {
        client_id,
        name,
        confidential,
        grants,
        redirect_uris,
        skip_authorization: skip_consent,
        access_token_seconds,
        can_introspect,
    };
    let (id, secret) = on_store(&config, async |store| {
        let site = config.site.url.as_str().strip_prefix("http://").map(|_| config.site.url.host());
        operator::create_client(store, request, site).await.map_err(readable)
    })
    .await?;
    let mut lines = vec![format!("client_id: {id}")];
    lines.extend(secret.map(|secret| format!("client_secret: {secret}")));
    print(&lines.join("\n"))
}

/// `jhe keys`.
pub async fn keys(config: Config, command: KeysCommand) -> Result<ExitCode> {
    let kid = on_store(&config, async |store| {
        if matches!(command, KeysCommand::Rotate) {
            operator::retire_signing_key(store).await.map_err(readable)?;
        }
        let app = App::start(store.clone(), config.clone(), Arc::new(SystemClock)).await.map_err(readable)?;
        Ok(app.identity().kid())
    })
    .await?;
    let kid = kid.context("keys are not made: JHE_GENERATE_KEYS is off")?;
    print(&format!("kid: {kid}"))
}
