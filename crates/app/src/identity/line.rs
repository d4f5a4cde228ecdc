//! How long the line in front of a few places is: from how many wait, and how long a place was held lately.
//!
//! A class that signs in at the same moment is no storm: as long as no more are turned away than a class is, and than are
//! served, some more may join the line than those who are served within their patience.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

/// The line.
pub(super) struct Line {
    places: usize,
    patience: Duration,
    waiting: AtomicUsize,
    /// How long a place is held, in microseconds: recent ones count more. Zero until the first was given back.
    held: AtomicU64,
    weather: Mutex<Weather>,
}

/// How many may wait while there is no storm, however long that takes them …
const CROWD: u64 = 20;
/// … up to this.
const CROWD_PATIENCE: Duration = Duration::from_secs(3);
/// How long is counted before it is told whether there is a storm.
const SPELL: Duration = Duration::from_secs(1);

/// Whether far more come than can be served.
struct Weather {
    since: Instant,
    turned_away: u64,
    served: u64,
    was_stormy: bool,
    was_raging: bool,
}

impl Weather {
    fn new(now: Instant) -> Self {
        Self { since: now, turned_away: 0, served: 0, was_stormy: false, was_raging: false }
    }

    /// More are turned away than a crowd is, and than are served.
    fn blows(&self) -> bool {
        self.turned_away > CROWD && self.turned_away > self.served
    }

    /// The weather now: of the spell before, and of this one as soon as it is told.
    fn is_stormy(&mut self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.since);
        if age >= SPELL {
            // After a quiet spell whatever was before is over.
            let was_stormy = age < 2 * SPELL && self.blows();
            let was_raging = was_stormy && self.exceeds_a_class();
            *self = Self { was_stormy, was_raging, ..Self::new(now) };
        }
        self.was_stormy || self.blows()
    }

    /// Whether it is no large class that comes, beyond doubt.
    fn rages(&mut self, now: Instant) -> bool {
        self.is_stormy(now) && (self.was_raging || self.exceeds_a_class())
    }

    fn exceeds_a_class(&self) -> bool {
        self.turned_away > 2 * CROWD
    }
}

/// How much of the average the latest one is: a storm is noticed within a second, one slow check is not a storm.
const WEIGHT: u64 = 8;

impl Line {
    pub(super) fn new(places: usize, patience: Duration) -> Self {
        let (waiting, held) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { places, patience, waiting, held, weather: Mutex::new(Weather::new(Instant::now())) }
    }

    /// How long one more may wait for its turn; `None` when that would take too long, as far as one can tell.
    pub(super) fn allowance(&self) -> Option<Duration> {
        let ahead = u64::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or(u64::MAX).saturating_add(1);
        let places = u64::try_from(self.places).unwrap_or(1).max(1);
        let expected = ahead.saturating_mul(self.held.load(Ordering::Relaxed)) / places;
        let expected = Duration::from_micros(expected);
        let mut weather = self.weather();
        let stormy = weather.is_stormy(Instant::now());
        if !stormy && ahead <= CROWD && expected <= CROWD_PATIENCE {
            return Some(CROWD_PATIENCE.max(self.patience));
        }
        if expected <= self.patience {
            return Some(self.patience);
        }
        weather.turned_away += 1;
        None
    }

    /// Whether somebody who joined the line before a storm came, and has waited so long, had better leave it.
    pub(super) fn is_hopeless(&self, waited: Duration) -> bool {
        waited >= self.patience && self.weather().rages(Instant::now())
    }

    /// Somebody gave up waiting, which is as good as being turned away.
    pub(super) fn gave_up(&self) {
        self.weather().turned_away += 1;
    }

    fn weather(&self) -> std::sync::MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.weather().served += 1;
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

    fn fill(line: &Line) -> Vec<Waiting<'_>> {
        let mut waiting = Vec::new();
        while line.allowance().is_some() {
            waiting.push(line.enter());
        }
        waiting
    }

    fn storm(line: &Line) {
        for _ in 0..100 {
            line.weather().turned_away += 1;
        }
    }

    #[test]
    fn in_a_storm_a_line_is_as_long_as_those_who_wait_need() {
        let line = Line::new(2, Duration::from_millis(150));
        line.note(Duration::from_millis(50));
        storm(&line);
        assert_eq!(line.allowance(), Some(Duration::from_millis(150)));
        let mut waiting = fill(&line);
        assert_eq!(waiting.len(), 6, "the sixth waits for 150 ms, one more would for 175");
        waiting.pop();
        assert!(line.allowance().is_some());
        for _ in 0..50 {
            line.note(Duration::from_millis(500));
        }
        waiting.truncate(1);
        assert!(line.allowance().is_none(), "one waits, and each of two places is held for half a second");
    }

    #[test]
    fn a_crowd_is_served_and_a_storm_is_not() {
        let line = Line::new(2, Duration::from_millis(150));
        assert_eq!(line.allowance(), Some(Duration::from_secs(3)), "nothing is known yet");
        line.note(Duration::from_millis(50));
        let mut crowd = fill(&line);
        assert_eq!(crowd.len(), 20, "a class that signs in together");
        crowd.truncate(10);
        for _ in 0..20 {
            assert!(line.allowance().is_some(), "those who wait longer than usual are no storm");
            line.note(Duration::from_millis(50));
        }
        storm(&line);
        assert!(line.allowance().is_none(), "many more are turned away than are served");
        crowd.clear();
        assert!(line.allowance().is_some(), "nobody waits any more");
    }

    #[test]
    fn a_storm_is_over_when_a_spell_was_without() {
        let begin = Instant::now();
        let mut weather = Weather::new(begin);
        let at = |tenths: u32| begin + SPELL / 10 * tenths;
        weather.turned_away = CROWD;
        assert!(!weather.is_stormy(at(1)), "a crowd that was too large");
        weather.turned_away += 1;
        assert!(weather.is_stormy(at(2)));
        assert!(!weather.rages(at(2)), "a class of that size waits on");
        weather.turned_away += CROWD;
        assert!(weather.rages(at(2)), "which this is not");
        weather.served = weather.turned_away;
        assert!(!weather.is_stormy(at(3)), "as many are served");
        weather.turned_away += 1;
        assert!(weather.is_stormy(at(11)), "the next spell, after a stormy one");
        assert!(weather.rages(at(11)), "it goes on");
        assert!(!weather.is_stormy(at(22)), "after one without");
        weather.turned_away = 100;
        assert!(!weather.is_stormy(at(45)), "long ago");
        let mut class = Weather::new(begin);
        class.turned_away = CROWD + 1;
        assert!(class.is_stormy(at(11)) && !class.rages(at(11)), "a large class on a slow machine waits on");
    }
}
