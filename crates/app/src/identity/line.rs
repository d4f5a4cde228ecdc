//! How long the line in front of a few places is: from how many wait, and how long a place was held lately.
//!
//! A class that signs in at the same moment is no storm: as long as the line has only just formed, some more may join it
//! than those who are served within their patience.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

/// The line.
pub(super) struct Line {
    places: usize,
    patience: Duration,
    waiting: AtomicUsize,
    /// How long a place is held, in microseconds: recent ones count more. Zero until the first was given back.
    held: AtomicU64,
    /// When the line formed, in microseconds since `start`; zero while nobody waits.
    formed: AtomicU64,
    start: Instant,
}

/// How long a line counts as one that has only just formed.
const JUST: Duration = Duration::from_secs(1);
/// How many may wait in such a line, however long that takes them …
const BURST: u64 = 20;
/// … up to this.
const BURST_PATIENCE: Duration = Duration::from_secs(3);

/// How much of the average the latest one is: a storm is noticed within a second, one slow check is not a storm.
const WEIGHT: u64 = 8;

impl Line {
    pub(super) fn new(places: usize, patience: Duration) -> Self {
        let (waiting, held, formed) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { places, patience, waiting, held, formed, start: Instant::now() }
    }

    /// How long one more may wait for its turn; `None` when that would take too long, as far as one can tell.
    pub(super) fn allowance(&self) -> Option<Duration> {
        let ahead = u64::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or(u64::MAX).saturating_add(1);
        let places = u64::try_from(self.places).unwrap_or(1).max(1);
        let expected = ahead.saturating_mul(self.held.load(Ordering::Relaxed)) / places;
        if Duration::from_micros(expected) <= self.patience {
            return Some(self.patience);
        }
        let formed = self.formed.load(Ordering::Relaxed);
        let age = Duration::from_micros(self.now().saturating_sub(formed));
        (formed > 0 && age < JUST && ahead <= BURST).then_some(BURST_PATIENCE.max(self.patience))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Joins the line until the value is dropped, also by somebody who gives up.
    pub(super) fn enter(&self) -> Waiting<'_> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
            self.formed.store(self.now(), Ordering::Relaxed);
        }
        Waiting(self)
    }

    /// A place was held so long.
    pub(super) fn note(&self, held: Duration) {
        let latest = u64::try_from(held.as_micros()).unwrap_or(u64::MAX);
        let average = self.held.load(Ordering::Relaxed);
        let next = if average == 0 { latest } else { average - average / WEIGHT + latest / WEIGHT };
        // Of two that end at once one may be missing in the average, which changes little.
        self.held.store(next, Ordering::Relaxed);
    }
}

/// One who waits.
pub(super) struct Waiting<'a>(&'a Line);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.formed.store(0, Ordering::Relaxed);
        }
    }
}

/// A place while it is held.
pub(super) struct Held {
    _permit: OwnedSemaphorePermit,
    line: Arc<Line>,
    since: Instant,
}

impl Held {
    pub(super) fn new(permit: OwnedSemaphorePermit, line: Arc<Line>) -> Self {
        Self { _permit: permit, line, since: Instant::now() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.line.note(self.since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(line: &Line) -> Vec<Waiting<'_>> {
        let mut waiting = Vec::new();
        while line.allowance().is_some() {
            waiting.push(line.enter());
        }
        waiting
    }

    fn old(line: &Line) {
        line.formed.store(1, Ordering::Relaxed);
        std::thread::sleep(JUST);
    }

    #[test]
    fn a_line_is_as_long_as_those_who_wait_need() {
        let line = Line::new(2, Duration::from_millis(150));
        assert_eq!(line.allowance(), Some(Duration::from_millis(150)), "nothing is known yet");
        line.note(Duration::from_millis(50));
        let first = line.enter();
        old(&line);
        let mut waiting = fill(&line);
        assert_eq!(waiting.len(), 5, "the sixth waits for 150 ms, one more would for 175");
        waiting.pop();
        assert!(line.allowance().is_some());
        for _ in 0..100 {
            line.note(Duration::from_millis(500));
        }
        waiting.clear();
        assert!(line.allowance().is_none(), "one waits, and each of two places is held for half a second");
        drop(first);
    }

    #[test]
    fn a_crowd_that_comes_at_once_is_served_and_a_storm_is_not() {
        let line = Line::new(2, Duration::from_millis(150));
        line.note(Duration::from_millis(50));
        let crowd = fill(&line);
        assert_eq!(crowd.len(), 20, "a class that signs in together");
        old(&line);
        assert!(line.allowance().is_none());
        drop(crowd);
        assert!(line.allowance().is_some(), "nobody waits any more");
    }
}
