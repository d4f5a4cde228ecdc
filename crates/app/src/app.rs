//! The running application: what every handler holds.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use jhe_config::Config;
use jhe_domain::clock::Clock;
use jhe_domain::error::Error;
use jhe_outbound::issuer::Issuers;
use jhe_outbound::wearable::Wearables;
use jhe_store::Store;
use jhe_store::gather::Gather;
use jhe_store::setting::SettingChanges;
use tokio::sync::OnceCell;

use crate::identity::{self, Identity, client, token};
use crate::ingest;
use crate::schemas::Documents;
use crate::settings::Settings;

/// Store, configuration, clock, settings and identity of one server process. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    store: Store,
    config: Config,
    clock: Arc<dyn Clock>,
    settings: Settings,
    identity: Identity,
    issuers: Issuers,
    wearables: OnceCell<Wearables>,
    gathers: Gathers,
    documents: Documents,
}

/// Where what comes at the same time shares a statement.
pub(crate) struct Gathers {
    /// Single uploads.
    pub(crate) uploads: Gather<ingest::Shelf>,
    /// Clients that say who they are and may ask about a token.
    pub(crate) clients: Gather<client::Register>,
    /// Tokens that are issued at once.
    pub(crate) tokens: Gather<token::Issuing>,
}

impl App {
    /// Checks what the configuration names and no database is needed for: keys and certificate authorities. To be asked
    /// before anything is changed.
    ///
    /// # Errors
    /// The first fault, with the name of the variable.
    pub fn check(config: &Config) -> Result<(), Error> {
        identity::check(config)?;
        Issuers::new(config).map(|_| ())
    }

    /// Reads settings and keys, making the keys that are missing, and starts listening for changed settings.
    pub async fn start(store: Store, config: Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let settings = Settings::load(&store, &config).await?;
        let identity = Identity::load(&store, &config, &settings).await?;
        // Parsed and linked now rather than at the first upload.
        let schemas = crate::schemas::load(&config.site.omh_schema_dirs).await?;
        let documents = Documents { schemas, max_bytes: config.limits.max_omh_bytes };
        let issuers = Issuers::new(&config)?;
        let gathers = Gathers {
            uploads: Gather::start(ingest::Shelf(store.clone())),
            clients: Gather::start(client::Register { store: store.clone(), clock: Arc::clone(&clock) }),
            tokens: Gather::start(token::Issuing(store.clone())),
        };
        let wearables = OnceCell::new();
        let app =
            Self(Arc::new(Inner { store, config, clock, settings, identity, issuers, wearables, gathers, documents }));
        // Before the first request, so that nobody who changes a setting overlooks this process.
        let changes = Box::pin(follow(&app)).await?;
        tokio::spawn(keep_current(app.clone(), changes));
        Ok(app)
    }

    /// Reads again what other processes may have changed.
    async fn reload(&self) -> Result<(), Error> {
        self.0.settings.reload().await?;
        self.0.identity.reload(&self.0.store, &self.0.config).await
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The configuration of the process.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// The present moment.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// Settings that operators change while the server runs.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Signing keys, password hashing, the static PKCE pair.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Keys of other issuers.
    pub(crate) fn issuers(&self) -> &Issuers {
        &self.0.issuers
    }

    /// Who asks the service of wearables.
    pub(crate) async fn wearables(&self) -> Result<&Wearables, Error> {
        self.0.wearables.get_or_try_init(async || Wearables::new()).await
    }

    /// Where what comes at the same time lines up.
    pub(crate) fn gathers(&self) -> &Gathers {
        &self.0.gathers
    }

    /// Whether pages of a web origin may call the APIs: a configured origin, or one of an enabled client. When the
    /// database cannot tell, it may not.
    pub async fn trusts_origin(&self, origin: &str) -> bool {
        let configured = &self.0.config.site.cors_allowed_origins;
        if configured.iter().any(|allowed| allowed == "*" || allowed.trim_end_matches('/') == origin) {
            return true;
        }
        match self.0.store.read().await {
            Ok(mut work) => work.any_client_allows_origin(origin).await.unwrap_or(false),
            Err(_) => false,
        }
    }

    /// What Open mHealth documents are held to.
    pub fn documents(&self) -> Documents {
        self.0.documents
    }
}

/// A change is picked up at the latest after this long, should its notification get lost.
const REFRESH: Duration = Duration::from_mins(1);

/// Reads what may have changed, and tells so.
async fn read_again(app: &App, changes: &mut SettingChanges) -> Result<(), Error> {
    let version = changes.version().await?;
    app.reload().await?;
    changes.seen(version).await
}

/// Listens for changes. What came while nobody did is lost, so this starts with a read.
async fn follow(app: &App) -> Result<SettingChanges, Error> {
    let mut changes = app.store().setting_changes().await?;
    read_again(app, &mut changes).await?;
    Ok(changes)
}

/// Follows changes of settings and keys until the store is closed.
async fn keep_current(app: App, mut changes: SettingChanges) {
    loop {
        // A timeout reads again as a notification does; an error starts over with a new connection.
        while matches!(tokio::time::timeout(REFRESH, changes.next()).await, Err(_) | Ok(Ok(())))
            && read_again(&app, &mut changes).await.is_ok()
        {}
        changes.leave().await.ok();
        changes = loop {
            if app.store().is_closed() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Ok(changes) = follow(&app).await {
                break changes;
            }
        };
    }
}
