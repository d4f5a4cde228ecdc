//! When a measurement was made: `body.effective_time_frame` as one instant or one period.
//!
//! This does not repeat the schema's work. It also reads documents that were stored before a rule existed, so a shape it
//! does not know gives no time; only a time that is given as text and makes no sense is a fault.

mod duration;
mod timestamp;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde_json::{Map, Value};

pub use timestamp::parse_timestamp;

use duration::Duration;
use timestamp::{in_range, parse_date, parse_with_offset};

/// The effective time of a data point, in UTC with microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectiveTime {
    /// The document tells no time, or not in a form that is known.
    None,
    /// A point in time.
    Instant(DateTime<Utc>),
    /// An interval. One bound is absent when it would have to be computed from a duration that cannot be applied.
    Period {
        /// First moment.
        start: Option<DateTime<Utc>>,
        /// Last moment, not before `start`.
        end: Option<DateTime<Utc>>,
    },
}

/// Why a time frame cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("effective_time_frame: {reason}")]
pub struct TimeFrameFault {
    reason: String,
}

impl TimeFrameFault {
    /// The reason alone, without the name of the member.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// The effective time of a data point (`header` and `body`).
///
/// A `date_time` wins over a `time_interval`. Of an interval, start and end win over a bound with a duration, and those
/// over a date with a part of the day. Text without an offset is UTC. Months and years of a duration are calendar ones,
/// counted in the offset of the bound they are added to.
///
/// # Errors
///
/// [`TimeFrameFault`] when `date_time`, `start_date_time` or `end_date_time` is text but no timestamp, or when the
/// interval ends before it starts. A caller that reads stored documents takes that for [`EffectiveTime::None`].
pub fn effective_time(document: &Value) -> Result<EffectiveTime, TimeFrameFault> {
    let frame = document.pointer("/body/effective_time_frame").and_then(Value::as_object);
    let Some(frame) = frame else {
        return Ok(EffectiveTime::None);
    };
    if let Some(instant) = bound(frame, "date_time")? {
        return Ok(EffectiveTime::Instant(instant.to_utc()));
    }
    match frame.get("time_interval").and_then(Value::as_object) {
        Some(interval) => interval_time(interval),
        None => Ok(EffectiveTime::None),
    }
}

fn interval_time(interval: &Map<String, Value>) -> Result<EffectiveTime, TimeFrameFault> {
    let start = bound(interval, "start_date_time")?;
    let end = bound(interval, "end_date_time")?;
    let duration = interval.get("duration");
    let (start, end) = match (start, end, duration) {
        (Some(start), Some(end), _) => (Some(start.to_utc()), Some(end.to_utc())),
        (Some(start), None, Some(duration)) => {
            let end = Duration::parse(duration).and_then(|duration| duration.after(start));
            (Some(start.to_utc()), end.and_then(in_range))
        }
        (None, Some(end), Some(duration)) => {
            let start = Duration::parse(duration).and_then(|duration| duration.before(end));
            (start.and_then(in_range), Some(end.to_utc()))
        }
        _ => return Ok(part_of_day_time(interval).unwrap_or(EffectiveTime::None)),
    };
    match (start, end) {
        (Some(start), Some(end)) if end < start => Err(TimeFrameFault {
            reason: format!("the end {} is before the start {}", end.to_rfc3339(), start.to_rfc3339()),
        }),
        _ => Ok(EffectiveTime::Period { start, end }),
    }
}

/// A bound that is given as text. Another JSON type is a shape that is not known, and no fault.
fn bound(members: &Map<String, Value>, name: &str) -> Result<Option<DateTime<FixedOffset>>, TimeFrameFault> {
    let Some(text) = members.get(name).and_then(Value::as_str) else {
        return Ok(None);
    };
    match parse_with_offset(text) {
        Some(time) => Ok(Some(time)),
        None => Err(TimeFrameFault { reason: format!("{name} {} is not a timestamp", quoted(text)) }),
    }
}

/// The text as a JSON string, cut when it is much longer than any timestamp.
fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    Value::String(short).to_string()
}

