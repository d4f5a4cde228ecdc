//! Slow hashing on a bounded number of threads of low priority, so that a storm of sign-ins cannot take the cores from
//! uploads: hashing gets what nobody else wants, which is all there is when nothing else runs.
//!
//! The line in front of them is as short as people are patient: whoever would wait longer is told so at once, so that a
//! storm costs those who come first nothing and those who come later little.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jhe_crypto::password::{self, Verdict};
use jhe_crypto::{OsEntropy, client_secret};
use jhe_domain::error::Error;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, oneshot};

use super::line::{Held, Line};

type Job = Box<dyn FnOnce() + Send>;

/// How much lower than everything else: between 0 and 19.
const NICENESS: i32 = 10;

/// How long somebody who was turned away is asked to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long somebody waits who found a place free and lost it to another.
const LONGEST: Duration = Duration::from_secs(3);

/// How often those who wait look at the weather.
const GLANCE: Duration = Duration::from_millis(100);

/// A thread for each core, and one place more than that: whoever holds a place also asks the database before and after,
/// and a thread need not wait for that.
pub(super) struct Hashing {
    places: Arc<Semaphore>,
    line: Arc<Line>,
    jobs: Sender<Job>,
}

impl Hashing {
    /// Starts the threads, which end with the last reference to this. Nobody waits for a place longer than `patience`
    /// while far more come than can be served.
    pub(super) fn start(patience: Duration) -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..cores {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("hashing".to_owned())
                .spawn(move || work(&queue))
                .map_err(Error::internal)?;
        }
        let places = cores.saturating_add(1);
        Ok(Self { places: Arc::new(Semaphore::new(places)), line: Arc::new(Line::new(places, patience)), jobs })
    }

    /// Turns away whoever would wait too long, before anything is done for them.
    pub(super) fn admit(&self) -> Result<(), Error> {
        self.patience().map(|_| ())
    }

    /// How long one more may wait.
    fn patience(&self) -> Result<Duration, Error> {
        // With a place free nobody waits.
        let free = (self.places.available_permits() > 0).then_some(LONGEST);
        free.or_else(|| self.line.allowance()).ok_or_else(turned_away)
    }

    /// Waits for its turn. Whoever joined the line as one of a crowd leaves it when a storm has come since.
    async fn turn(&self, patience: Duration) -> Option<Result<OwnedSemaphorePermit, AcquireError>> {
        let since = Instant::now();
        let turn = Arc::clone(&self.places).acquire_owned();
        tokio::pin!(turn);
        loop {
            let rest = patience.saturating_sub(since.elapsed());
            if let Ok(permit) = tokio::time::timeout(rest.min(GLANCE), turn.as_mut()).await {
                return Some(permit);
            }
            if rest <= GLANCE || self.line.is_hopeless(since.elapsed()) {
                return None;
            }
        }
    }

    /// Waits for a place.
    pub(super) async fn place(&self) -> Result<Place, Error> {
        let patience = self.patience()?;
        let waiting = self.line.enter();
        let permit = self.turn(patience).await;
        drop(waiting);
        let Some(permit) = permit else {
            self.line.gave_up();
            return Err(turned_away());
        };
        let permit = permit.map_err(Error::internal)?;
        Ok(Place { held: Arc::new(Held::new(permit, Arc::clone(&self.line))), jobs: self.jobs.clone() })
    }
}

fn turned_away() -> Error {
    metrics::counter!("jhe_hashing_refused_total").increment(1);
    Error::Overloaded { retry_after: RETRY_AFTER }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    lower_priority();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            // A job that panics fails alone; the next one finds its thread.
            Ok(job) => drop(catch_unwind(AssertUnwindSafe(job))),
            Err(_) => return,
        }
    }
}

/// On Linux a thread has a priority of its own; elsewhere, and where it is forbidden, the bound on threads must do.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS).ok();
}

/// The right to hash. Whoever counts failures holds it from the look at the counter until the failure is counted: then
/// at most as many attempts as there are places are checked for nothing.
pub(super) struct Place {
    held: Arc<Held>,
    jobs: Sender<Job>,
}

impl Place {
    /// Checks a password. An account that does not exist takes as long.
    pub(super) async fn check(&self, password: String, stored: Option<String>) -> Result<Verdict, Error> {
        self.run(move || {
            if let Some(stored) = stored {
                return password::verify(&password, &stored);
            }
            password::dummy_verify(&password);
            Verdict::NoMatch
        })
        .await
    }

    /// Checks the secret of a client that was chosen by a person.
    pub(super) async fn check_secret(&self, secret: String, stored: String) -> Result<bool, Error> {
        self.run(move || client_secret::verify(&secret, &stored)).await
    }

    /// Hashes a password.
    pub(super) async fn hash(&self, password: String) -> Result<String, Error> {
        self.run(move || password::hash(&password, &mut OsEntropy)).await?.map_err(Error::internal)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        // A caller that gives up does not stop the thread, so the thread holds the place too.
        let held = Arc::clone(&self.held);
        let (done, wait) = oneshot::channel();
        let job = Box::new(move || {
            done.send(work()).ok();
            drop(held);
        });
        self.jobs.send(job).map_err(|_| Error::internal("the hashing threads have ended"))?;
        wait.await.map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_run_at_once_than_there_are_places() {
        let hashing = Hashing::start(Duration::from_mins(1)).unwrap();
        let mut held = Vec::new();
        while hashing.places.available_permits() > 0 {
            held.push(hashing.place().await.unwrap());
        }
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(50), hashing.place()).await;
        assert!(waiting.is_err(), "no place is left");
        assert_eq!(held[0].check("x".to_owned(), None).await.unwrap(), Verdict::NoMatch);
        held.pop();
        hashing.place().await.unwrap();
    }

    #[tokio::test]
    async fn whoever_would_wait_too_long_is_turned_away() {
        let hashing = Hashing::start(Duration::from_millis(20)).unwrap();
        let mut held = Vec::new();
        while hashing.places.available_permits() > 0 {
            held.push(hashing.place().await.unwrap());
        }
        for _ in 0..100 {
            hashing.line.gave_up();
        }
        // Nobody has given a place back yet, so it is not known how long that takes: one may try.
        assert!(matches!(hashing.place().await, Err(Error::Overloaded { .. })));
        for _ in 0..20 {
            hashing.line.note(Duration::from_secs(1));
        }
        assert!(hashing.admit().is_err() && hashing.place().await.is_err());
        held.clear();
        assert!(hashing.admit().is_ok(), "a free place is a free place");
    }

    #[tokio::test]
    async fn a_crowd_leaves_when_a_storm_comes() {
        let hashing = Hashing::start(Duration::from_millis(20)).unwrap();
        let mut held = Vec::new();
        while hashing.places.available_permits() > 0 {
            held.push(hashing.place().await.unwrap());
        }
        let waits = hashing.place();
        tokio::pin!(waits);
        assert!(tokio::time::timeout(2 * GLANCE, waits.as_mut()).await.is_err(), "one of a crowd waits");
        for _ in 0..100 {
            hashing.line.gave_up();
        }
        let left = tokio::time::timeout(10 * GLANCE, waits).await.expect("not until the end of its patience");
        assert!(matches!(left, Err(Error::Overloaded { .. })));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn hashing_gives_way_to_everything_else() {
        let place = Hashing::start(Duration::from_mins(1)).unwrap().place().await.unwrap();
        let niceness =
            place.run(|| rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap()).await.unwrap();
        let own = rustix::process::getpriority_process(None).unwrap();
        assert!(niceness > own || own >= NICENESS, "{niceness} beside {own}");
    }
}
