//! Whole searches: whatever the names and values, a search is read or refused with a status of the contract.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::arbitrary::nearly;
use crate::types::has_own_base_path;

const NAMES: [&str; 47] = [
    "patient",
    "subject",
    "patient.identifier",
    "patient._has:Group:member:_id",
    "_has:Group:member:_id",
    "patient.organization",
    "patient.family",
    "patient.given:contains",
    "patient.name:exact",
    "patient.birthdate",
    "subject:Patient.name",
    "patient:identifier",
    "_id",
    "_lastUpdated",
    "_last_updated",
    "_source",
    "_source:below",
    "_count",
    "_page",
    "_offset",
    "_cursor",
    "_sort",
    "_summary",
    "_elements",
    "_total",
    "_format",
    "_pretty",
    "_contained",
    "code",
    "code:not",
    "date",
    "status",
    "status:not",
    "identifier",
    "device",
    "family:exact",
    "given",
    "name:contains",
    "birthDate",
    "email",
    "phone",
    "telecom",
    "type",
    "managing-entity",
    "device-name",
    "partof",
    "_include",
];

fn name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
    prop_oneof![6 => known.clone(), 2 => nearly(known), 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = String> {
    let date = "(ge|ne|ap)?2026(-0[1-9](-[0-3][0-9])?)?";
    let usual = format!(r"{date}|[0-9]{{1,20}}|(Patient|Group)/[0-9]{{1,5}}|a\|b|\|c|last|true|none|-date|x");
    let usual = || proptest::string::string_regex(&usual).unwrap();
    prop_oneof![4 => usual(), 2 => nearly(usual()), 1 => r"[,|\\$]{0,5}", 1 => any::<String>()]
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((name(), vec(value(), 0..4).prop_map(|values| values.join(","))), 0..6)
}

proptest! {
    #[test]
    fn any_search_is_read_or_refused(
        pairs in pairs(), kind in prop::sample::select(&ResourceType::ALL[..]), strict: bool,
    ) {
        match SearchRequest::parse(kind, &pairs, strict, &has_own_base_path) {
            Ok(request) => {
                prop_assert!((1..=super::super::MAX_COUNT).contains(&request.result.count));
                prop_assert!(!strict || request.ignored.is_empty());
                prop_assert!(request.result.page.is_none() || request.result.offset.is_none());
                let named = |ids: &Option<Vec<i64>>, named: &[i64]| {
                    ids.iter().flatten().all(|id| *id > 0 && named.contains(id))
                };
                prop_assert!(named(&request.scope.patients, &request.scope.named_patients));
                prop_assert!(named(&request.scope.studies, &request.scope.named_studies));
                prop_assert!(named(&request.scope.organizations, &request.scope.named_organizations));
            }
            Err(failure) => {
                prop_assert!(matches!(failure.status, 400 | 404), "{failure:?}");
                prop_assert!(!failure.diagnostics().is_empty());
            }
        }
    }

    /// A condition on nothing must not widen a result: without a value it is absent, with separators alone it is refused.
    #[test]
    fn each_condition_narrows(pairs in pairs(), kind in prop::sample::select(&ResourceType::ALL[..])) {
        if let Ok(request) = SearchRequest::parse(kind, &pairs, false, &has_own_base_path) {
            for filter in &request.filters {
                let values = match filter {
                    Filter::Code { values, .. } | Filter::Identifier(values) | Filter::GroupCode(values)
                    | Filter::GroupType(values) | Filter::DeviceType(values)
                    | Filter::OrganizationType(values) | Filter::Action(values) => values.len(),
                    Filter::Date(dates) | Filter::Birthdate(dates) => dates.len(),
                    Filter::Device(ids) | Filter::ManagingEntity(ids) | Filter::PartOf(ids) => ids.len(),
                    Filter::Family(texts) | Filter::Given(texts) | Filter::Name(texts)
                    | Filter::DeviceName(texts) => texts.len(),
                    Filter::Email(texts) | Filter::Phone(texts) | Filter::Telecom(texts) => texts.len(),
                    // No code is a condition that no stored status meets.
                    Filter::Status { .. } | Filter::Not(_) => 1,
                };
                prop_assert!(values > 0, "{filter:?}");
            }
        }
    }

    #[test]
    fn a_string_reads_back(text in "[^,\\\\|$\\x00]{1,12}", mode in 0..3_usize) {
        let (name, mode) = [
            ("name", StringMode::StartsWith),
            ("name:contains", StringMode::Contains),
            ("name:exact", StringMode::Exact),
        ][mode];
        let pairs = [(name.to_owned(), text.clone())];
        let request = SearchRequest::parse(ResourceType::Patient, &pairs, true, &has_own_base_path).unwrap();
        prop_assert_eq!(request.filters, vec![Filter::Name(vec![StringMatch { text, mode }])]);
    }
}
