//! Stored rows as resources, and the headers of a single one.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use jhe_app::ingest::Receipt;
use jhe_domain::Phi;
use jhe_domain::observation::{EffectiveTime, Observation};
use jhe_domain::patient::Patient;
use jhe_fhir::Projection;
use jhe_fhir::device::DeviceOut;
use jhe_fhir::group::GroupOut;
use jhe_fhir::observation::{EffectiveOut, ObservationOut};
use jhe_fhir::organization::OrganizationOut;
use jhe_fhir::patient::PatientOut;
use jhe_fhir::practitioner::PractitionerOut;
use jhe_fhir::time::version_id;
use jhe_store::record::{DataSourceRow, OrganizationRow, PractitionerRow, StudyRow};

use crate::negotiate::FHIR_JSON;

/// Appends an observation.
pub(crate) fn observation(row: &Observation, projection: &Projection, out: &mut Vec<u8>) {
    let identifiers: Vec<(Option<String>, String)> = row
        .identifiers
        .iter()
        .map(|(system, value)| (system.as_ref().map(|system| system.reveal().clone()), value.reveal().clone()))
        .collect();
    ObservationOut {
        id: row.id.0,
        last_updated: row.last_updated,
        created: row.created,
        status: &row.status,
        identifiers: &identifiers,
        system: &row.coding_system,
        code: &row.coding_code,
        display: &row.coding_text,
        patient_id: row.patient_id.0,
        patient_user_id: row.patient_user_id.map(|id| id.0),
        effective: match row.effective {
            EffectiveTime::Instant(at) => EffectiveOut::Instant(at),
            EffectiveTime::Period(start, end) => EffectiveOut::Period(start, end),
            EffectiveTime::Unknown => EffectiveOut::None,
        },
        data_source_id: row.data_source_id.map(|id| id.0),
        document: row.document.as_ref().map(|document| document.reveal().as_str()),
    }
    .write_json(out, projection);
}

/// Appends what a Bundle says of an observation just stored: its identity.
pub(crate) fn receipt(receipt: &Receipt, out: &mut Vec<u8>) {
    ObservationOut {
        id: receipt.id.0,
        last_updated: receipt.last_updated,
        created: receipt.last_updated,
        status: &receipt.status,
        identifiers: &[],
        system: &receipt.coding_system,
        code: &receipt.coding_code,
        display: &receipt.coding_text,
        patient_id: 0,
        patient_user_id: None,
        effective: EffectiveOut::None,
        data_source_id: None,
        document: None,
    }
    .write_json(out, &Projection::identity());
}

/// Appends a patient.
pub(crate) fn patient(row: &Patient, projection: &Projection, out: &mut Vec<u8>) {
    let identifiers: Vec<(Option<String>, String)> = row
        .identifiers
        .iter()
        .map(|identifier| (Some(identifier.system.reveal().clone()), identifier.value.reveal().clone()))
        .collect();
    PatientOut {
        id: row.id.0,
        last_updated: row.last_updated,
        identifiers: &identifiers,
        family: row.name_family.as_ref().map(|name| name.reveal().as_str()),
        given: row.name_given.as_ref().map(|name| name.reveal().as_str()),
        birth_date: row.birth_date.as_ref().map(|date| *date.reveal()),
        phone: row.telecom_phone.as_ref().map(|phone| phone.reveal().as_str()),
        email: row.telecom_email.as_ref().map(|email: &Phi<String>| email.reveal().as_str()),
    }
    .write_json(out, projection);
}

/// Appends a study; `counts` tells how many patients are enrolled.
pub(crate) fn group(row: &StudyRow, counts: bool, projection: &Projection, out: &mut Vec<u8>) {
    GroupOut {
        id: row.id,
        last_updated: row.last_updated,
        name: &row.name,
        description: Some(&row.description).filter(|text| !text.is_empty()).map(String::as_str),
        organization_id: Some(row.organization_id),
        enrolled: u32::try_from(row.enrolled).ok().filter(|_| counts),
    }
    .write_json(out, projection);
}

