//! The system clock: the one place where the product reads it.

use chrono::{DateTime, Utc};
use jhe_domain::clock::Clock;

/// Tells the time of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "everything else takes this clock as a parameter")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
