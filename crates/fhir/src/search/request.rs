//! The request as a whole.

use super::date::DateMatch;
use super::names::{Lookup, Parameter, lookup};
use super::result::ResultParameters;
use super::value::{self, StringMatch, StringMode, SystemMatch, TokenValue, split_list, unescape};
use crate::catalogue::{self, Failure};
use crate::structure::OBSERVATION_STATUS;
use crate::types::{FHIR_SOURCE_BASE, NATIVE_SOURCE, ResourceType, positive_id};

/// A patient's name, as a chained parameter names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatientField {
    /// Family name.
    Family,
    /// Given name.
    Given,
    /// Either.
    Name,
}

/// The parameters that name people, studies and organizations; the same for every type.
///
/// For ids, `None` is no restriction and an empty list matches nothing: a repeated parameter means both, so the lists are
/// intersections. The `named_*` lists hold every id that was named, for the permission check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScopeParameters {
    /// `patient`, `subject`.
    pub patients: Option<Vec<i64>>,
    /// `patient.identifier`: outer AND, inner OR.
    pub patient_identifiers: Vec<Vec<TokenValue>>,
    /// `_has:Group:member:_id`.
    pub studies: Option<Vec<i64>>,
    /// `patient.organization`.
    pub organizations: Option<Vec<i64>>,
    /// `patient.family`, `.given`, `.name`: outer AND, inner OR.
    pub patient_strings: Vec<(PatientField, Vec<StringMatch>)>,
    /// `patient.birthdate`: outer AND, inner OR.
    pub patient_birthdate: Vec<Vec<DateMatch>>,
    /// Every patient named.
    pub named_patients: Vec<i64>,
    /// Every study named.
    pub named_studies: Vec<i64>,
    /// Every organization named.
    pub named_organizations: Vec<i64>,
}

/// `_source`: which store, or which part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFilter {
    /// The native store.
    Native,
    /// Auxiliary rows of one source.
    FhirSource(i64),
    /// All auxiliary rows.
    AllAuxiliary,
    /// Nothing can match.
    Nothing,
}

impl SourceFilter {
    fn exact(uri: &str) -> Self {
        if uri == NATIVE_SOURCE {
            return Self::Native;
        }
        uri.strip_prefix(FHIR_SOURCE_BASE)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(positive_id)
            .map_or(Self::Nothing, Self::FhirSource)
    }

    fn below(uri: &str) -> Self {
        if uri.strip_suffix('/').unwrap_or(uri) == FHIR_SOURCE_BASE { Self::AllAuxiliary } else { Self::Nothing }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::AllAuxiliary, Self::FhirSource(id)) | (Self::FhirSource(id), Self::AllAuxiliary) => {
                Self::FhirSource(id)
            }
            (one, two) if one == two => one,
            _ => Self::Nothing,
        }
    }
}

/// One filter of the type's own parameters. Lists are OR; a row must pass every filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Observation: `code`.
    Code {
        /// The codes.
        values: Vec<TokenValue>,
        /// `:not`.
        negated: bool,
    },
    /// Observation: `date`.
    Date(Vec<DateMatch>),
    /// Observation: `status`.
    Status {
        /// The codes; one that no stored status can have is left out, so the list may be empty.
        codes: Vec<String>,
        /// `:not`.
        negated: bool,
    },
    /// `identifier`.
    Identifier(Vec<TokenValue>),
    /// Observation: `device`, as data source ids.
    Device(Vec<i64>),
    /// Patient, Practitioner: `family`.
    Family(Vec<StringMatch>),
    /// Patient, Practitioner: `given`.
    Given(Vec<StringMatch>),
    /// `name`: of people either part.
    Name(Vec<StringMatch>),
    /// Patient: `birthdate`.
    Birthdate(Vec<DateMatch>),
    /// Patient: `email`, compared without case.
    Email(Vec<String>),
    /// Patient: `phone`, compared by digits.
    Phone(Vec<String>),
    /// Patient: `telecom`, either of the two.
    Telecom(Vec<String>),
    /// Group: `code`, the constant `study`.
    GroupCode(Vec<TokenValue>),
    /// Group: `type`, the constant `person`.
    GroupType(Vec<TokenValue>),
    /// Device: `type`, the constant `data-source` or the data source's type.
    DeviceType(Vec<TokenValue>),
    /// Organization: `type`, the constant `organization` or the organization's type.
    OrganizationType(Vec<TokenValue>),
    /// Group: `managing-entity`, as organization ids.
    ManagingEntity(Vec<i64>),
    /// AuditEvent: `action`.
    Action(Vec<TokenValue>),
    /// Organization: `partof`, as organization ids.
    PartOf(Vec<i64>),
    /// Device: `device-name`.
    DeviceName(Vec<StringMatch>),
    /// `:not` on a token other than code and status: rows that do not pass the inner filter.
    Not(Box<Filter>),
}

