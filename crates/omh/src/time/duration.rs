//! A duration of Open mHealth: a value with a unit of the UCUM.

use chrono::{DateTime, FixedOffset, Months, TimeDelta};
use serde_json::Value;

/// A duration that can be added to a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duration {
    /// A fixed length, to the microsecond.
    Exact(TimeDelta),
    /// Whole calendar months; a day that the target month has not becomes its last one.
    Calendar {
        /// How many.
        months: u32,
        /// Whether they are counted backwards.
        is_negative: bool,
    },
}

impl Duration {
    /// Reads `{"value": 1.5, "unit": "h"}`. `None` for another shape, an unknown unit or a length that no calendar holds.
    pub(super) fn parse(duration: &Value) -> Option<Self> {
        let value = duration.get("value")?.as_f64()?;
        let unit = duration.get("unit")?.as_str()?;
        match unit {
            "ps" => exact(value, 1e-12),
            "ns" => exact(value, 1e-9),
            "us" => exact(value, 1e-6),
            "ms" => exact(value, 1e-3),
            "sec" => exact(value, 1.0),
            "min" => exact(value, 60.0),
            "h" => exact(value, 3_600.0),
            "d" => exact(value, 86_400.0),
            "wk" => exact(value, 604_800.0),
            "Mo" => calendar(value, 1),
            "yr" => calendar(value, 12),
            _ => None,
        }
    }

    /// The moment this long after `start`.
    pub(super) fn after(self, start: DateTime<FixedOffset>) -> Option<DateTime<FixedOffset>> {
        match self {
            Self::Exact(delta) => start.checked_add_signed(delta),
            Self::Calendar { months, is_negative: false } => start.checked_add_months(Months::new(months)),
            Self::Calendar { months, is_negative: true } => start.checked_sub_months(Months::new(months)),
        }
    }

    /// The moment this long before `end`.
    pub(super) fn before(self, end: DateTime<FixedOffset>) -> Option<DateTime<FixedOffset>> {
        self.reversed().after(end)
    }

    fn reversed(self) -> Self {
        match self {
            Self::Exact(delta) => Self::Exact(-delta),
            Self::Calendar { months, is_negative } => Self::Calendar { months, is_negative: !is_negative },
        }
    }
}

fn exact(value: f64, unit_seconds: f64) -> Option<Duration> {
    let length = std::time::Duration::try_from_secs_f64(value.abs() * unit_seconds).ok()?;
    // Binary fractions of decimal values miss the microsecond by a hair, so round to the nearest.
    let microseconds = length.as_nanos().checked_add(500)? / 1_000;
    let microseconds = i64::try_from(microseconds).ok()?;
    let microseconds = if value < 0.0 { -microseconds } else { microseconds };
    Some(Duration::Exact(TimeDelta::microseconds(microseconds)))
}

fn calendar(value: f64, unit_months: u32) -> Option<Duration> {
    // The integer part in whole seconds, because the standard library has a checked conversion for those only.
    let whole = std::time::Duration::try_from_secs_f64(value.abs().trunc()).ok()?.as_secs();
    let months = u32::try_from(whole).ok()?.checked_mul(unit_months)?;
    Some(Duration::Calendar { months, is_negative: value < 0.0 })
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn units_scale_the_value() {
        for (value, unit, microseconds) in [
            (json!(2_500_000), "ps", 3),
            (json!(1_000), "ns", 1),
            (json!(7), "us", 7),
            (json!(1.5), "ms", 1_500),
            (json!(0.1), "sec", 100_000),
            (json!(1), "min", 60_000_000),
            (json!(1.1), "h", 3_960_000_000),
            (json!(-0.5), "d", -43_200_000_000),
            (json!(2), "wk", 1_209_600_000_000),
        ] {
            let parsed = Duration::parse(&json!({"value": value, "unit": unit}));
            let expected = Duration::Exact(TimeDelta::microseconds(microseconds));
            assert_eq!(parsed, Some(expected), "{value} {unit}");
        }
    }

    #[test]
    fn months_and_years_use_the_integer_part() {
        for (value, unit, months, is_negative) in [
            (json!(1), "Mo", 1, false),
            (json!(2.99), "Mo", 2, false),
            (json!(1.9), "yr", 12, false),
            (json!(-3.5), "Mo", 3, true),
        ] {
            let parsed = Duration::parse(&json!({"value": value, "unit": unit}));
            assert_eq!(parsed, Some(Duration::Calendar { months, is_negative }), "{value} {unit}");
        }
    }

    #[test]
    fn other_durations_are_unknown() {
        for duration in [
            json!({"value": 1, "unit": "fortnight"}),
            json!({"value": 1, "unit": "mo"}),
            json!({"value": "1", "unit": "h"}),
            json!({"value": 1, "unit": 1}),
            json!({"unit": "h"}),
            json!({"value": 1e20, "unit": "Mo"}),
            json!({"value": 4e9, "unit": "yr"}),
            json!({"value": 1e300, "unit": "h"}),
            json!([]),
            json!(null),
        ] {
            assert_eq!(Duration::parse(&duration), None, "{duration}");
        }
    }
}
