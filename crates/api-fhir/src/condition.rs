//! Conditional create: stored unless it is there already (FHIR §13 B-4).

use axum::http::HeaderMap;
use jhe_fhir::search::{Filter, SearchRequest, SystemMatch, TokenValue};
use jhe_fhir::{Failure, ResourceType, catalogue};
use jhe_http::query;

/// The header of a single create.
const HEADER: &str = "if-none-exist";

/// The identifiers that a header names; none without one.
pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Option<Vec<TokenValue>>, Failure> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let text = value.to_str().map_err(|_| catalogue::invalid_value("If-None-Exist", "no text"))?;
    read(text)
}

/// The identifiers that a condition names: `identifier=system|value`, with commas between alternatives. An empty one is none.
pub(crate) fn read(text: &str) -> Result<Option<Vec<TokenValue>>, Failure> {
    let text = text.trim();
    let text = text.split_once('?').map_or(text, |(_, query)| query);
    if text.is_empty() {
        return Ok(None);
    }
    let pairs = query::pairs(text);
    let request = SearchRequest::parse(ResourceType::Observation, &pairs, true, &|_| false)?;
    let is_plain = pairs.len() == 1;
    match request.filters.as_slice() {
        [Filter::Identifier(values)] if is_plain && values.iter().all(is_whole) => Ok(Some(values.clone())),
        [Filter::Identifier(_)] if is_plain => Err(catalogue::invalid_value("If-None-Exist", text)),
        // Other conditions would need other proofs that what is found is the same reading.
        _ => {
            let other = pairs.iter().map(|(name, _)| name.as_str()).find(|name| *name != "identifier");
            Err(catalogue::unsupported_parameter(other.unwrap_or("identifier")))
        }
    }
}

/// A value that an identifier can have.
fn is_whole(token: &TokenValue) -> bool {
    let zero = |text: &str| text.contains('\0');
    let system_is_whole = !matches!(&token.system, SystemMatch::Exact(system) if zero(system));
    system_is_whole && token.code.as_deref().is_some_and(|code| !zero(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_all_that_can_be_asked_for() {
        let codes = |text: &str| {
            read(text).map(|found| found.map(|all| all.into_iter().filter_map(|one| one.code).collect::<Vec<_>>()))
        };
        assert_eq!(codes("identifier=https%3A%2F%2Fa%7Cb,c").unwrap().unwrap(), ["b", "c"]);
        assert_eq!(codes("Observation?identifier=a|b").unwrap().unwrap(), ["b"]);
        assert_eq!(codes(" ").unwrap(), None);
        for (text, status) in [
            ("code=omh:heart-rate:2.0", 400),
            ("identifier=a|b&identifier=a|c", 400),
            ("identifier=a|", 400),
            ("identifier=a%00b", 400),
            ("identifier=a|b&status=final", 400),
            ("foo=bar", 400),
        ] {
            assert_eq!(read(text).unwrap_err().status, status, "{text}");
        }
    }
}
