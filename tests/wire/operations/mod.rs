//! What operators rely on: limits, overload, starting and stopping, metrics.

mod balanced;
mod check;
mod demo;
mod limits;
mod log;
mod metrics;
mod overload;
mod replicas;
mod rich_demo;
mod schemas;
mod secure;
mod stop;
mod traces;

use jhe_testkit::TestServer;
use jhe_testkit::connection::Head;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection on which requests are written by hand.
pub(crate) struct Wire(TcpStream);

impl Wire {
    pub(crate) async fn open(server: &TestServer) -> Self {
        Self(TcpStream::connect(address(server)).await.unwrap())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer, or what there is of it at the end of the connection.
    pub(crate) async fn receive(&mut self) -> String {
        let mut bytes = Vec::with_capacity(64 * 1024);
        let is_whole = |bytes: &[u8]| {
            let head = Head::of(bytes).unwrap();
            head.is_some_and(|head| bytes.len() >= head.length + head.body_length().unwrap_or(0))
        };
        while !is_whole(&bytes) && self.0.read_buf(&mut bytes).await.unwrap_or(0) > 0 {}
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

pub(crate) fn address(server: &TestServer) -> String {
    server.base.trim_start_matches("http://").to_owned()
}

/// The head of a request to a server.
pub(crate) fn head(server: &TestServer, line: &str, headers: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", address(server))
}

/// One path of each family, which needs no permission to be refused.
pub(crate) const FAMILIES: [&str; 4] = ["/api/v1/patients", "/FHIR/R5/Patient", "/o/userinfo", "/accounts/login/"];

/// Checks that a refusal is in the words of the family of its path.
#[track_caller]
pub(crate) fn assert_in_family(path: &str, reply: &jhe_testkit::Reply) {
    let text = reply.text();
    match path {
        "/api/v1/patients" => assert!(!reply.detail().is_empty(), "{path}: {text}"),
        "/FHIR/R5/Patient" => assert_eq!(reply.at("/resourceType"), "OperationOutcome", "{path}: {text}"),
        "/o/userinfo" => assert!(reply.at("/error").is_string(), "{path}: {text}"),
        _ => assert!(reply.header("content-type").starts_with("text/html"), "{path}: {text}"),
    }
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
    assert!(!reply.header("x-request-id").is_empty(), "{path}");
}
