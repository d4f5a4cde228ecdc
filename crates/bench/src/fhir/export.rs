//! All rows of the study page by page, while one of its patients goes on uploading: each known row once, none lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::document::Uploads;
use super::study::Study;
use super::{Asker, answer, write};
use crate::load::{Plan, drive};
use crate::place::Place;

/// Rows of a page.
const PAGE: i64 = 1000;
/// Rows that are read at most.
const MOST: i64 = 1_000_000;
/// Entries of what is uploaded meanwhile, and the pause between uploads.
const ENTRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// Longer than any export.
const ALWAYS: Duration = Duration::from_hours(6);

/// How far it came.
struct Export {
    /// The page to read, none at the end.
    next: Option<String>,
    /// The oldest row that must come.
    first: i64,
    /// How often each row came, from that one on.
    seen: Vec<u8>,
    /// How many of them have not come yet.
    missing: usize,
    /// Rows that nobody knew of before.
    unknown: usize,
    fault: Option<String>,
}

impl Export {
    fn new(study: &Study) -> Result<Self> {
        let wanted = study.rows.min(MOST);
        let path = format!("/fhir/r5/Observation?patient._has:Group:member:_id={}&_count={PAGE}", study.id);
        Ok(Self {
            next: Some(path),
            // The newest come first, and they have the greatest ids.
            first: study.first_row + study.rows - wanted,
            seen: vec![0; usize::try_from(wanted)?],
            missing: usize::try_from(wanted)?,
            unknown: 0,
            fault: None,
        })
    }

    /// The page to read now.
    fn turn(&mut self, whole: bool) -> Option<String> {
        self.next.take().filter(|_| whole || self.missing > 0)
    }

    fn note(&mut self, ids: &[i64]) {
        for id in ids {
            match usize::try_from(id - self.first).ok().and_then(|index| self.seen.get_mut(index)) {
                Some(times) => {
                    self.missing -= usize::from(*times == 0);
                    *times = times.saturating_add(1);
                }
                None => self.unknown += 1,
            }
        }
    }
}

fn lock(export: &Mutex<Export>) -> MutexGuard<'_, Export> {
    export.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads everything and prints what came of it.
pub(super) async fn run(place: &Place, study: &Study) -> Result<()> {
    let export = Arc::new(Mutex::new(Export::new(study)?));
    let over = Arc::new(AtomicBool::new(false));
    let plan = Plan { duration: ALWAYS, connections: 1 };
    // All of a small study is read to the end, of a large one what must come.
    let whole = study.rows <= MOST;
    println!("export of {} rows, {PAGE} a page, while a patient uploads:", study.rows.min(MOST));
    let reading = {
        let (export, over) = (export.clone(), over.clone());
        let workers = Asker::several(place, 1).await?;
        drive("pages", place, plan, workers, async move |asker: &mut Asker| {
            let Some(path) = lock(&export).turn(whole) else {
                over.store(true, Ordering::Relaxed);
                return Ok(false);
            };
            let page = page(asker, &path).await;
            let mut export = lock(&export);
            match page {
                Ok((ids, next)) => {
                    export.note(&ids);
                    export.next = next;
                    Ok(true)
                }
                Err(error) => {
                    export.fault = Some(format!("{error:#}"));
                    over.store(true, Ordering::Relaxed);
                    Ok(false)
                }
            }
        })
    };
    let uploads = Uploads::new();
    let writer = Asker::several(place, 1).await?;
    let until = over.clone();
    let writing = drive("uploads meanwhile", place, plan, writer, async move |asker: &mut Asker| {
        tokio::time::sleep(PAUSE).await;
        if until.load(Ordering::Relaxed) {
            return Ok(false);
        }
        write::bundle(&mut asker.connection, &uploads, Study::FIRST_PATIENT, ENTRIES).await?;
        Ok(true)
    });
    let (reading, writing) = tokio::join!(reading, writing);
    let (reading, writing) = (reading?, writing?);
    let export = lock(&export);
    let lost = export.missing;
    let twice = export.seen.iter().filter(|times| **times > 1).count();
    let verdict = match &export.fault {
        Some(fault) => format!("BROKE OFF ({fault}), "),
        None if lost == 0 && twice == 0 => "each known row once, ".to_owned(),
        None => format!("LOST {lost}, TWICE {twice}, "),
    };
    let rows = reading.parts(usize::try_from(PAGE)?, "rows");
    reading.print(&format!("{rows}; {verdict}{} rows that came meanwhile", export.unknown));
    writing.print(&format!("with its pause of {} ms; {} rows", PAUSE.as_millis(), writing.done() * ENTRIES));
    Ok(())
}

/// The ids of a page and the path of the next.
async fn page(asker: &mut Asker, path: &str) -> Result<(Vec<i64>, Option<String>)> {
    let answer = asker.get(path).await?;
    let ids = answer::ids(&answer).context("ids")?;
    Ok((ids, answer::head(&answer)?.next))
}
