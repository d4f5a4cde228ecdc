//! Points in time as FHIR writes them, and partial dates as intervals.

use chrono::{DateTime, Datelike, Days, FixedOffset, Months, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc};

/// RFC 3339 in UTC with `Z`; a fraction only when it is not zero, at most microseconds, without trailing zeros.
pub fn instant(at: DateTime<Utc>) -> String {
    let mut text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    let micros = at.timestamp_subsec_micros() % 1_000_000;
    if micros > 0 {
        let fraction = format!(".{micros:06}");
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Microseconds since 1970: the version id of a resource last changed at that moment.
pub fn version_id(last_updated: DateTime<Utc>) -> String {
    last_updated.timestamp_micros().to_string()
}

/// The span a partial date stands for: `[low, high)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// First moment.
    pub low: DateTime<Utc>,
    /// First moment after it.
    pub high: DateTime<Utc>,
    /// Whether the text had a time of day.
    pub has_time: bool,
}

/// Reads `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, or a day with `Thh:mm[:ss[.f]]` and an optional offset (UTC when absent).
///
/// A blank where the offset's `+` belongs passes for it: that is what an unencoded plus sign becomes in a query.
pub fn parse_interval(text: &str) -> Option<Interval> {
    match text.split_once('T') {
        None => parse_date(text),
        Some((date, time)) => {
            let date = parse_date(date).filter(|_| date.len() == 10)?;
            let (clock, offset) = split_offset(time)?;
            let (clock, unit) = parse_clock(clock)?;
            let local = date.low.date_naive().and_time(clock);
            let low = local.and_local_timezone(offset).single()?.with_timezone(&Utc);
            Some(Interval { low, high: low.checked_add_signed(unit)?, has_time: true })
        }
    }
}

fn digits(text: &str, count: usize) -> Option<u32> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn parse_date(text: &str) -> Option<Interval> {
    let mut parts = text.splitn(3, '-');
    let year = i32::try_from(digits(parts.next()?, 4)?).ok().filter(|year| *year > 0)?;
    let (low, high) = match (parts.next(), parts.next()) {
        (None, _) => {
            let low = NaiveDate::from_ymd_opt(year, 1, 1)?;
            (low, low.checked_add_months(Months::new(12))?)
        }
        (Some(month), None) => {
            let low = NaiveDate::from_ymd_opt(year, digits(month, 2)?, 1)?;
            (low, low.checked_add_months(Months::new(1))?)
        }
        (Some(month), Some(day)) => {
            let low = NaiveDate::from_ymd_opt(year, digits(month, 2)?, digits(day, 2)?)?;
            (low, low.checked_add_days(Days::new(1))?)
        }
    };
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    Some(Interval { low: midnight(low), high: midnight(high), has_time: false })
}

fn split_offset(time: &str) -> Option<(&str, FixedOffset)> {
    let utc = FixedOffset::east_opt(0)?;
    let Some(at) = time.find(['Z', '+', '-', ' ']) else {
        return Some((time, utc));
    };
    let (clock, offset) = time.split_at_checked(at)?;
    if offset == "Z" {
        return Some((clock, utc));
    }
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let hours = digits(hours, 2).filter(|hours| *hours <= 14)?;
    let minutes = digits(minutes, 2).filter(|minutes| *minutes < 60)?;
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    let zone = match offset.as_bytes().first()? {
        b'-' => FixedOffset::west_opt(seconds)?,
        b'+' | b' ' => FixedOffset::east_opt(seconds)?,
        _ => return None,
    };
    Some((clock, zone))
}

/// A time of day and the unit of its precision.
fn parse_clock(text: &str) -> Option<(NaiveTime, TimeDelta)> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.splitn(3, ':');
    let hours = digits(parts.next()?, 2)?;
    let minutes = digits(parts.next()?, 2)?;
    let Some(seconds) = parts.next() else {
        return match fraction {
            None => Some((NaiveTime::from_hms_opt(hours, minutes, 0)?, TimeDelta::minutes(1))),
            Some(_) => None,
        };
    };
    // A leap second is the last moment we can name.
    let seconds = digits(seconds, 2).filter(|seconds| *seconds <= 60)?.min(59);
    let (nanos, unit) = match fraction {
        None => (0, TimeDelta::seconds(1)),
        Some(fraction) => {
            if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            // Stored times have microseconds, so a finer value means its microsecond.
            let kept = fraction.get(..fraction.len().min(6))?;
            let scale = 10_u32.pow(u32::try_from(9 - kept.len()).ok()?);
            (kept.parse::<u32>().ok()? * scale, TimeDelta::nanoseconds(i64::from(scale)))
        }
    };
    Some((NaiveTime::from_hms_nano_opt(hours, minutes, seconds, nanos)?, unit))
}

#[cfg(test)]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        let check = |text: &str, expected: &str| {
            let at = DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc);
            assert_eq!(instant(at), expected);
        };
        check("2026-10-18T19:14:01.185768Z", "2026-10-18T19:14:01.185768Z");
        check("2025-01-01T10:02:00+02:00", "2025-01-01T08:02:00Z");
        check("2025-01-01T08:02:00.500Z", "2025-01-01T08:02:00.5Z");
        check("2025-01-01T08:02:00.000000900Z", "2025-01-01T08:02:00Z");
        let at = DateTime::parse_from_rfc3339("2026-10-18T19:14:01.185768Z").unwrap().with_timezone(&Utc);
        assert_eq!(version_id(at), "1792350841185768");
    }

    #[test]
    fn intervals() {
        let check = |text: &str, low: &str, high: &str| {
            let found = parse_interval(text).unwrap();
            assert_eq!((instant(found.low).as_str(), instant(found.high).as_str()), (low, high), "{text}");
            assert_eq!(found.has_time, text.contains('T'));
        };
        check("2026", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        check("2026-12", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
        check("2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z");
        check("2026-01-01T10:00", "2026-01-01T10:00:00Z", "2026-01-01T10:01:00Z");
        check("2026-01-01T10:00:05Z", "2026-01-01T10:00:05Z", "2026-01-01T10:00:06Z");
        check("2026-01-01T10:00:05.25Z", "2026-01-01T10:00:05.25Z", "2026-01-01T10:00:05.26Z");
        check("2026-01-01T10:00:05.1234567Z", "2026-01-01T10:00:05.123456Z", "2026-01-01T10:00:05.123457Z");
        check("2026-01-01T01:00:00+02:00", "2025-12-31T23:00:00Z", "2025-12-31T23:00:01Z");
        check("2026-01-01T01:00:00 02:00", "2025-12-31T23:00:00Z", "2025-12-31T23:00:01Z");
        check("2026-01-01T01:00:00-02:00", "2026-01-01T03:00:00Z", "2026-01-01T03:00:01Z");
        check("9999", "9999-01-01T00:00:00Z", "10000-01-01T00:00:00Z");
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "26",
            "2026-1",
            "2026-01-01T",
            "2026-01T10:00",
            "2026-01-01T10",
            "2026-01-01T10:00.5",
            "2026-01-01T10:00:00.",
            "2026-01-01T10:00:00+2",
            "2026-01-01T24:00:00",
            "2026-01-01 10:00",
            "0000",
            "２０２６",
            "2026-01-01T10:00:00é",
            "2026-01-01T10:00:00Zé",
        ] {
            assert_eq!(parse_interval(text), None, "{text}");
        }
    }
}