/// A date with a part of the day, each six hours of UTC.
fn part_of_day_time(interval: &Map<String, Value>) -> Option<EffectiveTime> {
    let date = parse_date(interval.get("date")?.as_str()?)?;
    let first_hour = match interval.get("part_of_day")?.as_str()? {
        "night" => 0,
        "morning" => 6,
        "afternoon" => 12,
        "evening" => 18,
        _ => return None,
    };
    let start = midnight(date).checked_add_signed(TimeDelta::hours(first_hour))?;
    let end = start.checked_add_signed(TimeDelta::hours(6))?;
    Some(EffectiveTime::Period { start: Some(start), end: in_range(end.fixed_offset()) })
}

fn midnight(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn frame(frame: &Value) -> Result<EffectiveTime, TimeFrameFault> {
        effective_time(&json!({"header": {}, "body": {"effective_time_frame": frame}}))
    }

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[track_caller]
    fn check_interval(interval: &Value, start: &str, end: &str) {
        let bound = |text: &str| (!text.is_empty()).then(|| at(text));
        assert_eq!(
            frame(&json!({"time_interval": interval})),
            Ok(EffectiveTime::Period { start: bound(start), end: bound(end) }),
            "{interval}"
        );
    }

    #[track_caller]
    fn check_fault(value: &Value, reason: &str) {
        let fault = frame(value).unwrap_err();
        assert_eq!(fault.reason(), reason);
        assert_eq!(fault.to_string(), format!("effective_time_frame: {reason}"));
    }

    #[test]
    fn date_time_is_an_instant() {
        for (text, expected) in [
            ("2026-04-15T07:30:00-07:00", "2026-04-15T14:30:00Z"),
            ("2026-04-15T07:30:00Z", "2026-04-15T07:30:00Z"),
            ("2026-04-15T07:30:00", "2026-04-15T07:30:00Z"),
            ("2026-04-15", "2026-04-15T00:00:00Z"),
        ] {
            assert_eq!(frame(&json!({"date_time": text})), Ok(EffectiveTime::Instant(at(expected))));
        }
        let both = json!({"date_time": "2026-04-15", "time_interval": {"date": "2026-04-16", "part_of_day": "night"}});
        assert_eq!(frame(&both), Ok(EffectiveTime::Instant(at("2026-04-15T00:00:00Z"))));
    }

    #[test]
    fn interval_is_start_with_end_or_a_bound_with_duration() {
        let start = |start: &str, value: Value, unit: &str| json!({"start_date_time": start, "duration": {"value": value, "unit": unit}});
        for (interval, from, to) in [
            (
                json!({"start_date_time": "2026-04-14T23:10:00Z", "end_date_time": "2026-04-15T06:40:00+02:00"}),
                "2026-04-14T23:10:00Z",
                "2026-04-15T04:40:00Z",
            ),
            (
                json!({"start_date_time": "2026-04-15", "end_date_time": "2026-04-15T00:00:00Z"}),
                "2026-04-15T00:00:00Z",
                "2026-04-15T00:00:00Z",
            ),
            (
                json!({"start_date_time": "2026-04-15", "end_date_time": "2026-04-16", "duration": {"value": 1, "unit": "h"}}),
                "2026-04-15T00:00:00Z",
                "2026-04-16T00:00:00Z",
            ),
            (start("2026-04-15T10:00:00Z", json!(60), "min"), "2026-04-15T10:00:00Z", "2026-04-15T11:00:00Z"),
            (
                json!({"end_date_time": "2026-04-15T10:00:00Z", "duration": {"value": 60, "unit": "min"}}),
                "2026-04-15T09:00:00Z",
                "2026-04-15T10:00:00Z",
            ),
            (start("2026-01-31", json!(1), "Mo"), "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"),
            (start("2026-01-31", json!(1.9), "Mo"), "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"),
            (
                json!({"end_date_time": "2026-03-31", "duration": {"value": 1, "unit": "Mo"}}),
                "2026-02-28T00:00:00Z",
                "2026-03-31T00:00:00Z",
            ),
            (start("2024-02-29", json!(1), "yr"), "2024-02-29T00:00:00Z", "2025-02-28T00:00:00Z"),
            (start("2026-04-15", json!(1.5), "h"), "2026-04-15T00:00:00Z", "2026-04-15T01:30:00Z"),
            (start("2026-04-15", json!(2), "wk"), "2026-04-15T00:00:00Z", "2026-04-29T00:00:00Z"),
            // The month is that of the place: 30 January there, although 31 January in UTC.
            (start("2026-01-30T20:00:00-08:00", json!(1), "Mo"), "2026-01-31T04:00:00Z", "2026-03-01T04:00:00Z"),
        ] {
            check_interval(&interval, from, to);
        }
    }

    #[test]
    fn duration_that_cannot_be_applied_leaves_the_known_bound() {
        for duration in [
            json!({"value": 1, "unit": "fortnight"}),
            json!({"value": 1}),
            json!({"value": "1", "unit": "h"}),
            json!({"value": 1e300, "unit": "h"}),
            json!({"value": 1e300, "unit": "yr"}),
            json!({"value": 8000, "unit": "yr"}),
            json!("PT1H"),
            json!(null),
        ] {
            let interval = json!({"start_date_time": "2026-04-15", "duration": duration});
            check_interval(&interval, "2026-04-15T00:00:00Z", "");
            let interval = json!({"end_date_time": "2026-04-15", "duration": duration});
            check_interval(&interval, "", "2026-04-15T00:00:00Z");
        }
    }

    #[test]
    fn part_of_day_is_six_hours_of_utc() {
        for (part, start, end) in [
            ("night", "2026-04-15T00:00:00Z", "2026-04-15T06:00:00Z"),
            ("morning", "2026-04-15T06:00:00Z", "2026-04-15T12:00:00Z"),
            ("afternoon", "2026-04-15T12:00:00Z", "2026-04-15T18:00:00Z"),
            ("evening", "2026-04-15T18:00:00Z", "2026-04-16T00:00:00Z"),
        ] {
            check_interval(&json!({"date": "2026-04-15", "part_of_day": part}), start, end);
        }
        check_interval(&json!({"date": "9999-12-31", "part_of_day": "evening"}), "9999-12-31T18:00:00Z", "");
    }

    #[test]
    fn other_shapes_have_no_time() {
        for value in [
            json!({}),
            json!({"date_time": 123}),
            json!({"date_time": null}),
            json!({"date_time": {"a": 1}}),
            json!({"time_interval": {}}),
            json!({"time_interval": []}),
            json!({"time_interval": {"start_date_time": "2026-04-15"}}),
            json!({"time_interval": {"start_date_time": 1, "end_date_time": 2}}),
            json!({"time_interval": {"duration": {"value": 1, "unit": "h"}}}),
            json!({"time_interval": {"date": "2026-04-15", "part_of_day": "noon"}}),
            json!({"time_interval": {"date": "2026-02-30", "part_of_day": "night"}}),
            json!({"time_interval": {"date": 5, "part_of_day": "night"}}),
            json!("2026-04-15"),
            json!(null),
        ] {
            assert_eq!(frame(&value), Ok(EffectiveTime::None), "{value}");
        }
        for document in [json!({}), json!({"body": {}}), json!({"body": 1}), json!([1, 2]), json!("x"), json!(null)] {
            assert_eq!(effective_time(&document), Ok(EffectiveTime::None), "{document}");
        }
    }

    #[test]
    fn text_that_makes_no_sense_is_a_fault() {
        check_fault(&json!({"date_time": "15/04/2026 07:30"}), "date_time \"15/04/2026 07:30\" is not a timestamp");
        check_fault(&json!({"date_time": ""}), "date_time \"\" is not a timestamp");
        check_fault(
            &json!({"time_interval": {"start_date_time": "soon", "end_date_time": "2026-04-15"}}),
            "start_date_time \"soon\" is not a timestamp",
        );
        check_fault(
            &json!({"time_interval": {"end_date_time": "2026-13-15", "duration": {"value": 1, "unit": "h"}}}),
            "end_date_time \"2026-13-15\" is not a timestamp",
        );
        check_fault(
            &json!({"time_interval": {"start_date_time": "2026-04-16", "end_date_time": "2026-04-15"}}),
            "the end 2026-04-15T00:00:00+00:00 is before the start 2026-04-16T00:00:00+00:00",
        );
        check_fault(
            &json!({"time_interval": {"start_date_time": "2026-04-16", "duration": {"value": -1, "unit": "h"}}}),
            "the end 2026-04-15T23:00:00+00:00 is before the start 2026-04-16T00:00:00+00:00",
        );
        let long = frame(&json!({"date_time": "é".repeat(5000)})).unwrap_err();
        assert!(long.reason().chars().count() < 100);
    }
}
