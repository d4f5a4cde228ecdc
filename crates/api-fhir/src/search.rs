//! What the searches of all types share: reading the request, finding the page, writing the Bundle.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use jhe_app::App;
use jhe_authz::{Actor, Authorizer, FhirRole, Location};
use jhe_domain::error::Error;
use jhe_domain::page::Place;
use jhe_domain::{OrganizationId, PatientId, StudyId};
use jhe_fhir::bundle::SearchsetWriter;
use jhe_fhir::search::{
    PageRef, ScopeParameters, SearchRequest, SourceFilter, TotalMode, is_part_of_view, paging_query,
};
use jhe_fhir::{Failure, Issue, IssueCode, OperationOutcome, ResourceType, catalogue};
use jhe_http::normalize::{FhirBase, OriginalPath};
use jhe_http::{Origin, body, query};
use jhe_store::Work;
use uuid::Uuid;

use crate::body::read;
use crate::bundle::OwnBase;
use crate::cursor::Cursor;
use crate::error::FhirError;
use crate::negotiate::{Chosen, FHIR_JSON, IGNORED, REMEMBER, SEQUENCE};
use crate::prefer::{Prefer, Return};

/// A search as it was called.
pub(crate) struct SearchCall {
    /// Decoded parameters of query and form, in order.
    pairs: Vec<(String, String)>,
    /// The same, as sent.
    raw_query: String,
    /// Address without the query.
    address: String,
    /// Origin and base, for the addresses of resources.
    root: String,
    prefer: Prefer,
    own: OwnBase,
    /// What the form says about the form of the answer.
    chosen: Chosen,
    /// The view is to be remembered.
    remembers: bool,
}

impl FromRequest<App> for SearchCall {
    type Rejection = FhirError;

    async fn from_request(request: Request, app: &App) -> Result<Self, FhirError> {
        let extensions = request.extensions();
        let origin = extensions.get::<Origin>().map(Origin::base).unwrap_or_default();
        let own = OwnBase::new(app, &origin);
        let base = extensions.get::<FhirBase>().map(|base| base.0.clone()).unwrap_or_default();
        let path =
            extensions.get::<OriginalPath>().map_or_else(|| request.uri().path().to_owned(), |path| path.0.clone());
        let prefer = Prefer::of(request.headers());
        let remembers = request.headers().contains_key(REMEMBER);
        let mut chosen = Chosen::default();
        let mut raw_query = request.uri().query().unwrap_or_default().to_owned();
        if request.method() == Method::POST {
            let form = read_form(request, app).await?;
            chosen = Chosen::of_form(&query::pairs(&form)).ok_or_else(catalogue::not_acceptable)?;
            if !raw_query.is_empty() && !form.is_empty() {
                raw_query.push('&');
            }
            raw_query.push_str(&form);
        }
        Ok(Self {
            pairs: query::pairs(&raw_query),
            raw_query,
            address: format!("{origin}{path}"),
            root: format!("{origin}{base}"),
            prefer,
            own,
            chosen,
            remembers,
        })
    }
}

async fn read_form(request: Request, app: &App) -> Result<String, FhirError> {
    const FORM: &str = "application/x-www-form-urlencoded";
    if let Some(kind) = body::media_type(request.headers())
        && kind != FORM
    {
        let sent = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        return Err(catalogue::unsupported_media_type(sent.unwrap_or(&kind)).into());
    }
    let bytes = read(request, app).await?;
    String::from_utf8(bytes.into()).map_err(|_| catalogue::invalid_value("_search", "not UTF-8").into())
}

impl SearchCall {
    /// What the parameters mean for a type.
    pub(crate) fn parse(&self, kind: ResourceType) -> Result<SearchRequest, Failure> {
        count(kind);
        SearchRequest::parse(kind, &self.pairs, self.prefer.strict, &|base| self.own.is(base))
    }

    /// As [`SearchCall::parse`], for an operation with a parameter of its own: its value, and what the others mean.
    pub(crate) fn parse_with(&self, kind: ResourceType, own: &str) -> Result<(Option<String>, SearchRequest), Failure> {
        count(kind);
        let (found, others): (Vec<_>, Vec<_>) = self.pairs.iter().cloned().partition(|(name, _)| name == own);
        let request = SearchRequest::parse(kind, &others, self.prefer.strict, &|base| self.own.is(base))?;
        Ok((found.into_iter().next_back().map(|(_, value)| value), request))
    }