/// A search, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRequest {
    /// What is searched.
    pub resource_type: ResourceType,
    /// People, studies, organizations.
    pub scope: ScopeParameters,
    /// `_id`: texts, of which those that are no id match nothing.
    pub ids: Option<Vec<String>>,
    /// `_lastUpdated`: outer AND, inner OR; see [`DateMatch::last_updated_rule`].
    pub last_updated: Vec<Vec<DateMatch>>,
    /// `_source`.
    pub source: Option<SourceFilter>,
    /// The type's own parameters, all of which must hold.
    pub filters: Vec<Filter>,
    /// Paging, order and form.
    pub result: ResultParameters,
    /// Names that mean nothing here, as sent, in order.
    pub ignored: Vec<String>,
}

impl SearchRequest {
    /// Reads decoded pairs in order; `strict` refuses unknown parameters instead of listing them. `is_own_base` tells
    /// which bases of absolute references are ours.
    ///
    /// # Errors
    /// The first of: E12, E31 to E37, with their statuses.
    pub fn parse(
        resource_type: ResourceType,
        pairs: &[(String, String)],
        strict: bool,
        is_own_base: &dyn Fn(&str) -> bool,
    ) -> Result<Self, Failure> {
        let mut request = Self {
            resource_type,
            scope: ScopeParameters::default(),
            ids: None,
            last_updated: Vec::new(),
            source: None,
            filters: Vec::new(),
            result: ResultParameters::default(),
            ignored: Vec::new(),
        };
        let mut alternatives = 0;
        for (name, raw) in pairs {
            match lookup(resource_type, name) {
                Lookup::Unknown => request.ignore(name),
                // A parameter without value is absent.
                _ if raw.is_empty() => {}
                Lookup::Unsupported => return Err(catalogue::unsupported_parameter(name)),
                // No value of ours holds it, and the database cannot be asked about it.
                Lookup::Known(parameter, shown, _) if raw.contains('\0') && parameter != Parameter::Id => {
                    return Err(catalogue::invalid_value(shown, raw));
                }
                Lookup::Known(parameter, shown, modifier) => {
                    if is_condition(parameter) && !is_reference(parameter) {
                        alternatives += split_list(raw).len();
                    }
                    if alternatives > MOST_ALTERNATIVES {
                        return Err(catalogue::invalid_value(shown, "too many values"));
                    }
                    request.take(parameter, &Values { shown, modifier, raw, is_own_base })?;
                }
            }
        }
        request.result.finish()?;
        if strict && !request.ignored.is_empty() {
            return Err(catalogue::unknown_parameters(&request.ignored.join(", ")));
        }
        Ok(request)
    }