/// Appends a data source.
pub(crate) fn device(row: &DataSourceRow, projection: &Projection, out: &mut Vec<u8>) {
    DeviceOut {
        id: row.id,
        last_updated: row.last_updated,
        name: row.name.as_deref().unwrap_or_default(),
        kind: row.type_code.as_deref().unwrap_or_default(),
    }
    .write_json(out, projection);
}

/// Appends an organization.
pub(crate) fn organization(row: &OrganizationRow, projection: &Projection, out: &mut Vec<u8>) {
    OrganizationOut {
        id: row.id,
        last_updated: row.last_updated,
        name: &row.name,
        kind: &row.type_code,
        part_of_id: row.part_of_id,
    }
    .write_json(out, projection);
}

/// Appends a practitioner.
pub(crate) fn practitioner(row: &PractitionerRow, projection: &Projection, out: &mut Vec<u8>) {
    let text = |value: &'_ Option<Phi<String>>| value.as_ref().map(|value| value.reveal().clone());
    let (identifier, family, given) = (text(&row.identifier), text(&row.name_family), text(&row.name_given));
    PractitionerOut {
        id: row.id,
        last_updated: row.last_updated,
        identifier: identifier.as_deref(),
        family: family.as_deref(),
        given: given.as_deref(),
    }
    .write_json(out, projection);
}

/// The entity tag of a version.
pub(crate) fn etag(last_updated: DateTime<Utc>) -> String {
    format!("W/\"{}\"", version_id(last_updated))
}

/// `Last-Modified` (RFC 9110 §5.6.7).
pub(crate) fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A resource read by id, or that it has not changed.
pub(crate) fn single(headers: &HeaderMap, last_updated: DateTime<Utc>, write: impl FnOnce(&mut Vec<u8>)) -> Response {
    let tag = etag(last_updated);
    let mut response = if is_unchanged(headers, &tag, last_updated) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut body = Vec::with_capacity(1024);
        write(&mut body);
        (StatusCode::OK, [(header::CONTENT_TYPE, FHIR_JSON)], body).into_response()
    };
    version(response.headers_mut(), &tag, last_updated);
    response
}

/// Sets the headers that name a version.
pub(crate) fn version(headers: &mut HeaderMap, tag: &str, last_updated: DateTime<Utc>) {
    let mut insert = |name, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    insert(header::ETAG, tag);
    insert(header::LAST_MODIFIED, &http_date(last_updated));
}

/// `If-None-Match` decides when it is there, else `If-Modified-Since` (RFC 9110 §13.2.2).
fn is_unchanged(headers: &HeaderMap, tag: &str, last_updated: DateTime<Utc>) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    if let Some(tags) = text(header::IF_NONE_MATCH) {
        return tags.split(',').any(|known| known.trim() == "*" || opaque(known) == opaque(tag));
    }
    text(header::IF_MODIFIED_SINCE)
        .and_then(|since| DateTime::parse_from_rfc2822(since).ok())
        .is_some_and(|since| last_updated.timestamp() <= since.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_compare_weakly_and_by_the_second() {
        let at = DateTime::from_timestamp_micros(1_792_350_841_185_768).unwrap();
        let check = |name: header::HeaderName, value: &str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(is_unchanged(&headers, &etag(at), at), expected, "{value}");
        };
        check(header::IF_NONE_MATCH, "W/\"1792350841185768\"", true);
        check(header::IF_NONE_MATCH, "\"1\", \"1792350841185768\"", true);
        check(header::IF_NONE_MATCH, "*", true);
        check(header::IF_NONE_MATCH, "W/\"1\"", false);
        check(header::IF_MODIFIED_SINCE, &http_date(at), true);
        check(header::IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:37 GMT", false);
        check(header::IF_MODIFIED_SINCE, "yesterday", false);
    }
}
