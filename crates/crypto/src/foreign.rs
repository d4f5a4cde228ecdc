//! Id tokens of other issuers: read without trust to learn the issuer, then verified with that issuer's keys.
//!
//! Algorithms come from the list here, never from the token (RFC 8725 §3.1); times are the caller's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

/// Seconds that clocks may differ.
const LEEWAY: i64 = 30;

/// Why a token of another issuer is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignFault {
    /// None of the keys is the one it names: the issuer may have a new one.
    #[error("no key fits")]
    UnknownKey,
    /// Algorithm, signature, issuer, audience or times are not as they must be.
    #[error("the token is not valid")]
    Invalid,
}

/// Claims of a token that was not verified. `None` when it is no JWT.
///
/// A JWT that names an algorithm we do not know, or none, is one nevertheless: it fails when it is verified.
pub fn unverified_claims(token: &str) -> Option<Map<String, Value>> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, _signature] = parts.as_slice() else { return None };
    let object =
        |part: &str| -> Option<Map<String, Value>> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
    object(header)?;
    object(claims)
}

/// Verifies a token with the keys of its issuer, for an audience, at a time in seconds since 1970.
///
/// # Errors
/// See [`ForeignFault`].
pub fn verify(
    token: &str,
    keys: &Value,
    issuer: &str,
    audience: &str,
    now: i64,
) -> Result<Map<String, Value>, ForeignFault> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| ForeignFault::Invalid)?;
    let allowed = matches!(header.alg, Algorithm::RS256 | Algorithm::RS384 | Algorithm::ES384);
    // A token does not bring its own key, nor extensions that we would have to understand.
    if !allowed || header.jku.is_some() || header.jwk.is_some() || header.crit.is_some() {
        return Err(ForeignFault::Invalid);
    }
    let key = find_key(keys, header.kid.as_deref(), header.alg)?;
    let key = DecodingKey::from_jwk(&key).map_err(|_| ForeignFault::Invalid)?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    // Times are judged below, by the caller's clock.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let claims: Map<String, Value> =
        jsonwebtoken::decode(token, &key, &validation).map_err(|_| ForeignFault::Invalid)?.claims;
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    let (earliest, latest) = ((now - LEEWAY) as f64, (now + LEEWAY) as f64);
    let (Some(expires), Some(issued)) = (time("exp"), time("iat")) else { return Err(ForeignFault::Invalid) };
    let begun = claims.get("nbf").is_none() || time("nbf").is_some_and(|begins| begins <= latest);
    if expires <= earliest || issued > latest || !begun {
        return Err(ForeignFault::Invalid);
    }
    Ok(claims)
}

/// The key a token names, or the only one that could be meant.
fn find_key(keys: &Value, kid: Option<&str>, algorithm: Algorithm) -> Result<Jwk, ForeignFault> {
    let listed = keys.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut fitting = listed
        .iter()
        .filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok())
        .filter(|key| kid.is_none_or(|kid| key.common.key_id.as_deref() == Some(kid)))
        .filter(|key| !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption)));
    let key = fitting.next().ok_or(ForeignFault::UnknownKey)?;
    if fitting.next().is_some() {
        return Err(ForeignFault::UnknownKey);
    }
    let fits = match &key.algorithm {
        AlgorithmParameters::RSA(_) => matches!(algorithm, Algorithm::RS256 | Algorithm::RS384),
        AlgorithmParameters::EllipticCurve(curve) => {
            algorithm == Algorithm::ES384 && curve.curve == EllipticCurve::P384
        }
        _ => false,
    };
    if fits { Ok(key) } else { Err(ForeignFault::Invalid) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::SigningKey;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn key() -> (SigningKey, Value) {
        let key = SigningKey::generate().unwrap();
        let keys = json!({ "keys": [key.public().jwk()] });
        (key, keys)
    }

    fn claims(changes: &Value) -> Value {
        let mut claims = json!({"iss": "https://ehr.example/", "aud": ["other", "us"], "exp": NOW + 60, "iat": NOW - 5,
            "fhirUser": "Practitioner/1"});
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    #[test]
    fn a_token_is_judged_by_signature_issuer_audience_and_times() {
        let (signer, keys) = key();
        let check = |changes: Value, expected: bool| {
            let token = signer.sign("JWT", &claims(&changes)).unwrap();
            let verdict = verify(&token, &keys, "https://ehr.example/", "us", NOW);
            assert_eq!(verdict.is_ok(), expected, "{changes}");
        };
        check(json!({}), true);
        check(json!({"aud": "us"}), true);
        check(json!({"aud": "other"}), false);
        check(json!({"aud": null}), false);
        check(json!({"iss": "https://ehr.example"}), false);
        check(json!({"iss": null}), false);
        check(json!({"exp": NOW - 10}), true);
        check(json!({"exp": NOW - 31}), false);
        check(json!({"exp": null}), false);
        check(json!({"iat": null}), false);
        check(json!({"iat": NOW + 31}), false);
        check(json!({"nbf": NOW + 10}), true);
        check(json!({"nbf": NOW + 31}), false);
        check(json!({"nbf": "soon"}), false);
    }

    #[test]
    fn only_the_issuers_own_keys_and_our_own_list_of_algorithms_count() {
        let ((signer, keys), (_, others)) = (key(), key());
        let token = signer.sign("JWT", &claims(&json!({}))).unwrap();
        let verdict = |token: &str, keys: &Value| verify(token, keys, "https://ehr.example/", "us", NOW);
        assert!(verdict(&token, &keys).is_ok());
        assert_eq!(verdict(&token, &others), Err(ForeignFault::UnknownKey));
        assert_eq!(verdict(&token, &json!({})), Err(ForeignFault::UnknownKey));
        let mut disguised = others.clone();
        disguised["keys"][0]["kid"] = keys["keys"][0]["kid"].clone();
        assert_eq!(verdict(&token, &disguised), Err(ForeignFault::Invalid));
        // Another header over the same claims: nothing signed, a shared secret, a key brought along.
        let rest = token.split_once('.').unwrap().1;
        for header in [
            json!({"alg": "none"}),
            json!({"alg": "HS256", "typ": "JWT"}),
            json!({"alg": "RS256", "jku": "https://evil.example/keys"}),
            json!({"alg": "RS256", "jwk": keys["keys"][0]}),
            json!({"alg": "RS256", "crit": ["b64"]}),
        ] {
            use base64::Engine as _;
            let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header.to_string());
            assert_eq!(verdict(&format!("{header}.{rest}"), &keys), Err(ForeignFault::Invalid), "{header}");
        }
        let changed = token.replacen('.', ".e", 1);
        assert!(verdict(&changed, &keys).is_err());
    }

    #[test]
    fn claims_are_read_before_they_are_trusted() {
        let (signer, _) = key();
        let token = signer.sign("JWT", &claims(&json!({}))).unwrap();
        assert_eq!(unverified_claims(&token).unwrap()["iss"], "https://ehr.example/");
        for text in ["", "a.b", "a.b.c", "no token"] {
            assert!(unverified_claims(text).is_none(), "{text}");
        }
    }
}
