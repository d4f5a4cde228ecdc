//! How mail leaves the server (integrations §7).

use std::path::PathBuf;

use crate::network::is_loopback;
use crate::{Reader, Secret};

/// How mail leaves the server.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Where to.
    pub transport: MailTransport,
    /// Sender.
    pub from: String,
    /// Whom answers go to.
    pub reply_to: Option<String>,
}

/// Where mail goes.
#[derive(Debug, Clone)]
pub enum MailTransport {
    /// To a mail server.
    Smtp(Smtp),
    /// Into a folder, one file each.
    Folder(PathBuf),
    /// Into the log: that there was one, and what it says where that is wanted.
    Log {
        /// Recipient and text too.
        whole: bool,
    },
}

/// A mail server.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Account there.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Protection of the connection.
    pub security: SmtpSecurity,
}

/// Protection of the connection to a mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS after STARTTLS, else nothing is sent.
    StartTls,
    /// TLS after STARTTLS where the server has it: for servers on this machine.
    Opportunistic,
    /// TLS from the start.
    Tls,
    /// None.
    None,
}

impl SmtpSecurity {
    /// As `JHE_SMTP_SECURITY` has it; what holds without it for a server on this machine has no name there.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Opportunistic => "starttls where it is offered",
            Self::Tls => "tls",
            Self::None => "none",
        }
    }
}

impl Mail {
    /// Whether somebody gets what is sent.
    pub const fn is_delivered(&self) -> bool {
        matches!(self.transport, MailTransport::Smtp(_))
    }

    pub(crate) fn read(reader: &mut Reader<'_>, development: bool) -> Self {
        let host = reader.get("SMTP_HOST");
        // Read without a host too: a wrong value is told at once, not on the day the host is set.
        let smtp = Smtp::read(reader, host.clone().unwrap_or_default());
        let transport = match (host, reader.get("JHE_MAIL_DIR")) {
            (Some(_), _) => MailTransport::Smtp(smtp),
            (None, Some(folder)) => MailTransport::Folder(PathBuf::from(folder)),
            (None, None) => MailTransport::Log { whole: development },
        };
        let from = reader.parsed("DEFAULT_FROM_EMAIL", "support@jhe.org".to_owned(), "an e-mail address", |text| {
            text.contains('@').then(|| text.to_owned())
        });
        Self { transport, from, reply_to: reader.get("JHE_MAIL_REPLY_TO") }
    }
}

impl Smtp {
    fn read(reader: &mut Reader<'_>, host: String) -> Self {
        let unset = if is_loopback(&host) { SmtpSecurity::Opportunistic } else { SmtpSecurity::StartTls };
        let security = reader.parsed("JHE_SMTP_SECURITY", unset, "starttls, tls or none", |text| match text {
            "starttls" => Some(SmtpSecurity::StartTls),
            "tls" => Some(SmtpSecurity::Tls),
            "none" => Some(SmtpSecurity::None),
            _ => None,
        });
        Self {
            host,
            port: reader
                .parsed("SMTP_PORT", 587, "a port from 1 to 65535", |text| text.parse().ok().filter(|port| *port > 0)),
            user: reader.get("SMTP_USER"),
            password: reader.secret("SMTP_PASSWORD"),
            security,
        }
    }
}
