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
        None if lacks_starttls(error) => {
            "the mail server was reached, but offers no STARTTLS; JHE_SMTP_SECURITY says what \
                                          else is allowed"
                .to_owned()
        }
        None if error.is_client() || error.is_response() => {
            "the mail server was reached, but offers nothing that both sides know".to_owned()
        }
        None => "the mail server could not be reached".to_owned(),
    };
    MailFault { reason, permanent: error.is_permanent() }
}

/// The library tells this by its words alone.
fn lacks_starttls(error: &lettre::transport::smtp::Error) -> bool {
    let source = std::error::Error::source(error);
    error.is_client() && source.is_some_and(|source| source.to_string().starts_with("STARTTLS"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Why a mail is not sent to a port of this machine over a connection that must be protected.
    async fn refusal(port: u16) -> String {
        let smtp =
            Smtp { host: "127.0.0.1".to_owned(), port, user: None, password: None, security: SmtpSecurity::StartTls };
        let mail = Mail { transport: MailTransport::Smtp(smtp), from: "jhe@example.org".to_owned(), reply_to: None };
        let outgoing = Outgoing {
            recipient: Phi::new("someone@example.org".to_owned()),
            subject: "A".to_owned(),
            text: Phi::new("B".to_owned()),
            html: None,
        };
        Mailer::new(&mail).unwrap().send(&outgoing).await.unwrap_err().reason
    }

    #[tokio::test]
    async fn a_mail_server_without_tls_is_told_from_one_that_is_not_there() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 catcher\r\n").await.unwrap();
            let mut greeting = [0; 512];
            assert_ne!(stream.read(&mut greeting).await.unwrap(), 0);
            stream.write_all(b"250-catcher\r\n250 8BITMIME\r\n").await.unwrap();
            // Until the other side hangs up.
            stream.read_to_end(&mut Vec::new()).await.ok();
        });
        let reason = refusal(port).await;
        assert!(reason.starts_with("the mail server was reached, but offers no STARTTLS"), "{reason}");
        server.await.unwrap();
        assert_eq!(refusal(port).await, "the mail server could not be reached");
    }
}
