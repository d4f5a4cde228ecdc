//! The one table of variables: help texts, the documentation and the unknown-name check are made from it.

use std::fmt::Write as _;

use crate::file::SUFFIX;

/// A variable the server reads.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Another accepted name.
    pub alias: Option<&'static str>,
    /// What holds without it.
    pub default: &'static str,
    /// Its value must not be shown.
    pub secret: bool,
    /// What it does.
    pub help: &'static str,
}

const fn plain(name: &'static str, default: &'static str, help: &'static str) -> Variable {
    Variable { name, alias: None, default, secret: false, help }
}

const fn also(name: &'static str, alias: &'static str, default: &'static str, help: &'static str) -> Variable {
    Variable { name, alias: Some(alias), default, secret: false, help }
}

const fn secret(name: &'static str, default: &'static str, help: &'static str) -> Variable {
    Variable { name, alias: None, default, secret: true, help }
}

/// All variables, by subject.
pub const VARIABLES: &[Variable] = &[
    plain("SITE_URL", "http://localhost:8000", "Public base URL; first value of the setting site.url"),
    plain("SECURE_SSL_REDIRECT", "0", "1 sends requests that came without TLS to the same address with it"),
    plain(
        "SESSION_COOKIE_SECURE",
        "on when site.url is https",
        "off sends the session cookie without TLS too; development only",
    ),
    plain("CSRF_COOKIE_SECURE", "on when site.url is https", "The same for the cookie of form tokens"),
    plain(
        "ALLOWED_HOSTS",
        "host of SITE_URL",
        "Hosts requests may name, comma-separated; .example.org for all names below it, * for any; loopback names with any port when SITE_URL is loopback",
    ),
    also(
        "JHE_TRUSTED_PROXIES",
        "TRUSTED_PROXIES",
        "none",
        "Networks whose X-Forwarded headers are believed, comma-separated CIDR",
    ),
    also(
        "CORS_ALLOWED_ORIGINS",
        "JHE_CORS_ALLOWED_ORIGINS",
        "none",
        "Origins whose pages may call the APIs with bearer tokens, comma-separated, or *",
    ),
    plain("CSRF_TRUSTED_ORIGINS", "SITE_URL", "Further origins forms may be posted from, comma-separated"),
    plain("X_FRAME_OPTIONS", "SAMEORIGIN", "Value of the X-Frame-Options header"),
    plain("TIME_ZONE", "America/Los_Angeles", "Time zone shown to people; first value of site.time_zone"),
    plain(
        "JHE_ENV",
        "by SITE_URL",
        "production or development; production is the default for an https site that is not loopback",
    ),
    plain("DEBUG", "off", "1 forces development mode"),
    plain("JHE_BIND", "127.0.0.1:8000", "Address to listen on"),
    plain("JHE_DATA_DIR", "./jhe-data", "Folder of the private database"),
    plain(
        "JHE_PG_BIN",
        "newest in /usr/lib/postgresql, else by PATH",
        "Folder with the programs initdb and postgres for the private database; read from the environment alone",
    ),
    plain(
        "JHE_LOG",
        "info",
        "Log filter: off, error, warn, info, debug or trace, and module=level pairs, separated by commas",
    ),
    plain("JHE_LOG_FORMAT", "text", "text or json"),
    plain(
        "NO_COLOR",
        "-",
        "Anything takes the colours out of the log, which has them on terminals only; read from the environment alone",
    ),
    plain("JHE_METRICS_BIND", "off", "Address and port that metrics are told at, as GET /metrics for Prometheus"),
    plain(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "off",
        "URL of a collector that is told a trace of each request (OTLP over HTTP); /v1/traces is added",
    ),
    secret("OTEL_EXPORTER_OTLP_HEADERS", "none", "Headers for it: name=value, comma-separated, values percent-encoded"),
    plain("OTEL_SERVICE_NAME", "jhe", "Name of this server in traces"),
    plain(
        "OTEL_TRACES_SAMPLER_ARG",
        "1",
        "Part of the traces that begin here, from 0 to 1; callers' traceparent decides about theirs",
    ),
    plain("JHE_REQUEST_TIMEOUT", "60", "Seconds a request may take; then it is answered 503"),
    plain("JHE_HEADER_TIMEOUT", "10", "Seconds the head of a request may take to arrive"),
    plain("JHE_KEEP_ALIVE", "75", "Seconds a connection is kept without a request"),
    plain("JHE_MAX_REQUESTS", "1024", "Requests under way at once; more are answered 503"),
    plain("JHE_MAX_URI_BYTES", "16384", "Longest path and query of a request"),
    plain("JHE_MAX_HEADER_BYTES", "32768", "Largest headers of a request, all together"),
    plain(
        "JHE_SHUTDOWN_DELAY",
        "0",
        "Seconds requests are still taken after the order to stop, while /ready tells balancers to look elsewhere",
    ),
    plain("JHE_SHUTDOWN_GRACE", "30", "Seconds requests under way are given at shutdown"),
    plain("JHE_AUDIT_SEAL_PAUSE", "10", "Seconds after which new entries of the audit trail are sealed"),
    secret("DATABASE_URL", "private database", "postgres:// URL of the database"),
    plain("DB_HOST", "-", "Host of the database, instead of DATABASE_URL"),
    plain("DB_PORT", "5432", "Port of the database"),
    plain("DB_NAME", "jhe", "Name of the database"),
    plain("DB_USER", "jhe", "User of the database"),
    secret("DB_PASSWORD", "-", "Password of the database user"),
    plain(
        "DB_SSL_MODE",
        "require; prefer on this machine",
        "disable, prefer, require, verify-ca or verify-full; with DB_HOST only: DATABASE_URL has sslmode",
    ),
    plain("DB_SSL_ROOT_CERT", "-", "PEM file with the authorities the database is certified by"),
    plain("DB_SSL_CERT", "-", "PEM file with the certificate shown to the database"),
    plain("DB_SSL_KEY", "-", "PEM file with its key"),
    plain("DB_CONN_MAX_AGE", "600", "Seconds a database connection is kept that nobody uses"),
    secret("DATABASE_READ_URL", "none", "postgres:// URLs of copies that may be read from, separated by commas"),
    plain("JHE_DB_POOL", "4 per core, at least 8", "Database connections at most"),
    plain("JHE_DB_ACQUIRE_TIMEOUT", "5", "Seconds a request waits for a connection"),
    plain("JHE_DB_STATEMENT_TIMEOUT", "30", "Seconds a statement may take"),
    plain("JHE_LOG_SLOW_MS", "500", "Milliseconds after which a statement is noted in the log; 0 for never"),
    plain("MAX_BODY_BYTES", "20971520", "Largest FHIR request body, decoded"),
    plain("JHE_MAX_BODY_BYTES", "1048576", "Largest request body elsewhere"),
    plain("MAX_BATCH_ENTRIES", "5000", "Entries of a Bundle at most"),
    plain("MAX_OMH_BYTES", "1048576", "Largest Open mHealth document, decoded"),
    also("ACCESS_TOKEN_TTL", "JHE_ACCESS_TOKEN_SECONDS", "36000", "Seconds an access token lives"),
    plain("ID_TOKEN_TTL", "36000", "Seconds an id token lives"),
    plain("AUTH_CODE_TTL", "60", "Seconds an authorization code lives"),
    plain("REFRESH_TOKEN_TTL", "15552000", "Seconds a refresh token lives unused"),
    plain("REFRESH_TOKEN_MAX", "0", "Seconds a family of refresh tokens lives; 0 has no end"),
    plain("REFRESH_TOKEN_GRACE", "60", "Seconds a replaced refresh token may be repeated"),
    plain("EMAIL_LINK_TTL", "86400", "Seconds a link to verify an address or to reset a password lives"),
    plain("JHE_ACCESS_TOKEN_FORMAT", "opaque", "opaque, or jwt for signed access tokens (RFC 9068)"),
    secret("SECRET_KEY", "made once", "Seals stored secrets; at least 32 bytes; required in production mode"),
    Variable {
        name: "DATA_ENCRYPTION_KEY",
        alias: Some("JHE_DATA_KEY"),
        default: "derived from SECRET_KEY",
        secret: true,
        help: "Key for secrets that are shown again, 32 bytes in Base64",
    },
    plain("JHE_GENERATE_KEYS", "1", "0 forbids making missing signing keys"),
    secret("OIDC_RSA_PRIVATE_KEY", "made once", "Signing key as PEM, line breaks real or as \\n"),
    secret("OIDC_RSA_PRIVATE_KEYS_INACTIVE", "-", "Earlier keys, published but not used, separated by blank lines"),
    plain("OIDC_CLIENT_ID", "made once", "client_id of the web console"),
    plain("AUTH_PASSWORD_GRANT", "true", "false refuses the password grant for every client"),
    plain(
        "JHE_LOGIN_WAIT_MS",
        "100",
        "Milliseconds a sign-in may wait for its turn while far more come than can be served; beyond that it is answered 503",
    ),
    plain("AUTH_THROTTLE", "1", "0 switches throttling off; refused in production mode"),
    secret(
        "REGISTRATION_INVITE_CODE",
        "none",
        "First value of site.registration_invite_code; none keeps sign-up closed",
    ),
    plain("JHE_SOF_ALLOW_PRIVATE", "0", "1 lets the issuers of exchanged id tokens have addresses that are not public"),
    plain("JHE_SOF_CA_FILE", "-", "PEM file with further certificate authorities those issuers may be certified by"),
    plain(
        "OMH_SCHEMA_DIR",
        "none",
        "Folders with further schemas, comma-separated: omh/, ieee/ or local/, then <name>-<version>.json",
    ),
    plain("JHE_WELL_KNOWN_DIR", "built in", "Folder with apple-app-site-association and assetlinks.json"),
    plain("SMTP_HOST", "-", "Mail server; without one mail goes to JHE_MAIL_DIR or is only noted in the log"),
    plain("SMTP_PORT", "587", "Its port"),
    plain("SMTP_USER", "-", "Account there"),
    secret("SMTP_PASSWORD", "-", "Its password"),
    plain(
        "JHE_SMTP_SECURITY",
        "starttls",
        "starttls, tls or none; unset, a mail server on this machine may lack STARTTLS",
    ),
    plain("DEFAULT_FROM_EMAIL", "support@jhe.org", "Sender of mail"),
    plain("JHE_MAIL_REPLY_TO", "-", "Whom answers to mail go to"),
    plain("JHE_MAIL_DIR", "-", "Folder that mail is written to, one file each, when there is no mail server"),
    plain("PRACTITIONER_DEFAULT_ORGS", "none", "First value of auth.default_orgs, such as 20001:viewer;20002:member"),
    secret("PATIENT_AUTHORIZATION_CODE_VERIFIER", "made once", "Static PKCE verifier of patient links"),
    plain("PATIENT_AUTHORIZATION_CODE_CHALLENGE", "derived", "Static PKCE challenge of patient links"),
    plain("PATIENT_AUTHORIZATION_CODE_EXPIRE_SECONDS", "1209600", "Seconds a patient link lives"),
    plain("CH_INVITATION_LINK_PREFIX", "none", "Text before host and code of a patient link"),
    plain(
        "CH_INVITATION_LINK_EXCLUDE_HOST",
        "off",
        "Any value but 0, false, no and off leaves the host out of patient links",
    ),
    plain("JHE_INVITATION_LINK_SEPARATOR", "|", "Text between host and code of a patient link"),
    plain("JHE_INVITATION_LINK_ENCODE", "0", "1 percent-encodes separator and port of a patient link"),
    plain("JHE_DEMO", "0", "1 makes the demo data on an empty database; refused in production mode"),
    plain("SOF_EHR_LAUNCH_CLIENT_ID", "sof-ehr-launch", "client_id of the EHR launch client of the demo data"),
    secret("SOF_EHR_LAUNCH_CLIENT_SECRET", "a published one in development", "Its secret"),
];

/// The table as Markdown, for `docs/configuration.md`.
pub fn markdown_table() -> String {
    let mut table = String::from("| variable | default | meaning |\n|---|---|---|\n");
    for variable in VARIABLES {
        let alias = variable.alias.map(|alias| format!(" (also `{alias}`)")).unwrap_or_default();
        let default = variable.default.replace('|', "\\|");
        let help = variable.help.replace('|', "\\|");
        let file = if variable.secret { format!(", `{}{SUFFIX}`", variable.name) } else { String::new() };
        writeln!(table, "| `{}`{file}{alias} | {default} | {help} |", variable.name).ok();
    }
    table
}

/// The table as plain text, for `--help`.
pub fn help_text() -> String {
    let mut text = String::from("Environment:\n");
    for variable in VARIABLES {
        let file = if variable.secret { format!(", {}{SUFFIX}", variable.name) } else { String::new() };
        writeln!(text, "  {}{file}\n        {} [default: {}]", variable.name, variable.help, variable.default).ok();
    }
    text
}
