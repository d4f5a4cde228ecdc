//! Query parameters: any text is a time, a number, or refused.

use proptest::prelude::*;

use super::*;

/// Digits and separators as in a date or a timestamp.
fn nearly_time() -> impl Strategy<Value = String> {
    let date = "[+-]?[0-9]{4,7}-[0-9]{2}-[0-9]{2}";
    let time = "[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?";
    (date, proptest::option::of(time), "([Z+ -]([0-9]{2}:?[0-9]{2})?)?")
        .prop_map(|(date, time, offset)| time.map_or(date.clone(), |time| format!("{date}{time}{offset}")))
}

proptest! {
    #[test]
    fn any_text_is_a_time_or_none(text in prop_oneof![any::<String>(), nearly_time()]) {
        if let Some((low, high)) = parse_time(&text) {
            prop_assert!(low < high);
            prop_assert!((1..=9999).contains(&low.year()));
        }
    }

    #[test]
    fn a_moment_reads_back_as_itself(
        micros in -62_135_596_800_000_000..253_402_300_800_000_000_i64, minutes in -1439..1440_i32,
    ) {
        let at = DateTime::from_timestamp_micros(micros).unwrap();
        let offset = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
        let local = at.with_timezone(&offset);
        prop_assume!((0..=9999).contains(&local.year()));
        for text in [local.to_rfc3339(), local.to_rfc3339().replace('+', " "), local.to_rfc3339().replace('T', " ")] {
            prop_assert_eq!(parse_time(&text), Some((at, at + TimeDelta::microseconds(1))), "{}", text);
        }
        let day = at.date_naive();
        let midnight = day.and_time(NaiveTime::MIN).and_utc();
        prop_assert_eq!(parse_time(&day.to_string()), Some((midnight, midnight + TimeDelta::days(1))));
    }

    #[test]
    fn any_query_is_asked_without_a_fault(
        raw in prop_oneof![any::<String>(), "[a-zA-Z_]{1,4}=[0-9a-z%+-]{0,6}(&[a-zA-Z_]{1,4}=[0-9]{0,20}){0,3}"],
    ) {
        let query = AdminQuery::for_test(&raw);
        for (name, _) in &query.raw {
            let snake = to_snake(name);
            prop_assert!(query.get(&snake).is_none_or(|found| query.raw.iter().any(|(_, sent)| sent == found)));
            if let Ok(Some(number)) = query.integer(name) {
                prop_assert!(query.get(&snake).unwrap().contains(&number.unsigned_abs().to_string()));
            }
            query.time(&snake).ok();
            query.is_true(&snake);
        }
    }
}
