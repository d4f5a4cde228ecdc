//! The Base64 text of `valueAttachment.data`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD_INDIFFERENT};
use serde::de::IgnoredAny;

use crate::catalogue::{self, Failure};

/// Decodes an attachment: standard alphabet, padding optional, white space ignored, the content UTF-8 JSON of at most
/// `max_bytes`. The text is what was sent, byte for byte, with a byte order mark if it had one.
///
/// # Errors
/// E53 when it cannot be decoded or is no JSON, E58 when it is too large.
pub fn decode_attachment(data: &str, max_bytes: usize) -> Result<String, Failure> {
    let encoded: Cow<'_, [u8]> = if data.bytes().any(|byte| byte.is_ascii_whitespace()) {
        Cow::Owned(data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect())
    } else {
        Cow::Borrowed(data.as_bytes())
    };
    // Four characters are three bytes, of which padding may stand for two.
    if (encoded.len() / 4).saturating_mul(3) > max_bytes.saturating_add(2) {
        return Err(catalogue::attachment_too_large(max_bytes));
    }
    let bytes = STANDARD_NO_PAD_INDIFFERENT.decode(encoded).map_err(|_| catalogue::attachment_invalid())?;
    if bytes.len() > max_bytes {
        return Err(catalogue::attachment_too_large(max_bytes));
    }
    let text = String::from_utf8(bytes).map_err(|_| catalogue::attachment_invalid())?;
    let document = text.strip_prefix('\u{feff}').unwrap_or(&text);
    serde_json::from_str::<IgnoredAny>(document).map_err(|_| catalogue::attachment_invalid())?;
    Ok(text)
}

/// Appends the Base64 of a document: standard alphabet, padded, without line breaks.
pub(super) fn encode(out: &mut Vec<u8>, document: &str) {
    let start = out.len();
    out.resize(start + document.len().div_ceil(3) * 4, b'=');
    // The space is exactly what padded Base64 takes, so encoding cannot fail.
    let written = out.get_mut(start..).and_then(|space| STANDARD.encode_slice(document, space).ok()).unwrap_or(0);
    out.truncate(start + written);
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(data: &str, expected: Result<&str, u16>) {
        let found = decode_attachment(data, 20);
        assert_eq!(found.as_deref().map_err(|failure| failure.status), expected, "{data}");
    }

    #[test]
    fn decodes() {
        check("eyJhIjoxfQ==", Ok(r#"{"a":1}"#));
        check("eyJhIjoxfQ", Ok(r#"{"a":1}"#));
        check("eyJh\r\n Ijox\tfQ==\n", Ok(r#"{"a":1}"#));
        check("77u/eyJhIjoxfQ==", Ok("\u{feff}{\"a\":1}"));
        check("WzFd", Ok("[1]"));
        check(&STANDARD.encode("{\"a\":\"\u{ff}\u{ff}?\"}"), Ok("{\"a\":\"\u{ff}\u{ff}?\"}"));
    }

    #[test]
    fn refuses() {
        check("", Err(400));
        check("!!!", Err(400));
        check("77u_eyJhIjoxfQ==", Err(400));
        check("aGVsbG8=", Err(400));
        check("/w==", Err(400));
        check("eyJhIjoxfQ=!", Err(400));
        check(&STANDARD.encode("[1,2,3,4,5,6,7,8,9,0]"), Err(413));
        check(&STANDARD.encode(" ".repeat(500)), Err(413));
        check(&STANDARD.encode("[1,2,3,4,5,6,7,8,90]"), Ok("[1,2,3,4,5,6,7,8,90]"));
    }

    #[test]
    fn encodes_what_it_decodes() {
        for document in ["{}", "[1]", "{\"a\":71.35}", ""] {
            let mut out = b"x".to_vec();
            encode(&mut out, document);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{}", STANDARD.encode(document)));
        }
    }
}
