//! An accepted address is a registered one, as an independent reader of URLs sees it.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use url::Url;

use super::*;

/// Addresses as clients register them, loopback ones often.
fn registered() -> impl Strategy<Value = String> {
    let path = "(/[a-z]{0,4}){0,2}(\\?[a-z]=[0-9])?";
    let host = prop::sample::select(vec![
        "https://app.example",
        "http://127.0.0.1",
        "http://127.0.0.1:8080",
        "http://[::1]",
        "http://[::1]:5000",
        "http://localhost:8000",
        "org.example.app:",
    ]);
    (host, path).prop_map(|(host, path)| format!("{host}{path}"))
}

/// What a request may ask for: one of them, with another port, changed, or anything.
fn asked(registered: Vec<String>) -> impl Strategy<Value = (Vec<String>, String)> {
    let pieces = prop::sample::select(vec![
        "@",
        ":",
        "/",
        "//",
        "\\",
        "..",
        "#",
        "?",
        "%2f",
        "\t",
        ":80",
        "evil.example",
        ".",
        "0",
    ]);
    let pieces = prop_oneof![pieces.prop_map(str::to_owned), any::<char>().prop_map(String::from)];
    let one = any::<Index>();
    let changed = (one, any::<Index>(), pieces, any::<u16>(), 0..5_u8);
    (Just(registered), changed, any::<String>()).prop_map(|(registered, (one, at, piece, port, change), any)| {
        let known = one.get(&registered).clone();
        let letters: Vec<char> = known.chars().collect();
        let (left, right) = letters.split_at(at.index(letters.len() + 1));
        let (left, right): (String, String) = (left.iter().collect(), right.iter().collect());
        let asked = match change {
            0 => known,
            1 => format!("{left}{piece}{right}"),
            2 => {
                let port = format!("$host:{port}");
                ["127.0.0.1", "[::1]", "localhost"].iter().fold(known, |text, host| {
                    let port = port.replace("$host", host);
                    text.replace(":8080", "").replace(":5000", "").replace(host, &port)
                })
            }
            3 => format!("{left}{}", right.chars().skip(1).collect::<String>()),
            _ => any,
        };
        (registered, asked)
    })
}

/// What two loopback addresses that differ in the port have in common.
fn but_for_the_port(address: &str) -> Option<(String, String, Option<String>)> {
    let url = Url::parse(address).ok()?;
    let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]"));
    let plain =
        url.scheme() == "http" && url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (is_loopback && plain)
        .then(|| (url.host_str().unwrap().to_owned(), url.path().to_owned(), url.query().map(str::to_owned)))
}

proptest! {
    #[test]
    fn an_accepted_address_is_a_registered_one((registered, asked) in vec(registered(), 1..4).prop_flat_map(asked)) {
        let exact = registered.contains(&asked);
        if exact {
            prop_assert!(matches(&registered, &asked));
        } else if matches(&registered, &asked) {
            // By the port alone it differs from one of them, and only there may it.
            let found = but_for_the_port(&asked);
            prop_assert!(found.is_some(), "{asked}");
            prop_assert!(registered.iter().any(|known| but_for_the_port(known) == found), "{asked}");
        }
    }

    #[test]
    fn a_loopback_address_may_have_any_port(
        path in "(/[a-z]{1,4}){0,2}(\\?a=[0-9])?", six: bool, known: Option<u16>, port: u16,
    ) {
        let host = if six { "http://[::1]" } else { "http://127.0.0.1" };
        let at = |port: Option<u16>| port.map_or_else(|| format!("{host}{path}"), |port| format!("{host}:{port}{path}"));
        let registered = [at(known)];
        prop_assert!(matches(&registered, &at(Some(port))));
        prop_assert!(matches(&registered, &at(None)));
        let elsewhere = [at(known).replace(host, "http://localhost")];
        prop_assert_eq!(matches(&elsewhere, &at(Some(port)).replace(host, "http://localhost")), known == Some(port));
    }

    #[test]
    fn parameters_arrive_as_they_were_sent(address in registered(), state in any::<String>(), code in any::<String>()) {
        let sent = with(&address, &[("code", &code), ("state", &state)]);
        let url = Url::parse(&sent).unwrap();
        let before = Url::parse(&address).unwrap();
        let mut expected: Vec<(String, String)> = before.query_pairs().into_owned().collect();
        expected.extend([("code".to_owned(), code), ("state".to_owned(), state)]);
        prop_assert_eq!(url.query_pairs().into_owned().collect::<Vec<_>>(), expected);
        let rest = |mut url: Url| {
            url.set_query(None);
            url
        };
        prop_assert_eq!(rest(url), rest(before));
    }
}
