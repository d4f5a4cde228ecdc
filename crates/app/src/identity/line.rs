//! How long the line in front of a few places is: from how many wait, and how long a place was held lately.

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
}

/// How much of the average the latest one is: a storm is noticed within a second, one slow check is not a storm.
const WEIGHT: u64 = 8;

impl Line {
    pub(super) fn new(places: usize, patience: Duration) -> Self {
        Self { places, patience, waiting: AtomicUsize::new(0), held: AtomicU64::new(0) }
    }

    /// How long anybody waits at most.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Whether one more would have its turn in time, as far as one can tell.
    pub(super) fn is_short(&self) -> bool {
        let ahead = u64::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or(u64::MAX).saturating_add(1);
        let places = u64::try_from(self.places).unwrap_or(1).max(1);
        let expected = ahead.saturating_mul(self.held.load(Ordering::Relaxed)) / places;
        Duration::from_micros(expected) <= self.patience
    }

    /// Joins the line until the value is dropped, also by somebody who gives up.
    pub(super) fn enter(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
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
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
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

    #[test]
    fn a_line_is_as_long_as_those_who_wait_need() {
        let line = Line::new(2, Duration::from_millis(150));
        assert!(line.is_short(), "nothing is known yet");
        line.note(Duration::from_millis(50));
        let mut waiting = Vec::new();
        while line.is_short() {
            waiting.push(line.enter());
        }
        assert_eq!(waiting.len(), 6, "the sixth waits for 150 ms, one more would for 175");
        waiting.pop();
        assert!(line.is_short());
        for _ in 0..100 {
            line.note(Duration::from_millis(500));
        }
        waiting.clear();
        assert!(!line.is_short(), "nobody waits, but each of two places is held for half a second");
    }
}
