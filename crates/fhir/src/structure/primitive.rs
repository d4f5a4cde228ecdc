//! The syntax of FHIR's primitive types.

use chrono::NaiveDate;
use serde_json::Value;

use super::Strictness;

/// A primitive type, as far as its syntax matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Primitive {
    Base64Binary,
    Boolean,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Integer64,
    PositiveInt,
    /// string, markdown and xhtml: not blank.
    Text,
    Time,
    UnsignedInt,
    /// uri, url, canonical, oid and uuid: no white space.
    Uri,
}

impl Primitive {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "base64Binary" => Self::Base64Binary,
            "boolean" => Self::Boolean,
            "code" => Self::Code,
            "date" => Self::Date,
            "dateTime" => Self::DateTime,
            "decimal" => Self::Decimal,
            "id" => Self::Id,
            "instant" => Self::Instant,
            "integer" => Self::Integer,
            "integer64" => Self::Integer64,
            "positiveInt" => Self::PositiveInt,
            "string" | "markdown" | "xhtml" => Self::Text,
            "time" => Self::Time,
            "unsignedInt" => Self::UnsignedInt,
            "uri" | "url" | "canonical" | "oid" | "uuid" => Self::Uri,
            _ => return None,
        })
    }

    /// Checks a value; the error is the reason, as it ends the diagnostics.
    pub(super) fn check(self, value: &Value, strictness: Strictness) -> Result<(), &'static str> {
        match self {
            Self::Boolean => match value {
                Value::Bool(_) => Ok(()),
                _ => Err("must be true or false"),
            },
            Self::Decimal => match value {
                Value::Number(_) => Ok(()),
                Value::String(text)
                    if is_lenient(strictness) && text.trim().parse::<f64>().is_ok_and(f64::is_finite) =>
                {
                    Ok(())
                }
                _ => Err("must be a number"),
            },
            Self::Integer => whole(value, strictness, i64::from(i32::MIN), "must be a 32-bit whole number"),
            Self::UnsignedInt => whole(value, strictness, 0, "must be a 32-bit whole number of at least 0"),
            Self::PositiveInt => whole(value, strictness, 1, "must be a 32-bit whole number of at least 1"),
            // R5 writes it as a string; libraries that write a number are common.
            Self::Integer64 => match value {
                Value::Number(number) if number.is_i64() => Ok(()),
                Value::String(text) if text.parse::<i64>().is_ok() => Ok(()),
                _ => Err("must be a 64-bit whole number"),
            },
            _ => match value {
                Value::String(text) => self.check_text(text),
                Value::Number(_) if self == Self::Text && is_lenient(strictness) => Ok(()),
                _ => Err("must be a string"),
            },
        }
    }

    fn check_text(self, text: &str) -> Result<(), &'static str> {
        // Every other character can be stored.
        if text.contains('\0') {
            return Err("must not contain the character U+0000");
        }
        let (valid, reason) = match self {
            Self::Code => (is_code(text), "is not a valid code"),
            Self::Id => (is_id(text), "must be 1 to 64 letters, digits, '-' and '.'"),
            Self::Uri => {
                (!text.is_empty() && !text.contains(char::is_whitespace), "must not be empty or contain white space")
            }
            Self::Date => (is_date(text), "is not a valid date"),
            Self::DateTime => (is_date_time(text), "is not a valid dateTime"),
            Self::Instant => (is_instant(text), "is not a valid instant"),
            Self::Time => (is_time(text), "is not a valid time (hh:mm:ss)"),
            Self::Text => (!text.trim().is_empty(), "must not be empty"),
            // The alphabet is checked where the data is used.
            _ => (true, ""),
        };
        if valid { Ok(()) } else { Err(reason) }
    }
}

fn is_lenient(strictness: Strictness) -> bool {
    strictness == Strictness::Imported
}

fn whole(value: &Value, strictness: Strictness, minimum: i64, reason: &'static str) -> Result<(), &'static str> {
    let number = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if is_lenient(strictness) => text.trim().parse().ok(),
        _ => None,
    };
    match number {
        Some(number) if (minimum..=i64::from(i32::MAX)).contains(&number) => Ok(()),
        _ => Err(reason),
    }
}

fn is_code(text: &str) -> bool {
    // [^\s]+(\s[^\s]+)*: single white space between words.
    text.split(char::is_whitespace).all(|word| !word.is_empty())
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

fn digits(text: &str, count: usize) -> Option<u32> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// YYYY, YYYY-MM or YYYY-MM-DD, existing.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let Some(year) = year.and_then(|year| digits(year, 4)).filter(|year| *year > 0) else {
        return false;
    };
    let Some(month) = month else { return true };
    let Some(month) = digits(month, 2) else {
        return false;
    };
    let day = match day {
        None => Some(1),
        Some(day) => digits(day, 2),
    };
    let Some(day) = day else { return false };
    i32::try_from(year).is_ok_and(|year| NaiveDate::from_ymd_opt(year, month, day).is_some())
}

