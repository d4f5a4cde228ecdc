//! Commands that change a database: migrations, seeds, accounts, clients, keys.

use std::io::{BufRead, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use jhe_app::App;
use jhe_app::operator::{self, ClientRequest};
use jhe_app::seed::Seeded;
use jhe_config::Config;
use jhe_domain::client::GrantType;
use jhe_domain::clock::Clock as _;
use jhe_domain::user::UserType;
use jhe_store::Store;
use jhe_store::maintenance::{self, Schema};

use crate::check::standing;
use crate::cli::print;
use crate::clock::SystemClock;
use crate::database::{Database, readable};
use crate::serve;

/// Commands about accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account. The password comes from JHE_PASSWORD, the first line of standard input or a prompt, never from an argument.
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
        /// With a patient profile; an administrator has none.
        #[arg(long, conflicts_with = "superuser")]
        patient: bool,
    },
    /// Set a password, which ends the account's sessions and tokens.
    SetPassword {
        /// Login name.
        #[arg(long)]
        email: String,
    },
    /// Close an account: it cannot sign in, and its sessions, tokens and API keys end for good. Its data stay.
    Disable {
        /// Login name.
        #[arg(long)]
        email: String,
    },
    /// Open a closed account again. What ended when it was closed stays ended: its owner signs in anew and makes new API keys.
    Enable {
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
        /// Whether it keeps a secret.
        #[arg(long = "type", value_enum, default_value_t = ClientType::Public, conflicts_with = "confidential")]
        client_type: ClientType,
        /// The same as --type confidential.
        #[arg(long)]
        confidential: bool,
        /// A grant it may use; may be repeated, the primary one first.
        #[arg(long = "grant", value_parser = parse_grant, default_values = ["authorization_code", "refresh_token"])]
        grants: Vec<GrantType>,
        /// Where codes may be sent; may be repeated.
        #[arg(long = "redirect-uri")]
        redirect_uris: Vec<String>,
        /// Where people may return to after signing out; may be repeated.
        #[arg(long = "post-logout-redirect-uri")]
        post_logout_redirect_uris: Vec<String>,
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
    /// List all clients: client_id, name, type, grants, whether in use.
    List,
    /// Give a confidential client a new secret, printed once; the old one ends.
    RotateSecret {
        /// Public identifier.
        client_id: String,
    },
    /// Take a client out of use: its tokens open nothing while it is.
    Disable {
        /// Public identifier.
        client_id: String,
        /// Put it back into use instead.
        #[arg(long)]
        undo: bool,
    },
    /// Remove a client with its tokens, links and invitations.
    Delete {
        /// Public identifier.
        client_id: String,
    },
}

/// Whether a client keeps a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientType {
    /// It runs where its secret would be seen.
    Public,
    /// It keeps one.
    Confidential,
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

/// What a command does about pending migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pending {
    /// It makes the database it needs: it may be the first to run.
    Apply,
    /// It is about what is there, and refuses.
    Refuse,
}

/// Runs something on a database that has all migrations.
pub(crate) async fn on_store<T>(
    config: &Config,
    pending: Pending,
    run: impl AsyncFnOnce(&Store) -> Result<T>,
) -> Result<T> {
    let database = match pending {
        Pending::Apply => Database::open(config).await?,
        Pending::Refuse => Database::existing(config)
            .await?
            .context("there is no database yet: run jhe migrate, or start the server")?,
    };
    serve::prepare(&database, pending == Pending::Apply).await?;
    let (store, audit) = database.connect().await?;
    let outcome = run(&store).await;
    audit.stop().await;
    store.close().await;
    database.close().await?;
    outcome
}

/// `jhe migrate`.
pub async fn migrate(config: Config, check: bool) -> Result<ExitCode> {
    if check {
        return migrate_check(&config).await;
    }
    let database = Database::open(&config).await?;
    let pending = maintenance::schema(&database.options).await.map_err(readable)?.pending;
    maintenance::migrate(&database.options).await.map_err(readable)?;
    let outcome = print(&format!("{} migrations applied", pending.len()))?;
    database.close().await?;
    Ok(outcome)
}

