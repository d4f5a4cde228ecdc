//! Typed settings of a server process, from environment variables and an optional TOML file.
//!
//! Floor 1: reads no environment and no file itself, so that tests and several servers in one process are possible.
//! [`VARIABLES`] is the single list of what can be set; [`Config::read`] checks everything and tells all faults at once.

mod database;
mod file;
mod form;
mod mail;
mod network;
mod secret;
mod server;
mod traces;
mod variable;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use database::Database;
use jhe_domain::organization::parse_memberships;
pub use mail::{Mail, MailTransport, Smtp, SmtpSecurity};
pub use network::{Networks, is_loopback, split_host};
pub use secret::Secret;
pub use server::Server;
pub use traces::Traces;
pub use variable::{VARIABLES, Variable, help_text, markdown_table};

/// What clients of the server read, which people have set at the same terminal.
const OF_CLIENTS: [&str; 2] = ["JHE_URL", "JHE_TOKEN"];

/// No span of time is longer, in seconds: ten years.
pub const LONGEST_SECONDS: i64 = 315_360_000;

/// All settings of a process.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses and who may use them.
    pub site: Site,
    /// The process itself.
    pub server: Server,
    /// The database.
    pub database: Database,
    /// Sizes.
    pub limits: Limits,
    /// Token lifetimes.
    pub tokens: Tokens,
    /// Keys and sign-in.
    pub auth: Auth,
    /// Patient links.
    pub invitation: Invitation,
    /// How mail leaves the server.
    pub mail: Mail,
    /// Where traces of requests go, if anywhere.
    pub traces: Option<Traces>,
    /// What is made on an empty database.
    pub seeding: Seeding,
    /// Things that look like mistakes but stop nothing.
    pub warnings: Vec<String>,
}

/// Addresses and who may use them.
#[derive(Debug, Clone)]
pub struct Site {
    /// Public base URL.
    pub url: SiteUrl,
    /// Hosts that requests may name; empty stands for the loopback names with any port.
    pub allowed_hosts: Vec<String>,
    /// Networks whose forwarding headers are believed.
    pub trusted_proxies: Networks,
    /// Origins whose pages may call the APIs.
    pub cors_allowed_origins: Vec<String>,
    /// Further origins that forms may be posted from.
    pub csrf_trusted_origins: Vec<String>,
    /// Value of `X-Frame-Options`.
    pub x_frame_options: String,
    /// Time zone shown to people.
    pub time_zone: String,
    /// First value of `auth.default_orgs`.
    pub practitioner_default_orgs: String,
    /// Folder with other app-association files than the built-in ones.
    pub well_known_dir: Option<PathBuf>,
    /// Folders with Open mHealth schemas beside the built-in ones.
    pub omh_schema_dirs: Vec<PathBuf>,
    /// Production mode: stricter about secrets.
    pub production: bool,
    /// Requests that came without TLS are sent to the same address with it.
    pub ssl_redirect: bool,
    /// The session cookie travels over TLS only, or not; unset, as the public URL says.
    pub session_cookie_secure: Option<bool>,
    /// The same for the cookie that form tokens are bound to.
    pub csrf_cookie_secure: Option<bool>,
}

impl Site {
    /// Whether a request may name this host.
    pub fn allows_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let (name, _) = split_host(&host);
        if self.allowed_hosts.is_empty() {
            return is_loopback(name);
        }
        self.allowed_hosts.iter().any(|allowed| {
            allowed == "*"
                || *allowed == host
                || allowed == name
                || allowed.strip_prefix('.').is_some_and(|parent| name.ends_with(allowed.as_str()) || name == parent)
        })
    }
}

/// The public base URL: scheme and host, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteUrl(String);

impl SiteUrl {
    /// Checks and normalizes a URL.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches('/');
        let (scheme, rest) = text.split_once("://")?;
        let host = rest.split('/').next()?;
        let fits = matches!(scheme, "http" | "https")
            && !host.is_empty()
            && !rest.contains(['?', '#', '@', ' '])
            && rest.len() == host.len();
        fits.then(|| Self(text.to_owned()))
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host, with the port when there is one.
    pub fn host(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, host)| host)
    }

    /// Whether it is https.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether it names this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(split_host(self.host()).0)
    }
}

