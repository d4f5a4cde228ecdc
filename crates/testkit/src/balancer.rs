//! A balancer before several servers: each new connection goes to the next of them that takes it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::TestServer;

/// A server behind the balancer, and how many connections it got.
#[derive(Debug)]
struct Backend {
    address: SocketAddr,
    connections: AtomicUsize,
}

/// A running balancer.
#[derive(Debug)]
pub struct Balancer {
    /// `http://localhost:<port>`.
    pub base: String,
    backends: watch::Sender<Arc<[Backend]>>,
    task: JoinHandle<()>,
}

impl Balancer {
    /// Starts one that has no servers yet.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (backends, watched) = watch::channel(Arc::default());
        let task = tokio::spawn(async move {
            for turn in 0.. {
                let Ok((client, _)) = listener.accept().await else { continue };
                let backends = Arc::clone(&watched.borrow());
                tokio::spawn(carry(client, backends, turn));
            }
        });
        Self { base: format!("http://localhost:{port}"), backends, task }
    }

    /// Lets connections go to these servers from now on.
    pub fn lead_to(&self, servers: &[&TestServer]) {
        let backends = servers.iter().map(|server| {
            let port = server.base.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
            Backend { address: SocketAddr::from(([127, 0, 0, 1], port)), connections: AtomicUsize::new(0) }
        });
        self.backends.send_replace(backends.collect());
    }

    /// How many connections each server has got.
    pub fn connections(&self) -> Vec<usize> {
        self.backends.borrow().iter().map(|backend| backend.connections.load(Ordering::SeqCst)).collect()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, backends: Arc<[Backend]>, turn: usize) {
    for number in 0..backends.len() {
        let backend = &backends[(turn + number) % backends.len()];
        if let Ok(mut server) = TcpStream::connect(backend.address).await {
            backend.connections.fetch_add(1, Ordering::SeqCst);
            copy_bidirectional(&mut client, &mut server).await.ok();
            return;
        }
    }
}
