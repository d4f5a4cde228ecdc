//! Signing keys, password hashing, tokens, sessions, invitations: what `/o`, the account pages and the invitation
//! flows do.

use jhe_config::Config;
use jhe_domain::error::Error;
use jhe_store::Store;

/// Keys and pools of one process.
pub struct Identity {}

impl Identity {
    /// Reads the keys, making those that are missing.
    pub async fn load(_store: &Store, _config: &Config) -> Result<Self, Error> {
        Ok(Self {})
    }
}
