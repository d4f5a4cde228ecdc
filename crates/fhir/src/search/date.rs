//! Date parameters: a prefix and an interval, and what they mean for a stored value.

use chrono::{DateTime, TimeDelta, Utc};

use crate::time::parse_interval;

/// How a stored date is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatePrefix {
    /// Within the interval (the default).
    Eq,
    /// Not within it.
    Ne,
    /// Reaches beyond it.
    Gt,
    /// Begins before it.
    Lt,
    /// Ends in or after it.
    Ge,
    /// Begins in or before it.
    Le,
    /// Begins after it.
    Sa,
    /// Ends before it.
    Eb,
    /// Near it.
    Ap,
}

/// One value of a date parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateMatch {
    /// The comparison.
    pub prefix: DatePrefix,
    /// First moment of the value's interval.
    pub low: DateTime<Utc>,
    /// First moment after it.
    pub high: DateTime<Utc>,
    /// Whether the value had a time of day.
    pub has_time: bool,
}

/// Which end of a stored value `[lo, hi]` a term looks at. An instant has both at the same moment; an open end of a period
/// lies before, respectively after, everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Its beginning.
    Low,
    /// Its end.
    High,
}

/// The comparison of one end with a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// The operator, as SQL spells it.
    pub const fn operator(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// `bound comparison at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTerm {
    /// The end of the stored value.
    pub bound: Bound,
    /// How it is compared.
    pub comparison: Comparison,
    /// With which moment.
    pub at: DateTime<Utc>,
}

/// A date match as terms, ready to become SQL. A row without the date never matches, whatever the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateRule {
    /// Whether one term is enough (`true`) or all must hold.
    pub any: bool,
    /// One or two terms.
    pub terms: Vec<DateTerm>,
}

impl DateMatch {
    /// Reads `[prefix]value`.
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, rest) = match text.get(..2) {
            Some("eq") => (DatePrefix::Eq, 2),
            Some("ne") => (DatePrefix::Ne, 2),
            Some("gt") => (DatePrefix::Gt, 2),
            Some("lt") => (DatePrefix::Lt, 2),
            Some("ge") => (DatePrefix::Ge, 2),
            Some("le") => (DatePrefix::Le, 2),
            Some("sa") => (DatePrefix::Sa, 2),
            Some("eb") => (DatePrefix::Eb, 2),
            Some("ap") => (DatePrefix::Ap, 2),
            _ => (DatePrefix::Eq, 0),
        };
        let interval = parse_interval(text.get(rest..)?)?;
        Some(Self { prefix, low: interval.low, high: interval.high, has_time: interval.has_time })
    }

    /// The rule for an ordinary date. `now` matters to `ap` alone.
    pub fn rule(&self, now: DateTime<Utc>) -> DateRule {
        use Bound::{High, Low};
        use Comparison::{GreaterOrEqual, Less};
        let term = |bound, comparison, at| DateTerm { bound, comparison, at };
        match self.prefix {
            DatePrefix::Eq => all([term(Low, GreaterOrEqual, self.low), term(High, Less, self.high)]),
            DatePrefix::Ne => any([term(Low, Less, self.low), term(High, GreaterOrEqual, self.high)]),
            DatePrefix::Gt => one(term(High, GreaterOrEqual, self.high)),
            DatePrefix::Lt => one(term(Low, Less, self.low)),
            DatePrefix::Ge => one(term(High, GreaterOrEqual, self.low)),
            DatePrefix::Le => one(term(Low, Less, self.high)),
            DatePrefix::Sa => one(term(Low, GreaterOrEqual, self.high)),
            DatePrefix::Eb => one(term(High, Less, self.low)),
            DatePrefix::Ap => {
                let (low, high) = self.widened(now);
                all([term(High, GreaterOrEqual, low), term(Low, Less, high)])
            }
        }
    }

    /// The rule for `_lastUpdated`: a value with a time is that exact instant, whatever its precision, so that polling
    /// with `gt` and the last instant seen loses no row of the same second.
    pub fn last_updated_rule(&self, now: DateTime<Utc>) -> DateRule {
        use Bound::{High, Low};
        use Comparison::{Greater, GreaterOrEqual, Less, LessOrEqual};
        if !self.has_time {
            return self.rule(now);
        }
        let term = |bound, comparison| DateTerm { bound, comparison, at: self.low };
        match self.prefix {
            DatePrefix::Eq => all([term(Low, GreaterOrEqual), term(High, LessOrEqual)]),
            DatePrefix::Ne => any([term(Low, Less), term(High, Greater)]),
            DatePrefix::Gt => one(term(High, Greater)),
            DatePrefix::Lt => one(term(Low, Less)),
            DatePrefix::Ge => one(term(High, GreaterOrEqual)),
            DatePrefix::Le => one(term(Low, LessOrEqual)),
            DatePrefix::Sa => one(term(Low, Greater)),
            DatePrefix::Eb => one(term(High, Less)),
            DatePrefix::Ap => self.rule(now),
        }
    }

    /// The interval widened on both sides by a tenth of its distance from now, at least one unit of its precision.
    fn widened(&self, now: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let unit = self.high - self.low;
        let distance = (now - self.low).abs() / 10;
        let margin = if distance > unit { distance } else { unit };
        (minus(self.low, margin), plus(self.high, margin))
    }
}

