//! The hash chain over the audit trail: sealed now and then, verified when somebody asks.
//!
//! A seal is keyed, so whoever can write to the database, but does not know the server's secret, cannot mend the chain
//! after a change. Its end goes to the log: kept elsewhere, that line shows when the end of chain and trail was cut off.

use std::time::Duration;

use jhe_domain::audit::Seal;
use jhe_domain::error::Error;
use jhe_store::Store;
use jhe_store::audit::Unsealed;
use serde_json::json;
use tokio::sync::watch;

use crate::App;
use crate::identity::sealing::Sealing;

/// How often.
const PAUSE: Duration = Duration::from_secs(10);
/// Seals read at once.
const BATCH: i64 = 1_000;
const PURPOSE: &str = "audit seal";

/// Seals what is settled every few seconds until it is told to stop, and once more then.
pub async fn run(app: App, mut stop: watch::Receiver<bool>) {
    loop {
        let stopped = tokio::time::timeout(PAUSE, stop.wait_for(|stopped| *stopped)).await.is_ok();
        match seal(&app).await {
            Ok(Some(seal)) => tracing::info!(seq = seal.seq, rows = seal.rows, seal = seal.seal, "audit trail sealed"),
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %error, "the audit trail could not be sealed; it is next time"),
        }
        if stopped {
            return;
        }
    }
}

/// Adds a link for what is settled; `None` when nothing is.
pub async fn seal(app: &App) -> Result<Option<Seal>, Error> {
    let mut work = app.store().begin().await?;
    // One process at a time.
    work.queue_up("audit seal").await?;
    work.take_time().await?;
    let (last, greatest) = work.last_seal().await?;
    let Unsealed { after_id, from_xact, below_xact, closes, summed } = work.unsealed(last.as_ref(), greatest).await?;
    if summed.rows == 0 && !closes {
        return Ok(None);
    }
    let mut seal = Seal {
        seq: last.as_ref().map_or(1, |last| last.seq + 1),
        after_id,
        from_xact,
        below_xact,
        rows: summed.rows,
        first_id: summed.first_id,
        last_id: summed.last_id.max(if closes { greatest } else { 0 }),
        closes,
        digest: summed.digest,
        seal: String::new(),
    };
    seal.seal = keyed(app.identity().sealing(), &seal, last.as_ref());
    work.insert_seal(&seal).await?;
    work.commit().await?;
    Ok(Some(seal))
}

/// The keyed digest of a link and of the one before.
fn keyed(sealing: &Sealing, seal: &Seal, last: Option<&Seal>) -> String {
    let Seal { seq, after_id, from_xact, below_xact, rows, first_id, last_id, closes, digest, seal: _ } = seal;
    let before = last.map(|last| &last.seal);
    let text = json!([before, seq, after_id, from_xact, below_xact, rows, first_id, last_id, closes, digest]);
    sealing.mac(PURPOSE, &text.to_string())
}

/// What a check of the whole chain found.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Links.
    pub seals: i64,
    /// Entries they cover.
    pub sealed: i64,
    /// Entries too young to be sealed.
    pub waiting: i64,
    /// The number and the keyed digest of the last link.
    pub end: Option<(i64, String)>,
    /// What is wrong, a sentence each.
    pub faults: Vec<String>,
}

/// Checks every link against the entries it covers, that no entry is left out, and that the links in `expect` are there.
/// Only reads.
pub async fn verify(store: &Store, sealing: &Sealing, expect: &[(i64, String)]) -> Result<Verdict, Error> {
    let mut verdict = Verdict::default();
    let mut missing = expect.to_vec();
    let mut last: Option<Seal> = None;
    let mut greatest = 0;
    let mut work = store.begin().await?;
    work.only_read().await?;
    work.take_time().await?;
    loop {
        let after = last.as_ref().map_or(0, |last| last.seq);
        let seals = work.seals(after, BATCH).await?;
        if seals.is_empty() {
            break;
        }
        for seal in seals {
            let number = seal.seq;
            if number != last.as_ref().map_or(1, |last| last.seq + 1) {
                verdict.faults.push(format!("the seal before number {number} is missing"));
            }
            if keyed(sealing, &seal, last.as_ref()) != seal.seal {
                verdict.faults.push(format!("seal {number} was changed, or made with another SECRET_KEY"));
            }
            let now = work.sum_again(&seal, greatest).await?;
            if now.rows != seal.rows {
                verdict.faults.push(format!("seal {number} covers {} entries, and {} are there", seal.rows, now.rows));
            } else if now.digest != seal.digest {
                verdict.faults.push(format!("an entry between {} and {} was changed", seal.first_id, seal.last_id));
            }
            verdict.seals += 1;
            verdict.sealed += seal.rows;
            greatest = greatest.max(seal.last_id);
            missing.retain(|(seq, text)| (*seq, text) != (number, &seal.seal));
            last = Some(seal);
        }
    }
    let (all, waiting) = work.audit_extent(last.as_ref()).await?;
    verdict.waiting = waiting;
    if all != verdict.sealed + waiting {
        verdict.faults.push(format!("{} entries are neither sealed nor young", all - verdict.sealed - waiting));
    }
    verdict.faults.extend(missing.iter().map(|(seq, _)| format!("seal {seq} is not the one that was expected")));
    verdict.end = last.map(|last| (last.seq, last.seal));
    Ok(verdict)
}
