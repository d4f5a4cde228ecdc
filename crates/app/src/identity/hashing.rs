//! Slow hashing on a bounded number of threads, so that a storm of sign-ins cannot take the cores from uploads.

use std::sync::Arc;

use jhe_crypto::password::{self, Verdict};
use jhe_crypto::{OsEntropy, client_secret};
use jhe_domain::error::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// As many places as there are cores.
pub(super) struct Hashing(Arc<Semaphore>);

impl Default for Hashing {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self(Arc::new(Semaphore::new(cores)))
    }
}

/// The right to hash. Whoever counts failures holds it from the look at the counter until the failure is counted: then
/// at most as many attempts as there are places can overtake the counter.
pub(super) struct Place(Arc<OwnedSemaphorePermit>);

impl Hashing {
    /// Waits for a place.
    pub(super) async fn place(&self) -> Result<Place, Error> {
        Arc::clone(&self.0).acquire_owned().await.map(|permit| Place(Arc::new(permit))).map_err(Error::internal)
    }
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
        let place = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        })
        .await
        .map_err(Error::internal)
    }
}
