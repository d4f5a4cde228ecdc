//! Token exchange (RFC 8693): a practitioner's EHR vouches for it with an id token, and gets an access token of ours
//! (identity §2.4).

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use jhe_crypto::foreign::{self, ForeignFault};
use jhe_crypto::token;
use jhe_domain::client::Client;
use jhe_domain::error::Error;
use jhe_outbound::issuer::IssuerFault;
use serde_json::{Map, Value};

use crate::App;
use crate::identity::throttle::{self, Limit};
use crate::identity::token::{Exchange, Tokens};

/// Exchanges of one client.
const BY_CLIENT: Limit = Limit::of_attempts("exchange.client", TimeDelta::minutes(1), 60);

/// Why an id token is not exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The site trusts no issuer, or does not know what it is called there.
    NotConfigured,
    /// It is no JWT.
    NotAToken,
    /// Its issuer is none the site trusts.
    UntrustedIssuer,
    /// Its issuer does not tell where its keys are.
    NoDiscovery(String),
    /// Its issuer's keys cannot be had, or the one it names is not among them.
    NoKey,
    /// Signature, issuer, audience or times are not as they must be.
    Invalid,
    /// It was exchanged before, and the site allows each once.
    Used,
    /// It does not say who it is about.
    NoFhirUser,
    /// What it says about that is no reference.
    MalformedFhirUser(String),
    /// It is about somebody who is no practitioner.
    NotPractitioner,
    /// No account, or more than one, is known under that id.
    UnknownPractitioner,
    /// The account has no practitioner profile.
    WithoutProfile,
}

/// Exchanges an id token for an access token of the practitioner it names, issued to `client`.
pub async fn exchange(
    app: &App,
    client: &Client,
    id_token: &str,
    ip: Option<IpAddr>,
) -> Result<Result<Tokens, Refusal>, Error> {
    throttle::pass(app, &BY_CLIENT, &token::digest(&client.client_id)).await?;
    let (claims, issuer) = match verified(app, id_token).await {
        Ok(verified) => verified,
        Err(refusal) => {
            tracing::warn!(client.id = client.id.0, reason = ?without_values(&refusal), "an id token was not exchanged");
            return Ok(Err(refusal));
        }
    };
    let practitioner = match fhir_user(&claims) {
        Ok(practitioner) => practitioner,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let found = if practitioner.contains('\0') {
        // No identifier holds one, and the database would not take the question.
        Vec::new()
    } else {
        let mut work = app.store().read().await?;
        work.accounts_by_identifier(practitioner).await?
    };
    let [account] = found.as_slice() else { return Ok(Err(Refusal::UnknownPractitioner)) };
    if !account.is_active {
        return Ok(Err(Refusal::UnknownPractitioner));
    }
    if !account.is_practitioner {
        return Ok(Err(Refusal::WithoutProfile));
    }
    let mut exchange = Exchange::begin(app, client, ip).await?;
    if app.settings().bool("auth.sof.single_use_id_tokens", false) {
        let (digest, expires) = mark(&claims, &issuer, id_token);
        if !exchange.use_id_token(&digest, expires).await? {
            return Ok(Err(Refusal::Used));
        }
    }
    let Some(tokens) = exchange.issue_for_exchange(account, client).await? else {
        return Ok(Err(Refusal::UnknownPractitioner));
    };
    exchange.commit().await?;
    tracing::info!(client.id = client.id.0, user.id = account.id.0, issuer, "an id token was exchanged");
    Ok(Ok(tokens))
}

/// The kind of a refusal, for the log: values come from the token.
const fn without_values(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NotConfigured => "not configured",
        Refusal::NotAToken => "not a token",
        Refusal::UntrustedIssuer => "untrusted issuer",
        Refusal::NoDiscovery(_) => "no discovery",
        Refusal::NoKey => "no key",
        Refusal::Invalid => "invalid",
        Refusal::Used => "used before",
        Refusal::NoFhirUser | Refusal::MalformedFhirUser(_) => "no reference to a person",
        Refusal::NotPractitioner => "not a practitioner",
        Refusal::UnknownPractitioner => "unknown practitioner",
        Refusal::WithoutProfile => "no practitioner profile",
    }
}

