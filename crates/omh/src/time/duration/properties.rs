//! Durations: what is added is taken away again, and no number is too large to be asked.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const UNITS: [&str; 12] = ["ps", "ns", "us", "ms", "sec", "min", "h", "d", "wk", "Mo", "yr", "fortnight"];

fn moment() -> impl Strategy<Value = DateTime<FixedOffset>> {
    (-62_135_596_800_000_000..253_402_300_800_000_000_i64, -1439..=1439_i32).prop_map(|(micros, minutes)| {
        let offset = FixedOffset::east_opt(minutes * 60).unwrap();
        DateTime::from_timestamp_micros(micros).unwrap().with_timezone(&offset)
    })
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), -1000.0..1000.0, (-100_000..100_000_i32).prop_map(f64::from)]
}

proptest! {
    #[test]
    fn any_duration_is_applied_or_unknown(value in value(), unit in prop::sample::select(&UNITS[..]), start in moment()) {
        let Some(duration) = Duration::parse(&json!({"value": value, "unit": unit})) else { return Ok(()) };
        let later = duration.after(start);
        let earlier = duration.before(start);
        // Taking time away is adding it the other way round.
        let reversed = Duration::parse(&json!({"value": -value, "unit": unit})).unwrap();
        if value != 0.0 {
            prop_assert_eq!(reversed.after(start), earlier);
        }
        match duration {
            Duration::Exact(_) => {
                if let Some(later) = later {
                    prop_assert_eq!(duration.before(later), Some(start));
                }
            }
            Duration::Calendar { .. } => {
                if let Some(later) = later {
                    prop_assert_eq!(later.naive_local().time(), start.naive_local().time());
                    prop_assert!(value == 0.0 || (value > 0.0) == (later >= start) || later == start);
                }
            }
        }
    }

    #[test]
    fn an_exact_duration_is_its_value_in_microseconds(value in -1_000_000..1_000_000_i64, unit in 2..9_usize) {
        let scale = [1, 1000, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000, 604_800_000_000][unit - 2];
        let parsed = Duration::parse(&json!({"value": value, "unit": UNITS[unit]}));
        prop_assert_eq!(parsed, Some(Duration::Exact(TimeDelta::microseconds(value * scale))));
    }

    #[test]
    fn whole_months_keep_the_day_or_take_the_last(months in 0..2000_u32, start in moment()) {
        use chrono::Datelike as _;
        let duration = Duration::parse(&json!({"value": months, "unit": "Mo"})).unwrap();
        let Some(later) = duration.after(start) else { return Ok(()) };
        let (from, to) = (start.naive_local().date(), later.naive_local().date());
        let counted = |date: chrono::NaiveDate| i64::from(date.year()) * 12 + i64::from(date.month0());
        prop_assert_eq!(counted(to) - counted(from), i64::from(months));
        let is_last = to.succ_opt().is_none_or(|next| next.day() == 1);
        prop_assert!(to.day() == from.day() || (to.day() < from.day() && is_last));
    }
}