    /// Whether the search carries one of the parameters that a practitioner's Observation search must have.
    pub fn has_scope_parameter(&self) -> bool {
        let scope = &self.scope;
        scope.patients.is_some()
            || scope.studies.is_some()
            || scope.organizations.is_some()
            || !scope.patient_identifiers.is_empty()
            || !scope.patient_strings.is_empty()
            || self.ids.is_some()
            || !self.last_updated.is_empty()
            || self.source.is_some()
            || self.filters.iter().any(|filter| matches!(filter, Filter::Identifier(_)))
    }

    fn ignore(&mut self, name: &str) {
        if self.ignored.iter().all(|known| known != name) {
            self.ignored.push(name.to_owned());
        }
    }

    fn take(&mut self, parameter: Parameter, values: &Values<'_>) -> Result<(), Failure> {
        let (shown, raw) = (values.shown, values.raw);
        if is_condition(parameter) && split_list(raw).is_empty() {
            // Separators alone name nothing, and a condition on nothing must not widen the result.
            return Err(catalogue::invalid_value(shown, raw));
        }
        match parameter {
            Parameter::Patient => {
                let ids = values.references("Patient")?;
                self.scope.named_patients.extend(&ids);
                intersect(&mut self.scope.patients, ids);
            }
            Parameter::Study => {
                let ids = values.references("Group")?;
                self.scope.named_studies.extend(&ids);
                intersect(&mut self.scope.studies, ids);
            }
            Parameter::PatientOrganization => {
                let ids = values.references("Organization")?;
                self.scope.named_organizations.extend(&ids);
                intersect(&mut self.scope.organizations, ids);
            }
            Parameter::PatientIdentifier => {
                values.without_modifier()?;
                self.scope.patient_identifiers.push(values.tokens()?);
            }
            Parameter::PatientFamily => self.take_patient_string(PatientField::Family, values)?,
            Parameter::PatientGiven => self.take_patient_string(PatientField::Given, values)?,
            Parameter::PatientName => self.take_patient_string(PatientField::Name, values)?,
            Parameter::PatientBirthdate => self.scope.patient_birthdate.push(values.dates()?),
            Parameter::Id => {
                values.without_modifier()?;
                let ids: Vec<String> = split_list(raw).into_iter().map(unescape).collect();
                match &mut self.ids {
                    Some(known) => known.retain(|id| ids.contains(id)),
                    none => *none = Some(ids),
                }
            }
            Parameter::LastUpdated => {
                values.without_modifier()?;
                self.last_updated.push(values.dates_or(catalogue::invalid_last_updated)?);
            }
            Parameter::Source => self.take_source(values)?,
            _ if is_filter(parameter) => self.filters.extend(values.filter(parameter)?),
            _ => {
                values.without_modifier()?;
                if !self.result.take(self.resource_type, parameter, shown, raw)? {
                    self.ignore(shown);
                }
            }
        }
        Ok(())
    }

    fn take_patient_string(&mut self, field: PatientField, values: &Values<'_>) -> Result<(), Failure> {
        self.scope.patient_strings.push((field, values.strings()?));
        Ok(())
    }

    fn take_source(&mut self, values: &Values<'_>) -> Result<(), Failure> {
        let read = match values.modifier {
            None => SourceFilter::exact,
            Some("below") => SourceFilter::below,
            Some(_) => return Err(values.bad_modifier()),
        };
        let mut found: Option<SourceFilter> = None;
        for uri in split_list(values.raw) {
            let one = read(&unescape(uri));
            // One search looks into one store, so alternatives that differ have no answer.
            found = Some(found.map_or(one, |known| if known == one { one } else { SourceFilter::Nothing }));
        }
        if let Some(found) = found {
            self.source = Some(self.source.map_or(found, |known| known.and(found)));
        }
        Ok(())
    }
}

/// The values of one occurrence of a parameter.
struct Values<'a> {
    shown: &'a str,
    modifier: Option<&'a str>,
    raw: &'a str,
    is_own_base: &'a dyn Fn(&str) -> bool,
}