/// The claims of a token whose issuer is trusted, and that issuer as the token spells it.
async fn verified(app: &App, id_token: &str) -> Result<(Map<String, Value>, String), Refusal> {
    let trusted = app.settings().strings("auth.sof.trusted_issuers");
    let audience = app.settings().string("auth.sof.trusted_audience");
    if trusted.is_empty() || audience.is_empty() {
        return Err(Refusal::NotConfigured);
    }
    let claimed = foreign::unverified_claims(id_token).ok_or(Refusal::NotAToken)?;
    let bare = |issuer: &str| issuer.trim_end_matches('/').to_owned();
    let issuer = claimed
        .get("iss")
        .and_then(Value::as_str)
        .filter(|issuer| trusted.iter().any(|known| bare(known) == bare(issuer)))
        .ok_or(Refusal::UntrustedIssuer)?;
    let mut again = false;
    loop {
        let keys = app.issuers().keys(issuer, again).await.map_err(|fault| match fault {
            IssuerFault::NoAddress => Refusal::NoDiscovery(issuer.to_owned()),
            IssuerFault::NoKeys => Refusal::NoKey,
        })?;
        return match foreign::verify(id_token, &keys, issuer, &audience, app.now().timestamp()) {
            Ok(claims) => Ok((claims, issuer.to_owned())),
            // The issuer may have changed its keys.
            Err(ForeignFault::UnknownKey) if !again => {
                again = true;
                continue;
            }
            Err(ForeignFault::UnknownKey) => Err(Refusal::NoKey),
            Err(ForeignFault::Invalid) => Err(Refusal::Invalid),
        };
    }
}

/// The practitioner's id in the EHR: the last segment of a reference `…/Practitioner/{id}`, relative or absolute.
fn fhir_user(claims: &Map<String, Value>) -> Result<&str, Refusal> {
    let reference = claims.get("fhirUser").and_then(Value::as_str).ok_or(Refusal::NoFhirUser)?;
    let mut segments = reference.trim_end_matches('/').rsplit('/');
    match (segments.next(), segments.next()) {
        (Some(id), Some("Practitioner")) if !id.is_empty() => Ok(id),
        (Some(id), Some(kind)) if !id.is_empty() && !kind.is_empty() => Err(Refusal::NotPractitioner),
        _ => Err(Refusal::MalformedFhirUser(reference.to_owned())),
    }
}

/// What marks a token as used, and until when the mark is needed.
fn mark(claims: &Map<String, Value>, issuer: &str, id_token: &str) -> ([u8; 32], DateTime<Utc>) {
    let own = claims.get("jti").and_then(Value::as_str);
    let digest = match own {
        Some(jti) => token::digest(&format!("{issuer}\0{jti}")),
        None => token::digest(id_token),
    };
    let seconds = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, reason = "a time out of range ends the mark late, not early")]
    let expires = DateTime::from_timestamp(seconds as i64, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    // As late as the token could still be accepted.
    (digest, expires.checked_add_signed(TimeDelta::minutes(5)).unwrap_or(expires))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_to_people_are_read_from_their_end() {
        let read = |reference: Value| {
            let claims = json!({ "fhirUser": reference });
            fhir_user(claims.as_object().unwrap()).map(str::to_owned)
        };
        for good in ["Practitioner/eX.1", "https://ehr.example/fhir/R4/Practitioner/eX.1", "Practitioner/eX.1/"] {
            assert_eq!(read(json!(good)).as_deref(), Ok("eX.1"), "{good}");
        }
        assert_eq!(read(json!("Patient/1")), Err(Refusal::NotPractitioner));
        assert_eq!(read(json!("lonely")), Err(Refusal::MalformedFhirUser("lonely".to_owned())));
        assert_eq!(read(json!(5)), Err(Refusal::NoFhirUser));
    }
}
