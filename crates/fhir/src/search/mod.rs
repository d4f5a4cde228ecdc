//! Search requests on native types: from names and values to typed filters.
//!
//! The caller decodes the query (and form) into pairs in order; [`SearchRequest::parse`] reads them. Nothing here knows who
//! asks: whether named patients, studies and organizations may be seen is decided elsewhere, before any query is made.

mod date;
mod names;
mod paging;
mod request;
mod result;
mod value;

pub use date::{Bound, Comparison, DateMatch, DatePrefix, DateRule, DateTerm};
pub use names::is_part_of_view;
pub use paging::paging_query;
pub use request::{Filter, PatientField, ScopeParameters, SearchRequest, SourceFilter};
pub use result::{DEFAULT_COUNT, MAX_COUNT, PageRef, ResultParameters, SortField, SortKey, SummaryMode, TotalMode};
pub use value::{StringMatch, StringMode, SystemMatch, TokenValue, alias_systems};
