//! Another party's HTTP service, which keeps what it is asked and answers as it is told.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The service of one test.
#[derive(Clone)]
pub struct TestService {
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    status: Arc<AtomicU16>,
    body: Arc<Mutex<String>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TestService {
    /// Starts one that answers 204.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let service = Self {
            url: format!("http://127.0.0.1:{port}"),
            status: Arc::new(AtomicU16::new(204)),
            body: Arc::default(),
            asked: Arc::default(),
        };
        let kept = service.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, kept.clone()));
            }
        });
        service
    }

    /// What it answers from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// What it answers from now on, with JSON.
    pub fn answer_json(&self, status: u16, body: &serde_json::Value) {
        *self.body.lock().unwrap() = body.to_string();
        self.answer(status);
    }

    /// The heads of what it was asked so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked so often; the heads.
    pub async fn wait_for(&self, count: usize) -> Vec<String> {
        let patience = Duration::from_secs(30);
        let enough = async {
            while self.asked().len() < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(patience, enough).await.unwrap_or_else(|_| panic!("asked {:?}", self.asked()));
        self.asked()
    }
}

async fn serve(mut stream: TcpStream, service: TestService) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    service.asked.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let status = service.status.load(Ordering::SeqCst);
    let body = service.body.lock().unwrap().clone();
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} Told\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}
