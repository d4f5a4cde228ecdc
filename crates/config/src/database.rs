//! Which database, how it is reached, and how many connections there are.

use std::fmt::Write as _;
use std::time::Duration;

use crate::network::is_loopback;
use crate::{Reader, Secret};

/// The database.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its URL; none for the private one.
    pub url: Option<Secret>,
    /// Copies of it that may be read from.
    pub read_urls: Vec<Secret>,
    /// Connections at most.
    pub max_connections: u32,
    /// How long a request waits for one.
    pub acquire_timeout: Duration,
    /// How long a connection is kept that nobody uses.
    pub idle_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// Statements that take longer are noted in the log; none for never.
    pub slow_statement: Option<Duration>,
}

/// What says how the connection is protected when the database is told by its parts.
const SSL: [&str; 4] = ["DB_SSL_MODE", "DB_SSL_ROOT_CERT", "DB_SSL_CERT", "DB_SSL_KEY"];

impl Database {
    /// The settings, and what looks like a mistake in them.
    pub(crate) fn read(reader: &mut Reader<'_>) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let named = reader.get("DATABASE_URL");
        if named.as_deref().is_some_and(|url| !is_postgres(url)) {
            reader.fault("DATABASE_URL", "", "a postgres:// URL");
        }
        if named.is_some() {
            // What the URL itself says holds: two places for one decision would leave it open which was meant.
            let unused = SSL.into_iter().filter(|name| reader.value(name).is_some());
            warnings
                .extend(unused.map(|name| format!("{name} is not used with DATABASE_URL, whose own parameters hold")));
        }
        let url = named.or_else(|| from_parts(reader));
        let read_urls = reader.list("DATABASE_READ_URL");
        if read_urls.iter().any(|url| !is_postgres(url)) {
            reader.fault("DATABASE_READ_URL", "", "postgres:// URLs, separated by commas");
        }
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let pool = i64::try_from((cores * 4).max(8)).unwrap_or(8);
        let slow = reader.milliseconds("JHE_LOG_SLOW_MS", 500, 0);
        let database = Self {
            url: url.as_deref().map(with_host).map(Secret::new),
            read_urls: read_urls.iter().map(|url| with_host(url)).map(Secret::new).collect(),
            max_connections: u32::try_from(reader.number("JHE_DB_POOL", pool, 2..=262_143)).unwrap_or(8),
            acquire_timeout: reader.seconds("JHE_DB_ACQUIRE_TIMEOUT", 5),
            // Zero means "after each request" elsewhere; a second is as soon as a pool can notice.
            idle_timeout: reader.seconds_of_at_least("DB_CONN_MAX_AGE", 600, 0).max(Duration::from_secs(1)),
            statement_timeout: reader.seconds("JHE_DB_STATEMENT_TIMEOUT", 30),
            slow_statement: Some(slow).filter(|slow| !slow.is_zero()),
        };
        (database, warnings)
    }

    /// Where the database is and how the connection to it is protected, for people: without user and password.
    pub fn description(&self) -> String {
        self.url.as_ref().map_or_else(|| "private".to_owned(), |url| describe(url.reveal()))
    }

    /// The same for the copies that are read from.
    pub fn read_descriptions(&self) -> Vec<String> {
        self.read_urls.iter().map(|url| describe(url.reveal())).collect()
    }
}

