//! An accepted address is one of ours, as an independent reader of URLs sees it from any of our pages.

use proptest::collection::vec;
use proptest::prelude::*;
use url::Url;

use super::*;

const SITES: [&str; 3] = ["https://jhe.example", "http://localhost:8000", "https://jhe.example:8443"];

/// Addresses made of what confuses readers of URLs.
fn asked() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "//",
        "\\",
        ".",
        "..",
        "@",
        ":",
        "?",
        "#",
        "%2f",
        "%5c",
        "%09",
        "\t",
        "\n",
        " ",
        "evil.example",
        "https:",
        "javascript:",
        "https://jhe.example",
        "http://localhost:8000",
        "https://jhe.example:8443",
        ":443",
        "o/authorize",
        "\u{2028}",
        "\u{ff0f}",
        "\u{3002}",
        "&",
        ";",
    ]);
    let piece = prop_oneof![12 => piece.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    prop_oneof![6 => vec(piece, 0..7).prop_map(|pieces| pieces.concat()), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn an_accepted_address_leads_to_our_own_pages(asked in asked(), site in prop::sample::select(&SITES[..])) {
        if let Some(accepted) = own(Some(&asked), site) {
            prop_assert_eq!(accepted, &asked);
            for page in ["/accounts/login/", "/accounts/login/?next=/x", "/"] {
                let base = Url::parse(&format!("{site}{page}")).unwrap();
                let target = base.join(accepted).unwrap();
                prop_assert_eq!(target.origin(), base.origin(), "{}", accepted);
                prop_assert!(target.username().is_empty() && target.password().is_none());
            }
        }
    }

    #[test]
    fn paths_of_ours_are_accepted(path in "/([a-z0-9%=&?._-]{1,8}/?){0,4}", site in prop::sample::select(&SITES[..])) {
        prop_assert_eq!(own(Some(&path), site), Some(path.as_str()));
        let whole = format!("{site}{path}");
        prop_assert_eq!(own(Some(&whole), site), Some(whole.as_str()));
        let foreign = format!("https://evil.example{path}");
        prop_assert_eq!(own(Some(&foreign), site), None);
    }
}
