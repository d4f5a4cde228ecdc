//! From what a search says to what the store understands.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use jhe_domain::Phi;
use jhe_domain::data_source::DATA_SOURCE_TYPES;
use jhe_domain::organization::ORGANIZATION_TYPES;
use jhe_fhir::ResourceType;
use jhe_fhir::organization::type_system;
use jhe_fhir::search::{
    Bound, DateMatch, DatePrefix, Filter, PatientField, ScopeParameters, SearchRequest, StringMatch, StringMode,
    SystemMatch, TokenValue,
};
use jhe_fhir::structure::OBSERVATION_STATUS;
use jhe_fhir::types::{DATA_SOURCE_TYPE_SYSTEM, MODEL_SYSTEM, positive_id};
use jhe_store::filter::{
    DateMatch as DayMatch, PersonFilter, TextMatch, TextOp, TimeMatch, TimeOp, Token, TokenSystem,
};
use jhe_store::observation::{CodeFilter, ObservationFilter};
use jhe_store::record::{RecordFilter, RecordKey, RecordQuery};

/// The system of `Group.type`, which a code implies.
const GROUP_TYPE_SYSTEM: &str = "http://hl7.org/fhir/group-type";

/// The conditions of an observation search.
pub(crate) fn observation_filter(request: &SearchRequest, now: DateTime<Utc>) -> ObservationFilter {
    let mut filter = ObservationFilter {
        ids: ids(request),
        last_updated: request.last_updated.iter().map(|any| exact_times(any, now)).collect(),
        person: person_of(&request.scope, now),
        ..ObservationFilter::default()
    };
    for one in &request.filters {
        match one {
            Filter::Code { values, negated } => {
                filter.codes.push(CodeFilter { tokens: tokens(values), negated: *negated });
            }
            Filter::Date(dates) => filter.effective.push(dates.iter().map(|date| time(date, now)).collect()),
            Filter::Status { codes, negated: false } => filter.statuses.push(codes.clone()),
            Filter::Status { codes, negated: true } => {
                let others = OBSERVATION_STATUS.iter().filter(|status| codes.iter().all(|code| code != *status));
                filter.statuses.push(others.map(|status| (*status).to_owned()).collect());
            }
            Filter::Identifier(values) => filter.identifiers.push(tokens(values)),
            Filter::Not(inner) => {
                if let Filter::Identifier(values) = &**inner {
                    filter.excluded_identifiers.extend(tokens(values));
                }
            }
            Filter::Device(ids) => match &mut filter.data_sources {
                Some(known) => known.retain(|id| ids.contains(id)),
                none => *none = Some(ids.clone()),
            },
            // The request only holds what an Observation has.
            _ => {}
        }
    }
    filter
}

/// The conditions of a patient search.
pub(crate) fn person_filter(request: &SearchRequest, now: DateTime<Utc>) -> PersonFilter {
    let mut filter = person_of(&request.scope, now);
    filter.last_updated = request.last_updated.iter().map(|any| exact_times(any, now)).collect();
    for one in &request.filters {
        if let Filter::Not(inner) = one {
            let mut excluded = PersonFilter::default();
            take(&mut excluded, inner, now);
            filter.excluded.push(excluded);
        } else {
            take(&mut filter, one, now);
        }
    }
    filter
}

/// The conditions of a search of records; `parse_id` reads the ids of their kind.
pub(crate) fn record_query(
    request: &SearchRequest,
    parse_id: impl Fn(&str) -> Option<i64>,
    now: DateTime<Utc>,
) -> RecordQuery {
    RecordQuery {
        ids: request.ids.as_ref().map(|ids| ids.iter().filter_map(|id| parse_id(id)).collect()),
        last_updated: request.last_updated.iter().map(|any| exact_times(any, now)).collect(),
        person: person_of(&request.scope, now),
        filters: request.filters.iter().filter_map(|filter| record_filter(request.resource_type, filter)).collect(),
        ..RecordQuery::default()
    }
}