/// A URL that names its host: `postgres://user@/name?host=/folder`, as libpq takes it for a socket, leaves the place of the
/// host empty, which the driver refuses.
fn with_host(url: &str) -> String {
    match url.split_once("@/") {
        Some((user, rest)) if !user.split("://").nth(1).unwrap_or_default().contains('/') => {
            format!("{user}@localhost/{rest}")
        }
        _ => url.to_owned(),
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Whether a host is this machine, by name, address or socket.
fn is_here(host: &str) -> bool {
    host.starts_with('/') || is_loopback(host) || host == "::1"
}

fn from_parts(reader: &mut Reader<'_>) -> Option<String> {
    let host = reader.get("DB_HOST")?;
    let port = reader.number("DB_PORT", 5432, 1..=65_535);
    let mut part = |name: &str, default: &str| percent(&reader.get(name).unwrap_or_else(|| default.to_owned()));
    let (user, password, name) = (part("DB_USER", "jhe"), part("DB_PASSWORD", ""), part("DB_NAME", "jhe"));
    let (authority, socket) = if host.starts_with('/') {
        ("localhost".to_owned(), Some(host.as_str()))
    } else if host.contains(':') && !host.starts_with('[') {
        (format!("[{host}]"), Some(host.as_str()))
    } else {
        (host.clone(), None)
    };
    let mut url = format!("postgres://{user}:{password}@{authority}:{port}/{name}?sslmode={}", ssl_mode(reader, &host));
    if let Some(path) = socket {
        url.push_str("&host=");
        url.push_str(&percent(path));
    }
    let certificate = reader.readable_file("DB_SSL_CERT");
    let key = reader.readable_file("DB_SSL_KEY");
    if certificate.is_some() != key.is_some() {
        reader.faults.push("DB_SSL_CERT and DB_SSL_KEY belong together; set both or none".to_owned());
    }
    let files = [("sslrootcert", reader.readable_file("DB_SSL_ROOT_CERT")), ("sslcert", certificate), ("sslkey", key)];
    for (parameter, path) in files {
        if let Some(path) = path {
            // Writing to a string does not fail.
            write!(url, "&{parameter}={}", percent(&path.to_string_lossy())).ok();
        }
    }
    Some(url)
}

/// Over a network the connection is encrypted unless the operator says otherwise.
fn ssl_mode(reader: &mut Reader<'_>, host: &str) -> &'static str {
    let unset = if is_here(host) { "prefer" } else { "require" };
    reader.parsed("DB_SSL_MODE", unset, "disable, prefer, require, verify-ca or verify-full", |text| {
        ["disable", "prefer", "require", "verify-ca", "verify-full"].into_iter().find(|mode| *mode == text)
    })
}

/// Escapes a part of a URL.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Host, database and protection of a URL: what stands before the last `@` is left out, whatever it is.
fn describe(url: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, ""), |(address, query)| (address, query));
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).next_back()
    };
    let place = match (value("host"), place.split_once('/')) {
        (Some(host), Some((_, database))) => format!("{}/{database}", host.replace("%2F", "/")),
        _ => place.to_owned(),
    };
    let host = place.split(':').next().unwrap_or_default();
    let mode = value("sslmode").or_else(|| value("ssl-mode")).unwrap_or("prefer");
    if host.starts_with('/') { format!("{place} by a socket") } else { format!("{place}, TLS {mode}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, ConfigError};

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::read_with_files(pairs, None, &|path| {
            if path.starts_with("/tls") { Ok(String::new()) } else { Err("no such file".to_owned()) }
        })
    }

    fn url(pairs: &[(&str, &str)]) -> String {
        read(pairs).unwrap().database.url.unwrap().reveal().to_owned()
    }

    #[test]
    fn a_database_elsewhere_is_reached_by_tls_unless_told_otherwise() {
        assert_eq!(url(&[("DB_HOST", "db")]), "postgres://jhe:@db:5432/jhe?sslmode=require");
        assert_eq!(url(&[("DB_HOST", "127.0.0.1")]), "postgres://jhe:@127.0.0.1:5432/jhe?sslmode=prefer");
        let socket = url(&[("DB_HOST", "/var/run/postgresql"), ("DB_PASSWORD", "a@b")]);
        assert_eq!(socket, "postgres://jhe:a%40b@localhost:5432/jhe?sslmode=prefer&host=%2Fvar%2Frun%2Fpostgresql");
        assert_eq!(
            url(&[("DB_HOST", "db"), ("DB_SSL_MODE", "disable")]),
            "postgres://jhe:@db:5432/jhe?sslmode=disable"
        );
        assert!(read(&[("DB_HOST", "db"), ("DB_SSL_MODE", "maybe")]).is_err());
    }

    #[test]
    fn certificates_must_be_there_and_belong_together() {
        let pairs = [
            ("DB_HOST", "db"),
            ("DB_SSL_MODE", "verify-full"),
            ("DB_SSL_ROOT_CERT", "/tls/ca.pem"),
            ("DB_SSL_CERT", "/tls/me.pem"),
            ("DB_SSL_KEY", "/tls/me.key"),
        ];
        let expected = "sslmode=verify-full&sslrootcert=%2Ftls%2Fca.pem&sslcert=%2Ftls%2Fme.pem&sslkey=%2Ftls%2Fme.key";
        assert!(url(&pairs).ends_with(expected), "{}", url(&pairs));
        assert!(read(&[("DB_HOST", "db"), ("DB_SSL_CERT", "/tls/me.pem")]).is_err());
        let fault = read(&[("DB_HOST", "db"), ("DB_SSL_ROOT_CERT", "/missing.pem")]).unwrap_err().to_string();
        assert!(fault.starts_with("DB_SSL_ROOT_CERT is \"/missing.pem\""), "{fault}");
    }

    #[test]
    fn a_url_says_itself_how_it_is_protected() {
        let config = read(&[("DATABASE_URL", "postgres://a@b/c"), ("DB_SSL_MODE", "disable")]).unwrap();
        assert_eq!(config.database.url.unwrap().reveal(), "postgres://a@b/c");
        assert_eq!(config.warnings.len(), 1);
        let socket = url(&[("DATABASE_URL", "postgres://a:p%40@/c?host=/run/postgresql")]);
        assert_eq!(socket, "postgres://a:p%40@localhost/c?host=/run/postgresql");
        let other = "postgres://a@b/c?options=-csearch_path%3Dx@/y";
        assert_eq!(url(&[("DATABASE_URL", other)]), other);
    }

    #[test]
    fn copies_to_read_from_are_a_list_and_secret() {
        let config = read(&[("DATABASE_READ_URL", "postgres://u:hunter2@a/c, postgresql://u@b/c")]).unwrap();
        assert_eq!(config.database.read_urls.len(), 2);
        assert!(!format!("{config:?}").contains("hunter2"));
        let fault = read(&[("DATABASE_READ_URL", "postgres://a/c,mysql://u:hunter2@b/c")]).unwrap_err().to_string();
        assert!(fault.contains("DATABASE_READ_URL") && !fault.contains("hunter2"), "{fault}");
    }

    #[test]
    fn descriptions_name_no_account() {
        let check = |url: &str, expected: &str| assert_eq!(describe(url), expected);
        check("postgres://jhe:p@ss/word@db:5432/jhe?sslmode=require", "db:5432/jhe, TLS require");
        check("postgres://jhe:x@db/jhe", "db/jhe, TLS prefer");
        check("postgres://jhe:x@localhost:5432/jhe?host=%2Frun%2Fpg", "/run/pg/jhe by a socket");
    }

    #[test]
    fn idle_connections_and_slow_statements_have_limits() {
        let database = read(&[("DB_CONN_MAX_AGE", "0"), ("JHE_LOG_SLOW_MS", "0")]).unwrap().database;
        assert_eq!((database.idle_timeout, database.slow_statement), (Duration::from_secs(1), None));
        assert_eq!(read(&[]).unwrap().database.slow_statement, Some(Duration::from_millis(500)));
    }
}
