//! Settings that operators change while the server runs: read once, read again when one changes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jhe_config::Config;
use jhe_domain::error::Error;
use jhe_domain::setting::SettingValue;
use jhe_store::Store;
use tokio::sync::Mutex;

/// How long a write waits for other processes.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it looks whether they are done.
const LOOK: Duration = Duration::from_millis(2);

/// The settings as of the last read. Cheap to clone; all clones see a change.
#[derive(Debug, Clone)]
pub struct Settings {
    store: Store,
    site_url: Arc<str>,
    values: Arc<RwLock<Arc<HashMap<String, SettingValue>>>>,
    /// Held while they are read again, so that what was read earlier never replaces what was read later.
    reading: Arc<Mutex<()>>,
}

impl Settings {
    /// Reads all settings.
    pub async fn load(store: &Store, config: &Config) -> Result<Self, Error> {
        let values = Arc::new(store.settings().await?);
        let settings = Self {
            store: store.clone(),
            site_url: config.site.url.as_str().into(),
            values: Arc::new(RwLock::new(values)),
            reading: Arc::default(),
        };
        Ok(settings)
    }

    /// Reads them again; called after a write, so that the next request of this process sees it.
    pub async fn reload(&self) -> Result<(), Error> {
        let _turn = self.reading.lock().await;
        let values = Arc::new(self.store.settings().await?);
        *self.values.write().unwrap_or_else(PoisonError::into_inner) = values;
        Ok(())
    }

    /// Returns when a change that is committed holds in this process and in every other one. One that does not answer gets it
    /// when it does.
    pub(crate) async fn spread(&self) -> Result<(), Error> {
        self.reload().await?;
        let version = self.store.announce_settings().await?;
        let seen = async {
            while !self.store.settings_seen(version).await? {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| {
            tracing::warn!("a setting does not hold in every process yet");
            Ok(())
        })
    }

    fn get<T>(&self, key: &str, read: impl FnOnce(&SettingValue) -> Option<T>) -> Option<T> {
        let values = Arc::clone(&self.values.read().unwrap_or_else(PoisonError::into_inner));
        values.get(key).and_then(read)
    }

    /// A text setting; empty when absent.
    pub fn string(&self, key: &str) -> String {
        self.get(key, |value| match value {
            SettingValue::String(text) => Some(text.clone()),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// An integer setting.
    pub fn int(&self, key: &str, default: i64) -> i64 {
        self.get(key, |value| match value {
            SettingValue::Int(number) => Some(*number),
            _ => None,
        })
        .unwrap_or(default)
    }

    /// A truth value.
    pub fn bool(&self, key: &str, default: bool) -> bool {
        self.get(key, |value| match value {
            SettingValue::Bool(truth) => Some(*truth),
            _ => None,
        })
        .unwrap_or(default)
    }

    /// A list of texts, from a JSON array setting; anything else is an empty list.
    pub fn strings(&self, key: &str) -> Vec<String> {
        self.get(key, |value| match value {
            SettingValue::Json(text) => serde_json::from_str(text).ok(),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// Public base URL without a trailing slash: the setting `site.url`, else what the process was started with.
    pub fn site_url(&self) -> String {
        let url = self.string("site.url");
        let url = if url.is_empty() { self.site_url.to_string() } else { url };
        url.trim_end_matches('/').to_owned()
    }

    /// Host and port of the public base URL.
    pub fn site_host(&self) -> String {
        let url = self.site_url();
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default().to_owned()
    }
}