/// Sizes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// FHIR bodies, decoded.
    pub fhir_body_bytes: usize,
    /// Other bodies.
    pub body_bytes: usize,
    /// Entries of a Bundle.
    pub max_batch_entries: usize,
    /// Open mHealth documents, decoded.
    pub max_omh_bytes: usize,
    /// Path and query of a request.
    pub uri_bytes: usize,
    /// Headers of a request, all of them.
    pub header_bytes: usize,
    /// Requests under way at once.
    pub max_requests: usize,
}

/// Token lifetimes, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    /// Access tokens.
    pub access: i64,
    /// Id tokens.
    pub id: i64,
    /// Authorization codes.
    pub code: i64,
    /// Refresh tokens, unused.
    pub refresh: i64,
    /// Families of refresh tokens; 0 has no end.
    pub refresh_max: i64,
    /// How long a replaced refresh token may be repeated.
    pub refresh_grace: i64,
    /// Links to an account sent by mail.
    pub email_link: i64,
    /// Access tokens are signed JWTs (RFC 9068) instead of opaque texts.
    pub jwt: bool,
}

/// Keys and sign-in.
#[derive(Debug, Clone)]
pub struct Auth {
    /// Seals stored secrets.
    pub secret_key: Option<Secret>,
    /// Key for secrets that are shown again.
    pub data_encryption_key: Option<Secret>,
    /// Missing keys are made.
    pub generate_keys: bool,
    /// Signing key.
    pub oidc_rsa_private_key: Option<Secret>,
    /// Earlier keys.
    pub oidc_rsa_private_keys_inactive: Option<Secret>,
    /// `client_id` of the web console.
    pub oidc_client_id: Option<String>,
    /// The password grant may be used by clients registered for it.
    pub password_grant: bool,
    /// Attempts are counted.
    pub throttle: bool,
    /// How long a sign-in may wait for its turn to have a password checked.
    pub hashing_wait: Duration,
    /// First value of `site.registration_invite_code`.
    pub registration_invite_code: Option<String>,
    /// Issuers whose id tokens are exchanged may have addresses that are not public.
    pub sof_allow_private: bool,
    /// File with further certificate authorities those issuers may be certified by.
    pub sof_ca_file: Option<PathBuf>,
}

/// Patient links.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// Static PKCE verifier.
    pub verifier: Option<Secret>,
    /// Static PKCE challenge, well-formed.
    pub challenge: Option<String>,
    /// Seconds a link lives.
    pub code_expire_seconds: i64,
    /// Text before host and code.
    pub link_prefix: String,
    /// Leave the host out.
    pub exclude_host: bool,
    /// Text between host and code.
    pub separator: String,
    /// Percent-encode separator and port.
    pub encode: bool,
}

/// What is made on an empty database.
#[derive(Debug, Clone)]
pub struct Seeding {
    /// The demo data too.
    pub demo: bool,
    /// `client_id` of the EHR launch client.
    pub sof_client_id: Option<String>,
    /// Its secret.
    pub sof_client_secret: Option<Secret>,
}

/// Everything wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// One line for each fault: the variable, what it held (secrets masked) and what is allowed.
    pub faults: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("; "))
    }
}

/// How the text of a file is read: the reason when it cannot be.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> Result<String, String>;

struct Reader<'a> {
    values: BTreeMap<String, String>,
    faults: Vec<String>,
    files: ReadFile<'a>,
}

