//! The hash chain over the audit trail: sealed now and then, verified when somebody asks.
//!
//! A seal is keyed, so whoever can write to the database, but does not know the server's secret, cannot mend the chain
//! after a change. Its end goes to the log: kept elsewhere, that line shows when the end of chain and trail was cut off.
//! Its beginning is removed when it is old enough, seal by seal, each checked once more before; a keyed note then stands in
//! for what went.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use jhe_domain::audit::{Removal, Seal};
use jhe_domain::error::Error;
use jhe_store::audit::{Summed, Unsealed};
use jhe_store::{Store, Work};
use serde_json::json;
use tokio::sync::watch;

use crate::App;
use crate::identity::sealing::Sealing;

/// Seals read at once.
const BATCH: i64 = 1_000;
const PURPOSE: &str = "audit seal";
const REMOVAL: &str = "audit removal";
/// What `retention.audit_days` may be: less would take the trail from those who look into something.
pub const RETENTION_DAYS: RangeInclusive<i64> = 30..=36_500;
/// What it is unless said otherwise: six years.
const KEPT_DAYS: i64 = 2_190;
/// Seals removed in one transaction at most …
const REMOVED_SEALS: i64 = 100;
/// … and entries, unless one seal covers more: a seal goes as a whole.
const REMOVED_ROWS: i64 = 10_000;