impl Values<'_> {
    fn bad_modifier(&self) -> Failure {
        catalogue::unsupported_modifier(self.modifier.unwrap_or_default(), self.shown)
    }

    fn without_modifier(&self) -> Result<(), Failure> {
        if self.modifier.is_some() { Err(self.bad_modifier()) } else { Ok(()) }
    }

    /// Whether `:not` was sent; any other modifier is refused.
    fn negated(&self) -> Result<bool, Failure> {
        match self.modifier {
            None => Ok(false),
            Some("not") => Ok(true),
            Some(_) => Err(self.bad_modifier()),
        }
    }

    fn each<T>(&self, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Failure> {
        self.each_or(read, |raw| catalogue::invalid_value(self.shown, raw))
    }

    fn each_or<T>(&self, read: impl Fn(&str) -> Option<T>, error: impl Fn(&str) -> Failure) -> Result<Vec<T>, Failure> {
        split_list(self.raw).into_iter().map(|item| read(item).ok_or_else(|| error(item))).collect()
    }

    fn references(&self, kind: &str) -> Result<Vec<i64>, Failure> {
        if self.modifier.is_some_and(|modifier| modifier != kind) {
            return Err(self.bad_modifier());
        }
        self.each(|item| value::reference(item, kind, self.is_own_base))
    }

    /// Organizations, the one above all others among them, whose id is 0.
    fn parents(&self) -> Result<Vec<i64>, Failure> {
        if self.modifier.is_some_and(|modifier| modifier != "Organization") {
            return Err(self.bad_modifier());
        }
        let parent = |item: &str| match item {
            "0" | "Organization/0" => Some(0),
            _ => value::reference(item, "Organization", self.is_own_base),
        };
        self.each(parent)
    }

    fn tokens(&self) -> Result<Vec<TokenValue>, Failure> {
        self.each(TokenValue::parse)
    }

    /// The code parts of tokens whose system says nothing of use.
    fn codes(&self) -> Result<Vec<String>, Failure> {
        self.each(|item| TokenValue::parse(item)?.code)
    }

    /// `telecom`, of one sort where all values name that as their system.
    fn telecom(&self) -> Result<Filter, Failure> {
        let (tokens, codes) = (self.tokens()?, self.codes()?);
        let all = |system: &str| {
            tokens.iter().all(|token| matches!(&token.system, SystemMatch::Exact(named) if named == system))
        };
        Ok(if all("email") {
            Filter::Email(codes)
        } else if all("phone") {
            Filter::Phone(codes)
        } else {
            Filter::Telecom(codes)
        })
    }

    fn strings(&self) -> Result<Vec<StringMatch>, Failure> {
        let mode = match self.modifier {
            None => StringMode::StartsWith,
            Some("contains") => StringMode::Contains,
            Some("exact") => StringMode::Exact,
            Some(_) => return Err(self.bad_modifier()),
        };
        self.each(|item| Some(StringMatch { text: unescape(item), mode }))
    }

    fn dates(&self) -> Result<Vec<DateMatch>, Failure> {
        self.without_modifier()?;
        self.dates_or(catalogue::invalid_date)
    }

    fn dates_or(&self, error: impl Fn(&str) -> Failure) -> Result<Vec<DateMatch>, Failure> {
        self.each_or(DateMatch::parse, error)
    }

    /// A filter of the type's own; `None` when the parameter is of another sort.
    fn filter(&self, parameter: Parameter) -> Result<Option<Filter>, Failure> {
        let filter = match parameter {
            Parameter::Code => Filter::Code { values: self.tokens()?, negated: self.negated()? },
            Parameter::Date => Filter::Date(self.dates()?),
            Parameter::Status => {
                let negated = self.negated()?;
                Filter::Status { codes: self.tokens()?.iter().flat_map(status_codes).collect(), negated }
            }
            Parameter::Device => Filter::Device(self.references("Device")?),
            Parameter::Family => Filter::Family(self.strings()?),
            Parameter::Given => Filter::Given(self.strings()?),
            Parameter::Name => Filter::Name(self.strings()?),
            Parameter::Birthdate => Filter::Birthdate(self.dates()?),
            Parameter::ManagingEntity => Filter::ManagingEntity(self.references("Organization")?),
            Parameter::PartOf => Filter::PartOf(self.parents()?),
            Parameter::DeviceName => Filter::DeviceName(self.strings()?),
            Parameter::Identifier => self.plain_token(Filter::Identifier(self.tokens()?))?,
            Parameter::Action => self.plain_token(Filter::Action(self.tokens()?))?,
            Parameter::Email => self.plain_token(Filter::Email(self.codes()?))?,
            Parameter::Phone => self.plain_token(Filter::Phone(self.codes()?))?,
            Parameter::Telecom => self.plain_token(self.telecom()?)?,
            Parameter::GroupCode => self.plain_token(Filter::GroupCode(self.tokens()?))?,
            Parameter::GroupType => self.plain_token(Filter::GroupType(self.tokens()?))?,
            Parameter::DeviceType => self.plain_token(Filter::DeviceType(self.tokens()?))?,
            Parameter::OrganizationType => self.plain_token(Filter::OrganizationType(self.tokens()?))?,
            _ => return Ok(None),
        };
        Ok(Some(filter))
    }

    fn plain_token(&self, filter: Filter) -> Result<Filter, Failure> {
        Ok(if self.negated()? { Filter::Not(Box::new(filter)) } else { filter })
    }
}

