//! The `Prefer` header (RFC 7240), as far as FHIR uses it.

use axum::http::{HeaderMap, HeaderValue};
use jhe_http::prefer::{Handling, handling, preference};

/// What to answer to a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    /// Nothing but the headers.
    Minimal,
    /// The resource.
    Representation,
    /// An OperationOutcome.
    Outcome,
}

/// What the caller prefers; what is not said or not known is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Prefer {
    /// `return=`.
    pub(crate) answer: Option<Return>,
    /// `handling=strict`.
    pub(crate) strict: bool,
    /// `handling=lenient`, which is what happens anyway.
    pub(crate) lenient: bool,
}

impl Prefer {
    /// Reads the header; of a repeated preference the first wins (RFC 7240 §2).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let answer = match preference(headers, "return") {
            Some("minimal") => Some(Return::Minimal),
            Some("representation") => Some(Return::Representation),
            Some("OperationOutcome") => Some(Return::Outcome),
            _ => None,
        };
        let handling = handling(headers);
        Self { answer, strict: handling == Some(Handling::Strict), lenient: handling == Some(Handling::Lenient) }
    }

    /// `Preference-Applied` of a search: what of it was honoured.
    pub(crate) fn applied_to_search(self) -> Option<HeaderValue> {
        let outcome = self.answer == Some(Return::Outcome);
        Some(HeaderValue::from_static(match (self.strict, self.lenient, outcome) {
            (true, _, true) => "handling=strict, return=OperationOutcome",
            (true, _, false) => "handling=strict",
            (false, true, true) => "handling=lenient, return=OperationOutcome",
            (false, true, false) => "handling=lenient",
            (false, false, true) => "return=OperationOutcome",
            (false, false, false) => return None,
        }))
    }

    /// `Preference-Applied` of a create, when `return` was honoured.
    pub(crate) fn applied(self) -> Option<HeaderValue> {
        self.answer.map(|answer| {
            HeaderValue::from_static(match answer {
                Return::Minimal => "return=minimal",
                Return::Representation => "return=representation",
                Return::Outcome => "return=OperationOutcome",
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_preferences_are_read_and_others_ignored() {
        let check = |value: &str, answer: Option<Return>, strict: bool| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", value.parse().unwrap());
            let found = Prefer::of(&headers);
            assert_eq!((found.answer, found.strict), (answer, strict), "{value}");
        };
        check("return=minimal", Some(Return::Minimal), false);
        check("handling=strict; return=OperationOutcome", Some(Return::Outcome), true);
        check("respond-async, return=\"representation\"", Some(Return::Representation), false);
        check("return=nothing", None, false);
        check("handling=lenient, handling=strict", None, false);
    }
}