fn record_filter(kind: ResourceType, filter: &Filter) -> Option<RecordFilter> {
    let model = |values: &[TokenValue], code| values.iter().any(|value| value.matches(MODEL_SYSTEM, code));
    let types = |values: &[TokenValue], known: &[(&str, &str)], system: &dyn Fn(&str) -> &'static str| {
        let matching = known.iter().filter(|(code, _)| values.iter().any(|value| value.matches(system(code), code)));
        RecordFilter::Type(matching.map(|(code, _)| (*code).to_owned()).collect())
    };
    Some(match filter {
        Filter::Name(values) if kind == ResourceType::Practitioner => {
            RecordFilter::Text(vec![RecordKey::Family, RecordKey::Given], texts(values))
        }
        Filter::Name(values) | Filter::DeviceName(values) => RecordFilter::Text(vec![RecordKey::Name], texts(values)),
        Filter::Family(values) => RecordFilter::Text(vec![RecordKey::Family], texts(values)),
        Filter::Given(values) => RecordFilter::Text(vec![RecordKey::Given], texts(values)),
        Filter::GroupCode(values) => RecordFilter::Constant(model(values, "study")),
        Filter::GroupType(values) => {
            RecordFilter::Constant(values.iter().any(|value| value.matches(GROUP_TYPE_SYSTEM, "person")))
        }
        Filter::DeviceType(values) if model(values, "data-source") => RecordFilter::Constant(true),
        Filter::DeviceType(values) => types(values, DATA_SOURCE_TYPES, &|_| DATA_SOURCE_TYPE_SYSTEM),
        Filter::OrganizationType(values) if model(values, "organization") => RecordFilter::Constant(true),
        Filter::OrganizationType(values) => types(values, ORGANIZATION_TYPES, &type_system),
        Filter::ManagingEntity(ids) | Filter::PartOf(ids) => RecordFilter::Owner(ids.clone()),
        // Identifiers of practitioners have no system.
        Filter::Identifier(values) => RecordFilter::Identifier(
            values
                .iter()
                .filter(|value| !matches!(value.system, SystemMatch::Exact(_)))
                .filter_map(|value| value.code.clone().map(Phi::new))
                .collect(),
        ),
        Filter::Not(inner) => RecordFilter::Not(Box::new(record_filter(kind, inner)?)),
        // The request only holds what the type has.
        _ => return None,
    })
}

fn take(filter: &mut PersonFilter, one: &Filter, now: DateTime<Utc>) {
    let phi = |values: &[String]| values.iter().cloned().map(Phi::new).collect();
    match one {
        Filter::Identifier(values) => filter.identifiers.push(tokens(values)),
        Filter::Family(values) => filter.family.push(texts(values)),
        Filter::Given(values) => filter.given.push(texts(values)),
        Filter::Name(values) => filter.name.push(texts(values)),
        Filter::Birthdate(values) => filter.birth_date.push(days(values, now)),
        Filter::Email(values) => filter.email.push(phi(values)),
        Filter::Phone(values) => filter.phone.push(phi(values)),
        Filter::Telecom(values) => filter.telecom.push(phi(values)),
        // The request only holds what a Patient has.
        _ => {}
    }
}

/// `_id`: texts that are no id match nothing.
pub(crate) fn ids(request: &SearchRequest) -> Option<Vec<i64>> {
    request.ids.as_ref().map(|ids| ids.iter().filter_map(|id| positive_id(id)).collect())
}

/// The chained conditions on a patient.
fn person_of(scope: &ScopeParameters, now: DateTime<Utc>) -> PersonFilter {
    let mut person = PersonFilter {
        identifiers: scope.patient_identifiers.iter().map(|values| tokens(values)).collect(),
        birth_date: scope.patient_birthdate.iter().map(|values| days(values, now)).collect(),
        ..PersonFilter::default()
    };
    for (field, values) in &scope.patient_strings {
        let list = match field {
            PatientField::Family => &mut person.family,
            PatientField::Given => &mut person.given,
            PatientField::Name => &mut person.name,
        };
        list.push(texts(values));
    }
    person
}

