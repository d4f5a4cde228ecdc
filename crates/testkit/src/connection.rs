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
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// A member of a JSON body that is text.
    pub fn text(&self, name: &str) -> Result<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body)?;
        let text = body.get(name).and_then(serde_json::Value::as_str).with_context(|| format!("no {name}"))?;
        Ok(text.to_owned())
    }
}

impl Connection {
    /// Opens one.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: format!("localhost:{}", address.port()), buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Posts a form.
    pub async fn form(&mut self, path: &str, headers: &str, body: &str) -> Result<Answer> {
        self.send("POST", path, &format!("content-type: application/x-www-form-urlencoded\r\n{headers}"), body).await
    }

    /// Asks and waits for the answer. `headers` are whole lines.
    pub async fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Result<Answer> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{headers}content-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let head_end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.fill().await?;
        };
        let head = String::from_utf8_lossy(self.buffer.get(..head_end).unwrap_or_default()).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status line")?;
        let mut answer = Answer { status, head, body: Vec::new() };
        if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            answer.body = self.chunks(head_end).await?;
            return Ok(answer);
        }
        let length: usize = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while self.buffer.len() < head_end + length {
            self.fill().await?;
        }
        answer.body = self.buffer.split_off(head_end);
        Ok(answer)
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
