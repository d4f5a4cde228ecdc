//! What comes at the same time shares a statement: single uploads and their commit, bearer tokens, clients that ask, tokens
//! that are issued at once.
//!
//! Nobody waits for others to come: while one statement runs, those that arrive line up for the next. Each keeps its own
//! answer; an upload hears of success only after the commit.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use jhe_domain::error::Error;
use tokio::sync::{Mutex, mpsc, oneshot};

/// Questions of one statement.
const GROUP: usize = 64;
/// Statements at once: while one waits for the disk or the network, the other works.
const STATEMENTS: usize = 2;

/// Where questions are answered, by one statement for all that are given. One that writes does all of them or none.
pub trait Desk: Send + Sync + 'static {
    /// What is asked.
    type Question: Send + Sync;
    /// What is known then.
    type Answer: Send;

    /// Answers all of them, in their order.
    fn answer(&self, questions: &[Self::Question]) -> impl Future<Output = Result<Vec<Self::Answer>, Error>> + Send;
}

#[derive(Debug)]
struct Waiting<D: Desk> {
    question: D::Question,
    done: oneshot::Sender<Result<D::Answer, Error>>,
}

/// The line in front of a desk.
#[derive(Debug)]
pub struct Gather<D: Desk>(mpsc::Sender<Waiting<D>>);

impl<D: Desk> Gather<D> {
    /// Starts the tasks that answer what lines up; they end with the last sender.
    pub fn start(desk: D) -> Self {
        let (line, receiver) = mpsc::channel(GROUP * 16);
        let (desk, receiver) = (Arc::new(desk), Arc::new(Mutex::new(receiver)));
        for _ in 0..STATEMENTS {
            tokio::spawn(serve(Arc::clone(&desk), Arc::clone(&receiver)));
        }
        Self(line)
    }

    /// Asks one question, with those that come at the same time.
    pub async fn ask(&self, question: D::Question) -> Result<D::Answer, Error> {
        let (done, answer) = oneshot::channel();
        self.0.send(Waiting { question, done }).await.map_err(|_| Error::internal("nobody answers"))?;
        answer.await.map_err(Error::internal)?
    }
}

async fn serve<D: Desk>(desk: Arc<D>, line: Arc<Mutex<mpsc::Receiver<Waiting<D>>>>) {
    loop {
        let mut group = Vec::new();
        if line.lock().await.recv_many(&mut group, GROUP).await == 0 {
            return;
        }
        // Whoever has given up meanwhile will ask again.
        group.retain(|one| !one.done.is_closed());
        let (questions, waiting): (Vec<_>, Vec<_>) = group.into_iter().map(|one| (one.question, one.done)).unzip();
        if questions.is_empty() {
            continue;
        }
        match answer(&*desk, &questions).await {
            Ok(answers) => {
                for (done, answer) in waiting.into_iter().zip(answers) {
                    done.send(Ok(answer)).ok();
                }
            }
            // What is wrong with one must not fail the others.
            Err(Error::Conflict(_) | Error::Invalid(_) | Error::NotFound(_)) if questions.len() > 1 => {
                for (done, question) in waiting.into_iter().zip(&questions) {
                    let alone = answer(&*desk, std::slice::from_ref(question)).await;
                    done.send(alone.and_then(first)).ok();
                }
            }
            // Whether it was stored is not known, so it is not tried again here.
            Err(error) => {
                let mut waiting = waiting.into_iter();
                let last = waiting.next_back();
                for done in waiting {
                    done.send(Err(shared(&error))).ok();
                }
                // With its cause, which so is logged once.
                if let Some(done) = last {
                    done.send(Err(error)).ok();
                }
            }
        }
    }
}

/// A desk that panics fails those who asked, not those who ask later.
async fn answer<D: Desk>(desk: &D, questions: &[D::Question]) -> Result<Vec<D::Answer>, Error> {
    let answered = AssertUnwindSafe(desk.answer(questions)).catch_unwind().await;
    answered.unwrap_or_else(|_| Err(Error::internal("a desk panicked")))
}

/// The failure of a group, for each of it.
fn shared(error: &Error) -> Error {
    match error {
        Error::Unavailable { retry_after, .. } => {
            Error::Unavailable { retry_after: *retry_after, source: error.to_string().into() }
        }
        _ => Error::internal(error.to_string()),
    }
}

fn first<T>(answers: Vec<T>) -> Result<T, Error> {
    answers.into_iter().next().ok_or_else(|| Error::internal("a question without an answer"))
}

#[cfg(test)]
mod tests;
