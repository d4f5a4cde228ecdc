//! Prefixes against the arithmetic of the contract (FHIR §3.2), in microseconds and without the code under test.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::DateMatch;
use crate::arbitrary::nearly;
use crate::time::properties::{Written, written};

const PREFIXES: [&str; 10] = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];

/// What the contract says of a stored `[lo, hi]` whose missing ends are open.
fn model(prefix: &str, written: &Written, lo: i128, hi: i128, now: i128) -> bool {
    let (sl, sh) = (i128::from(written.low), i128::from(written.high));
    match prefix {
        "" | "eq" => lo >= sl && hi < sh,
        "ne" => !(lo >= sl && hi < sh),
        "gt" => hi >= sh,
        "lt" => lo < sl,
        "ge" => hi >= sl,
        "le" => lo < sh,
        "sa" => lo >= sh,
        "eb" => hi < sl,
        "ap" => {
            // A tenth in nanoseconds, as a tenth of microseconds is no whole number of them.
            let margin = ((now - sl).abs() * 100).max((sh - sl) * 1000);
            hi * 1000 >= sl * 1000 - margin && lo * 1000 < sh * 1000 + margin
        }
        _ => unreachable!("all prefixes are above"),
    }
}

/// The same for `_lastUpdated` with a time, which is an exact instant.
fn exact_model(prefix: &str, written: &Written, at: i128, now: i128) -> bool {
    let wanted = i128::from(written.low);
    match prefix {
        "" | "eq" => at == wanted,
        "ne" => at != wanted,
        "gt" | "sa" => at > wanted,
        "lt" | "eb" => at < wanted,
        "ge" => at >= wanted,
        "le" => at <= wanted,
        _ => model(prefix, written, at, at, now),
    }
}

/// A moment near a search value: its ends, those of the interval that is near it, and what lies around.
fn near(written: &Written, now: i64) -> impl Strategy<Value = i64> + use<> {
    let (low, high) = (written.low, written.high);
    let unit = high - low;
    let margin = unit.max((now - low).abs() / 10);
    let edge = (prop::sample::select(vec![low, high, low - margin, high + margin]), -2..=2_i64);
    prop_oneof![edge.prop_map(|(edge, by)| edge + by), low - 3 * unit..high + 3 * unit]
}

fn moment(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

/// A prefix, a search value, the ends of a stored value, and the present.
fn cases() -> impl Strategy<Value = (&'static str, Written, i64, i64, i64)> {
    (written(), any::<bool>(), -62_135_596_800_000_000..253_402_300_800_000_000_i64)
        .prop_map(|(written, is_near, now)| {
            let now = if is_near { written.low + now % 1_000_000_000_000 } else { now };
            (written, now)
        })
        .prop_flat_map(|(written, now)| {
            let value = (near(&written, now), near(&written, now)).prop_map(|(one, two)| (one.min(two), one.max(two)));
            (prop::sample::select(&PREFIXES[..]), Just(written), value, Just(now))
        })
        .prop_map(|(prefix, written, (lo, hi), now)| (prefix, written, lo, hi, now))
}

proptest! {
    #[test]
    fn a_prefix_means_what_the_contract_says((prefix, written, lo, hi, now) in cases(), open in 0..4_u8) {
        let parsed = DateMatch::parse(&format!("{prefix}{}", written.text)).unwrap();
        let (low, high) = ((open & 1 == 0).then_some(lo), (open & 2 == 0).then_some(hi));
        let found = parsed.rule(moment(now)).matches(low.map(moment), high.map(moment));
        let (lo, hi) = (low.map_or(i128::MIN / 2000, i128::from), high.map_or(i128::MAX / 2000, i128::from));
        let expected = model(prefix, &written, lo, hi, i128::from(now));
        prop_assert_eq!(found, expected, "{}{} {}..{}", prefix, written.text, lo, hi);
    }

    #[test]
    fn last_updated_with_a_time_is_an_instant((prefix, written, at, _, now) in cases()) {
        let parsed = DateMatch::parse(&format!("{prefix}{}", written.text)).unwrap();
        let found = parsed.last_updated_rule(moment(now)).matches(Some(moment(at)), Some(moment(at)));
        let (at, now) = (i128::from(at), i128::from(now));
        let expected =
            if parsed.has_time { exact_model(prefix, &written, at, now) } else { model(prefix, &written, at, at, now) };
        prop_assert_eq!(found, expected, "{}{} {}", prefix, written.text, at);
    }

    #[test]
    fn an_instant_is_before_in_or_after((_, written, at, _, now) in cases()) {
        let holds = |prefix: &str| {
            let rule = DateMatch::parse(&format!("{prefix}{}", written.text)).unwrap().rule(moment(now));
            rule.matches(Some(moment(at)), Some(moment(at)))
        };
        prop_assert_eq!([holds("eb"), holds("eq"), holds("sa")].into_iter().filter(|holds| *holds).count(), 1);
        prop_assert_eq!(holds("ne"), !holds("eq"));
        prop_assert_eq!(holds("ge"), holds("eq") || holds("gt"));
        prop_assert_eq!(holds("le"), holds("eq") || holds("lt"));
        prop_assert!(holds("ap") || !holds("eq"));
    }

    #[test]
    fn other_text_is_refused_or_means_an_interval(
        text in prop_oneof![
            any::<String>(), nearly(cases().prop_map(|(prefix, written, ..)| format!("{prefix}{}", written.text))),
        ],
        now in -62_135_596_800_000_000..253_402_300_800_000_000_i64,
    ) {
        if let Some(parsed) = DateMatch::parse(&text) {
            prop_assert!(parsed.low < parsed.high);
            parsed.rule(moment(now));
            parsed.last_updated_rule(moment(now));
        }
    }
}
