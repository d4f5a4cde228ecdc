//! Reads a timestamp as text.
//!
//! Written by hand because the accepted forms are fixed and wider than RFC 3339, and narrower than what general parsers
//! take: `YYYY-MM-DD`, then `T` or a space, `hh:mm`, seconds and a fraction of one to nine digits if wanted, and `Z`,
//! `+hh:mm`, `+hhmm`, `+hh` or nothing.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveTime, Offset, TimeZone, Utc};

/// Reads a timestamp: a date alone is its midnight, no offset means UTC, digits below the microsecond are dropped.
///
/// `None` for any other form, for a date or time that does not exist, and outside the years 1 to 9999 of UTC, which
/// neither FHIR nor the database could hold.
pub fn parse_timestamp(text: &str) -> Option<DateTime<Utc>> {
    parse_with_offset(text).map(|time| time.to_utc())
}

/// As [`parse_timestamp`], in the offset that the text has.
pub(super) fn parse_with_offset(text: &str) -> Option<DateTime<FixedOffset>> {
    let mut cursor = Cursor { rest: text.as_bytes() };
    let date = cursor.date()?;
    let (time, offset) = if cursor.rest.is_empty() {
        (NaiveTime::MIN, Utc.fix())
    } else {
        cursor.one_of(b"T ")?;
        (cursor.time()?, cursor.offset()?)
    };
    let time = offset.from_local_datetime(&date.and_time(time)).single()?;
    (cursor.rest.is_empty() && in_range(time).is_some()).then_some(time)
}

/// Reads `YYYY-MM-DD` and nothing else.
pub(super) fn parse_date(text: &str) -> Option<NaiveDate> {
    let mut cursor = Cursor { rest: text.as_bytes() };
    let date = cursor.date()?;
    cursor.rest.is_empty().then_some(date)
}

/// The time in UTC, if its year has four digits there.
pub(super) fn in_range(time: DateTime<FixedOffset>) -> Option<DateTime<Utc>> {
    let time = time.to_utc();
    (1..=9999).contains(&time.year()).then_some(time)
}

/// What of the text is still to be read.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn date(&mut self) -> Option<NaiveDate> {
        let year = self.number(4)?;
        self.one_of(b"-")?;
        let month = self.number(2)?;
        self.one_of(b"-")?;
        let day = self.number(2)?;
        NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day).filter(|_| year > 0)
    }

    fn time(&mut self) -> Option<NaiveTime> {
        let hour = self.number(2)?;
        self.one_of(b":")?;
        let minute = self.number(2)?;
        let (mut second, mut microsecond) = (0, 0);
        if self.one_of(b":").is_some() {
            second = self.number(2)?;
            if self.one_of(b".").is_some() {
                microsecond = self.fraction()?;
            }
        }
        NaiveTime::from_hms_micro_opt(hour, minute, second, microsecond)
    }

    /// One to nine digits after the point, as microseconds.
    fn fraction(&mut self) -> Option<u32> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&length) {
            return None;
        }
        let digits = self.number(length)?;
        let exponent = u32::try_from(length).ok()?;
        Some(if exponent <= 6 { digits * 10_u32.pow(6 - exponent) } else { digits / 10_u32.pow(exponent - 6) })
    }

    fn offset(&mut self) -> Option<FixedOffset> {
        if self.rest.is_empty() || self.one_of(b"Z").is_some() {
            return Some(Utc.fix());
        }
        let sign = self.one_of(b"+-")?;
        let hours = self.number(2)?;
        let has_colon = self.one_of(b":").is_some();
        let minutes = if has_colon || !self.rest.is_empty() { self.number(2)? } else { 0 };
        if hours > 23 || minutes > 59 {
            return None;
        }
        let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
        FixedOffset::east_opt(if sign == b'-' { -seconds } else { seconds })
    }

    /// Exactly `length` digits (nine at most).
    fn number(&mut self, length: usize) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(length)?;
        let number = digits
            .iter()
            .try_fold(0_u32, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))?;
        self.rest = rest;
        Some(number)
    }

    /// The next byte, if it is one of those.
    fn one_of(&mut self, accepted: &[u8]) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        if !accepted.contains(first) {
            return None;
        }
        self.rest = rest;
        Some(*first)
    }
}

#[cfg(test)]
pub(super) mod properties;

#[cfg(test)]
mod tests {
    use chrono::SecondsFormat;

    use super::*;

    fn check(text: &str, expected: &str) {
        let parsed = parse_timestamp(text).map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        assert_eq!(parsed.as_deref(), Some(expected), "{text}");
    }

    #[test]
    fn accepted_forms() {
        check("2026-04-15", "2026-04-15T00:00:00Z");
        check("2026-04-15T07:30", "2026-04-15T07:30:00Z");
        check("2026-04-15 07:30:05", "2026-04-15T07:30:05Z");
        check("2026-04-15T07:30Z", "2026-04-15T07:30:00Z");
        check("2026-04-15T07:30:05.1Z", "2026-04-15T07:30:05.100Z");
        check("2026-04-15T07:30:05.123456Z", "2026-04-15T07:30:05.123456Z");
        check("2026-04-15T07:30:05.123456999Z", "2026-04-15T07:30:05.123456Z");
        check("2026-04-15T07:30:05-07:00", "2026-04-15T14:30:05Z");
        check("2026-04-15T07:30:05+0530", "2026-04-15T02:00:05Z");
        check("2026-04-15T07:30:05+02", "2026-04-15T05:30:05Z");
        check("2024-02-29T23:59:59-23:59", "2024-03-01T23:58:59Z");
        check("0001-01-01", "0001-01-01T00:00:00Z");
        check("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn refused_forms() {
        for text in [
            "",
            "2026",
            "2026-04",
            "15/04/2026 07:30",
            "2026-4-15",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "0000-01-01",
            "+2026-04-15",
            "2026-04-15Z",
            "2026-04-15T",
            "2026-04-15T07",
            "2026-04-15T7:30",
            "2026-04-15T0730",
            "2026-04-15T24:00",
            "2026-04-15T23:60",
            "2026-04-15T23:59:60Z",
            "2026-04-15T07:30:05.Z",
            "2026-04-15T07:30:05,5Z",
            "2026-04-15T07:30:05.1234567890Z",
            "2026-04-15T07:30.5Z",
            "2026-04-15T07:30:05 Z",
            "2026-04-15T07:30:05z",
            "2026-04-15t07:30:05Z",
            "2026-04-15T07:30:05+24:00",
            "2026-04-15T07:30:05+01:60",
            "2026-04-15T07:30:05+1",
            "2026-04-15T07:30:05+01:",
            "2026-04-15T07:30:05+01:0",
            "2026-04-15T07:30:05+01:00:00",
            "2026-04-15T07:30:05Z ",
            " 2026-04-15",
            "2026-04-15T07:30:05 PST",
            "2026-04-15T07:30:0é",
            "٢٠٢٦-04-15",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }
}