/// Values of a search other than ids, in all: each is a condition of its own.
const MOST_ALTERNATIVES: usize = 1000;

const fn is_reference(parameter: Parameter) -> bool {
    matches!(
        parameter,
        Parameter::Patient
            | Parameter::Study
            | Parameter::PatientOrganization
            | Parameter::Device
            | Parameter::ManagingEntity
            | Parameter::PartOf
    )
}

/// Whether a parameter narrows the result, so that one without a value is a mistake. `_id` may name ids that match
/// nothing.
fn is_condition(parameter: Parameter) -> bool {
    is_filter(parameter)
        || matches!(
            parameter,
            Parameter::Patient
                | Parameter::Study
                | Parameter::PatientOrganization
                | Parameter::PatientIdentifier
                | Parameter::PatientFamily
                | Parameter::PatientGiven
                | Parameter::PatientName
                | Parameter::PatientBirthdate
                | Parameter::LastUpdated
                | Parameter::Source
        )
}

fn is_filter(parameter: Parameter) -> bool {
    matches!(
        parameter,
        Parameter::Code
            | Parameter::Date
            | Parameter::Status
            | Parameter::Identifier
            | Parameter::Device
            | Parameter::Family
            | Parameter::Given
            | Parameter::Name
            | Parameter::Birthdate
            | Parameter::Email
            | Parameter::Phone
            | Parameter::Telecom
            | Parameter::GroupCode
            | Parameter::GroupType
            | Parameter::ManagingEntity
            | Parameter::DeviceType
            | Parameter::DeviceName
            | Parameter::OrganizationType
            | Parameter::PartOf
            | Parameter::Action
    )
}

/// The stored statuses a token stands for: the element's system is implied, so a token may name it or leave it out.
fn status_codes(token: &TokenValue) -> Vec<String> {
    const SYSTEM: &str = "http://hl7.org/fhir/observation-status";
    if matches!(&token.system, SystemMatch::Exact(system) if system != SYSTEM) {
        return Vec::new();
    }
    match &token.code {
        Some(code) => vec![code.clone()],
        None => OBSERVATION_STATUS.map(str::to_owned).into(),
    }
}

fn intersect(known: &mut Option<Vec<i64>>, ids: Vec<i64>) {
    match known {
        Some(known) => known.retain(|id| ids.contains(id)),
        None => *known = Some(ids),
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
