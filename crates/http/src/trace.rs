//! The trace a request belongs to (W3C Trace Context): its id stands in the log, so that a line is found from what a
//! balancer or a client recorded.

use axum::http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace id of a request whose header is well-formed.
pub(crate) fn id(headers: &HeaderMap) -> Option<&str> {
    let mut parts = headers.get(TRACEPARENT)?.to_str().ok()?.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // Later versions may add parts; this one has four.
    let is_whole = version != "00" || parts.next().is_none();
    let fits = is_hex(version, 2) && version != "ff" && is_hex(flags, 2) && is_id(trace, 32) && is_id(parent, 16);
    (is_whole && fits).then_some(trace)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Nothing but zeros stands for no id.
fn is_id(text: &str, digits: usize) -> bool {
    is_hex(text, digits) && text.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_ids_are_taken_over() {
        let check = |value: &str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, value.parse().unwrap());
            assert_eq!(id(&headers), expected, "{value}");
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        check(&format!("00-{trace}-00f067aa0ba902b7-01"), Some(trace));
        check(&format!("01-{trace}-00f067aa0ba902b7-01-more"), Some(trace));
        check(&format!("00-{trace}-00f067aa0ba902b7-01-more"), None);
        check(&format!("ff-{trace}-00f067aa0ba902b7-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None);
        check(&format!("00-{trace}-0000000000000000-01"), None);
        check("00-Peter-00f067aa0ba902b7-01", None);
        check("", None);
    }
}
