//! Any place goes into a link and comes back; whatever else comes is no cursor.

use chrono::{DateTime, Utc};
use jhe_crypto::seal::SealKey;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn sealing() -> Sealing {
    Sealing::new(SealKey::from_secret("secret", "test").unwrap())
}

/// Any cursor; the moments of our tables have microseconds.
fn cursor() -> impl Strategy<Value = Cursor> {
    let place = (vec(option::of(any::<String>()), 0..4), any::<i64>()).prop_map(|(keys, id)| Place { keys, id });
    let micros = DateTime::<Utc>::MIN_UTC.timestamp_micros()..=DateTime::<Utc>::MAX_UTC.timestamp_micros();
    let snapshot = micros.prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap());
    (
        any::<i64>(),
        option::of(place),
        option::of(snapshot),
        any::<bool>(),
        option::of(any::<i64>()),
        option::of(any::<i64>()),
    )
        .prop_map(|(start, after, snapshot, walk, newest, total)| Cursor {
            start,
            after,
            snapshot,
            walk,
            newest,
            total,
        })
}

proptest! {
    #[test]
    fn a_cursor_comes_back_to_its_own_search(cursor in cursor(), search in any::<String>(), other in any::<String>()) {
        let sealing = sealing();
        let sealed = cursor.clone().seal(&sealing, &search).unwrap();
        prop_assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        prop_assert_eq!(Cursor::open(&sealing, &search, &sealed), Some(cursor));
        prop_assert!(other == search || Cursor::open(&sealing, &other, &sealed).is_none());
    }

    #[test]
    fn a_changed_cursor_is_none(cursor in cursor(), at: Index, other: char, change in 0..3_u8) {
        let sealing = sealing();
        let sealed = cursor.seal(&sealing, "search").unwrap();
        let mut letters: Vec<char> = sealed.chars().collect();
        let at = at.index(letters.len());
        match change {
            0 => letters[at] = other,
            1 => letters.insert(at, other),
            _ => letters.truncate(at),
        }
        let changed: String = letters.into_iter().collect();
        prop_assert!(changed == sealed || Cursor::open(&sealing, "search", &changed).is_none());
    }

    #[test]
    fn other_text_is_none(text in prop_oneof![any::<String>(), "[A-Za-z0-9_=-]{0,120}"], payload in any::<String>()) {
        let sealing = sealing();
        prop_assert_eq!(Cursor::open(&sealing, "search", &text), None);
        // Nor is what we sealed for something else, or as something else.
        prop_assert_eq!(Cursor::open(&sealing, "search", &sealing.seal(PURPOSE, &payload).unwrap()), None);
        prop_assert_eq!(Cursor::open(&sealing, "search", &sealing.seal("admin.cursor.1", "[[],1]").unwrap()), None);
    }
}
