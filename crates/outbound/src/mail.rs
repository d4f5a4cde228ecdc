//! Mail: to a mail server, into a folder, or into the log (integrations §7).

use std::path::Path;
use std::time::Duration;

use jhe_config::{Mail, MailTransport, Smtp, SmtpSecurity};
use jhe_domain::Phi;
use jhe_domain::error::Error;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

/// How long a mail server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A mail to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Address.
    pub recipient: Phi<String>,
    /// Subject; holds nothing about the recipient.
    pub subject: String,
    /// Plain text.
    pub text: Phi<String>,
    /// The same as HTML.
    pub html: Option<Phi<String>>,
}

/// Why a mail was not sent. Names no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct MailFault {
    /// In words.
    pub reason: String,
    /// Trying again would not help.
    pub permanent: bool,
}

impl MailFault {
    /// A fault that remains.
    pub fn permanent(reason: &str) -> Self {
        Self { reason: reason.to_owned(), permanent: true }
    }
}

/// Sends mail.
pub struct Mailer {
    transport: Transport,
    from: Mailbox,
    reply_to: Option<Mailbox>,
}

enum Transport {
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
    Folder(AsyncFileTransport<Tokio1Executor>),
    Log { whole: bool },
}

impl Mailer {
    /// Prepares to send; connects to nothing yet.
    pub fn new(mail: &Mail) -> Result<Self, Error> {
        let mailbox =
            |text: &str| text.parse::<Mailbox>().map_err(|_| Error::internal("the sender is no mail address"));
        let transport = match &mail.transport {
            MailTransport::Smtp(smtp) => Transport::Smtp(Box::new(connect(smtp)?)),
            MailTransport::Folder(folder) => Transport::Folder(folder_transport(folder)?),
            MailTransport::Log { whole } => Transport::Log { whole: *whole },
        };
        let reply_to = mail.reply_to.as_deref().map(mailbox).transpose()?;
        Ok(Self { transport, from: mailbox(&mail.from)?, reply_to })
    }

    /// Sends one mail.
    pub async fn send(&self, mail: &Outgoing) -> Result<(), MailFault> {
        match &self.transport {
            Transport::Smtp(smtp) => match smtp.send(self.compose(mail)?).await {
                Ok(_) => Ok(()),
                Err(error) => Err(smtp_fault(&error)),
            },
            Transport::Folder(folder) => match folder.send(self.compose(mail)?).await {
                Ok(_) => Ok(()),
                Err(_) => Err(MailFault { reason: "the folder cannot be written".to_owned(), permanent: false }),
            },
            Transport::Log { whole: true } => {
                let (recipient, text) = (mail.recipient.reveal(), mail.text.reveal());
                tracing::info!(
                    subject = mail.subject,
                    recipient,
                    "mail, shown because this is development mode:\n{text}"
                );
                Ok(())
            }
            Transport::Log { whole: false } => {
                tracing::warn!(subject = mail.subject, "a mail goes nowhere: SMTP_HOST is not set");
                Ok(())
            }
        }
    }

    fn compose(&self, mail: &Outgoing) -> Result<Message, MailFault> {
        let address = mail.recipient.reveal().parse().map_err(|_| MailFault::permanent("the address is malformed"))?;
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, address))
            .subject(mail.subject.clone())
            .message_id(None);
        if let Some(reply_to) = &self.reply_to {
            message = message.reply_to(reply_to.clone());
        }
        let text = mail.text.reveal().clone();
        let message = match &mail.html {
            Some(html) => message.multipart(MultiPart::alternative_plain_html(text, html.reveal().clone())),
            None => message.singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text)),
        };
        message.map_err(|_| MailFault::permanent("the mail cannot be composed"))
    }
}

fn folder_transport(folder: &Path) -> Result<AsyncFileTransport<Tokio1Executor>, Error> {
    std::fs::create_dir_all(folder).map_err(Error::internal)?;
    Ok(AsyncFileTransport::new(folder))
}

fn connect(smtp: &Smtp) -> Result<AsyncSmtpTransport<Tokio1Executor>, Error> {
    let parameters = || TlsParameters::new(smtp.host.clone()).map_err(Error::internal);
    let tls = match smtp.security {
        SmtpSecurity::StartTls => Tls::Required(parameters()?),
        SmtpSecurity::Opportunistic => Tls::Opportunistic(parameters()?),
        SmtpSecurity::Tls => Tls::Wrapper(parameters()?),
        SmtpSecurity::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
        .port(smtp.port)
        .timeout(Some(TIMEOUT))
        .tls(tls);
    if let (Some(user), Some(password)) = (&smtp.user, &smtp.password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.reveal().to_owned()));
    }
    Ok(builder.build())
}

/// What a mail server said, without its words: those may repeat the address.
fn smtp_fault(error: &lettre::transport::smtp::Error) -> MailFault {
    let reason = match error.status() {
        Some(code) => format!("the mail server answered {code}"),
        None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
        None if error.is_tls() => "the connection to the mail server could not be protected".to_owned(),
        None => "the mail server could not be reached".to_owned(),
    };
    MailFault { reason, permanent: error.is_permanent() }
}
