//! A clock that tests set.

use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};
use jhe_domain::clock::Clock;

/// Stands still until it is moved.
#[derive(Debug)]
pub struct TestClock(Mutex<DateTime<Utc>>);

impl Default for TestClock {
    fn default() -> Self {
        Self(Mutex::new(DateTime::from_timestamp(1_790_000_000, 0).unwrap()))
    }
}

impl TestClock {
    /// Moves time on.
    pub fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}
