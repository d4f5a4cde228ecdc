//! Signing keys: RS256 with the key kept parsed, JSON Web Keys (RFC 7517), thumbprints (RFC 7638).

mod pem;
mod public;

pub use public::PublicKey;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::{CryptoError, token};

/// A private key that signs.
pub struct SigningKey {
    pair: KeyPair,
    public: PublicKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.public.kid()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a key of 2048 bits.
    pub fn generate() -> Result<Self, CryptoError> {
        Self::of(KeyPair::generate(KeySize::Rsa2048).map_err(|_| CryptoError("key generation"))?)
    }

    /// Reads a PEM: PKCS#8 or PKCS#1, line breaks real or as `\n`, quotes around it ignored.
    pub fn from_pem(text: &str) -> Result<Self, CryptoError> {
        let text = pem::normalize(text);
        let pair = if let Some(der) = pem::block(&text, "PRIVATE KEY") {
            KeyPair::from_pkcs8(&der)
        } else if let Some(der) = pem::block(&text, "RSA PRIVATE KEY") {
            KeyPair::from_der(&der)
        } else {
            return Err(CryptoError("the key is not a PEM private key"));
        };
        Self::of(pair.map_err(|_| CryptoError("the key is not an RSA key of at least 2048 bits"))?)
    }

    fn of(pair: KeyPair) -> Result<Self, CryptoError> {
        let public = PublicKey::from_der(pair.public_key().as_ref())?;
        Ok(Self { pair, public })
    }

    /// The key as PKCS#8 PEM.
    pub fn to_pkcs8_pem(&self) -> Result<String, CryptoError> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().map_err(|_| CryptoError("key encoding"))?;
        Ok(pem::write("PRIVATE KEY", der.as_ref()))
    }

    /// The public half.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The `kid` of the key.
    pub fn kid(&self) -> String {
        self.public.kid()
    }

    /// The public half as a JWK.
    pub fn jwk(&self) -> Value {
        self.public.jwk()
    }

    /// Signs claims: a compact JWS with `typ`, RS256 and the key's `kid`.
    pub fn sign(&self, typ: &str, claims: &Value) -> Result<String, CryptoError> {
        let header = json!({ "typ": typ, "alg": "RS256", "kid": self.kid() });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0_u8; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .map_err(|_| CryptoError("signature"))?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// `at_hash` of an access token (OpenID Connect Core §3.1.3.6).
pub fn at_hash(access_token: &str) -> String {
    let digest = token::digest(access_token);
    URL_SAFE_NO_PAD.encode(digest.get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_verify_and_forgeries_do_not() {
        let key = SigningKey::generate().unwrap();
        let jws = key.sign("JWT", &json!({ "sub": "10002" })).unwrap();
        assert_eq!(key.public().verify(&jws).unwrap(), json!({ "sub": "10002" }));
        let header = URL_SAFE_NO_PAD.decode(jws.split('.').next().unwrap()).unwrap();
        let expected = json!({ "typ": "JWT", "alg": "RS256", "kid": key.kid() });
        assert_eq!(serde_json::from_slice::<Value>(&header).unwrap(), expected);

        assert!(SigningKey::generate().unwrap().public().verify(&jws).is_err());
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let (rest, signature) = jws.rsplit_once('.').unwrap();
        let (header, claims) = rest.split_once('.').unwrap();
        let other_claims = part(json!({ "sub": "10001" }));
        let none = part(json!({ "alg": "none" }));
        for forged in [
            format!("{header}.{other_claims}.{signature}"),
            format!("{header}.{claims}."),
            format!("{none}.{claims}."),
            format!("{none}.{claims}.{signature}"),
            "no token".to_owned(),
        ] {
            assert!(key.public().verify(&forged).is_err(), "{forged}");
        }
    }

    #[test]
    fn a_signed_extension_that_must_be_understood_is_refused() {
        let key = SigningKey::generate().unwrap();
        let sign = |header: Value| {
            let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(b"{}"));
            let mut signature = vec![0_u8; key.pair.public_modulus_len()];
            key.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
        };
        assert!(key.public().verify(&sign(json!({ "alg": "RS256" }))).is_ok());
        assert!(key.public().verify(&sign(json!({ "alg": "RS256", "crit": ["exp"] }))).is_err());
        assert!(key.public().verify(&sign(json!({ "alg": "HS256" }))).is_err());
    }

    #[test]
    fn keys_survive_pem_in_its_many_spellings() {
        let key = SigningKey::generate().unwrap();
        let pkcs8 = key.to_pkcs8_pem().unwrap();
        // PKCS#8 is SEQUENCE { version, algorithm, OCTET STRING { the PKCS#1 key } }.
        let der = pem::block(&pkcs8, "PRIVATE KEY").unwrap();
        let (info, _) = pem::element(&der, pem::SEQUENCE).unwrap();
        let (_, rest) = pem::element(info, pem::INTEGER).unwrap();
        let (_, rest) = pem::element(rest, pem::SEQUENCE).unwrap();
        let (inner, _) = pem::element(rest, 0x04).unwrap();
        let pkcs1 = pem::write("RSA PRIVATE KEY", inner);
        for pem in [pkcs8, pkcs1] {
            for text in [
                pem.clone(),
                pem.replace('\n', "\\n"),
                pem.replace('\n', "\r\n"),
                format!("\"{pem}\""),
                format!("'{}'", pem.replace('\n', "\\n")),
            ] {
                let read = SigningKey::from_pem(&text).unwrap();
                assert_eq!(read.kid(), key.kid());
                assert_eq!(read.to_pkcs8_pem().unwrap(), key.to_pkcs8_pem().unwrap());
                assert_eq!(PublicKey::from_pem(&text).unwrap(), *key.public());
            }
        }
        assert!(SigningKey::from_pem("nonsense").is_err());
        assert!(SigningKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----").is_err());
    }

    #[test]
    fn no_private_part_is_shown() {
        let key = SigningKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ kid: {:?}, .. }}", key.kid()));
        assert_eq!(key.jwk().as_object().unwrap().len(), 6);
    }

    #[test]
    fn at_hash_matches_the_published_vector() {
        assert_eq!(at_hash("x3VdsqpjayuOQ08G9EnWyAf7LDUor6"), "l4Pd1OnI4C2WAJOoES6IXg");
    }
}
