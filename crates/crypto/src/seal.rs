//! Sealing: secrets at rest that must be read again (AES-256-GCM), and keyed digests.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{CryptoError, Entropy};

/// A key for one purpose.
pub struct SealKey([u8; 32]);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey([secret])")
    }
}

impl SealKey {
    /// Derives the key of a purpose from a secret of any length (HKDF, RFC 5869).
    pub fn from_secret(secret: &str, purpose: &str) -> Result<Self, CryptoError> {
        let mut key = [0_u8; 32];
        Salt::new(HKDF_SHA256, b"jhe")
            .extract(secret.as_bytes())
            .expand(&[purpose.as_bytes()], &AES_256_GCM)
            .and_then(|okm| okm.fill(&mut key))
            .map_err(|_| CryptoError("key derivation"))?;
        Ok(Self(key))
    }

    /// Reads a key of 32 bytes in Base64, of either alphabet and with or without padding.
    pub fn from_base64(text: &str) -> Result<Self, CryptoError> {
        let plain = text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
        let bytes = URL_SAFE_NO_PAD.decode(plain).map_err(|_| CryptoError("the key is not Base64"))?;
        bytes.try_into().map(Self).map_err(|_| CryptoError("the key has not 32 bytes"))
    }

    fn aead(&self) -> Result<LessSafeKey, CryptoError> {
        UnboundKey::new(&AES_256_GCM, &self.0).map(LessSafeKey::new).map_err(|_| CryptoError("key"))
    }

    /// Seals a text.
    pub fn seal(&self, text: &str, entropy: &mut impl Entropy) -> Result<String, CryptoError> {
        let mut nonce = [0_u8; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut sealed = text.as_bytes().to_vec();
        self.aead()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .map_err(|_| CryptoError("seal"))?;
        let mut bytes = nonce.to_vec();
        bytes.append(&mut sealed);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Opens a sealed text.
    pub fn open(&self, sealed: &str) -> Result<String, CryptoError> {
        let fault = CryptoError("the sealed text cannot be opened with this key");
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| fault)?;
        let (nonce, rest) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(fault)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| fault)?;
        let open = self.aead()?.open_in_place(nonce, Aad::empty(), rest).map_err(|_| fault)?.to_vec();
        String::from_utf8(open).map_err(|_| fault)
    }

    /// HMAC-SHA-256 of a text under this key, as base64url.
    pub fn mac(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac_sha256(&self.0, text.as_bytes()))
    }

    /// Whether a text carries this MAC.
    pub fn verify_mac(&self, text: &str, mac: &str) -> bool {
        crate::constant_time_eq(self.mac(text).as_bytes(), mac.as_bytes())
    }
}

/// HMAC-SHA-256 (RFC 2104). Compare the result with [`crate::constant_time_eq`].
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut bytes = [0_u8; 32];
    bytes.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref());
    bytes
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OsEntropy;

    #[test]
    fn what_is_sealed_opens_with_its_key_alone() {
        let key = SealKey::from_secret("secret", "one").unwrap();
        let sealed = key.seal("a private key", &mut OsEntropy).unwrap();
        assert_eq!(key.open(&sealed).unwrap(), "a private key");
        assert!(SealKey::from_secret("secret", "two").unwrap().open(&sealed).is_err());
        assert!(key.open("garbage").is_err());
        assert_ne!(sealed, key.seal("a private key", &mut OsEntropy).unwrap());
        assert_eq!(format!("{key:?}"), "SealKey([secret])");
    }

    #[test]
    fn a_changed_text_does_not_open() {
        let key = SealKey::from_secret("secret", "one").unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(key.seal("a private key", &mut OsEntropy).unwrap()).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(key.open(&URL_SAFE_NO_PAD.encode(&bytes)).is_err(), "byte {at}");
            bytes[at] ^= 1;
        }
        assert_eq!(key.open(&URL_SAFE_NO_PAD.encode(&bytes)).unwrap(), "a private key");
    }

    #[test]
    fn keys_are_read_in_the_usual_spellings() {
        let sealed = SealKey([0xfb; 32]).seal("text", &mut OsEntropy).unwrap();
        let padded = "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=";
        for text in
            [padded.to_owned(), format!(" {padded}\n"), padded.replace('+', "-").replace('/', "_").replace('=', "")]
        {
            assert_eq!(SealKey::from_base64(&text).unwrap().open(&sealed).unwrap(), "text", "{text}");
        }
        assert!(SealKey::from_base64("AAAA").is_err());
        assert!(SealKey::from_base64("no key!").is_err());
    }

    #[test]
    fn the_mac_is_that_of_rfc_4231() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(URL_SAFE_NO_PAD.encode(mac), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM");
    }

    #[test]
    fn macs_verify() {
        let key = SealKey::from_secret("secret", "mac").unwrap();
        assert!(key.verify_mac("text", &key.mac("text")));
        assert!(!key.verify_mac("other", &key.mac("text")));
    }
}
