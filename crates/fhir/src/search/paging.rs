//! Rewriting a query string for paging links.

use super::names::normalize;
use super::result::MAX_COUNT;

/// The raw query string of a request with its paging parameters replaced by `name=value`.
///
/// `_page`, `_offset`, `_cursor` and `_since-seq` are removed in any spelling; a `_count` above the maximum becomes the maximum; everything
/// else stays as the caller spelled it.
pub fn paging_query(raw_query: &str, name: &str, value: &str) -> String {
    let mut out = String::with_capacity(raw_query.len() + name.len() + value.len() + 2);
    for part in raw_query.split('&').filter(|part| !part.is_empty()) {
        let (raw_name, raw_value) = part.split_once('=').unwrap_or((part, ""));
        let normal = normalize(&decode(raw_name));
        if matches!(normal.as_str(), "page" | "offset" | "cursor" | "sinceseq") {
            continue;
        }
        separate(&mut out);
        if normal == "count" && is_clamped(&decode(raw_value)) {
            out.push_str(raw_name);
            out.push('=');
            out.push_str(&MAX_COUNT.to_string());
        } else {
            out.push_str(part);
        }
    }
    separate(&mut out);
    out.push_str(name);
    out.push('=');
    encode(&mut out, value);
    out
}

fn separate(out: &mut String) {
    if !out.is_empty() {
        out.push('&');
    }
}

fn is_clamped(value: &str) -> bool {
    let value = value.trim();
    !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_digit())
        && value.parse::<usize>().map_or(true, |count| count > MAX_COUNT)
}

/// Percent-decoding, as far as comparing names needs it.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        // Two digits and nothing else: a number may have a sign, an escape may not.
        let is_hex = |hex: &&str| *byte == b'%' && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        let escaped = text.get(at + 1..at + 3).filter(is_hex);
        if let Some(decoded) = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(decoded);
            at += 3;
        } else {
            out.push(if *byte == b'+' { b' ' } else { *byte });
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encode(out: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites_only_what_it_must() {
        let check = |raw: &str, expected: &str| {
            assert_eq!(paging_query(raw, "_cursor", "a-B_1"), expected, "{raw}");
        };
        check("", "_cursor=a-B_1");
        check("patient=40001", "patient=40001&_cursor=a-B_1");
        check("_cursor=x&code=https%3A%2F%2Fw3id.org%7Ca", "code=https%3A%2F%2Fw3id.org%7Ca&_cursor=a-B_1");
        check("_page=2&_count=10&_offset=5", "_count=10&_cursor=a-B_1");
        check("%5Fpage=2&_Page=3&a", "a&_cursor=a-B_1");
        check("_count=5000&x=1", "_count=1000&x=1&_cursor=a-B_1");
        check("_Count=99999999999999999999999", "_Count=1000&_cursor=a-B_1");
        check("_count=5000%+9", "_count=5000%+9&_cursor=a-B_1");
        check("_count=1000&_count=abc", "_count=1000&_count=abc&_cursor=a-B_1");
        check("patient._has:_group:member:_id=1&&b=%", "patient._has:_group:member:_id=1&b=%&_cursor=a-B_1");
        assert_eq!(paging_query("a=1", "_page", "2"), "a=1&_page=2");
        assert_eq!(paging_query("", "_cursor", "a b&é"), "_cursor=a%20b%26%C3%A9");
    }
}
