//! Any place goes into a link and comes back, and any page can be asked for without a fault.

use jhe_crypto::seal::SealKey;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn sealing() -> Sealing {
    Sealing::new(SealKey::from_secret("secret", "test").unwrap())
}

fn place() -> impl Strategy<Value = Place> {
    (vec(proptest::option::of(any::<String>()), 0..4), any::<i64>()).prop_map(|(keys, id)| Place { keys, id })
}

fn read(raw: &str) -> Result<Paging, Error> {
    Paging::read(&sealing(), &AdminQuery::for_test(raw), "/api/v1/studies", DEFAULT_SIZE, false)
}

/// Parameters of pages, with values that are usual and others.
fn raw() -> impl Strategy<Value = String> {
    let name =
        prop::sample::select(vec!["page", "pageSize", "page_size", "limit", "offset", "cursor", "paginate", "x"]);
    let value = prop_oneof!["-?[0-9]{1,20}", "last|true|false|", any::<String>()];
    vec((name, value), 0..4).prop_map(|pairs| {
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", query::encode(value))).collect();
        pairs.join("&")
    })
}

proptest! {
    #[test]
    fn a_place_comes_back(place in place()) {
        let paging = read("cursor=").unwrap();
        let cursor = paging.seal_cursor(&place).unwrap();
        prop_assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        let window = read(&format!("cursor={cursor}")).unwrap().window().unwrap();
        prop_assert_eq!(window.after, Some(place));
        prop_assert!(window.by_place);
    }

    #[test]
    fn a_changed_cursor_is_not_found(place in place(), at: Index, other: char, change in 0..3_u8) {
        let cursor = read("").unwrap().seal_cursor(&place).unwrap();
        let mut letters: Vec<char> = cursor.chars().collect();
        let at = at.index(letters.len());
        match change {
            0 => letters[at] = other,
            1 => letters.insert(at, other),
            _ => letters.truncate(at),
        }
        let changed: String = letters.into_iter().collect();
        let found = open_cursor(&sealing(), &changed);
        prop_assert!(changed == cursor || matches!(found, Err(Error::NotFound(Lookup::Cursor))));
    }

    #[test]
    fn other_text_is_not_found(text in prop_oneof![any::<String>(), "[A-Za-z0-9_=-]{0,120}"]) {
        prop_assert!(matches!(open_cursor(&sealing(), &text), Err(Error::NotFound(Lookup::Cursor))));
        let other = sealing().seal(PURPOSE, &text).unwrap();
        let is_place = serde_json::from_str::<(Vec<Option<String>>, i64)>(&text).is_ok();
        prop_assert_eq!(open_cursor(&sealing(), &other).is_ok(), is_place);
    }

    #[test]
    fn any_page_is_a_window_or_not_found(
        raw in raw(), count in 0..=i64::from(i32::MAX), next in proptest::option::of(place()),
    ) {
        let Ok(paging) = read(&raw) else { return Ok(()) };
        prop_assert!((1..=MAX_LIMIT).contains(&paging.size));
        let Ok(window) = paging.last_window(count).map_or_else(|| paging.window(), Ok) else { return Ok(()) };
        prop_assert!(window.offset >= 0 && window.limit >= 0 && window.reach() >= window.limit);
        let origin = Origin { scheme: "https".into(), host: "h".into(), peer: None };
        // There is an answer, and never a fault.
        match paging.respond(&origin, Page { count, rows: Vec::<i64>::new(), next }) {
            Ok(response) => prop_assert_eq!(response.status(), 200),
            Err(error) => prop_assert!(matches!(error, Error::NotFound(Lookup::Page))),
        }
    }
}
