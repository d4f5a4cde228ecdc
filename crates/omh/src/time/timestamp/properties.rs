//! Timestamps against a calendar that counts by itself.

use chrono::SecondsFormat;
use proptest::prelude::*;

use super::*;

/// A timestamp as text, and the microseconds since 1970 it means.
pub(in crate::time) fn written() -> impl Strategy<Value = (String, i64)> {
    let date = (1..=9999_i64, 1..=12_i64, 1..=31_i64)
        .prop_map(|(year, month, day)| (year, month, day.min(days_of_month(year, month))));
    let seconds = proptest::option::of((0..60_i64, proptest::option::of("[0-9]{1,9}")));
    let offset = proptest::option::of((prop::sample::select(vec!["Z", "+", "-"]), 0..=23_i64, 0..60_i64, 0..3_u8));
    let time = proptest::option::of((prop::sample::select(vec!['T', ' ']), 0..24_i64, 0..60_i64, seconds, offset));
    (date, time).prop_map(|((year, month, day), time)| {
        let mut text = format!("{year:04}-{month:02}-{day:02}");
        let mut at = days(year, month, day) * 86_400_000_000;
        let Some((separator, hour, minute, seconds, offset)) = time else {
            return (text, at);
        };
        text = format!("{text}{separator}{hour:02}:{minute:02}");
        at += (hour * 60 + minute) * 60_000_000;
        if let Some((second, fraction)) = seconds {
            text = format!("{text}:{second:02}");
            at += second * 1_000_000;
            if let Some(fraction) = fraction {
                let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
                at += micros.parse::<i64>().unwrap();
                text = format!("{text}.{fraction}");
            }
        }
        match offset {
            None => (text, at),
            Some(("Z", ..)) => (format!("{text}Z"), at),
            Some((sign, hours, minutes, form)) => {
                let minutes = if form == 0 { 0 } else { minutes };
                let distance = (hours * 60 + minutes) * 60_000_000;
                let offset = match form {
                    0 => format!("{hours:02}"),
                    1 => format!("{hours:02}{minutes:02}"),
                    _ => format!("{hours:02}:{minutes:02}"),
                };
                (format!("{text}{sign}{offset}"), if sign == "-" { at + distance } else { at - distance })
            }
        }
    })
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970, by counting years and months.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let years = before * 365 + before / 4 - before / 100 + before / 400;
    years + (1..month).map(|month| days_of_month(year, month)).sum::<i64>() + day - 1 - 719_162
}

/// The first moment of the year 1, and the first after the year 9999.
const YEARS: std::ops::Range<i64> = -62_135_596_800_000_000..253_402_300_800_000_000;

proptest! {
    #[test]
    fn a_timestamp_means_its_moment((text, at) in written()) {
        let expected = YEARS.contains(&at).then(|| DateTime::from_timestamp_micros(at).unwrap());
        prop_assert_eq!(parse_timestamp(&text), expected, "{}", text);
    }

    #[test]
    fn a_moment_reads_back_as_itself(at in YEARS) {
        let at = DateTime::from_timestamp_micros(at).unwrap();
        prop_assert_eq!(parse_timestamp(&at.to_rfc3339_opts(SecondsFormat::AutoSi, true)), Some(at));
    }

    #[test]
    fn other_text_is_refused_or_a_moment_of_our_years(
        (text, _) in written(), at: prop::sample::Index, other: char, insert: bool, any in any::<String>(),
    ) {
        let mut letters: Vec<char> = text.chars().collect();
        let at = at.index(letters.len());
        if insert { letters.insert(at, other) } else { letters[at] = other }
        for text in [letters.iter().collect(), any] {
            if let Some(at) = parse_timestamp(&text) {
                prop_assert!(text.is_ascii(), "{text}");
                prop_assert!(YEARS.contains(&at.timestamp_micros()));
            }
            if let Some(date) = parse_date(&text) {
                prop_assert_eq!(date.to_string(), text);
            }
        }
    }
}