fn is_date_time(text: &str) -> bool {
    match text.split_once('T') {
        None => is_date(text),
        Some((date, time)) => {
            let (clock, offset) = split_offset(time);
            date.len() == 10 && is_date(date) && is_time(clock) && offset.is_none_or(is_offset)
        }
    }
}

fn is_instant(text: &str) -> bool {
    text.split_once('T').is_some_and(|(date, time)| {
        let (clock, offset) = split_offset(time);
        date.len() == 10 && is_date(date) && is_time(clock) && offset.is_some_and(is_offset)
    })
}

fn split_offset(time: &str) -> (&str, Option<&str>) {
    match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at_checked(at).map_or((time, None), |(clock, offset)| (clock, Some(offset))),
        None => (time, None),
    }
}

fn is_offset(offset: &str) -> bool {
    if offset == "Z" {
        return true;
    }
    let Some((hours, minutes)) = offset.get(1..).and_then(|rest| rest.split_once(':')) else {
        return false;
    };
    !offset.starts_with('Z')
        && digits(hours, 2).is_some_and(|hours| hours <= 14)
        && digits(minutes, 2).is_some_and(|minutes| minutes < 60)
}

/// hh:mm:ss with an optional fraction; 60 seconds allow a leap second.
fn is_time(text: &str) -> bool {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    if fraction.is_some_and(|fraction| fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit())) {
        return false;
    }
    let mut parts = clock.split(':');
    let mut next = |limit: u32| parts.next().and_then(|part| digits(part, 2)).is_some_and(|part| part < limit);
    let valid = next(24) && next(60) && next(61);
    valid && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(primitive: Primitive, valid: &[Value], invalid: &[Value]) {
        for value in valid {
            assert_eq!(primitive.check(value, Strictness::Sent), Ok(()), "{primitive:?} {value}");
        }
        for value in invalid {
            assert!(primitive.check(value, Strictness::Sent).is_err(), "{primitive:?} {value}");
        }
    }

    #[test]
    fn primitives() {
        check(Primitive::Boolean, &[json!(true)], &[json!("true"), json!(1)]);
        check(
            Primitive::Integer,
            &[json!(0), json!(-5), json!(2_147_483_647)],
            &[json!("12"), json!(1.5), json!(2_147_483_648_i64)],
        );
        check(Primitive::PositiveInt, &[json!(1)], &[json!(0), json!(-1)]);
        check(Primitive::UnsignedInt, &[json!(0)], &[json!(-1)]);
        check(Primitive::Integer64, &[json!("12"), json!(12)], &[json!("x"), json!(1.5)]);
        check(Primitive::Decimal, &[json!(1), json!(1.5)], &[json!("1.5")]);
        check(Primitive::Code, &[json!("final"), json!("a b")], &[json!(""), json!(" a"), json!("a  b"), json!("a ")]);
        check(Primitive::Id, &[json!("a-1.B")], &[json!(""), json!("a_b"), json!("x".repeat(65)), json!(1)]);
        check(Primitive::Text, &[json!("x")], &[json!(""), json!("  "), json!(5)]);
        check(Primitive::Uri, &[json!("urn:x")], &[json!(""), json!("a b")]);
        check(Primitive::Base64Binary, &[json!("!!!"), json!("")], &[json!(1)]);
    }

    #[test]
    fn dates_and_times() {
        check(
            Primitive::Date,
            &[json!("2026"), json!("2026-02"), json!("2024-02-29")],
            &[json!("2026-13"), json!("2026-02-30"), json!("2026-1-1"), json!("2026-01-01T00:00:00Z"), json!("0000")],
        );
        check(
            Primitive::DateTime,
            &[
                json!("2026"),
                json!("2026-01-01T10:00:00Z"),
                json!("2026-01-01T10:00:00.5+02:00"),
                json!("2026-01-01T10:00:00"),
            ],
            &[
                json!("04/15/2026"),
                json!("2026-13-01"),
                json!("2026-01-01T10:00Z"),
                json!("2026-01T10:00:00Z"),
                json!("2026-01-01T25:00:00Z"),
                json!("2026-01-01T10:00:00+0200"),
                json!("2026-01-01T10:00:00Z0"),
                json!(""),
            ],
        );
        check(
            Primitive::Instant,
            &[json!("2026-01-01T10:00:00.123Z"), json!("2026-01-01T10:00:00-05:00")],
            &[json!("2026-01-01"), json!("2026-01-01T10:00:00")],
        );
        check(
            Primitive::Time,
            &[json!("10:00:00"), json!("10:00:00.1")],
            &[json!("10:00"), json!("24:00:00"), json!("10:00:00.")],
        );
    }

    #[test]
    fn imported_bodies_may_mix_numbers_and_text() {
        assert_eq!(Primitive::Integer.check(&json!("12"), Strictness::Imported), Ok(()));
        assert_eq!(Primitive::Decimal.check(&json!("1.5"), Strictness::Imported), Ok(()));
        assert_eq!(Primitive::Text.check(&json!(5), Strictness::Imported), Ok(()));
        assert!(Primitive::Integer.check(&json!(1.5), Strictness::Imported).is_err());
        assert!(Primitive::Boolean.check(&json!("true"), Strictness::Imported).is_err());
    }
}