    /// The address of one resource.
    pub(crate) fn full_url(&self, kind: ResourceType, id: i64) -> String {
        format!("{}/{}/{id}", self.root, kind.as_str())
    }

    /// Remembers the view for a practitioner who asks for that: the parameters by name, without those of the page and
    /// those that the profile remembers by itself.
    pub(crate) async fn remember(&self, app: &App, actor: &Actor, kind: ResourceType) -> Result<(), FhirError> {
        if !self.remembers || !matches!(actor.fhir_role(), FhirRole::Practitioner(_)) {
            return Ok(());
        }
        let mut pairs: Vec<_> = self.pairs.iter().filter(|(name, _)| is_part_of_view(kind, name)).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let text: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{}={}", query::encode(name), query::encode(value))).collect();
        let view =
            if text.is_empty() { kind.as_str().to_owned() } else { format!("{}?{}", kind.as_str(), text.join("&")) };
        let mut work = app.store().read().await?;
        let account = Authorizer::new(actor, &mut work).account();
        drop(work);
        Ok(app.store().remember_fhir_view(&account, &view).await?)
    }

    fn link(&self, name: &str, value: &str) -> String {
        format!("{}?{}", self.address, paging_query(&self.raw_query, name, value))
    }

    fn self_link(&self) -> String {
        if self.raw_query.is_empty() { self.address.clone() } else { format!("{}?{}", self.address, self.raw_query) }
    }
}

/// Counts a search.
fn count(kind: ResourceType) {
    metrics::counter!("jhe_fhir_searches_total", "type" => kind.as_str()).increment(1);
}

/// Everything that was named, for the permission check.
pub(crate) fn named(scope: &ScopeParameters) -> Location {
    let some = |ids: &Vec<i64>| (!ids.is_empty()).then(|| ids.clone());
    location(some(&scope.named_organizations), some(&scope.named_studies), some(&scope.named_patients))
}

/// What the search is narrowed to: a repeated parameter means both.
pub(crate) fn narrowed(scope: &ScopeParameters) -> Location {
    location(scope.organizations.clone(), scope.studies.clone(), scope.patients.clone())
}

fn location(organizations: Option<Vec<i64>>, studies: Option<Vec<i64>>, patients: Option<Vec<i64>>) -> Location {
    Location {
        organizations: organizations.map(|ids| ids.into_iter().map(OrganizationId).collect()),
        studies: studies.map(|ids| ids.into_iter().map(StudyId).collect()),
        patients: patients.map(|ids| ids.into_iter().map(PatientId).collect()),
    }
}

/// Whether `_source` leaves any native row.
pub(crate) fn is_native(request: &SearchRequest) -> bool {
    request.source.is_none_or(|source| source == SourceFilter::Native)
}

/// How a page was asked for, which is how the links next to it ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Cursor,
    Page,
    Offset,
}

/// Finds the page of a search and the links around it.
pub(crate) struct Pager<'a> {
    app: &'a App,
    call: &'a SearchCall,
    request: &'a SearchRequest,
    /// Caller and conditions, which a cursor belongs to.
    search: String,
    mode: Mode,
    cursor: Option<Cursor>,
}

/// The rows wanted.
#[derive(Debug, Clone)]
pub(crate) struct PageWindow {
    /// Rows before the page.
    pub(crate) start: i64,
    /// Continue below this row instead of skipping.
    pub(crate) after: Option<Place>,
    /// What changed after this moment is left out.
    pub(crate) snapshot: Option<DateTime<Utc>>,
    /// What has a greater id is left out.
    pub(crate) newest: Option<i64>,
    /// All there is is gone through, instead of asking for each readable pair.
    pub(crate) walk: bool,
    /// Where polling for changes may go on.
    pub(crate) time: DateTime<Utc>,
    /// Rows to fetch: one more than the page holds, to know whether there are more.
    pub(crate) limit: i64,
}

impl PageWindow {
    /// Rows to skip.
    pub(crate) const fn offset(&self) -> i64 {
        if self.after.is_some() { 0 } else { self.start }
    }
}

