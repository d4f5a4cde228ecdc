//! Scheme and host as the caller used them; only configured proxies are believed about both.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use jhe_app::App;
use jhe_config::Config;

use crate::family::Family;

/// Where the caller thinks it is, and where it comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: String,
    /// Host, with the port when there is one.
    pub host: String,
    /// Address of the caller, as told by a trusted proxy.
    pub peer: Option<IpAddr>,
}

impl Origin {
    /// `scheme://host`.
    pub fn base(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// Address of the caller, as told by a trusted proxy, whatever host it names.
    pub fn address(headers: &HeaderMap, peer: Option<IpAddr>, config: &Config) -> Option<IpAddr> {
        let trusted = peer.is_some_and(|peer| config.site.trusted_proxies.contains(peer));
        // The nearest address a trusted proxy did not add itself: walk the list from the right.
        let client = if trusted { forwarded_for(headers, config) } else { None };
        client.or(peer)
    }

    /// Scheme the caller used, whatever host it names.
    pub(crate) fn scheme(headers: &HeaderMap, peer: Option<IpAddr>, config: &Config) -> &'static str {
        if forwarded("x-forwarded-proto", headers, peer, config) == Some("https") { "https" } else { "http" }
    }

    /// Reads it from a request. `None` when the host is not an allowed one.
    pub fn of(headers: &HeaderMap, uri: &Uri, peer: Option<IpAddr>, config: &Config) -> Option<Self> {
        // Of two hosts nobody knows which one is meant (RFC 9112 §3.2); one in the target is it, whatever the header says.
        let mut named = headers.get_all(header::HOST).iter();
        let header = named.next().and_then(|host| host.to_str().ok());
        if named.next().is_some() {
            return None;
        }
        let host = forwarded("x-forwarded-host", headers, peer, config)
            .or_else(|| uri.authority().map(Authority::as_str))
            .or(header)?
            .to_owned();
        let scheme = Self::scheme(headers, peer, config).to_owned();
        let client = Self::address(headers, peer, config);
        (is_host(&host) && config.site.allows_host(&host)).then_some(Self { scheme, host, peer: client })
    }
}

/// What a trusted proxy says of the caller in a header.
fn forwarded<'a>(name: &str, headers: &'a HeaderMap, peer: Option<IpAddr>, config: &Config) -> Option<&'a str> {
    let trusted = peer.is_some_and(|peer| config.site.trusted_proxies.contains(peer));
    let value = headers.get(name).filter(|_| trusted)?.to_str().ok()?;
    value.split(',').next().map(str::trim).filter(|value| !value.is_empty())
}

/// A name or an address, with a port or without (RFC 9110 §7.2).
fn is_host(text: &str) -> bool {
    text.parse::<Authority>().is_ok_and(|authority| {
        let port = text.strip_prefix(authority.host());
        port.is_some_and(|port| port.is_empty() || authority.port_u16().is_some())
    })
}

fn forwarded_for(headers: &HeaderMap, config: &Config) -> Option<IpAddr> {
    let value = headers.get("x-forwarded-for")?.to_str().ok()?;
    let mut farthest = None;
    for part in value.rsplit(',') {
        let address: IpAddr = part.trim().parse().ok()?;
        farthest = Some(address);
        if !config.site.trusted_proxies.contains(address) {
            break;
        }
    }
    farthest
}

/// Layer: finds the origin or answers 400 in the family's words.
pub async fn require_origin<F: Family>(
    app: &App,
    mut request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    match Origin::of(request.headers(), request.uri(), peer(&request), app.config()) {
        Some(origin) => {
            request.extensions_mut().insert(origin);
            next(request).await
        }
        None => F::invalid_host(),
    }
}

/// The address a request came from directly.
pub(crate) fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
}
