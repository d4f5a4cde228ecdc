//! Signing keys: RS256 with the key kept parsed, JSON Web Keys (RFC 7517), thumbprints (RFC 7638).

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
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

/// The public half of a key: modulus and exponent, unsigned big-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    n: Vec<u8>,
    e: Vec<u8>,
}

impl SigningKey {
    /// Makes a key of 2048 bits.
    pub fn generate() -> Result<Self, CryptoError> {
        Self::of(KeyPair::generate(KeySize::Rsa2048).map_err(|_| CryptoError("key generation"))?)
    }

    /// Reads a PEM: PKCS#8 or PKCS#1, line breaks real or as `\n`, quotes around it ignored.
    pub fn from_pem(pem: &str) -> Result<Self, CryptoError> {
        let pem = pem.trim().trim_matches(['"', '\'']).replace("\\n", "\n");
        let der = |label: &str| {
            let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
            let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
            STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
        };
        let pair = if let Some(der) = der("PRIVATE KEY") {
            KeyPair::from_pkcs8(&der)
        } else if let Some(der) = der("RSA PRIVATE KEY") {
            KeyPair::from_der(&der)
        } else {
            return Err(CryptoError("the key is not a PEM private key"));
        };
        Self::of(pair.map_err(|_| CryptoError("the key is not an RSA key of at least 2048 bits"))?)
    }

    fn of(pair: KeyPair) -> Result<Self, CryptoError> {
        let public = PublicKey::from_der(pair.public_key().as_ref())?;
        if public.n.len() < 256 {
            return Err(CryptoError("the key has less than 2048 bits"));
        }
        Ok(Self { pair, public })
    }

    /// The key as PKCS#8 PEM.
    pub fn to_pkcs8_pem(&self) -> Result<String, CryptoError> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().map_err(|_| CryptoError("key encoding"))?;
        let body = STANDARD.encode(der.as_ref());
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        let mut rest = body.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = tail;
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(pem)
    }

    /// The public half.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs claims: a compact JWS with `typ`, RS256 and the key's `kid`.
    pub fn sign(&self, typ: &str, claims: &Value) -> Result<String, CryptoError> {
        let header = json!({ "typ": typ, "alg": "RS256", "kid": self.public.kid() });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0_u8; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .map_err(|_| CryptoError("signature"))?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl PublicKey {
    /// Reads a DER `RSAPublicKey` (RFC 8017 §A.1.1).
    fn from_der(der: &[u8]) -> Result<Self, CryptoError> {
        let fault = CryptoError("the public key is malformed");
        let (sequence, _) = element(der, 0x30).ok_or(fault)?;
        let (n, rest) = element(sequence, 0x02).ok_or(fault)?;
        let (e, _) = element(rest, 0x02).ok_or(fault)?;
        let unsigned = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        Ok(Self { n: unsigned(n), e: unsigned(e) })
    }

    /// RFC 7638 thumbprint: the `kid`.
    pub fn kid(&self) -> String {
        let (n, e) = (URL_SAFE_NO_PAD.encode(&self.n), URL_SAFE_NO_PAD.encode(&self.e));
        token::digest_base64url(&format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#))
    }

    /// The key as a JWK.
    pub fn jwk(&self) -> Value {
        json!({
            "alg": "RS256",
            "use": "sig",
            "kid": self.kid(),
            "e": URL_SAFE_NO_PAD.encode(&self.e),
            "kty": "RSA",
            "n": URL_SAFE_NO_PAD.encode(&self.n),
        })
    }

    /// Reads a JWK of ours.
    pub fn from_jwk(jwk: &Value) -> Result<Self, CryptoError> {
        let part = |name: &str| {
            let text = jwk.get(name).and_then(Value::as_str).ok_or(CryptoError("the JWK lacks a part"))?;
            URL_SAFE_NO_PAD.decode(text).map_err(|_| CryptoError("the JWK is malformed"))
        };
        Ok(Self { n: part("n")?, e: part("e")? })
    }

    /// Verifies a compact JWS signed with RS256 and returns its claims. No other algorithm is ever accepted.
    pub fn verify(&self, jws: &str) -> Result<Value, CryptoError> {
        let fault = CryptoError("the token is not valid");
        let (message, signature) = jws.rsplit_once('.').ok_or(fault)?;
        let (header, claims) = message.split_once('.').ok_or(fault)?;
        let json = |part: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .ok()
                .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
                .ok_or(fault)
        };
        if json(header)?.get("alg").and_then(Value::as_str) != Some("RS256") {
            return Err(fault);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| fault)?;
        RsaPublicKeyComponents { n: &self.n, e: &self.e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature)
            .map_err(|_| fault)?;
        json(claims)
    }
}

/// Splits a DER element of the given tag from what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(*length & 0x7f))?;
        (bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    rest.split_at_checked(length)
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
        let other = SigningKey::generate().unwrap();
        assert!(other.public().verify(&jws).is_err());
        let none = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode("{}"));
        assert!(key.public().verify(&none).is_err());
        assert_eq!(PublicKey::from_jwk(&key.public().jwk()).unwrap(), *key.public());
    }

    #[test]
    fn keys_survive_pem_in_its_many_spellings() {
        let key = SigningKey::generate().unwrap();
        let pem = key.to_pkcs8_pem().unwrap();
        for text in [pem.clone(), pem.replace('\n', "\\n"), format!("\"{pem}\"")] {
            assert_eq!(SigningKey::from_pem(&text).unwrap().public().kid(), key.public().kid());
        }
        assert!(SigningKey::from_pem("nonsense").is_err());
    }

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_7638() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let key = PublicKey::from_jwk(&json!({ "n": n, "e": "AQAB" })).unwrap();
        assert_eq!(key.kid(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(at_hash("x3VdsqpjayuOQ08G9EnWyAf7LDUor6"), "l4Pd1OnI4C2WAJOoES6IXg");
    }
}
