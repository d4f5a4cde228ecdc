//! Whole requests, by table.

use super::*;
use crate::search::{PageRef, SortField, SortKey, SummaryMode, TotalMode};
use crate::types::has_own_base_path;

fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn parse(kind: ResourceType, query: &str) -> SearchRequest {
    SearchRequest::parse(kind, &pairs(query), false, &has_own_base_path).unwrap()
}

fn observation(query: &str) -> SearchRequest {
    parse(ResourceType::Observation, query)
}

fn refused(query: &str, status: u16, text: &str) {
    let failure =
        SearchRequest::parse(ResourceType::Observation, &pairs(query), false, &has_own_base_path).unwrap_err();
    assert_eq!((failure.status, failure.diagnostics()), (status, text), "{query}");
}

#[test]
fn scope() {
    assert_eq!(observation("patient=1,Patient/2").scope.patients, Some(vec![1, 2]));
    let both = observation("patient=1,2&subject=2,3").scope;
    assert_eq!((both.patients, both.named_patients), (Some(vec![2]), vec![1, 2, 2, 3]));
    assert_eq!(observation("patient=").scope, ScopeParameters::default());
    assert_eq!(observation("patient._has:_group:member:_id=30001").scope.studies, Some(vec![30001]));
    assert_eq!(observation("patient.organization=Organization/5").scope.organizations, Some(vec![5]));
    let named = observation("patient.identifier=s|v&patient.family:exact=Smith&subject.birthdate=1980").scope;
    assert_eq!(named.patient_identifiers.len(), 1);
    assert_eq!(
        named.patient_strings,
        [(PatientField::Family, vec![StringMatch { text: "Smith".to_owned(), mode: StringMode::Exact }])]
    );
    assert_eq!(named.patient_birthdate.len(), 1);
}

#[test]
fn scope_parameter_is_noticed() {
    for query in [
        "patient=1",
        "subject=1",
        "patient.identifier=a",
        "subject.identifier=a",
        "_has:Group:member:_id=1",
        "patient.organization=1",
        "identifier=a",
        "_id=x",
        "_lastUpdated=2026",
        "_source=x",
        "_source:below=x",
    ] {
        assert!(observation(query).has_scope_parameter(), "{query}");
    }
    for query in ["", "code=a", "_count=5", "status=final", "date=2026", "patient.birthdate=1980", "patient=", "foo=1"]
    {
        assert!(!observation(query).has_scope_parameter(), "{query}");
    }
}

#[test]
fn refusals() {
    refused("patient=abc", 400, "Invalid value for patient: 'abc'.");
    refused("patient=1,0", 400, "Invalid value for patient: '0'.");
    refused("device=Patient/1", 400, "Invalid value for device: 'Patient/1'.");
    refused("_has:Group:member:_id=x", 400, "Invalid value for _has:Group:member:_id: 'x'.");
    refused("code=|", 400, "Invalid value for code: '|'.");
    refused("code:text=x", 400, "Modifier ':text' is not supported for parameter 'code'.");
    refused("patient:missing=true", 400, "Modifier ':missing' is not supported for parameter 'patient'.");
    refused("patient.identifier:not=x", 400, "Modifier ':not' is not supported for parameter 'patient.identifier'.");
    refused("_count:x=1", 400, "Modifier ':x' is not supported for parameter '_count'.");
    refused("date=2026-13-01", 400, "Invalid date value: '2026-13-01'.");
    refused("date=yesterday", 400, "Invalid date value: 'yesterday'.");
    refused("_lastUpdated=ge-not-a-date", 400, "Invalid _lastUpdated value: 'ge-not-a-date'.");
    refused("_include=Observation:subject", 400, "Search parameter '_include' is not supported.");
    refused(
        "patient._has:Group:member:name=x",
        400,
        "Search parameter 'patient._has:Group:member:name' is not supported.",
    );
    refused("device.type=x", 400, "Search parameter 'device.type' is not supported.");
    refused("_page=abc", 404, "Invalid page.");
    refused("_page=0", 404, "Invalid page.");
    refused("_page=1&_offset=0", 400, "Invalid value for _offset: '0'.");
    refused("_offset=-1", 400, "Invalid value for _offset: '-1'.");
    refused("_page=1&_cursor=x", 400, "Invalid _cursor.");
    refused("_summary=yes", 400, "Invalid value for _summary: 'yes'.");
    refused("_total=all", 400, "Invalid value for _total: 'all'.");
    refused("_contained=true", 400, "Search parameter '_contained' is not supported.");
}

