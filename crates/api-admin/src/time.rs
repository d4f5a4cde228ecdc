//! Timestamps as the family writes them: UTC, always six fraction digits, `Z`.

use chrono::{DateTime, SecondsFormat, Utc};

/// `2026-02-11T22:39:09.246655Z`.
pub(crate) fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_six_fraction_digits() {
        let time = DateTime::from_timestamp(1_770_849_549, 246_655_000).unwrap();
        assert_eq!(timestamp(time), "2026-02-11T22:39:09.246655Z");
        assert_eq!(timestamp(DateTime::from_timestamp(0, 0).unwrap()), "1970-01-01T00:00:00.000000Z");
    }
}
