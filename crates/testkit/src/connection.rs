//! As little HTTP/1.1 as a load needs: the load shares the machine with what it drives. A connection is one connection:
//! nothing is opened again or sent again behind the caller's back.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection that is kept.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its status line and headers.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// A member of a JSON body that is text.
    pub fn text(&self, name: &str) -> Result<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body)?;
        let text = body.get(name).and_then(serde_json::Value::as_str).with_context(|| format!("no {name}"))?;
        Ok(text.to_owned())
    }
}

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// Status.
    pub status: u16,
    /// Status line and headers.
    pub text: String,
    /// How many bytes it has, after which the body begins.
    pub length: usize,
}

impl Head {
    /// The head at the beginning of what has arrived; `None` while it is not all there.
    pub fn of(arrived: &[u8]) -> Result<Option<Self>> {
        let Some(end) = arrived.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let length = end + 4;
        let text = String::from_utf8_lossy(arrived.get(..length).unwrap_or_default()).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status line")?;
        Ok(Some(Self { status, text, length }))
    }

    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.text, name)
    }

    /// How many bytes the body has, unless it comes in chunks.
    pub fn body_length(&self) -> Option<usize> {
        let chunked = self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        (!chunked).then(|| self.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0))
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl Connection {
    /// Opens one.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: format!("localhost:{}", address.port()), buffer: Vec::with_capacity(16 * 1024) })
    }

    /// The stream alone, for callers that do not wait.
    ///
    /// # Errors
    /// When the stream cannot leave the runtime.
    pub fn into_stream(self) -> Result<std::net::TcpStream> {
        Ok(self.stream.into_std()?)
    }

    /// The bytes that ask. `headers` are whole lines.
    pub fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let (host, length) = (&self.host, body.len());
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}content-length: {length}\r\n\r\n{body}")
    }

    /// The bytes that post a form.
    pub fn form_request(&self, path: &str, headers: &str, body: &str) -> String {
        self.request("POST", path, &format!("content-type: application/x-www-form-urlencoded\r\n{headers}"), body)
    }

    /// Posts a form.
    pub async fn form(&mut self, path: &str, headers: &str, body: &str) -> Result<Answer> {
        let request = self.form_request(path, headers, body);
        self.ask(&request).await
    }

    /// Asks and waits for the answer. `headers` are whole lines.
    pub async fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Result<Answer> {
        let request = self.request(method, path, headers, body);
        self.ask(&request).await
    }

    /// Sends bytes that ask and waits for the answer.
    pub async fn ask(&mut self, request: &str) -> Result<Answer> {
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(head) = Head::of(&self.buffer)? {
                break head;
            }
            self.fill().await?;
        };
        let body = match head.body_length() {
            None => self.chunks(head.length).await?,
            Some(length) => {
                while self.buffer.len() < head.length + length {
                    self.fill().await?;
                }
                self.buffer.split_off(head.length)
            }
        };
        Ok(Answer { status: head.status, head: head.text, body })
    }

    /// A body in chunks, which begin at a place of the buffer (RFC 9112 §7.1); there are no trailers.
    async fn chunks(&mut self, mut at: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let rest = self.buffer.get(at..).unwrap_or_default();
            let Some(line) = rest.windows(2).position(|window| window == b"\r\n") else {
                self.fill().await?;
                continue;
            };
            let size = std::str::from_utf8(rest.get(..line).unwrap_or_default())?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
            let start = at + line + 2;
            while self.buffer.len() < start + size + 2 {
                self.fill().await?;
            }
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(self.buffer.get(start..start + size).unwrap_or_default());
            at = start + size + 2;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}
