//! Result parameters: how many, which page, in which order, how much of each.

use super::names::{Parameter, normalize};
use super::value::{split_list, unescape};
use crate::catalogue::{self, Failure};
use crate::projection::Projection;
use crate::types::ResourceType;

/// Resources per page when `_count` says nothing usable.
pub const DEFAULT_COUNT: usize = 20;
/// Most resources per page.
pub const MAX_COUNT: usize = 1000;

/// A page asked for by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageRef {
    /// 1-based.
    Number(u64),
    /// `last`.
    Last,
}

/// What to order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortField {
    /// Effective time of an Observation.
    Date,
    /// `meta.lastUpdated`.
    LastUpdated,
    /// The id.
    Id,
    /// Code of an Observation.
    Code,
    /// Status of an Observation.
    Status,
    /// Subject of an Observation.
    Patient,
    /// The name, or family then given name.
    Name,
    /// Family name.
    Family,
    /// Given name.
    Given,
    /// Date of birth.
    Birthdate,
}

/// One key of `_sort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// What is compared.
    pub field: SortField,
    /// Whether the greatest comes first. Rows without the value come last either way.
    pub descending: bool,
}

/// `_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TotalMode {
    /// The exact number.
    #[default]
    Accurate,
    /// The exact number as well.
    Estimate,
    /// No `total`.
    None,
}

/// `_summary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SummaryMode {
    /// Everything.
    #[default]
    False,
    /// The summary elements.
    True,
    /// Text and mandatory elements.
    Text,
    /// Everything but text.
    Data,
    /// The number only.
    Count,
}

/// The result parameters of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultParameters {
    /// Resources per page, 1 to [`MAX_COUNT`].
    pub count: usize,
    /// Whether `_count=0` was sent, which set `summary` to [`SummaryMode::Count`].
    pub count_zero_is_summary: bool,
    /// `_page`.
    pub page: Option<PageRef>,
    /// `_offset`, 0-based.
    pub offset: Option<u64>,
    /// `_cursor`, as received.
    pub cursor: Option<String>,
    /// `_sort`; empty means the type's own order.
    pub sort: Vec<SortKey>,
    /// `_total`.
    pub total: TotalMode,
    /// `_summary`.
    pub summary: SummaryMode,
    /// `_elements`: names of top-level elements.
    pub elements: Option<Vec<String>>,
    /// `_pretty`.
    pub pretty: bool,
    /// `_format`, as received.
    pub format: Option<String>,
}

impl Default for ResultParameters {
    fn default() -> Self {
        Self {
            count: DEFAULT_COUNT,
            count_zero_is_summary: false,
            page: None,
            offset: None,
            cursor: None,
            sort: Vec::new(),
            total: TotalMode::default(),
            summary: SummaryMode::default(),
            elements: None,
            pretty: false,
            format: None,
        }
    }
}

impl ResultParameters {
    /// How much of each resource to write.
    pub fn projection(&self) -> Projection {
        match (&self.elements, self.summary) {
            (Some(elements), _) => Projection::elements(elements.clone()),
            (None, SummaryMode::True) => Projection::Summary,
            (None, SummaryMode::Text) => Projection::Text,
            (None, SummaryMode::Data) => Projection::Data,
            (None, SummaryMode::False | SummaryMode::Count) => Projection::Full,
        }
    }

    /// Whether only the number of matches is wanted.
    pub fn is_count_only(&self) -> bool {
        self.summary == SummaryMode::Count
    }

