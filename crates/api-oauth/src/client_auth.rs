//! Authentication of clients: HTTP Basic or the form (RFC 6749 §2.3.1).

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jhe_app::App;
use jhe_app::identity::client;
use jhe_domain::client::Client;
use jhe_http::Origin;
use jhe_http::known::{self, Known};
use percent_encoding::percent_decode_str;

use crate::error::OAuthError;
use crate::parameters::Parameters;

/// Who a client says it is, and what it shows for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) client_id: String,
    pub(crate) secret: Option<String>,
}

/// Reads the credentials of a client. The header wins; a secret in both that differs is refused.
pub(crate) fn presented(headers: &HeaderMap, form: &Parameters) -> Result<Option<Presented>, OAuthError> {
    let in_form = form.get("client_id").map(str::to_owned);
    let secret = form.get("client_secret").map(str::to_owned);
    let Some(basic) = basic(headers)? else {
        return Ok(in_form.map(|client_id| Presented { client_id, secret }));
    };
    if in_form.is_some_and(|client_id| client_id != basic.client_id)
        || secret.is_some_and(|secret| Some(secret) != basic.secret)
    {
        return Err(OAuthError::described("invalid_request", "Two different client credentials were sent."));
    }
    Ok(Some(basic))
}

/// The client of a request, once it has proved who it is.
pub(crate) async fn authenticate(
    app: &App,
    presented: &Presented,
    origin: Option<&Origin>,
) -> Result<Client, OAuthError> {
    proved(client::authenticate(app, presented.from(origin)).await?)
}

/// A client that was asked who it is, if it has proved it.
pub(crate) fn proved(client: Option<Client>) -> Result<Client, OAuthError> {
    let client = client.ok_or_else(OAuthError::invalid_client)?;
    known::note(Known::client(client.id));
    Ok(client)
}

impl Presented {
    /// As identity takes it, with where it comes from.
    pub(crate) fn from(&self, origin: Option<&Origin>) -> client::Presented<'_> {
        let ip = origin.and_then(|origin| origin.peer);
        client::Presented { client_id: &self.client_id, secret: self.secret.as_deref(), ip }
    }
}

fn basic(headers: &HeaderMap) -> Result<Option<Presented>, OAuthError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let Some((scheme, encoded)) = value.to_str().ok().and_then(|value| value.trim().split_once(' ')) else {
        return Err(OAuthError::invalid_client());
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let text = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = text.as_deref().and_then(|text| text.split_once(':'));
    // Both halves are form-urlencoded before they are joined.
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().map(Cow::into_owned).ok();
    pair.and_then(|(id, secret)| Some(Presented { client_id: decode(id)?, secret: Some(decode(secret)?) }))
        .map(Some)
        .ok_or_else(OAuthError::invalid_client)
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_from_the_header_or_the_form() {
        let read = |basic: Option<&str>, form: &str| {
            let mut headers = HeaderMap::new();
            if let Some(pair) = basic {
                headers.insert(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)).parse().unwrap());
            }
            presented(&headers, &Parameters::parse(form))
        };
        let some = |id: &str, secret: Option<&str>| {
            Ok(Some(Presented { client_id: id.to_owned(), secret: secret.map(str::to_owned) }))
        };
        assert_eq!(read(None, ""), Ok(None));
        assert_eq!(read(None, "client_id=a"), some("a", None));
        assert_eq!(read(None, "client_id=a&client_secret=s"), some("a", Some("s")));
        assert_eq!(read(Some("a%2Fb:s%3A1"), ""), some("a/b", Some("s:1")));
        assert_eq!(read(Some("a:s"), "client_id=a&client_secret=s"), some("a", Some("s")));
        assert!(read(Some("a:s"), "client_id=b").is_err());
        assert!(read(Some("a:s"), "client_id=a&client_secret=t").is_err());
    }
}
