//! The public half of a key: what is published, and what verifies.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{SigningKey, pem};
use crate::{CryptoError, token};

/// The public half of a key: modulus and exponent, unsigned big-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    n: Vec<u8>,
    e: Vec<u8>,
}

impl PublicKey {
    /// Reads a PEM of a public key, or of a private one whose public half alone is wanted. Spelled as for
    /// [`SigningKey::from_pem`].
    pub fn from_pem(text: &str) -> Result<Self, CryptoError> {
        let fault = CryptoError("the public key is malformed");
        let text = pem::normalize(text);
        if let Some(der) = pem::block(&text, "RSA PUBLIC KEY") {
            Self::from_der(&der)
        } else if let Some(der) = pem::block(&text, "PUBLIC KEY") {
            let (info, _) = pem::element(&der, pem::SEQUENCE).ok_or(fault)?;
            let (algorithm, rest) = pem::element(info, pem::SEQUENCE).ok_or(fault)?;
            if !algorithm.starts_with(RSA_ENCRYPTION) {
                return Err(CryptoError("the public key is not an RSA key"));
            }
            // The first byte of a bit string counts the bits missing at its end: none.
            let (bits, _) = pem::element(rest, pem::BIT_STRING).ok_or(fault)?;
            Self::from_der(bits.strip_prefix(&[0]).ok_or(fault)?)
        } else {
            Ok(SigningKey::from_pem(&text)?.public().clone())
        }
    }

    /// Reads a DER `RSAPublicKey` (RFC 8017 §A.1.1).
    pub(super) fn from_der(der: &[u8]) -> Result<Self, CryptoError> {
        let fault = CryptoError("the public key is malformed");
        let (sequence, _) = pem::element(der, pem::SEQUENCE).ok_or(fault)?;
        let (n, rest) = pem::element(sequence, pem::INTEGER).ok_or(fault)?;
        let (e, _) = pem::element(rest, pem::INTEGER).ok_or(fault)?;
        let unsigned = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        let key = Self { n: unsigned(n), e: unsigned(e) };
        if key.n.len() < 256 {
            return Err(CryptoError("the key has less than 2048 bits"));
        }
        Ok(key)
    }

    /// Reads a JWK of ours.
    pub fn from_jwk(jwk: &Value) -> Result<Self, CryptoError> {
        let part = |name: &str| {
            let text = jwk.get(name).and_then(Value::as_str).ok_or(CryptoError("the JWK lacks a part"))?;
            URL_SAFE_NO_PAD.decode(text).map_err(|_| CryptoError("the JWK is malformed"))
        };
        Ok(Self { n: part("n")?, e: part("e")? })
    }

    /// RFC 7638 thumbprint: the `kid`.
    pub fn kid(&self) -> String {
        let (n, e) = (URL_SAFE_NO_PAD.encode(&self.n), URL_SAFE_NO_PAD.encode(&self.e));
        token::digest_base64url(&format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#))
    }

    /// The key as a JWK. It has no private member to leak.
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

    /// Verifies a compact JWS signed with RS256 and returns its claims, whose meaning the caller judges. No other
    /// algorithm is ever accepted, nor an extension that must be understood (RFC 7515 §4.1.11): we know none.
    pub fn verify(&self, jws: &str) -> Result<Value, CryptoError> {
        let fault = CryptoError("the token is not valid");
        let (message, signature) = jws.rsplit_once('.').ok_or(fault)?;
        let (header, claims) = message.split_once('.').ok_or(fault)?;
        let json = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| fault)?;
            serde_json::from_slice::<Value>(&bytes).map_err(|_| fault)
        };
        let header = json(header)?;
        if header.get("alg").and_then(Value::as_str) != Some("RS256") || header.get("crit").is_some() {
            return Err(fault);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| fault)?;
        RsaPublicKeyComponents { n: &self.n, e: &self.e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature)
            .map_err(|_| fault)?;
        json(claims)
    }
}

/// The object identifier of RSA keys, 1.2.840.113549.1.1.1, in DER.
const RSA_ENCRYPTION: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7638 §3.1.
    const N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    const KID: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_7638() {
        let key = PublicKey::from_jwk(&json!({ "n": N, "e": "AQAB" })).unwrap();
        assert_eq!(key.kid(), KID);
    }

    #[test]
    fn a_jwk_has_these_members_alone() {
        let key = PublicKey::from_jwk(&json!({ "n": N, "e": "AQAB" })).unwrap();
        let jwk = key.jwk();
        let expected = json!({ "alg": "RS256", "use": "sig", "kid": KID, "e": "AQAB", "kty": "RSA", "n": N });
        assert_eq!(jwk.to_string(), expected.to_string());
        assert_eq!(PublicKey::from_jwk(&jwk).unwrap(), key);
    }

    #[test]
    fn public_pems_are_read() {
        // RSAPublicKey of the example: SEQUENCE { INTEGER n (0 in front: unsigned), INTEGER 65537 }.
        let mut der = vec![0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
        der.extend(URL_SAFE_NO_PAD.decode(N).unwrap());
        der.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
        assert_eq!(PublicKey::from_pem(&pem::write("RSA PUBLIC KEY", &der)).unwrap().kid(), KID);
        let mut info = vec![0x30, 0x82, 0x01, 0x22, 0x30, 0x0d];
        info.extend(RSA_ENCRYPTION);
        info.extend([0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00]);
        info.extend(&der);
        let text = pem::write("PUBLIC KEY", &info);
        assert_eq!(PublicKey::from_pem(&text).unwrap().kid(), KID);
        assert_eq!(PublicKey::from_pem(&text.replace('\n', "\\n")).unwrap().kid(), KID);
        // Cut anywhere, it is refused.
        for end in 0..info.len() {
            assert!(PublicKey::from_pem(&pem::write("PUBLIC KEY", &info[..end])).is_err(), "{end}");
        }
    }
}
