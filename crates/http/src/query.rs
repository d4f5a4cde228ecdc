//! Query strings as ordered pairs, repeated names included.

/// Decodes a query string or form body; `+` is a space, broken escapes stay as they are.
pub fn pairs(raw: &str) -> Vec<(String, String)> {
    raw.split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Decodes one component; `+` is a space.
pub fn decode(text: &str) -> String {
    decode_path(&text.replace('+', " "))
}

/// Decodes a part of a path, where `+` is itself.
pub fn decode_path(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Encodes one component of a query string.
pub fn encode(text: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEEP).to_string()
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_order_and_repetitions() {
        let expected = [("a", "1"), ("b", "x y|z"), ("a", "2"), ("c", "")];
        let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!(pairs("a=1&b=x+y%7Cz&a=2&&c"), expected);
        assert_eq!(pairs(""), []);
    }

    #[test]
    fn encode_escapes_what_a_query_cannot_hold() {
        assert_eq!(encode("a|b c/ü~_.-"), "a%7Cb%20c%2F%C3%BC~_.-");
    }
}