impl<'a> Pager<'a> {
    /// Reads the cursor of the request, if there is one.
    pub(crate) fn new(
        app: &'a App,
        actor: &Actor,
        call: &'a SearchCall,
        request: &'a SearchRequest,
    ) -> Result<Self, Failure> {
        Self::of_operation(app, actor, call, request, "")
    }

    /// The same for an operation, to which its cursors belong, with what it takes beside the search.
    pub(crate) fn of_operation(
        app: &'a App,
        actor: &Actor,
        call: &'a SearchCall,
        request: &'a SearchRequest,
        operation: &str,
    ) -> Result<Self, Failure> {
        let result = &request.result;
        let search = format!(
            "{operation}\0{}\0{:?}\0{:?}\0{:?}\0{:?}\0{:?}\0{:?}\0{:?}",
            actor.user_id().0,
            request.resource_type,
            request.scope,
            request.ids,
            request.last_updated,
            request.source,
            request.filters,
            result.sort
        );
        let cursor = match &result.cursor {
            Some(sealed) => {
                Some(Cursor::open(app.identity().sealing(), &search, sealed).ok_or_else(catalogue::invalid_cursor)?)
            }
            None => None,
        };
        let mode = match (result.page, result.offset) {
            (Some(_), _) => Mode::Page,
            (None, Some(_)) => Mode::Offset,
            (None, None) => Mode::Cursor,
        };
        Ok(Self { app, call, request, search, mode, cursor })
    }

    /// Whether the matches must be counted: not on later pages, nor when nobody wants to know.
    pub(crate) fn needs_count(&self) -> bool {
        self.mode == Mode::Page || (self.cursor.is_none() && self.request.result.total != TotalMode::None)
    }

    /// Whether this is the first page of a series of cursors.
    pub(crate) fn begins(&self) -> bool {
        self.mode == Mode::Cursor && self.cursor.is_none()
    }

    /// A unit of work for the page. That of a first page knows the moment before it began.
    pub(crate) async fn work(&self) -> Result<Work, Error> {
        let store = self.app.store();
        if self.begins() && !self.request.result.is_count_only() {
            store.search_from_now().await
        } else {
            store.search().await
        }
    }

    fn count(&self) -> i64 {
        i64::try_from(self.request.result.count).unwrap_or(i64::MAX)
    }

    /// The total to show.
    pub(crate) fn total(&self, counted: Option<i64>) -> Option<i64> {
        match (self.request.result.total, &self.cursor) {
            (TotalMode::None, _) if !self.request.result.is_count_only() => None,
            (_, Some(cursor)) => cursor.total,
            (_, None) => counted,
        }
    }

    /// The rows wanted. A page beyond the last is refused.
    pub(crate) fn window(&self, counted: Option<i64>) -> Result<PageWindow, Failure> {
        let count = self.count();
        let pages = || (counted.unwrap_or_default().max(1) - 1) / count + 1;
        let start = match (self.request.result.page, self.request.result.offset) {
            (Some(PageRef::Last), _) => (pages() - 1) * count,
            (Some(PageRef::Number(number)), _) => {
                let number = i64::try_from(number).map_err(|_| catalogue::invalid_page())?;
                if number > pages() {
                    return Err(catalogue::invalid_page());
                }
                (number - 1) * count
            }
            (None, Some(offset)) => i64::try_from(offset).unwrap_or(i64::MAX / 2).min(i64::MAX / 2),
            (None, None) => self.cursor.as_ref().map_or(0, |cursor| cursor.start),
        };
        let cursor = self.cursor.clone().unwrap_or_default();
        let (snapshot, newest) = (cursor.snapshot, cursor.newest);
        let time = self.app.now();
        Ok(PageWindow { start, after: cursor.after, snapshot, newest, walk: cursor.walk, time, limit: count + 1 })
    }