fn tokens(values: &[TokenValue]) -> Vec<Token> {
    values
        .iter()
        .map(|token| Token {
            system: match &token.system {
                SystemMatch::Any => TokenSystem::Any,
                SystemMatch::None => TokenSystem::Absent,
                SystemMatch::Exact(_) => {
                    let systems = token.systems().unwrap_or_default();
                    TokenSystem::OneOf(systems.into_iter().map(str::to_owned).collect())
                }
            },
            value: token.code.clone().map(Phi::new),
        })
        .collect()
}

fn texts(values: &[StringMatch]) -> Vec<TextMatch> {
    values
        .iter()
        .map(|value| TextMatch {
            op: match value.mode {
                StringMode::StartsWith => TextOp::StartsWith,
                StringMode::Contains => TextOp::Contains,
                StringMode::Exact => TextOp::Exact,
            },
            text: Phi::new(value.text.clone()),
        })
        .collect()
}

const fn operator(prefix: DatePrefix) -> TimeOp {
    match prefix {
        DatePrefix::Eq => TimeOp::Eq,
        DatePrefix::Ne => TimeOp::Ne,
        DatePrefix::Gt => TimeOp::Gt,
        DatePrefix::Lt => TimeOp::Lt,
        DatePrefix::Ge => TimeOp::Ge,
        DatePrefix::Le => TimeOp::Le,
        DatePrefix::Sa => TimeOp::Sa,
        DatePrefix::Eb => TimeOp::Eb,
        DatePrefix::Ap => TimeOp::Ap,
    }
}

/// The interval that is compared with: the value's own, for `ap` the widened one.
fn time(date: &DateMatch, now: DateTime<Utc>) -> TimeMatch {
    let mut found = TimeMatch { op: operator(date.prefix), low: date.low, high: date.high };
    if date.prefix == DatePrefix::Ap {
        for term in date.rule(now).terms {
            match term.bound {
                Bound::High => found.low = term.at,
                Bound::Low => found.high = term.at,
            }
        }
    }
    found
}

/// `_lastUpdated` with a time of day is that very moment, as an interval of one microsecond.
pub(crate) fn exact_times(dates: &[DateMatch], now: DateTime<Utc>) -> Vec<TimeMatch> {
    dates
        .iter()
        .map(|date| {
            let mut found = time(date, now);
            if date.has_time && date.prefix != DatePrefix::Ap {
                found.high = found.low + TimeDelta::microseconds(1);
            }
            found
        })
        .collect()
}

fn days(dates: &[DateMatch], now: DateTime<Utc>) -> Vec<DayMatch> {
    dates
        .iter()
        .map(|date| {
            let time = time(date, now);
            DayMatch { op: time.op, low: time.low.date_naive(), high: day_from(time.high) }
        })
        .collect()
}

/// The first day that begins at a moment or after it.
fn day_from(at: DateTime<Utc>) -> NaiveDate {
    let day = at.date_naive();
    if at.time() == NaiveTime::MIN { day } else { day.succ_opt().unwrap_or(day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
    }

    #[test]
    fn a_moment_of_last_change_is_exact() {
        let check = |text: &str, micros: i64| {
            let date = DateMatch::parse(text).unwrap();
            let found = exact_times(&[date], now());
            assert_eq!((found[0].high - found[0].low).num_microseconds(), Some(micros), "{text}");
        };
        check("gt2026-04-15T10:00:00Z", 1);
        check("2026-04-15", 86_400_000_000);
    }

    #[test]
    fn near_is_wider_than_the_value() {
        let date = DateMatch::parse("ap2026-04-15").unwrap();
        let found = time(&date, now());
        assert!(found.low < date.low && found.high > date.high && found.op == TimeOp::Ap);
    }
}