/// Seals what is settled now and then until it is told to stop, and once more then.
pub async fn run(app: App, mut stop: watch::Receiver<bool>) {
    let pause = app.config().server.seal_pause;
    loop {
        let stopped = tokio::time::timeout(pause, stop.wait_for(|stopped| *stopped)).await.is_ok();
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
    seal.seal = keyed(app.identity().sealing(), &seal, last.as_ref().map(|last| &*last.seal));
    work.insert_seal(&seal).await?;
    work.commit().await?;
    Ok(Some(seal))
}

/// The keyed digest of a link and of the one before.
fn keyed(sealing: &Sealing, seal: &Seal, before: Option<&str>) -> String {
    let Seal { seq, after_id, from_xact, below_xact, rows, first_id, last_id, closes, digest, seal: _ } = seal;
    let text = json!([before, seq, after_id, from_xact, below_xact, rows, first_id, last_id, closes, digest]);
    sealing.mac(PURPOSE, &text.to_string())
}

/// The keyed digest of a removal.
fn noted(sealing: &Sealing, removal: &Removal) -> String {
    let Removal { seq, seal, last_id, rows, mac: _ } = removal;
    sealing.mac(REMOVAL, &json!([seq, seal, last_id, rows]).to_string())
}

/// How far the chain was followed.
#[derive(Debug, Clone, Default)]
struct Place {
    /// The link there, with its keyed digest; `None` before the first.
    link: Option<(i64, String)>,
    /// The greatest id that links up to there cover.
    greatest: i64,
}

impl Place {
    /// Where the chain begins, after what was removed of it.
    fn begin(removal: Option<&Removal>) -> Self {
        removal.map_or_else(Self::default, |removal| Self {
            link: Some((removal.seq, removal.seal.clone())),
            greatest: removal.last_id,
        })
    }

    fn seq(&self) -> i64 {
        self.link.as_ref().map_or(0, |(seq, _)| *seq)
    }

    fn seal(&self) -> Option<&str> {
        self.link.as_ref().map(|(_, seal)| &**seal)
    }

    fn follow(&mut self, seal: &Seal) {
        self.link = Some((seal.seq, seal.seal.clone()));
        self.greatest = self.greatest.max(seal.last_id);
    }
}

/// What is wrong with what a seal covers.
fn difference(seal: &Seal, now: &Summed) -> Option<String> {
    if now.rows != seal.rows {
        Some(format!("seal {} covers {} entries, and {} are there", seal.seq, seal.rows, now.rows))
    } else if now.digest != seal.digest {
        Some(format!("an entry between {} and {} was changed", seal.first_id, seal.last_id))
    } else {
        None
    }
}

fn forged(seq: i64) -> String {
    format!("seal {seq} was changed, or made with another SECRET_KEY")
}

fn forged_removal(removal: &Removal) -> String {
    format!("the removal of what seal {} ends was noted by nobody who knows SECRET_KEY", removal.seq)
}

/// What was removed of the trail.
#[derive(Debug, Clone, Default)]
pub struct Expired {
    /// Entries.
    pub rows: i64,
    /// Why older ones are still there, though their time has come: they are not what was sealed.
    pub fault: Option<String>,
}

/// Removes entries that are older than `retention.audit_days`: as many whole seals from the beginning of the chain as cover
/// nothing younger, each only if it covers what it covered when it was made. What was tampered with stays, as evidence.
///
/// Seals made with an earlier secret cannot be checked: up to the seal that somebody vouches for, by number and keyed
/// digest, they need not be.
pub async fn expire(app: &App, vouched: Option<&(i64, String)>) -> Result<Expired, Error> {
    let days = app.settings().int("retention.audit_days", KEPT_DAYS);
    // Values from the time before they were checked, or from elsewhere than the API.
    let days = days.clamp(*RETENTION_DAYS.start(), *RETENTION_DAYS.end());
    let before = app.now() - TimeDelta::days(days);
    let mut expired = Expired::default();
    loop {
        let Expired { rows, fault } = expire_some(app, before, vouched).await?;
        expired.rows += rows;
        expired.fault = fault;
        if rows == 0 || expired.fault.is_some() {
            return Ok(expired);
        }
    }
}

/// One transaction of that.
async fn expire_some(app: &App, before: DateTime<Utc>, vouched: Option<&(i64, String)>) -> Result<Expired, Error> {
    let sealing = app.identity().sealing();
    let mut work = app.store().begin().await?;
    // One process at a time, and nobody who verifies meanwhile.
    work.queue_up(REMOVAL).await?;
    work.take_time().await?;
    let trusted = trusted(&mut work, vouched).await?;
    let removal = work.last_removal().await?;
    let mut place = Place::begin(removal.as_ref());
    if let Some(removal) = removal.as_ref().filter(|removal| removal.seq > trusted)
        && noted(sealing, removal) != removal.mac
    {
        return Ok(Expired { rows: 0, fault: Some(forged_removal(removal)) });
    }
    // One more than may go: the last seal of the chain stays, since the next one is bound to it.
    let mut seals = work.seals(place.seq(), REMOVED_SEALS + 1).await?;
    seals.pop();
    let (mut going, mut expired) = (Vec::new(), Expired::default());
    for seal in seals {
        let is_young = work.newest_sealed(&seal, place.greatest).await?.is_some_and(|newest| newest >= before);
        let is_enough = !going.is_empty() && expired.rows + seal.rows > REMOVED_ROWS;
        if is_young || is_enough {
            break;
        }
        let fault =
            if seal.seq != place.seq() + 1 || seal.seq > trusted && keyed(sealing, &seal, place.seal()) != seal.seal {
                Some(forged(seal.seq))
            } else {
                difference(&seal, &work.sum_again(&seal, place.greatest).await?)
            };
        if fault.is_some() {
            expired.fault = fault;
            break;
        }
        let greatest = place.greatest;
        place.follow(&seal);
        expired.rows += seal.rows;
        going.push((seal, greatest));
    }
    let Place { link: Some((seq, seal)), greatest: last_id } = place else { return Ok(expired) };
    if !going.is_empty() {
        let rows = removal.map_or(0, |removal| removal.rows) + expired.rows;
        let mut removal = Removal { seq, seal, last_id, rows, mac: String::new() };
        removal.mac = noted(sealing, &removal);
        work.remove_sealed(&removal, &going).await?;
        work.commit().await?;
    }
    Ok(expired)
}

/// The number of the seal that somebody vouches for, if it is there; 0 when nobody does.
async fn trusted(work: &mut Work, vouched: Option<&(i64, String)>) -> Result<i64, Error> {
    let Some((seq, seal)) = vouched else { return Ok(0) };
    let found = work.seals(seq.saturating_sub(1), 1).await?;
    let is_gone = |removal: Removal| removal.seq > *seq || (removal.seq == *seq && removal.seal == *seal);
    if work.last_removal().await?.is_some_and(is_gone)
        || found.iter().any(|found| found.seq == *seq && found.seal == *seal)
    {
        return Ok(*seq);
    }
    Err(Error::internal(format!("seal {seq} is not the one that was named")))
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
    /// Entries that were removed since they were old enough.
    pub removed: i64,
    /// The number and the keyed digest of the last link.
    pub end: Option<(i64, String)>,
    /// What is wrong, a sentence each.
    pub faults: Vec<String>,
}

/// Checks every link against the entries it covers, that no entry is left out, and that the links in `expect` are there.
/// Up to the link that somebody vouches for, as in [`expire`], it need not be known by which key they were made. Only reads.
pub async fn verify(
    store: &Store,
    sealing: &Sealing,
    expect: &[(i64, String)],
    vouched: Option<&(i64, String)>,
) -> Result<Verdict, Error> {
    let mut verdict = Verdict::default();
    let mut missing = expect.to_vec();
    let mut last: Option<Seal> = None;
    let mut work = store.begin().await?;
    work.only_read().await?;
    work.take_time().await?;
    // Nothing is removed meanwhile.
    work.queue_up(REMOVAL).await?;
    let trusted = trusted(&mut work, vouched).await?;
    let removal = work.last_removal().await?;
    let mut place = Place::begin(removal.as_ref());
    if let Some(removal) = &removal {
        if removal.seq > trusted && noted(sealing, removal) != removal.mac {
            verdict.faults.push(forged_removal(removal));
        }
        verdict.removed = removal.rows;
        missing.retain(|(seq, seal)| (*seq, seal) != (removal.seq, &removal.seal));
    }
    loop {
        let seals = work.seals(place.seq(), BATCH).await?;
        if seals.is_empty() {
            break;
        }
        for seal in seals {
            let number = seal.seq;
            if number != place.seq() + 1 {
                verdict.faults.push(format!("the seal before number {number} is missing"));
            }
            if number > trusted && keyed(sealing, &seal, place.seal()) != seal.seal {
                verdict.faults.push(forged(number));
            }
            verdict.faults.extend(difference(&seal, &work.sum_again(&seal, place.greatest).await?));
            verdict.seals += 1;
            verdict.sealed += seal.rows;
            place.follow(&seal);
            missing.retain(|(seq, text)| (*seq, text) != (number, &seal.seal));
            last = Some(seal);
        }
    }
    if let (Some(removal), None) = (&removal, &last) {
        verdict.faults.push(format!("the seals after number {} are missing", removal.seq));
    }
    let (all, waiting) = work.audit_extent(last.as_ref()).await?;
    verdict.waiting = waiting;
    if all != verdict.sealed + waiting {
        verdict.faults.push(format!("{} entries are neither sealed nor young", all - verdict.sealed - waiting));
    }
    let removed = removal.map_or(0, |removal| removal.seq);
    verdict.faults.extend(missing.iter().map(|(seq, _)| {
        if *seq <= removed {
            format!("seal {seq} was removed with what it covered; expect one after {removed}")
        } else {
            format!("seal {seq} is not the one that was expected")
        }
    }));
    verdict.end = last.map(|last| (last.seq, last.seal));
    Ok(verdict)
}
