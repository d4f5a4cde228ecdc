//! A partial date covers exactly the interval that an independent calendar gives it.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::arbitrary::nearly;

/// A day, written out and counted, and what may follow it.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// As a client writes it.
    pub(crate) text: String,
    /// First moment, in microseconds since 1970.
    pub(crate) low: i64,
    /// First moment after it.
    pub(crate) high: i64,
}

const DAY: i64 = 86_400_000_000;

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 of a day that exists, by counting years and months.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let years = before * 365 + before / 4 - before / 100 + before / 400;
    let months: i64 = (1..month).map(|month| days_of_month(year, month)).sum();
    years + months + day - 1 - 719_162
}

/// Every form a date parameter may have.
pub(crate) fn written() -> impl Strategy<Value = Written> {
    let date = (1..=9999_i64, 1..=12_i64, 1..=31_i64)
        .prop_map(|(year, month, day)| (year, month, day.min(days_of_month(year, month))));
    prop_oneof![
        1 => date.clone().prop_map(|(year, _, _)| (format!("{year:04}"), days(year, 1, 1), days(year, 12, 31) + 1)),
        1 => date.clone().prop_map(|(year, month, _)| {
            let first = days(year, month, 1);
            (format!("{year:04}-{month:02}"), first, first + days_of_month(year, month))
        }),
        1 => date.clone().prop_map(|(year, month, day)| {
            let first = days(year, month, day);
            (format!("{year:04}-{month:02}-{day:02}"), first, first + 1)
        }),
    ]
    .prop_map(|(text, low, high)| Written { text, low: low * DAY, high: high * DAY })
    .boxed()
    .prop_union(with_time(date).boxed())
}

fn with_time(date: impl Strategy<Value = (i64, i64, i64)>) -> impl Strategy<Value = Written> {
    let seconds = proptest::option::of((0..60_i64, proptest::option::of("[0-9]{1,9}")));
    let offset = proptest::option::of((prop_oneof!["[-+ ]", Just("Z".to_owned())], 0..=14_i64, 0..60_i64));
    (date, 0..24_i64, 0..60_i64, seconds, offset).prop_map(|((year, month, day), hour, minute, seconds, offset)| {
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}");
        let mut low = days(year, month, day) * DAY + (hour * 3600 + minute * 60) * 1_000_000;
        let mut unit = 60_000_000;
        if let Some((second, fraction)) = seconds {
            write!(text, ":{second:02}").unwrap();
            low += second * 1_000_000;
            unit = 1_000_000;
            if let Some(fraction) = fraction {
                write!(text, ".{fraction}").unwrap();
                // Stored times have microseconds: what is finer means its microsecond.
                for digit in fraction.bytes().take(6) {
                    unit /= 10;
                    low += i64::from(digit - b'0') * unit;
                }
            }
        }
        match offset {
            None => {}
            Some((sign, _, _)) if sign == "Z" => text.push('Z'),
            Some((sign, hours, minutes)) => {
                write!(text, "{sign}{hours:02}:{minutes:02}").unwrap();
                let distance = (hours * 60 + minutes) * 60_000_000;
                low += if sign == "-" { distance } else { -distance };
            }
        }
        Written { text, low, high: low + unit }
    })
}

proptest! {
    #[test]
    fn a_partial_date_covers_exactly_its_interval(written in written()) {
        let found = parse_interval(&written.text).unwrap();
        prop_assert_eq!(found.low.timestamp_micros(), written.low);
        prop_assert_eq!(found.high.timestamp_micros(), written.high);
        prop_assert_eq!(found.low.timestamp_subsec_nanos() % 1000, 0);
        prop_assert_eq!(found.has_time, written.text.contains('T'));
    }

    #[test]
    fn an_instant_reads_back_as_itself(micros in -62_135_596_800_000_000..253_402_300_800_000_000_i64) {
        let at = DateTime::from_timestamp_micros(micros).unwrap();
        let found = parse_interval(&instant(at)).unwrap();
        prop_assert_eq!(found.low, at);
        prop_assert!(found.high > at && found.has_time);
        prop_assert_eq!(version_id(at), micros.to_string());
    }

    #[test]
    fn other_text_is_refused_or_means_an_interval(
        text in prop_oneof![any::<String>(), nearly(written().prop_map(|written| written.text))],
    ) {
        if let Some(found) = parse_interval(&text) {
            prop_assert!(found.low < found.high, "{text}");
            prop_assert!(text.is_ascii(), "{text}");
        }
    }
}
