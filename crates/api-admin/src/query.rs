//! Query strings: names in camelCase or snake_case, values never rewritten.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use jhe_domain::error::{Error, Violation, Violations};
use jhe_http::prefer::{self, Handling};
use jhe_http::query;

use crate::fields::to_snake;

/// The parameters of a request.
#[derive(Debug, Clone)]
pub(crate) struct AdminQuery {
    /// As sent, in order: for links.
    pub(crate) raw: Vec<(String, String)>,
    strict: bool,
    /// The caller only wants to know what the answer would be (`HEAD`): nothing is remembered or made for it.
    pub(crate) is_probe: bool,
}

impl<S: Sync> FromRequestParts<S> for AdminQuery {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

impl AdminQuery {
    /// Reads a request's parameters.
    pub(crate) fn of(parts: &Parts) -> Self {
        Self {
            raw: query::pairs(parts.uri.query().unwrap_or_default()),
            strict: prefer::handling(&parts.headers) == Some(Handling::Strict),
            is_probe: parts.method == Method::HEAD,
        }
    }
}

/// The first moment of something, and the first moment after it.
type Span = (DateTime<Utc>, DateTime<Utc>);

/// Parameters every paged list takes.
const PAGING: &[&str] = &["page", "page_size", "limit", "offset", "cursor", "paginate", "format"];

impl AdminQuery {
    /// The value of a parameter; the camelCase spelling wins, then the last one sent. Empty counts as absent.
    pub(crate) fn get(&self, snake: &str) -> Option<&str> {
        let mut found: Option<(&str, bool)> = None;
        for (name, value) in &self.raw {
            if to_snake(name) == snake {
                let camel = name != snake;
                if camel || found.is_none_or(|(_, by_camel)| !by_camel) {
                    found = Some((value, camel));
                }
            }
        }
        found.map(|(value, _)| value).filter(|value| !value.is_empty())
    }

    /// An integer parameter; `name` in camelCase.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Error> {
        self.get(&to_snake(name))
            .map(|value| value.trim().parse::<i64>().map_err(|_| Error::invalid(name, "A valid integer is required.")))
            .transpose()
    }

    /// A date or timestamp parameter: its first moment, and the first moment after it.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Span>, Error> {
        self.get(name)
            .map(|value| {
                parse_time(value)
                    .ok_or_else(|| Error::Invalid(Violations::one(Violation::field(name, "Enter a valid date/time."))))
            })
            .transpose()
    }

    /// Whether a parameter is the text `true`.
    pub(crate) fn is_true(&self, snake: &str) -> bool {
        self.get(snake).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Under `Prefer: handling=strict` an unknown parameter is refused.
    pub(crate) fn check_names(&self, known: &[String]) -> Result<(), Error> {
        if !self.strict {
            return Ok(());
        }
        for (name, _) in &self.raw {
            let snake = to_snake(name);
            if !known.contains(&snake) && !PAGING.contains(&snake.as_str()) {
                return Err(Error::sentence(format!("Unknown parameter: {name}.")));
            }
        }
        Ok(())
    }
}

fn parse_time(text: &str) -> Option<Span> {
    let text = text.trim();
    // A plus sign in a query string arrives as a space, and so may what separates date and time.
    let text = if text.contains('T') { text.replace(' ', "+") } else { text.replacen(' ', "T", 1).replace(' ', "+") };
    let (start, length) = if let Ok(time) = DateTime::parse_from_rfc3339(&text) {
        (time.with_timezone(&Utc), TimeDelta::microseconds(1))
    } else if let Ok(time) = text.parse::<NaiveDateTime>() {
        (time.and_utc(), TimeDelta::microseconds(1))
    } else {
        (text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc(), TimeDelta::days(1))
    };
    (1..=9999).contains(&start.year()).then_some((start, start.checked_add_signed(length)?))
}

#[cfg(test)]
impl AdminQuery {
    pub(crate) fn for_test(raw: &str) -> Self {
        Self { raw: query::pairs(raw), strict: false, is_probe: false }
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> AdminQuery {
        AdminQuery { raw: query::pairs(raw), strict: false, is_probe: false }
    }

    #[test]
    fn both_spellings_count_and_camel_case_wins() {
        assert_eq!(parse("organization_id=1&organizationId=2").get("organization_id"), Some("2"));
        assert_eq!(parse("organizationId=2&organization_id=1").get("organization_id"), Some("2"));
        assert_eq!(parse("organization_id=1").get("organization_id"), Some("1"));
        assert_eq!(parse("organization_id=").get("organization_id"), None);
        assert!(parse("organization_id=abc").integer("organizationId").is_err());
    }

    #[test]
    fn times_are_dates_or_timestamps() {
        let check = |text: &str, start: &str, end: &str| {
            let (low, high) = parse(&format!("t={text}")).time("t").unwrap().unwrap();
            let shown = |time: DateTime<Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
            assert_eq!((shown(low).as_str(), shown(high).as_str()), (start, end), "{text}");
        };
        check("2026-01-02", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z");
        check("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000001Z");
        check("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z", "2026-01-02T01:04:05.000001Z");
        check("2026-01-02 03:04:05", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000001Z");
        for bad in ["x", "%2B262142-12-31T23:59:59", "-262143-01-01", "0000-01-01"] {
            assert!(parse(&format!("t={bad}")).time("t").is_err(), "{bad}");
        }
    }
}