    /// Writes the Bundle of one page. `rows` holds up to one row more than the page; `place` is where a row stands in the
    /// order of the search, if pages go on by that; the window's snapshot bounds the pages that follow.
    pub(crate) fn respond<T>(
        &self,
        window: &PageWindow,
        counted: Option<i64>,
        mut rows: Vec<T>,
        place: impl Fn(&T) -> Option<Place>,
        id: impl Fn(&T) -> i64,
        write: impl Fn(&T, &mut Vec<u8>),
    ) -> Result<Response, FhirError> {
        let more = rows.len() > self.request.result.count;
        rows.truncate(self.request.result.count);
        let total = self.total(counted);
        let count = self.count();
        let link = |start: i64, after: Option<Place>| match self.mode {
            Mode::Page => Ok(self.call.link("_page", &(start / count + 1).to_string())),
            Mode::Offset => Ok(self.call.link("_offset", &start.to_string())),
            Mode::Cursor => {
                let cursor =
                    Cursor { start, after, snapshot: window.snapshot, newest: window.newest, walk: window.walk, total };
                cursor
                    .seal(self.app.identity().sealing(), &self.search)
                    .map(|cursor| self.call.link("_cursor", &cursor))
            }
        };
        let mut links = vec![("self", self.call.self_link())];
        if window.start > 0 {
            links.push(("previous", link((window.start - count).max(0), None)?));
        }
        if more {
            links.push(("next", link(window.start + count, rows.last().and_then(&place))?));
        }
        let mut writer = Self::writer(window.time, total, &links);
        for row in &rows {
            writer.entry_with(&self.call.full_url(self.request.resource_type, id(row)), |out| write(row, out));
        }
        Ok(self.finish(writer))
    }

    /// Writes the Bundle of a page of an order without end, which is not counted: `behind` is the parameter and its value that go
    /// on behind it, which a header tells too.
    pub(crate) fn respond_behind<T>(
        &self,
        behind: (&str, &str),
        more: bool,
        rows: &[T],
        id: impl Fn(&T) -> i64,
        write: impl Fn(&T, &mut Vec<u8>),
    ) -> Result<Response, FhirError> {
        let mut links = vec![("self", self.call.self_link())];
        if more {
            links.push(("next", self.call.link(behind.0, behind.1)));
        }
        let mut writer = Self::writer(self.app.now(), None, &links);
        for row in rows {
            writer.entry_with(&self.call.full_url(self.request.resource_type, id(row)), |out| write(row, out));
        }
        let mut response = self.finish(writer);
        response.headers_mut().insert(SEQUENCE, HeaderValue::from_str(behind.1).map_err(Error::internal)?);
        Ok(response)
    }

    /// Writes a Bundle without entries.
    pub(crate) fn respond_empty(&self, counted: Option<i64>) -> Response {
        let writer = Self::writer(self.app.now(), self.total(counted), &[("self", self.call.self_link())]);
        self.finish(writer)
    }

    fn writer(time: DateTime<Utc>, total: Option<i64>, links: &[(&str, String)]) -> SearchsetWriter {
        let links: Vec<(&str, &str)> = links.iter().map(|(relation, url)| (*relation, url.as_str())).collect();
        let total = total.map(|total| u64::try_from(total).unwrap_or_default());
        SearchsetWriter::new(&Uuid::new_v4().to_string(), time, total, &links)
    }

    fn finish(&self, mut writer: SearchsetWriter) -> Response {
        let ignored = &self.request.ignored;
        if self.call.prefer.answer == Some(Return::Outcome) {
            let text = if ignored.is_empty() {
                "All parameters were understood.".to_owned()
            } else {
                format!("Ignored parameters: {}", ignored.join(", "))
            };
            writer.outcome(
                &Uuid::new_v4().to_string(),
                &OperationOutcome::from(Issue::information(IssueCode::Informational, text)),
            );
        }
        let mut response = ([(header::CONTENT_TYPE, FHIR_JSON)], writer.finish()).into_response();
        if !ignored.is_empty()
            && let Ok(value) = HeaderValue::from_str(&header_text(&ignored.join(", ")))
        {
            response.headers_mut().insert(IGNORED, value);
        }
        if let Some(value) = self.call.prefer.applied_to_search() {
            response.headers_mut().insert("preference-applied", value);
        }
        response.extensions_mut().insert(self.call.chosen.clone());
        response
    }
}

/// What a header can hold of a text; clients refuse very long ones.
fn header_text(text: &str) -> String {
    const LONGEST: usize = 4096;
    text.chars().take(LONGEST).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}