    /// Takes one parameter; the last of a repeated one wins. Answers whether all of it was understood.
    pub(super) fn take(
        &mut self,
        kind: ResourceType,
        parameter: Parameter,
        shown: &str,
        raw: &str,
    ) -> Result<bool, Failure> {
        let invalid = || catalogue::invalid_value(shown, raw);
        match parameter {
            Parameter::Count => self.take_count(raw),
            Parameter::Page => {
                self.page = Some(match raw {
                    "last" => PageRef::Last,
                    number => {
                        PageRef::Number(whole(number).filter(|page| *page > 0).ok_or_else(catalogue::invalid_page)?)
                    }
                });
            }
            Parameter::Offset => self.offset = Some(whole(raw).ok_or_else(invalid)?),
            Parameter::Cursor => self.cursor = Some(raw.to_owned()),
            Parameter::Sort => return Ok(self.take_sort(kind, raw)),
            Parameter::Total => {
                self.total = match raw {
                    "accurate" => TotalMode::Accurate,
                    "estimate" => TotalMode::Estimate,
                    "none" => TotalMode::None,
                    _ => return Err(invalid()),
                };
            }
            Parameter::Summary => {
                self.summary = match raw {
                    "false" => SummaryMode::False,
                    "true" => SummaryMode::True,
                    "text" => SummaryMode::Text,
                    "data" => SummaryMode::Data,
                    "count" => SummaryMode::Count,
                    _ => return Err(invalid()),
                };
            }
            Parameter::Elements => {
                let mut names: Vec<String> = split_list(raw).into_iter().map(|name| element_name(kind, name)).collect();
                names.retain(|name| !name.is_empty());
                if !names.is_empty() {
                    self.elements.get_or_insert_default().extend(names);
                }
            }
            Parameter::Pretty => {
                self.pretty = match raw {
                    "true" => true,
                    "false" => false,
                    _ => return Err(invalid()),
                };
            }
            Parameter::Format => self.format = Some(raw.to_owned()),
            // Nothing we render contains anything, so `false` is what happens anyway.
            Parameter::Contained if raw == "false" => {}
            _ => return Err(catalogue::unsupported_parameter(shown)),
        }
        Ok(true)
    }

    fn take_count(&mut self, raw: &str) {
        let raw = raw.trim();
        let is_number = !raw.is_empty() && raw.bytes().all(|byte| byte.is_ascii_digit());
        // Digits that do not fit are a large number.
        let count = is_number.then(|| raw.parse::<usize>().unwrap_or(MAX_COUNT));
        self.count_zero_is_summary = count == Some(0);
        self.count = count.filter(|count| *count > 0).map_or(DEFAULT_COUNT, |count| count.min(MAX_COUNT));
    }

    fn take_sort(&mut self, kind: ResourceType, raw: &str) -> bool {
        let mut understood = true;
        self.sort.clear();
        for key in split_list(raw) {
            let (name, descending) = key.strip_prefix('-').map_or((key, false), |name| (name, true));
            match sort_field(kind, &normalize(name)) {
                Some(field) if self.sort.iter().all(|known| known.field != field) => {
                    self.sort.push(SortKey { field, descending });
                }
                // A second key of the same field can never decide.
                Some(_) => {}
                None => understood = false,
            }
        }
        understood
    }

    /// What can only be judged when all are known.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        if let Some(offset) = self.offset
            && (self.page.is_some() || self.cursor.is_some())
        {
            return Err(catalogue::invalid_value("_offset", &offset.to_string()));
        }
        if self.page.is_some() && self.cursor.is_some() {
            return Err(catalogue::invalid_cursor());
        }
        if self.count_zero_is_summary {
            self.summary = SummaryMode::Count;
        }
        Ok(())
    }
}

fn whole(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `code` or `Observation.code`.
fn element_name(kind: ResourceType, escaped: &str) -> String {
    let name = unescape(escaped.trim());
    match name.strip_prefix(kind.as_str()).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) => rest.to_owned(),
        None => name,
    }
}

fn sort_field(kind: ResourceType, name: &str) -> Option<SortField> {
    use ResourceType::{Device, Group, Observation, Organization, Patient, Practitioner};
    Some(match (kind, name) {
        // It has one order.
        (ResourceType::AuditEvent, _) => return None,
        (_, "lastupdated") => SortField::LastUpdated,
        (_, "id") => SortField::Id,
        (Observation, "date") => SortField::Date,
        (Observation, "code") => SortField::Code,
        (Observation, "status") => SortField::Status,
        (Observation, "patient" | "subject") => SortField::Patient,
        (Patient | Practitioner | Group | Device | Organization, "name") | (Device, "devicename") => SortField::Name,
        (Patient | Practitioner, "family") => SortField::Family,
        (Patient | Practitioner, "given") => SortField::Given,
        (Patient, "birthdate") => SortField::Birthdate,
        _ => return None,
    })
}
