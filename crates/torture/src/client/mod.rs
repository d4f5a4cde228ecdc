//! Clients that ask over HTTP all the time, keep their connection while it holds, and write down what they heard.

mod consent;
mod read;
mod upload;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jhe_testkit::connection::{Answer, Connection};
use tokio::sync::{RwLock, RwLockReadGuard};
use tokio::task::JoinHandle;

pub(crate) use consent::give_all;
pub(crate) use read::pages;

use crate::dice::Dice;
use crate::history::{History, Outcome, Span};
use crate::place::Target;
use crate::world::{self, Pair};

/// Clients that upload, that change consents, and that read.
const UPLOADERS: usize = 10;
const CHANGERS: usize = 4;
/// Clients give an answer so long; the server gives up before.
const PATIENCE: Duration = Duration::from_mins(1);
/// Before asking again where nobody listens.
const PAUSE: Duration = Duration::from_millis(10);
/// Readings that are remembered for being asked for by id.
const RECENT: usize = 256;

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What was heard.
    pub(crate) history: History,
    target: Arc<Target>,
    /// Held by each operation; whoever has it alone has silence.
    gate: RwLock<()>,
    ended: AtomicBool,
    turn: AtomicU64,
    recent: Mutex<Vec<(u64, i64)>>,
}

impl Shared {
    /// For clients that ask where `target` says.
    pub(crate) fn new(target: Arc<Target>) -> Self {
        Self {
            history: History::begin(),
            target,
            gate: RwLock::default(),
            ended: AtomicBool::new(false),
            turn: AtomicU64::new(1),
            recent: Mutex::default(),
        }
    }

    fn is_over(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// A reading that nobody has sent yet.
    fn new_reading(&self, pair: Pair) -> u64 {
        pair.number(self.turn.fetch_add(1, Ordering::Relaxed))
    }

    fn remember(&self, number: u64, id: i64, dice: &mut Dice) {
        let mut recent = self.recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if recent.len() < RECENT {
            recent.push((number, id));
        } else if let Some(place) = recent.get_mut(dice.below(RECENT)) {
            *place = (number, id);
        }
    }

    fn recall(&self, dice: &mut Dice) -> Option<(u64, i64)> {
        dice.pick(&self.recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// The clients at work.
pub(crate) struct Traffic {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Starts them.
    pub(crate) fn start(shared: &Arc<Shared>, dice: &mut Dice) -> Self {
        let mut tasks = Vec::new();
        let mut client = || Client::new(Arc::clone(shared), dice.split());
        for _ in 0..UPLOADERS {
            tasks.push(tokio::spawn(upload::run(client())));
        }
        for number in 0..CHANGERS {
            let own = Pair::all().skip(number).step_by(CHANGERS).collect();
            tasks.push(tokio::spawn(consent::run(client(), own)));
        }
        for number in 0..world::READERS - 1 {
            tasks.push(tokio::spawn(read::run(client(), world::reader(number))));
        }
        Self { shared: Arc::clone(shared), tasks }
    }

    /// Waits until no operation is under way, and lets none begin until the guard goes.
    pub(crate) async fn silence(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.shared.gate.write().await
    }

    /// Ends them, each after the operation it is in.
    pub(crate) async fn stop(self) {
        self.shared.ended.store(true, Ordering::Release);
        for task in self.tasks {
            task.await.ok();
        }
    }
}

/// A request.
#[derive(Debug, Clone, Copy)]
struct Question<'a> {
    method: &'static str,
    path: &'a str,
    token: &'a str,
    media_type: &'static str,
    body: &'a str,
    /// Hang up after so long.
    patience: Duration,
}

impl<'a> Question<'a> {
    const fn get(path: &'a str, token: &'a str) -> Self {
        Self { method: "GET", path, token, media_type: "application/json", body: "", patience: PATIENCE }
    }

    const fn post(path: &'a str, token: &'a str, media_type: &'static str, body: &'a str) -> Self {
        Self { method: "POST", path, token, media_type, body, patience: PATIENCE }
    }
}

/// One client with its connection.
pub(crate) struct Client {
    shared: Arc<Shared>,
    dice: Dice,
    connection: Option<(u16, Connection)>,
}

impl Client {
    /// One that has no connection yet.
    pub(crate) const fn new(shared: Arc<Shared>, dice: Dice) -> Self {
        Self { shared, dice, connection: None }
    }

    /// The connection to where clients ask now.
    async fn connect(&mut self) -> Option<&mut Connection> {
        let port = self.shared.target.port();
        if self.connection.as_ref().is_none_or(|(known, _)| *known != port) {
            self.connection = None;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            self.connection = Some((port, Connection::open(address).await.ok()?));
        }
        self.connection.as_mut().map(|(_, connection)| connection)
    }

    /// Asks once. `None` when nobody listens: then nothing was sent.
    async fn ask(&mut self, question: Question<'_>) -> Option<(Span, Result<Answer, Outcome>)> {
        let Question { method, path, token, media_type, body, patience } = question;
        let start = self.shared.history.now();
        let headers = format!("authorization: Bearer {token}\r\ncontent-type: {media_type}\r\n");
        let Some(connection) = self.connect().await else {
            let now = self.shared.history.now();
            self.shared.history.records().unreachable.push(now);
            tokio::time::sleep(PAUSE).await;
            return None;
        };
        let answer = tokio::time::timeout(patience, connection.send(method, path, &headers, body)).await;
        let end = self.shared.history.now();
        let stays = matches!(&answer, Ok(Ok(answer)) if answer.header("connection") != Some("close"));
        if !stays {
            self.connection = None;
        }
        let heard = match answer {
            Ok(Ok(answer)) if answer.status >= 500 => {
                // That the database is away has a status of its own.
                if answer.status != 503 {
                    self.unexpected(question, &answer);
                }
                Err(Outcome::Failed)
            }
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Outcome::Unanswered),
            Err(_) => {
                if patience == PATIENCE {
                    let text = format!("{method} {path}: no answer in {} s", PATIENCE.as_secs());
                    self.shared.history.wrong("answers", text);
                }
                Err(Outcome::HungUp)
            }
        };
        Some((Span { start, end }, heard))
    }

    /// Notes an answer that the operation may not have.
    fn unexpected(&self, question: Question<'_>, answer: &Answer) {
        let text = String::from_utf8_lossy(answer.body.get(..300).unwrap_or(&answer.body)).into_owned();
        let what = format!("{} {}: {} {text}", question.method, question.path, answer.status);
        self.shared.history.wrong("answers", what);
    }

    /// Waits between operations.
    async fn rest(&mut self, from: u64, to: u64) {
        tokio::time::sleep(self.dice.millis(from, to)).await;
    }
}

/// Waits for the turn of one operation.
async fn turn(shared: &Shared) -> RwLockReadGuard<'_, ()> {
    shared.gate.read().await
}
