//! A document goes in and comes out byte for byte, and odd Base64 is refused.

use base64::alphabet;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::arbitrary::{json_text, nearly};

/// White space at places of a text.
fn spaced(text: &str, spaces: &[(prop::sample::Index, char)]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for (at, space) in spaces {
        letters.insert(at.index(letters.len() + 1), *space);
    }
    letters.into_iter().collect()
}

proptest! {
    #[test]
    fn a_document_survives_byte_for_byte(
        document in json_text(), mark: bool, padded: bool,
        spaces in vec((any::<prop::sample::Index>(), prop::sample::select(vec![' ', '\n', '\r', '\t'])), 0..4),
    ) {
        let document = if mark { format!("\u{feff}{document}") } else { document };
        let sent = if padded { STANDARD.encode(&document) } else { STANDARD_NO_PAD.encode(&document) };
        let decoded = decode_attachment(&spaced(&sent, &spaces), document.len()).unwrap();
        prop_assert_eq!(&decoded, &document);
        let mut written = b"before".to_vec();
        encode(&mut written, &decoded);
        prop_assert_eq!(String::from_utf8(written).unwrap(), format!("before{}", STANDARD.encode(&document)));
        let small = decode_attachment(&sent, document.len() - 1).unwrap_err();
        prop_assert_eq!(small.status, 413);
    }

    #[test]
    fn any_text_is_encoded(document in any::<String>()) {
        let mut written = Vec::new();
        encode(&mut written, &document);
        prop_assert_eq!(STANDARD.decode(written).unwrap(), document.into_bytes());
    }

    #[test]
    fn odd_base64_is_refused_or_is_that_document(
        data in prop_oneof![
            any::<String>(), "[A-Za-z0-9+/=_ \n-]{0,40}", nearly(json_text().prop_map(|text| STANDARD.encode(text))),
        ],
    ) {
        match decode_attachment(&data, 1000) {
            Ok(document) => {
                // The letters, without white space and padding, are those of the document: one spelling for each.
                let letters: String = data.split_ascii_whitespace().collect();
                let letters = letters.trim_end_matches('=');
                prop_assert!(letters.bytes().all(|byte| alphabet::STANDARD.as_str().as_bytes().contains(&byte)));
                prop_assert_eq!(STANDARD_NO_PAD.encode(document), letters);
            }
            Err(failure) => prop_assert!(matches!(failure.status, 400 | 413)),
        }
    }

    #[test]
    fn bytes_that_are_no_json_text_are_refused(bytes in vec(any::<u8>(), 0..60)) {
        let is_document = std::str::from_utf8(&bytes).is_ok_and(|text| {
            serde_json::from_str::<serde_json::Value>(text.strip_prefix('\u{feff}').unwrap_or(text)).is_ok()
        });
        prop_assert_eq!(decode_attachment(&STANDARD.encode(&bytes), 100).is_ok(), is_document);
    }
}
