//! The way to the database, which can be broken: every connection at once, or no new ones for a while.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What connections go by.
#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    /// New ones are let wait.
    closed: bool,
    /// Grows each time that all connections end.
    cuts: u64,
}

/// Listens for connections to the database and carries them there.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Where it listens, on the loopback.
    pub(crate) port: u16,
    orders: Arc<watch::Sender<Orders>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Begins to carry connections to the socket of a database.
    pub(crate) async fn start(socket: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let orders = Arc::new(watch::Sender::new(Orders::default()));
        let task = tokio::spawn(accept(listener, socket, Arc::clone(&orders)));
        Ok(Self { port, orders, task })
    }

    /// Ends all connections, without a word to either side.
    pub(crate) fn cut(&self) {
        self.orders.send_modify(|orders| orders.cuts += 1);
    }

    /// Lets new connections wait, and ends those there are.
    pub(crate) fn close(&self) {
        self.orders.send_modify(|orders| *orders = Orders { closed: true, cuts: orders.cuts + 1 });
    }

    /// Takes connections again.
    pub(crate) fn open(&self) {
        self.orders.send_modify(|orders| orders.closed = false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, orders: Arc<watch::Sender<Orders>>) {
    let mut gate = orders.subscribe();
    loop {
        if gate.wait_for(|orders| !orders.closed).await.is_err() {
            return;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = gate.changed() => continue,
        };
        if let Ok((client, _)) = accepted {
            tokio::spawn(carry(client, socket.clone(), orders.subscribe()));
        }
    }
}

/// Carries one connection until either side ends it, or the order comes.
async fn carry(mut client: TcpStream, socket: PathBuf, mut orders: watch::Receiver<Orders>) {
    client.set_nodelay(true).ok();
    let cuts = orders.borrow_and_update().cuts;
    let Ok(mut database) = UnixStream::connect(socket).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut database) => {}
        _ = orders.wait_for(|orders| orders.cuts != cuts) => {}
    }
}
