//! What the machine allows: one signature, one password hash, one indexed lookup. Nothing of the server is faster.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jhe_authz::port::CredentialPort as _;
use jhe_crypto::signing::SigningKey;
use jhe_crypto::{OsEntropy, password, token};
use serde_json::json;

use crate::load::Plan;
use crate::place::{Place, plain};

/// Rates of the bare parts, operations a second with all cores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) signatures: f64,
    pub(crate) hashes: f64,
    pub(crate) lookups: f64,
}

/// How often a piece of work is done a second on so many threads.
fn on_threads(threads: usize, duration: Duration, work: impl Fn() + Sync) -> f64 {
    let started = Instant::now();
    let done: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = 0_usize;
                    while started.elapsed() < duration {
                        work();
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_default()).sum()
    });
    #[expect(clippy::cast_precision_loss, reason = "counts of operations are small")]
    let done = done as f64;
    done / started.elapsed().as_secs_f64()
}

/// Measures them.
pub(crate) async fn measure(place: &Place, plan: Plan) -> Result<Limits> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let key = SigningKey::generate()?;
    let claims = json!({"iss": "x", "sub": "10002", "aud": "client", "iat": 1, "exp": 2, "jti": "y", "at_hash": "z"});
    let half = plan.duration / 2;
    let (signatures, hashes) = tokio::task::spawn_blocking(move || {
        let signatures = on_threads(cores, half, || {
            std::hint::black_box(key.sign("JWT", &claims).ok());
        });
        let hashes = on_threads(cores, half, || {
            std::hint::black_box(password::hash("Jhe1234!", &mut OsEntropy).ok());
        });
        (signatures, hashes)
    })
    .await?;
    place
        .execute(
            "INSERT INTO oauth2_provider_accesstoken (token_digest, user_id, application_id, scope, created, expires)
             SELECT sha256(convert_to('bench-' || n, 'UTF8')), 10002, 4, 'openid email', now(), now() + interval '1 day'
               FROM generate_series(0, 99999) AS n"
                .to_owned(),
        )
        .await?;
    // Tables are as a server has them after a while: full, and known to the planner.
    place
        .execute(
            "INSERT INTO oauth2_provider_refreshtoken
                 (token_digest, family, user_id, application_id, scope, auth_time, created, family_created, expires)
             SELECT sha256(convert_to('bench-refresh-' || n, 'UTF8')), gen_random_uuid(), 10002, 4, 'openid', now(), now(), now(),
                    now() + interval '180 days'
               FROM generate_series(0, 99999) AS n"
                .to_owned(),
        )
        .await?;
    place.execute("ANALYZE oauth2_provider_accesstoken, oauth2_provider_refreshtoken".to_owned()).await?;
    let lookups = lookups(place, plan).await?;
    Ok(Limits { signatures, hashes, lookups })
}

/// The lookup behind every bearer token, without a server in front of it.
async fn lookups(place: &Place, plan: Plan) -> Result<f64> {
    let started = Instant::now();
    let end = started + plan.duration;
    let tasks: Vec<_> = (0..plan.connections)
        .map(|worker| {
            let store = place.store.clone();
            tokio::spawn(async move {
                let mut done = 0_usize;
                let mut number = worker * 7919;
                while Instant::now() < end {
                    number = (number + 7919) % 100_000;
                    let digest = token::digest(&format!("bench-{number}"));
                    let mut work = store.read().await.map_err(plain)?;
                    work.bearer(&digest).await.map_err(plain)?.context("a token that was stored")?;
                    done += 1;
                }
                anyhow::Ok(done)
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of operations are small")]
    let done = done as f64;
    Ok(done / started.elapsed().as_secs_f64())
}

impl Limits {
    /// The first lines of the table.
    pub(crate) fn print(&self) {
        println!("limits of this machine in this run, all cores:");
        println!("  RSA-2048 signature  {:>8.0}/s", self.signatures);
        println!("  argon2id hash       {:>8.1}/s", self.hashes);
        println!("  bearer lookup       {:>8.0}/s (pool, PostgreSQL, nothing else)", self.lookups);
        println!();
    }
}
