//! Another issuer of id tokens, such as an EHR: https with a certificate of its own, discovery, keys.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jhe_crypto::signing::SigningKey;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// The issuer of one test.
pub struct TestIssuer {
    /// `https://localhost:<port>`.
    pub url: String,
    /// PEM file with its certificate.
    pub ca_file: PathBuf,
    key: SigningKey,
    pages: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TestIssuer {
    /// Starts one that publishes its key.
    pub async fn start() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let ca_file = std::env::temp_dir().join(format!("jhe-test-issuer-{port}-{}.pem", uuid::Uuid::new_v4()));
        std::fs::write(&ca_file, cert.pem()).expect("a file");
        let private = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], private)
            .expect("a server configuration");
        let issuer = Self {
            url: format!("https://localhost:{port}"),
            ca_file,
            key: SigningKey::generate().expect("a key"),
            pages: Arc::default(),
            asked: Arc::default(),
        };
        let keys = json!({ "keys": [issuer.key.public().jwk()] });
        issuer.publish("/keys", &keys);
        issuer.publish("/.well-known/smart-configuration", &json!({ "jwks_uri": format!("{}/keys", issuer.url) }));
        issuer.serve(listener, TlsAcceptor::from(Arc::new(config)));
        issuer
    }

    fn serve(&self, listener: TcpListener, acceptor: TlsAcceptor) {
        let (pages, asked) = (Arc::clone(&self.pages), Arc::clone(&self.asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, pages, asked) = (acceptor.clone(), Arc::clone(&pages), Arc::clone(&asked));
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await.ok()?;
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        request.push(stream.read_u8().await.ok()?);
                    }
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let path = text.split(' ').nth(1)?.to_owned();
                    asked.lock().unwrap().push(path.clone());
                    let page = pages.lock().unwrap().get(&path).cloned();
                    let (status, body) = page.map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
                    let answer = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    stream.write_all(answer.as_bytes()).await.ok()?;
                    stream.shutdown().await.ok()
                });
            }
        });
    }

    /// Answers a path with a document from now on.
    pub fn publish(&self, path: &str, body: &Value) {
        self.pages.lock().unwrap().insert(path.to_owned(), body.to_string());
    }

    /// Answers a path with 404 from now on.
    pub fn withdraw(&self, path: &str) {
        self.pages.lock().unwrap().remove(path);
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    /// Signs claims with its published key.
    pub fn sign(&self, claims: &Value) -> String {
        self.key.sign("JWT", claims).expect("a token")
    }
}

impl Drop for TestIssuer {
    fn drop(&mut self) {
        std::fs::remove_file(&self.ca_file).ok();
    }
}
