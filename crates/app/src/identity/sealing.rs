//! Texts that travel through a caller, who must not make or change them, and perhaps not read them. Each is for one
//! purpose, and worth nothing for another.

use std::sync::Arc;

use jhe_crypto::OsEntropy;
use jhe_crypto::seal::SealKey;
use jhe_domain::error::Error;

/// The key of such texts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sealing(Arc<SealKey>);

impl Sealing {
    /// With a key.
    pub fn new(key: SealKey) -> Self {
        Self(Arc::new(key))
    }

    /// A keyed digest of a text, for form tokens and cursors.
    pub fn mac(&self, purpose: &str, text: &str) -> String {
        self.0.mac(&format!("{purpose}\0{text}"))
    }

    /// Whether a text carries this keyed digest.
    pub fn verify_mac(&self, purpose: &str, text: &str, mac: &str) -> bool {
        self.0.verify_mac(&format!("{purpose}\0{text}"), mac)
    }

    /// Seals a text that travels through the caller and must not be read or made there. A sealed text opens for the same
    /// purpose only.
    pub fn seal(&self, purpose: &str, text: &str) -> Result<String, Error> {
        self.0.seal(&format!("{purpose}\0{text}"), &mut OsEntropy).map_err(Error::internal)
    }

    /// Opens a sealed text; `None` when it is not ours.
    pub fn open(&self, purpose: &str, sealed: &str) -> Option<String> {
        let text = self.0.open(sealed).ok()?;
        text.strip_prefix(purpose)?.strip_prefix('\0').map(str::to_owned)
    }
}

#[cfg(test)]
mod properties;
