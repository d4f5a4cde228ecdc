//! Time as a parameter: nothing below the binary reads the system clock.

use chrono::{DateTime, Utc};

/// Tells the time. The binary passes the system clock, tests pass one they set.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> DateTime<Utc>;
}