impl DateRule {
    /// Whether a stored value satisfies the rule; `None` is an open end. What the SQL made of the terms must answer too.
    pub fn matches(&self, low: Option<DateTime<Utc>>, high: Option<DateTime<Utc>>) -> bool {
        let holds = |term: &DateTerm| match (term.bound, term.comparison) {
            (Bound::Low, Comparison::Less) => low.is_none_or(|low| low < term.at),
            (Bound::Low, Comparison::LessOrEqual) => low.is_none_or(|low| low <= term.at),
            (Bound::Low, Comparison::Greater) => low.is_some_and(|low| low > term.at),
            (Bound::Low, Comparison::GreaterOrEqual) => low.is_some_and(|low| low >= term.at),
            (Bound::High, Comparison::Less) => high.is_some_and(|high| high < term.at),
            (Bound::High, Comparison::LessOrEqual) => high.is_some_and(|high| high <= term.at),
            (Bound::High, Comparison::Greater) => high.is_none_or(|high| high > term.at),
            (Bound::High, Comparison::GreaterOrEqual) => high.is_none_or(|high| high >= term.at),
        };
        if self.any { self.terms.iter().any(holds) } else { self.terms.iter().all(holds) }
    }
}

fn one(term: DateTerm) -> DateRule {
    DateRule { any: false, terms: vec![term] }
}

fn all(terms: [DateTerm; 2]) -> DateRule {
    DateRule { any: false, terms: terms.into() }
}

fn any(terms: [DateTerm; 2]) -> DateRule {
    DateRule { any: true, terms: terms.into() }
}

fn minus(at: DateTime<Utc>, margin: TimeDelta) -> DateTime<Utc> {
    at.checked_sub_signed(margin).unwrap_or(at)
}

