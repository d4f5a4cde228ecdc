//! A mail server that keeps what it gets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A mail as it arrived.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Whom it was sent to.
    pub recipient: String,
    /// Subject.
    pub subject: String,
    /// Headers and parts, transfer encodings undone.
    pub text: String,
}

impl Mail {
    /// The first address in it that starts with a prefix.
    #[track_caller]
    pub fn link(&self, prefix: &str) -> String {
        let start = self.text.find(prefix).unwrap_or_else(|| panic!("no {prefix} in {}", self.text));
        self.text[start..].chars().take_while(|letter| !letter.is_whitespace() && !"\"<".contains(*letter)).collect()
    }
}

/// The mail server of one test.
#[derive(Clone)]
pub struct Mailbox {
    /// Where it listens.
    pub port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl Mailbox {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mailbox =
            Self { port: listener.local_addr().expect("an address").port(), mails: Arc::new(Mutex::new(Vec::new())) };
        let kept = mailbox.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, kept.clone()));
            }
        });
        mailbox
    }

    /// How many mails came for an address.
    pub fn count(&self, recipient: &str) -> usize {
        self.mails.lock().unwrap().iter().filter(|mail| mail.recipient.eq_ignore_ascii_case(recipient)).count()
    }

    /// Waits for the mail for an address that has this number, counted from one.
    #[track_caller]
    pub fn wait(&self, recipient: &str, number: usize) -> impl Future<Output = Mail> {
        let (mailbox, recipient) = (self.clone(), recipient.to_owned());
        async move {
            for _ in 0..1_200 {
                let mails = mailbox.mails.lock().unwrap().clone();
                let mut found = mails.into_iter().filter(|mail| mail.recipient.eq_ignore_ascii_case(&recipient));
                if let Some(mail) = found.nth(number - 1) {
                    return mail;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            panic!("mail {number} did not come")
        }
    }
}

async fn serve(stream: TcpStream, mailbox: Mailbox) -> Option<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 mailbox\r\n").await.ok()?;
    let mut recipient = String::new();
    while let Some(line) = lines.next_line().await.ok()? {
        let command = line.to_ascii_uppercase();
        let answer = if command.starts_with("DATA") {
            writer.write_all(b"354 go on\r\n").await.ok()?;
            let mut text = String::new();
            while let Some(line) = lines.next_line().await.ok()? {
                if line == "." {
                    break;
                }
                text.push_str(line.strip_prefix('.').unwrap_or(&line));
                text.push('\n');
            }
            mailbox.mails.lock().unwrap().push(read(&recipient, &text));
            "250 kept"
        } else if command.starts_with("RCPT TO:") {
            recipient = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            "250 fine"
        } else if command.starts_with("QUIT") {
            writer.write_all(b"221 bye\r\n").await.ok()?;
            return Some(());
        } else {
            "250 fine"
        };
        writer.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
    Some(())
}

fn read(recipient: &str, raw: &str) -> Mail {
    let subject = raw.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().to_owned();
    let text = if raw.contains("quoted-printable") { unquoted(raw) } else { raw.to_owned() };
    Mail { recipient: recipient.to_owned(), subject, text }
}

/// Undoes quoted-printable (RFC 2045 §6.7).
fn unquoted(raw: &str) -> String {
    let joined = raw.replace("=\n", "");
    let mut bytes = Vec::with_capacity(joined.len());
    let mut rest = joined.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'=').then(|| tail.get(..2)).flatten();
        let byte = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