async fn migrate_check(config: &Config) -> Result<ExitCode> {
    let Some(database) = Database::existing(config).await? else {
        print(&format!("there is no database yet: all {} migrations are pending", Schema::missing().pending.len()))?;
        return Ok(ExitCode::FAILURE);
    };
    let schema = maintenance::schema(&database.options).await.map_err(readable)?;
    database.close().await?;
    let fits = schema.pending.is_empty() && schema.fault.is_none();
    print(&if fits { "no migrations are pending".to_owned() } else { standing(&schema) })?;
    Ok(if fits { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `jhe seed`.
pub async fn seed(config: Config, demo: bool, rich: bool) -> Result<ExitCode> {
    ensure!(!(demo || rich) || !config.site.production, "demo data is not made in production mode");
    let outcomes = on_store(&config, Pending::Apply, async |store| {
        let data = if demo {
            jhe_app::seed::demo(store, &config).await.map_err(readable)?
        } else {
            jhe_app::seed::reference(store, &config).await.map_err(readable)?
        };
        if !rich {
            return Ok([data, Seeded::Present]);
        }
        Ok([data, jhe_app::seed::rich(store, SystemClock.now()).await.map_err(readable)?])
    })
    .await?;
    print(if outcomes.contains(&Seeded::Made) { "seeded" } else { "nothing to do: all of it is there" })
}

/// A password from the environment, the first line of a pipe, or a prompt.
fn read_password() -> Result<String> {
    if let Ok(password) = std::env::var("JHE_PASSWORD") {
        return Ok(password);
    }
    if std::io::stdin().is_terminal() {
        return ask_twice(|prompt| rpassword::prompt_password(prompt));
    }
    first_line(std::io::stdin().lock())
}

/// Whoever types without seeing it types it twice.
fn ask_twice(mut ask: impl FnMut(&str) -> std::io::Result<String>) -> Result<String> {
    let password = ask("Password: ").context("no password")?;
    let again = ask("The same again: ").context("no password")?;
    ensure!(password == again, "the two passwords differ");
    Ok(password)
}

fn first_line(mut input: impl BufRead) -> Result<String> {
    let mut text = String::new();
    input.read_line(&mut text).context("no password")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

const NO_KIND: &str = "jhe: warning: the account is neither patient nor practitioner, so the APIs have nothing for it; \
                       --practitioner or --patient makes one that is";

/// `jhe user`.
pub async fn user(config: Config, command: UserCommand) -> Result<ExitCode> {
    let password = match &command {
        UserCommand::Create { .. } | UserCommand::SetPassword { .. } => read_password()?,
        UserCommand::Disable { .. } | UserCommand::Enable { .. } => String::new(),
    };
    let pending = if matches!(command, UserCommand::Create { .. }) { Pending::Apply } else { Pending::Refuse };
    let said = on_store(&config, pending, async |store| match command {
        UserCommand::Create { email, superuser, practitioner, patient } => {
            let kind = match (practitioner, patient) {
                (true, _) => Some(UserType::Practitioner),
                (_, true) => Some(UserType::Patient),
                _ => None,
            };
            let id = operator::create_user(store, &email, &password, kind, superuser).await.map_err(readable)?;
            if kind.is_none() && !superuser {
                writeln!(std::io::stderr(), "{NO_KIND}").ok();
            }
            Ok(format!("user {id} created"))
        }
        UserCommand::SetPassword { email } => {
            operator::set_password(store, &email, &password).await.map_err(readable)?;
            Ok("password set".to_owned())
        }
        UserCommand::Disable { email } => {
            operator::set_active(store, &email, false).await.map_err(readable)?;
            Ok("user disabled".to_owned())
        }
        UserCommand::Enable { email } => {
            operator::set_active(store, &email, true).await.map_err(readable)?;
            Ok("user enabled".to_owned())
        }
    })
    .await?;
    print(&said)
}

/// `jhe client`.
pub async fn client(config: Config, command: ClientCommand) -> Result<ExitCode> {
    let pending = if matches!(command, ClientCommand::Create { .. }) { Pending::Apply } else { Pending::Refuse };
    let said = on_store(&config, pending, async |store| match command {
        ClientCommand::Create {
            name,
            client_id,
            client_type,
            confidential,
            grants,
            redirect_uris,
            post_logout_redirect_uris,
            skip_consent,
            access_token_seconds,
            can_introspect,
        } => {
            let request = ClientRequest {
                client_id,
                name,
                confidential: confidential || client_type == ClientType::Confidential,
                grants,
                redirect_uris,
                post_logout_redirect_uris,
                skip_authorization: skip_consent,
                access_token_seconds,
                can_introspect,
            };
            create_client(store, &config, request).await
        }
        ClientCommand::List => list_clients(store).await,
        ClientCommand::RotateSecret { client_id } => {
            let secret = operator::rotate_client_secret(store, &client_id).await.map_err(readable)?;
            Ok(format!("client_secret: {secret}"))
        }
        ClientCommand::Disable { client_id, undo } => {
            operator::enable_client(store, &client_id, undo).await.map_err(readable)?;
            Ok(if undo { "client in use" } else { "client out of use" }.to_owned())
        }
        ClientCommand::Delete { client_id } => {
            operator::delete_client(store, &client_id).await.map_err(readable)?;
            Ok("client deleted".to_owned())
        }
    })
    .await?;
    print(&said)
}

async fn create_client(store: &Store, config: &Config, request: ClientRequest) -> Result<String> {
    if request.grants.contains(&GrantType::Password) {
        let warning = "jhe: warning: the password grant hands people's passwords to the client; RFC 9700 forbids it for new clients";
        writeln!(std::io::stderr(), "{warning}").ok();
    }
    let site = config.site.url.as_str().strip_prefix("http://").map(|_| config.site.url.host());
    let (id, secret) = operator::create_client(store, request, site).await.map_err(readable)?;
    let mut lines = vec![format!("client_id: {id}")];
    lines.extend(secret.map(|secret| format!("client_secret: {secret}")));
    Ok(lines.join("\n"))
}

async fn list_clients(store: &Store) -> Result<String> {
    let clients = operator::clients(store).await.map_err(readable)?;
    if clients.is_empty() {
        return Ok("no clients are registered".to_owned());
    }
    let line = |client: &jhe_domain::client::Client| {
        let grants: Vec<&str> = client.grants.iter().map(|grant| grant.as_str()).collect();
        let kind = if client.confidential { "confidential" } else { "public" };
        let state = if client.enabled { "in use" } else { "out of use" };
        format!("{}\t{}\t{kind}\t{}\t{state}", client.client_id, client.name, grants.join(","))
    };
    Ok(clients.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// `jhe keys`.
pub async fn keys(config: Config, command: KeysCommand) -> Result<ExitCode> {
    let kid = on_store(&config, Pending::Refuse, async |store| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_typed_twice_or_one_line() {
        let typed = |first: &str, second: &str| {
            let mut answers = vec![second.to_owned(), first.to_owned()];
            ask_twice(|_| Ok(answers.pop().unwrap()))
        };
        assert_eq!(typed("quiet harbour ", "quiet harbour ").unwrap(), "quiet harbour ");
        assert!(typed("quiet harbour", "quiet harbor").unwrap_err().to_string().contains("differ"));
        assert_eq!(first_line(&b"quiet harbour \r\nmore\n"[..]).unwrap(), "quiet harbour ");
        assert_eq!(first_line(&b"quiet harbour"[..]).unwrap(), "quiet harbour");
    }
}