impl Reader<'_> {
    /// The value of a variable under its name or its alias; both set and different is a fault. Empty counts as unset.
    /// Secrets may be in files: see [`file`].
    fn get(&mut self, name: &str) -> Option<String> {
        let variable = VARIABLES.iter().find(|variable| variable.name == name);
        let is_secret = variable.is_some_and(|variable| variable.secret);
        let value = self.read(name, is_secret);
        let Some(alias) = variable.and_then(|variable| variable.alias) else { return value };
        match (value, self.read(alias, is_secret)) {
            (Some(value), Some(other)) if value != other => {
                self.faults.push(format!("{name} and {alias} are both set and differ; set one of them"));
                Some(value)
            }
            (value, other) => value.or(other),
        }
    }

    fn read(&mut self, name: &str, is_secret: bool) -> Option<String> {
        let value = self.value(name);
        if is_secret { file::or_file(self, name, value) } else { value }
    }

    fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn secret(&mut self, name: &str) -> Option<Secret> {
        self.get(name).map(Secret::new)
    }

    /// A path, as long as the file there can be read.
    fn readable_file(&mut self, name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.get(name)?);
        if let Err(why) = (self.files)(&path) {
            self.faults.push(format!("{name} is \"{}\"; it cannot be read: {why}", path.display()));
        }
        Some(path)
    }

    fn fault(&mut self, name: &str, held: &str, allowed: &str) {
        let masked = VARIABLES.iter().any(|variable| variable.name == name && variable.secret);
        let held = if masked { "[secret]" } else { held };
        self.faults.push(format!("{name} is \"{held}\"; allowed is {allowed}"));
    }

    fn parsed<T>(&mut self, name: &str, default: T, allowed: &str, parse: impl FnOnce(&str) -> Option<T>) -> T {
        match self.get(name) {
            None => default,
            Some(text) => parse(&text).unwrap_or_else(|| {
                self.fault(name, &text, allowed);
                default
            }),
        }
    }

    fn number(&mut self, name: &str, default: i64, range: RangeInclusive<i64>) -> i64 {
        let allowed = format!("an integer from {} to {}", range.start(), range.end());
        self.parsed(name, default, &allowed, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    fn size(&mut self, name: &str, default: usize) -> usize {
        self.parsed(name, default, "a positive integer", |text| text.parse().ok().filter(|size| *size > 0))
    }

    fn flag(&mut self, name: &str, default: bool) -> bool {
        self.parsed(name, default, "1, true, yes, on, 0, false, no or off", parse_flag)
    }

    fn list(&mut self, name: &str) -> Vec<String> {
        let text = self.get(name).unwrap_or_default();
        text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    }

    /// A list whose parts have a form; others are told one by one.
    fn list_of(&mut self, name: &str, allowed: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
        let parts = self.list(name);
        for part in parts.iter().filter(|part| !fits(part)) {
            self.fault(name, part, allowed);
        }
        parts
    }

    /// A text that has a form.
    fn text(&mut self, name: &str, default: &str, allowed: &str, fits: impl Fn(&str) -> bool) -> String {
        self.parsed(name, default.to_owned(), allowed, |text| fits(text).then(|| text.to_owned()))
    }

    fn seconds(&mut self, name: &str, default: u64) -> Duration {
        self.seconds_of_at_least(name, default, 1)
    }

    fn seconds_of_at_least(&mut self, name: &str, default: u64, least: i64) -> Duration {
        let number = self.number(name, i64::try_from(default).unwrap_or(i64::MAX), least..=LONGEST_SECONDS);
        Duration::from_secs(u64::try_from(number).unwrap_or(default))
    }

    fn milliseconds(&mut self, name: &str, default: u64, least: i64) -> Duration {
        let number = self.number(name, i64::try_from(default).unwrap_or(i64::MAX), least..=1_000 * LONGEST_SECONDS);
        Duration::from_millis(u64::try_from(number).unwrap_or(default))
    }

    /// A flag that has a default of its own elsewhere.
    fn choice(&mut self, name: &str) -> Option<bool> {
        self.parsed(name, None, "1, true, yes, on, 0, false, no or off", |text| parse_flag(text).map(Some))
    }
}

fn parse_flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

impl Config {
    /// Reads settings from environment variables and, below them, from the text of a TOML file whose keys are the
    /// variables' names in lower case.
    ///
    /// # Errors
    /// All faults at once. Settings that name a file with a value are among them: see [`Config::read_with_files`].
    pub fn read(
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<&str>,
    ) -> Result<Self, ConfigError> {
        Self::read_with_files(environment, file, &|_| Err("files are not read here".to_owned()))
    }

    /// As [`Config::read`], where the files that settings name are read with `files`.
    ///
    /// # Errors
    /// All faults at once.
    pub fn read_with_files(
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<&str>,
        files: ReadFile<'_>,
    ) -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        if let Some(file) = file {
            match file.parse::<toml::Table>() {
                Ok(table) => {
                    for (key, value) in table {
                        let name = key.to_ascii_uppercase();
                        if ENVIRONMENT.contains(&name.as_str()) {
                            warnings.push(format!(
                                "{key} is in the configuration file, but read from the environment alone"
                            ));
                        } else if !is_known(&name) {
                            warnings.push(format!("{key} is in the configuration file, but no setting of this server"));
                        }
                        let text = match value {
                            toml::Value::String(text) => text,
                            toml::Value::Array(parts) => list_text(parts),
                            other => other.to_string(),
                        };
                        values.insert(name, text);
                    }
                }
                Err(error) => faults.push(format!("the configuration file is not TOML: {}", error.message())),
            }
        }
        for (name, value) in environment {
            if name.starts_with("JHE_") && !is_known(&name) && !OF_CLIENTS.contains(&&*name) {
                warnings.push(format!("{name} is not a variable of this server"));
            }
            values.insert(name, value);
        }
        let mut reader = Reader { values, faults, files };
        let mut config = read(&mut reader);
        config.warnings.extend(warnings);
        if reader.faults.is_empty() { Ok(config) } else { Err(ConfigError { faults: reader.faults }) }
    }
}

