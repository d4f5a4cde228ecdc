//! Time frames of any shape: a time, none, or a fault, and no period ends before it starts.

use proptest::prelude::*;
use serde_json::json;

use super::timestamp::properties::written;
use super::*;

fn time() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => written().prop_map(|(text, _)| json!(text)),
        1 => any::<String>().prop_map(Value::from),
        1 => prop_oneof![Just(json!(null)), Just(json!(5)), Just(json!({"a": 1})), Just(json!([]))],
    ]
}

fn duration() -> impl Strategy<Value = Value> {
    let unit = prop::sample::select(vec!["ps", "sec", "min", "h", "d", "wk", "Mo", "yr", "x"]);
    (prop_oneof![any::<f64>(), -1e6..1e6], unit).prop_map(|(value, unit)| json!({"value": value, "unit": unit}))
}

fn interval() -> impl Strategy<Value = Value> {
    let part = prop::sample::select(vec!["night", "morning", "afternoon", "evening", "noon"]).prop_map(Value::from);
    members(vec![
        ("start_date_time", time().boxed()),
        ("end_date_time", time().boxed()),
        ("duration", duration().boxed()),
        ("date", "[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]".prop_map(Value::from).boxed()),
        ("part_of_day", part.boxed()),
    ])
}

/// An object of some of the members.
fn members(of: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let members: Vec<_> = of
        .into_iter()
        .map(|(name, value)| proptest::option::of(value).prop_map(move |value| Some((name.to_owned(), value?))))
        .collect();
    members.prop_map(|members| Value::Object(members.into_iter().flatten().collect()))
}

proptest! {
    #[test]
    fn a_frame_of_any_shape_is_read(frame in members(vec![("date_time", time().boxed()), ("time_interval", interval().boxed())])) {
        match effective_time(&json!({"header": {}, "body": {"effective_time_frame": frame}})) {
            Ok(EffectiveTime::Period { start, end }) => {
                prop_assert!(start.is_some() || end.is_some());
                prop_assert!(start.zip(end).is_none_or(|(start, end)| start <= end), "{start:?} {end:?}");
                for at in [start, end].into_iter().flatten() {
                    prop_assert_eq!(in_range(at.fixed_offset()), Some(at));
                }
            }
            Ok(EffectiveTime::Instant(at)) => prop_assert_eq!(in_range(at.fixed_offset()), Some(at)),
            Ok(EffectiveTime::None) => {}
            Err(fault) => prop_assert!(fault.reason().chars().count() < 500),
        }
    }

    #[test]
    fn a_point_in_time_wins((text, _) in written(), interval in interval()) {
        let document = json!({"body": {"effective_time_frame": {"date_time": text, "time_interval": interval}}});
        if let Some(at) = parse_timestamp(&text) {
            prop_assert_eq!(effective_time(&document), Ok(EffectiveTime::Instant(at)));
        } else {
            prop_assert!(effective_time(&document).is_err());
        }
    }

    #[test]
    fn start_and_end_are_a_period((start, _) in written(), (end, _) in written()) {
        let document = json!({"body": {"effective_time_frame": {"time_interval": {"start_date_time": start, "end_date_time": end}}}});
        let found = effective_time(&document);
        match (parse_timestamp(&start), parse_timestamp(&end)) {
            (Some(start), Some(end)) if start <= end => {
                prop_assert_eq!(found, Ok(EffectiveTime::Period { start: Some(start), end: Some(end) }));
            }
            _ => prop_assert!(found.is_err()),
        }
    }
}