fn plus(at: DateTime<Utc>, margin: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(margin).unwrap_or(at)
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        parse_interval(text).unwrap().low
    }

    fn now() -> DateTime<Utc> {
        at("2026-06-01T00:00:00Z")
    }

    /// One resource value against one search value.
    fn check(search: &str, low: &str, high: &str, expected: bool) {
        let open = |text: &str| (!text.is_empty()).then(|| at(text));
        let rule = DateMatch::parse(search).unwrap().rule(now());
        assert_eq!(rule.matches(open(low), open(high)), expected, "{search} {low}..{high}");
    }

    fn instants(search: &str, matching: &[&str], others: &[&str]) {
        for text in matching {
            check(search, text, text, true);
        }
        for text in others {
            check(search, text, text, false);
        }
    }

    #[test]
    fn instants_against_a_day() {
        let (before, first, last, after) =
            ("2026-04-14T23:59:59", "2026-04-15T00:00:00", "2026-04-15T23:59:59", "2026-04-16T00:00:00");
        instants("2026-04-15", &[first, last], &[before, after]);
        instants("eq2026-04-15", &[first, last], &[before, after]);
        instants("ne2026-04-15", &[before, after], &[first, last]);
        instants("gt2026-04-15", &[after], &[before, first, last]);
        instants("lt2026-04-15", &[before], &[first, last, after]);
        instants("ge2026-04-15", &[first, last, after], &[before]);
        instants("le2026-04-15", &[before, first, last], &[after]);
        instants("sa2026-04-15", &[after], &[before, first, last]);
        instants("eb2026-04-15", &[before], &[first, last, after]);
        instants("2026-04", &[before, first, after], &["2026-05-01T00:00:00"]);
        instants("2026", &[before, after], &["2025-12-31T23:59:59"]);
    }

    #[test]
    fn periods() {
        let (evening, morning) = ("2026-04-14T22:00:00", "2026-04-15T06:00:00");
        check("ge2026-04-15", evening, morning, true);
        check("sa2026-04-15", evening, morning, false);
        check("sa2026-04-13", evening, morning, true);
        check("eq2026-04-15", evening, morning, false);
        check("eq2026-04", evening, morning, true);
        check("le2026-04-14", evening, morning, true);
        check("gt2026-04-14", evening, morning, true);
        check("eb2026-04-15", evening, morning, false);
        check("ge2030", evening, "", true);
        check("eq2026", evening, "", false);
        check("eb2030", evening, "", false);
        check("lt2000", "", morning, true);
        check("sa2000", "", morning, false);
    }

    #[test]
    fn approximately() {
        // 40 days before now: four days on either side.
        instants(
            "ap2026-04-22",
            &["2026-04-18T00:00:00", "2026-04-26T23:00:00"],
            &["2026-04-17T23:59:59", "2026-04-27T00:00:00"],
        );
        // Close to now: one unit.
        instants(
            "ap2026-06-01",
            &["2026-05-31T00:00:00", "2026-06-02T23:59:59"],
            &["2026-05-30T23:59:59", "2026-06-03T00:00:00"],
        );
    }

    #[test]
    fn last_updated_with_time_is_exact() {
        let check = |search: &str, text: &str, expected: bool| {
            let rule = DateMatch::parse(search).unwrap().last_updated_rule(now());
            assert_eq!(rule.matches(Some(at(text)), Some(at(text))), expected, "{search} {text}");
        };
        check("gt2026-04-15T10:00:00Z", "2026-04-15T10:00:00.5Z", true);
        check("gt2026-04-15T10:00:00Z", "2026-04-15T10:00:00Z", false);
        check("ge2026-04-15T10:00:00Z", "2026-04-15T10:00:00Z", true);
        check("le2026-04-15T10:00:00Z", "2026-04-15T10:00:00.5Z", false);
        check("2026-04-15T10:00:00Z", "2026-04-15T10:00:00.5Z", false);
        check("2026-04-15T10:00:00.5Z", "2026-04-15T10:00:00.5Z", true);
        check("ne2026-04-15T10:00:00Z", "2026-04-15T10:00:00.5Z", true);
        check("2026-04-15", "2026-04-15T10:00:00.5Z", true);
        check("gt2026-04-15", "2026-04-15T10:00:00.5Z", false);
    }

    #[test]
    fn unreadable() {
        for text in ["ge-not-a-date", "yesterday", "2026-13-01", "ge", "xx2026", "eq eq2026", "é2026", ""] {
            assert_eq!(DateMatch::parse(text), None, "{text}");
        }
    }
}
