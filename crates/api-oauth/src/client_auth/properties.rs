//! Credentials of clients: what is sent arrives, in the header or the form, and any header is read or refused.

use axum::http::HeaderValue;
use jhe_http::query::encode;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn header(value: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(value).ok()?);
    Some(headers)
}

proptest! {
    #[test]
    fn credentials_arrive_as_they_were_sent(
        id in ".{1,12}", secret in any::<String>(), scheme in "[Bb]asic|BASIC", repeat_in_form: bool, plus: bool,
    ) {
        let spell = |text: &str| if plus { encode(text).replace("%20", "+") } else { encode(text) };
        let pair = STANDARD.encode(format!("{}:{}", spell(&id), spell(&secret)));
        let headers = header(format!("{scheme} {pair}").as_bytes()).unwrap();
        let form = format!("client_id={}&client_secret={}", encode(&id), encode(&secret));
        let form = Parameters::parse(if repeat_in_form { &form } else { "" });
        let expected = Presented { client_id: id.clone(), secret: Some(secret.clone()) };
        prop_assert_eq!(presented(&headers, &form), Ok(Some(expected)));
        let other = Parameters::parse(&format!("client_id={}x", encode(&id)));
        prop_assert!(presented(&headers, &other).is_err());
        let form = Parameters::parse(&format!("client_id={}&client_secret={}", encode(&id), encode(&secret)));
        let expected = Presented { client_id: id, secret: Some(secret).filter(|secret| !secret.is_empty()) };
        prop_assert_eq!(presented(&HeaderMap::new(), &form), Ok(Some(expected)));
    }

    #[test]
    fn any_header_is_read_or_refused(
        value in prop_oneof![
            vec(any::<u8>(), 0..30),
            "[Bb]asic [A-Za-z0-9+/=]{0,20}".prop_map(String::into_bytes),
            vec(any::<u8>(), 0..20).prop_map(|bytes| format!("Basic {}", STANDARD.encode(bytes)).into_bytes()),
        ],
        form in any::<String>(),
    ) {
        if let Some(headers) = header(&value) {
            match presented(&headers, &Parameters::parse(&form)) {
                Ok(_) => {}
                Err(error) => prop_assert!(matches!(error.status.as_u16(), 400 | 401)),
            }
        }
    }
}