/// A list as its variable would have it.
fn list_text(parts: Vec<toml::Value>) -> String {
    let texts = parts.into_iter().map(|part| match part {
        toml::Value::String(text) => text,
        other => other.to_string(),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Not of the server's settings: read by the shell's commands, the log and what starts the private database.
const ENVIRONMENT: [&str; 3] = ["JHE_PASSWORD", "JHE_PG_BIN", "NO_COLOR"];

fn is_known(name: &str) -> bool {
    let is_named = |variable: &Variable, name: &str| variable.name == name || variable.alias == Some(name);
    let in_file = name.strip_suffix(file::SUFFIX);
    let is_variable = |variable: &Variable| {
        is_named(variable, name) || in_file.is_some_and(|name| variable.secret && is_named(variable, name))
    };
    ENVIRONMENT.contains(&name) || VARIABLES.iter().any(is_variable)
}

fn read(reader: &mut Reader<'_>) -> Config {
    let default_url = SiteUrl("http://localhost:8000".to_owned());
    let url = reader.parsed("SITE_URL", default_url, "an http or https URL without a path", SiteUrl::parse);
    let debug = reader.flag("DEBUG", false);
    let named = reader.parsed("JHE_ENV", None, "production or development", |text| match text {
        "production" => Some(Some(true)),
        "development" => Some(Some(false)),
        _ => None,
    });
    let production = !debug && named.unwrap_or_else(|| url.is_https() && !url.is_loopback());
    let site = read_site(reader, url, production);
    let auth = read_auth(reader, production);
    let (database, mut warnings) = Database::read(reader);
    if site.url.as_str().starts_with("http:") && !site.url.is_loopback() {
        warnings.push(format!(
            "SITE_URL is {}: without https passwords and readings can be read on their way, and this is development mode",
            site.url.as_str()
        ));
    }
    if site.ssl_redirect && site.trusted_proxies == Networks::default() {
        warnings.push(
            "SECURE_SSL_REDIRECT without JHE_TRUSTED_PROXIES: nobody is believed to have come with TLS, so all are sent away"
                .to_owned(),
        );
    }
    // Links in the log are for those who asked for development mode, not for whoever named no address.
    let mail = Mail::read(reader, debug || named == Some(false));
    if mail.is_delivered() && reader.get("DEFAULT_FROM_EMAIL").is_none() {
        warnings.push(format!(
            "DEFAULT_FROM_EMAIL is not set: mail is sent as {}, which other mail servers may refuse",
            mail.from
        ));
    }
    Config {
        site,
        server: Server::read(reader),
        database,
        limits: Limits {
            fhir_body_bytes: reader.size("MAX_BODY_BYTES", 20 * 1024 * 1024),
            body_bytes: reader.size("JHE_MAX_BODY_BYTES", 1024 * 1024),
            max_batch_entries: reader.size("MAX_BATCH_ENTRIES", 5000),
            max_omh_bytes: reader.size("MAX_OMH_BYTES", 1024 * 1024),
            uri_bytes: reader.size("JHE_MAX_URI_BYTES", 16 * 1024),
            header_bytes: reader.size("JHE_MAX_HEADER_BYTES", 32 * 1024),
            max_requests: reader.size("JHE_MAX_REQUESTS", 1024),
        },
        tokens: Tokens {
            access: reader.number("ACCESS_TOKEN_TTL", 36_000, 1..=LONGEST_SECONDS),
            id: reader.number("ID_TOKEN_TTL", 36_000, 1..=LONGEST_SECONDS),
            code: reader.number("AUTH_CODE_TTL", 60, 1..=LONGEST_SECONDS),
            refresh: reader.number("REFRESH_TOKEN_TTL", 15_552_000, 1..=LONGEST_SECONDS),
            refresh_max: reader.number("REFRESH_TOKEN_MAX", 0, 0..=LONGEST_SECONDS),
            refresh_grace: reader.number("REFRESH_TOKEN_GRACE", 60, 0..=LONGEST_SECONDS),
            email_link: reader.number("EMAIL_LINK_TTL", 86_400, 1..=LONGEST_SECONDS),
            jwt: reader.parsed("JHE_ACCESS_TOKEN_FORMAT", false, "opaque or jwt", |text| match text {
                "opaque" => Some(false),
                "jwt" => Some(true),
                _ => None,
            }),
        },
        auth,
        invitation: read_invitation(reader),
        mail,
        traces: Traces::read(reader),
        seeding: read_seeding(reader, production),
        warnings,
    }
}

fn read_site(reader: &mut Reader<'_>, url: SiteUrl, production: bool) -> Site {
    let allowed = "host names with a port or without, a dot before those of a whole domain, or *";
    let hosts = reader.list_of("ALLOWED_HOSTS", allowed, |host| host == "*" || form::is_host(host));
    let mut allowed_hosts: Vec<String> = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
    if allowed_hosts.is_empty() && !url.is_loopback() {
        allowed_hosts.push(url.host().to_ascii_lowercase());
    }
    let trusted_proxies = match Networks::parse(&reader.get("JHE_TRUSTED_PROXIES").unwrap_or_default()) {
        Ok(networks) => networks,
        Err(part) => {
            reader.fault("JHE_TRUSTED_PROXIES", &part, "a comma-separated list of addresses or CIDR networks");
            Networks::default()
        }
    };
    let x_frame_options = reader.parsed("X_FRAME_OPTIONS", "SAMEORIGIN".to_owned(), "DENY or SAMEORIGIN", |text| {
        matches!(text.to_ascii_uppercase().as_str(), "DENY" | "SAMEORIGIN").then(|| text.to_ascii_uppercase())
    });
    Site {
        url,
        allowed_hosts,
        trusted_proxies,
        cors_allowed_origins: origins(
            reader,
            "CORS_ALLOWED_ORIGINS",
            "origins such as https://app.example.org, or *",
            true,
        ),
        csrf_trusted_origins: origins(reader, "CSRF_TRUSTED_ORIGINS", "origins such as https://app.example.org", false),
        x_frame_options,
        time_zone: reader.text(
            "TIME_ZONE",
            "America/Los_Angeles",
            "a name of the IANA time zone database, such as Europe/Berlin",
            form::is_time_zone,
        ),
        practitioner_default_orgs: reader.text(
            "PRACTITIONER_DEFAULT_ORGS",
            "",
            "organization:role pairs separated by ;, with the roles viewer, member and manager, each organization once",
            |text| parse_memberships(text).is_some(),
        ),
        well_known_dir: reader.get("JHE_WELL_KNOWN_DIR").map(PathBuf::from),
        omh_schema_dirs: reader.list("OMH_SCHEMA_DIR").into_iter().map(PathBuf::from).collect(),
        production,
        ssl_redirect: reader.flag("SECURE_SSL_REDIRECT", false),
        session_cookie_secure: cookie_secure(reader, "SESSION_COOKIE_SECURE", production),
        csrf_cookie_secure: cookie_secure(reader, "CSRF_COOKIE_SECURE", production),
    }
}

/// Origins, as browsers write them: in lower case and without a slash at the end.
fn origins(reader: &mut Reader<'_>, name: &str, allowed: &str, is_any_allowed: bool) -> Vec<String> {
    let plain = |origin: &str| origin.trim_end_matches('/').to_ascii_lowercase();
    let fits = |origin: &str| (is_any_allowed && origin == "*") || form::is_origin(&plain(origin));
    reader.list_of(name, allowed, fits).iter().map(|origin| plain(origin)).collect()
}

/// Whether a cookie travels over TLS only, where that is said: an off switch is for development.
fn cookie_secure(reader: &mut Reader<'_>, name: &str, production: bool) -> Option<bool> {
    let chosen = reader.choice(name);
    if production && chosen == Some(false) {
        reader.fault(name, "0", "1 in production mode");
    }
    chosen
}

/// The secret of the EHR launch client in development, which is published.
pub const EXAMPLE_SOF_SECRET: &str = "sof-ehr-launch-dev-secret";

fn read_seeding(reader: &mut Reader<'_>, production: bool) -> Seeding {
    let sof_client_secret = reader.secret("SOF_EHR_LAUNCH_CLIENT_SECRET");
    if production && sof_client_secret.as_ref().is_some_and(|secret| secret.reveal() == EXAMPLE_SOF_SECRET) {
        reader.fault("SOF_EHR_LAUNCH_CLIENT_SECRET", "", "one of your own: that of the example is known to all");
    }
    let demo = reader.flag("JHE_DEMO", false);
    if production && demo {
        reader.fault("JHE_DEMO", "1", "0 in production mode: the password of the demo data is known to all");
    }
    Seeding { demo, sof_client_id: reader.get("SOF_EHR_LAUNCH_CLIENT_ID"), sof_client_secret }
}

fn read_auth(reader: &mut Reader<'_>, production: bool) -> Auth {
    let secret_key = reader.secret("SECRET_KEY");
    match &secret_key {
        None if production => {
            reader.faults.push("SECRET_KEY is not set; production mode needs at least 32 bytes".to_owned());
        }
        Some(key) if key.reveal().len() < 32 && production => reader.fault("SECRET_KEY", "", "at least 32 bytes"),
        // What Django's example projects begin with: whoever has read one knows it.
        Some(key) if key.reveal().starts_with("django-insecure-") && production => {
            reader.fault("SECRET_KEY", "", "one of your own: that of an example is known to all");
        }
        _ => {}
    }
    let throttle = reader.flag("AUTH_THROTTLE", true);
    if !throttle && production {
        reader.fault("AUTH_THROTTLE", "0", "1 in production mode");
    }
    Auth {
        secret_key,
        data_encryption_key: reader.secret("DATA_ENCRYPTION_KEY"),
        generate_keys: reader.flag("JHE_GENERATE_KEYS", true),
        oidc_rsa_private_key: reader.secret("OIDC_RSA_PRIVATE_KEY"),
        oidc_rsa_private_keys_inactive: reader.secret("OIDC_RSA_PRIVATE_KEYS_INACTIVE"),
        oidc_client_id: reader.parsed(
            "OIDC_CLIENT_ID",
            None,
            "up to 255 printable ASCII characters without spaces",
            |text| {
                (text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Some(text.to_owned()))
            },
        ),
        password_grant: reader.flag("AUTH_PASSWORD_GRANT", true),
        throttle,
        hashing_wait: reader.milliseconds("JHE_LOGIN_WAIT_MS", 100, 1),
        registration_invite_code: reader.get("REGISTRATION_INVITE_CODE"),
        sof_allow_private: reader.flag("JHE_SOF_ALLOW_PRIVATE", false),
        sof_ca_file: reader.get("JHE_SOF_CA_FILE").map(PathBuf::from),
    }
}

fn read_invitation(reader: &mut Reader<'_>) -> Invitation {
    let verifier = reader.secret("PATIENT_AUTHORIZATION_CODE_VERIFIER");
    let challenge = reader.get("PATIENT_AUTHORIZATION_CODE_CHALLENGE");
    let well_formed = |text: &String| {
        text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // With a verifier the challenge is derived; without one a challenge of the wrong form could never be met.
    if let (Some(text), None) = (&challenge, &verifier)
        && !well_formed(text)
    {
        let text = text.clone();
        reader.fault("PATIENT_AUTHORIZATION_CODE_CHALLENGE", &text, "43 base64url characters");
    }
    if let Some(secret) = &verifier {
        let text = secret.reveal();
        let fits = (43..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'));
        if !fits {
            reader.fault("PATIENT_AUTHORIZATION_CODE_VERIFIER", "", "43 to 128 letters, digits, -, ., _ or ~");
        }
    }
    Invitation {
        verifier,
        challenge: challenge.filter(well_formed),
        code_expire_seconds: reader.number("PATIENT_AUTHORIZATION_CODE_EXPIRE_SECONDS", 1_209_600, 1..=LONGEST_SECONDS),
        link_prefix: reader.get("CH_INVITATION_LINK_PREFIX").unwrap_or_default(),
        // Any text but an explicit no counts as yes: that is how deployments set it.
        exclude_host: reader
            .get("CH_INVITATION_LINK_EXCLUDE_HOST")
            .is_some_and(|text| parse_flag(&text) != Some(false)),
        separator: reader.get("JHE_INVITATION_LINK_SEPARATOR").unwrap_or_else(|| "|".to_owned()),
        encode: reader.flag("JHE_INVITATION_LINK_ENCODE", false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), None)
    }

    #[test]
    fn defaults_are_a_development_server_on_loopback() {
        let config = read(&[]).unwrap();
        assert_eq!(config.site.url.as_str(), "http://localhost:8000");
        assert!(!config.site.production);
        for host in ["localhost", "localhost:9999", "127.0.0.1:1", "[::1]:8000"] {
            assert!(config.site.allows_host(host), "{host}");
        }
        assert!(!config.site.allows_host("evil.example"));
    }

    #[test]
    fn production_needs_a_secret_and_throttling() {
        let fault = |pairs: &[(&str, &str)]| read(pairs).unwrap_err().to_string();
        assert!(fault(&[("SITE_URL", "https://jhe.example.org")]).contains("SECRET_KEY"));
        let long = "x".repeat(32);
        let text = fault(&[("SITE_URL", "https://jhe.example.org"), ("SECRET_KEY", &long), ("AUTH_THROTTLE", "0")]);
        assert!(text.contains("AUTH_THROTTLE"));
        let example = format!("django-insecure-{long}");
        assert!(fault(&[("SITE_URL", "https://jhe.example.org"), ("SECRET_KEY", &example)]).contains("known to all"));
        let sof = [("SECRET_KEY", long.as_str()), ("SOF_EHR_LAUNCH_CLIENT_SECRET", EXAMPLE_SOF_SECRET)];
        let text = fault(&[&[("SITE_URL", "https://jhe.example.org")][..], &sof].concat());
        assert!(text.contains("SOF_EHR_LAUNCH_CLIENT_SECRET is \"[secret]\""), "{text}");
        assert!(read(&sof).is_ok() && read(&[("SECRET_KEY", &example)]).is_ok(), "development may");
        let demo = |name, value| fault(&[(name, value), ("SECRET_KEY", &long), ("JHE_DEMO", "1")]);
        for (name, value) in [("SITE_URL", "https://jhe.example.org"), ("JHE_ENV", "production")] {
            assert!(demo(name, value).starts_with("JHE_DEMO is \"1\"; allowed is 0 in production mode"), "{name}");
        }
        assert!(read(&[("JHE_DEMO", "1")]).unwrap().seeding.demo);
        let config = read(&[("SITE_URL", "https://jhe.example.org/"), ("SECRET_KEY", &long)]).unwrap();
        assert!(config.site.production);
        assert!(config.site.allows_host("jhe.example.org"));
        assert!(!config.site.allows_host("localhost"));
        assert!(!read(&[("SITE_URL", "https://jhe.example.org"), ("DEBUG", "1")]).unwrap().site.production);
    }

    #[test]
    fn cookies_travel_without_tls_in_development_only() {
        assert_eq!(read(&[("SESSION_COOKIE_SECURE", "0")]).unwrap().site.session_cookie_secure, Some(false));
        let long = "x".repeat(32);
        let production = [("SITE_URL", "https://jhe.example.org"), ("SECRET_KEY", &long), ("CSRF_COOKIE_SECURE", "0")];
        assert!(read(&production).unwrap_err().to_string().contains("CSRF_COOKIE_SECURE"));
    }

    #[test]
    fn values_of_the_wrong_form_are_told_with_what_is_allowed() {
        let check = |name: &str, value: &str| {
            let text = read(&[(name, value)]).unwrap_err().to_string();
            assert!(
                text.starts_with(&format!("{name} is \"")) && text.contains("; allowed is "),
                "{name}={value}: {text}"
            );
        };
        for (name, value) in [
            ("JHE_LOG", "verbose"),
            ("TIME_ZONE", "+02:00"),
            ("CORS_ALLOWED_ORIGINS", "https://a.example, b.example"),
            ("CSRF_TRUSTED_ORIGINS", "*"),
            ("ALLOWED_HOSTS", "https://a.example"),
            ("PRACTITIONER_DEFAULT_ORGS", "20003"),
            ("OIDC_CLIENT_ID", "a b"),
            ("SMTP_PORT", "0"),
            ("SMTP_PORT", "smtp"),
            ("JHE_SMTP_SECURITY", "ssl"),
            ("DEFAULT_FROM_EMAIL", "nobody"),
        ] {
            check(name, value);
        }
        let site = read(&[
            ("CORS_ALLOWED_ORIGINS", "*,https://A.example/"),
            ("ALLOWED_HOSTS", ".Example.org,*"),
            ("PRACTITIONER_DEFAULT_ORGS", "20003:m"),
        ]);
        let site = site.unwrap().site;
        assert_eq!(site.cors_allowed_origins, ["*", "https://a.example"]);
        assert_eq!(site.allowed_hosts, [".example.org", "*"]);
    }

    #[test]
    fn all_faults_are_told_at_once_and_secrets_are_masked() {
        let error =
            read(&[("JHE_BIND", "nowhere"), ("ACCESS_TOKEN_TTL", "soon"), ("DATABASE_URL", "mysql://u:hunter2@h/d")])
                .unwrap_err();
        assert_eq!(error.faults.len(), 3);
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn an_alias_that_differs_is_a_fault() {
        assert!(read(&[("ACCESS_TOKEN_TTL", "60"), ("JHE_ACCESS_TOKEN_SECONDS", "61")]).is_err());
        assert_eq!(read(&[("JHE_ACCESS_TOKEN_SECONDS", "61")]).unwrap().tokens.access, 61);
    }

    #[test]
    fn a_challenge_of_the_wrong_form_needs_a_verifier() {
        assert!(read(&[("PATIENT_AUTHORIZATION_CODE_CHALLENGE", "short")]).is_err());
        let verifier = "f".repeat(50);
        let pairs = [
            ("PATIENT_AUTHORIZATION_CODE_CHALLENGE", "short"),
            ("PATIENT_AUTHORIZATION_CODE_VERIFIER", verifier.as_str()),
        ];
        assert!(read(&pairs).unwrap().invitation.challenge.is_none());
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let file = "jhe_log = \"debug\"\naccess_token_ttl = 5\nallowed_hosts = [\"a.example\", \"b.example\"]";
        let config = Config::read([("JHE_LOG".to_owned(), "warn".to_owned())], Some(file)).unwrap();
        assert_eq!((config.server.log.as_str(), config.tokens.access), ("warn", 5));
        assert_eq!(config.site.allowed_hosts, ["a.example", "b.example"]);
    }

    #[test]
    fn keys_of_the_file_that_nobody_reads_are_told() {
        let file = "jhe_log = \"debug\"\nsite_ulr = \"x\"\njhe_pg_bin = \"/x\"\nsecret_key_file = \"\"\n[mail]\nsmtp_host = \"x\"";
        let config = Config::read([("HOME".to_owned(), "/root".to_owned())], Some(file)).unwrap();
        let told: Vec<_> = config.warnings.iter().map(|text| text.split(' ').next().unwrap()).collect();
        assert_eq!(told, ["jhe_pg_bin", "mail", "site_ulr"], "{:?}", config.warnings);
    }

    #[test]
    fn a_sender_that_nobody_chose_is_told() {
        let warnings = |pairs: &[(&str, &str)]| read(pairs).unwrap().warnings;
        let [told] = &warnings(&[("SMTP_HOST", "mail")])[..] else { panic!("one warning") };
        assert!(told.starts_with("DEFAULT_FROM_EMAIL is not set"), "{told}");
        let chosen = [("SMTP_HOST", "mail"), ("DEFAULT_FROM_EMAIL", "jhe@example.org")];
        assert!(warnings(&chosen).is_empty() && warnings(&[]).is_empty());
        let [told] = &warnings(&[("SITE_URL", "http://jhe.example.org")])[..] else { panic!("one warning") };
        assert!(told.starts_with("SITE_URL is http://jhe.example.org"), "{told}");
    }

    #[test]
    fn the_documentation_holds_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&markdown_table()), "docs/configuration.md is stale; run `cargo xtask generate`");
    }
}