#[test]
fn unknown_parameters_are_listed_or_refused() {
    let request = observation("foo=1&category=x&foo=2&_sort=bogus");
    assert_eq!(request.ignored, ["foo", "category", "_sort"]);
    let failure =
        SearchRequest::parse(ResourceType::Observation, &pairs("foo=1&bar:x=2"), true, &has_own_base_path).unwrap_err();
    assert_eq!(failure.diagnostics(), "Unknown search parameter: foo, bar:x.");
    assert!(SearchRequest::parse(ResourceType::Observation, &pairs("_sort=bogus"), true, &has_own_base_path).is_err());
}

#[test]
fn ids_and_source() {
    assert_eq!(observation("_id=1,not-an-integer").ids.unwrap(), ["1", "not-an-integer"]);
    assert_eq!(observation("_id=1,2&_id=2,3").ids.unwrap(), ["2"]);
    let check = |query: &str, expected: SourceFilter| {
        assert_eq!(observation(query).source, Some(expected), "{query}");
    };
    check("_source=https://jupyterhealth.org/jhe", SourceFilter::Native);
    check("_source=https://jupyterhealth.org/fhir/fhir-source/90001", SourceFilter::FhirSource(90001));
    check("_source=https://jupyterhealth.org/fhir/fhir-source/x", SourceFilter::Nothing);
    check("_source=https://jupyterhealth.org/fhir/fhir-source/99999999999999999999", SourceFilter::Nothing);
    check("_source:below=https://jupyterhealth.org/fhir/fhir-source", SourceFilter::AllAuxiliary);
    check("_source:below=https://jupyterhealth.org/fhir/fhir-source/", SourceFilter::AllAuxiliary);
    check("_source:below=https://jupyterhealth.org", SourceFilter::Nothing);
    check("_source=https://jupyterhealth.org/jhe&_source=x", SourceFilter::Nothing);
    refused("_source:above=x", 400, "Modifier ':above' is not supported for parameter '_source'.");
    assert_eq!(observation("_source=").source, None);
}

#[test]
fn filters() {
    let token = |text: &str| TokenValue::parse(text).unwrap();
    let request = observation("code=a,s|b&code:not=c&status=final&device=Device/70001&identifier:not=x&date=2026");
    assert_eq!(request.filters.len(), 6);
    assert_eq!(request.filters.first(), Some(&Filter::Code { values: vec![token("a"), token("s|b")], negated: false }));
    assert_eq!(request.filters.get(1), Some(&Filter::Code { values: vec![token("c")], negated: true }));
    assert_eq!(request.filters.get(2), Some(&Filter::Status { codes: vec!["final".to_owned()], negated: false }));
    assert_eq!(request.filters.get(3), Some(&Filter::Device(vec![70001])));
    assert_eq!(request.filters.get(4), Some(&Filter::Not(Box::new(Filter::Identifier(vec![token("x")])))));
    assert!(observation("code=").filters.is_empty());
    refused("code=,", 400, "Invalid value for code: ','.");
    let status = observation("status=http://loinc.org|final");
    assert_eq!(status.filters, [Filter::Status { codes: Vec::new(), negated: false }]);
    let patient = parse(ResourceType::Patient, "name:contains=m,n&email=a@b&birthDate=ge1980");
    assert_eq!(patient.filters.len(), 3);
    assert_eq!(parse(ResourceType::Group, "managingEntity=1").filters, [Filter::ManagingEntity(vec![1])]);
    assert_eq!(parse(ResourceType::Organization, "partof=Organization/1").filters, [Filter::PartOf(vec![1])]);
    assert_eq!(
        parse(ResourceType::Device, "type=data-source").filters,
        [Filter::DeviceType(vec![token("data-source")])]
    );
}

#[test]
fn results() {
    let count = |query: &str| observation(query).result.count;
    assert_eq!([count(""), count("_count=abc"), count("_count=-1"), count("_count=1.5")], [20; 4]);
    assert_eq!([count("_count=5"), count("_count=5000"), count("_count=99999999999999999999")], [5, 1000, 1000]);
    let zero = observation("_count=0&_summary=true").result;
    assert_eq!((zero.summary, zero.count_zero_is_summary, zero.is_count_only()), (SummaryMode::Count, true, true));
    assert_eq!(observation("_page=last").result.page, Some(PageRef::Last));
    assert_eq!(observation("_page=3").result.page, Some(PageRef::Number(3)));
    assert_eq!(observation("_offset=0").result.offset, Some(0));
    assert_eq!(observation("_total=none").result.total, TotalMode::None);
    assert!(observation("_pretty=true").result.pretty);
    assert_eq!(observation("_elements=code,Observation.status").result.elements.unwrap(), ["code", "status"]);
    assert_eq!(
        observation("_sort=-date,_last_updated,-date,foo").result.sort,
        [
            SortKey { field: SortField::Date, descending: true },
            SortKey { field: SortField::LastUpdated, descending: false }
        ]
    );
    assert!(parse(ResourceType::Patient, "_sort=date").result.sort.is_empty());
}
