//! Pages: two parameter families and a cursor; links stay in the family of the request.

use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::sealing::Sealing;
use jhe_domain::error::{Error, Lookup};
use jhe_domain::page::{Page, Place, Window};
use jhe_http::{Origin, query};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::fields::to_snake;
use crate::query::AdminQuery;
use crate::response::ok;

/// Rows of a page unless asked otherwise.
pub(crate) const DEFAULT_SIZE: i64 = 20;
/// The same for short administrative lists.
pub(crate) const DEFAULT_LONG: i64 = 1000;
const MAX_PAGE_SIZE: i64 = 1000;
const MAX_LIMIT: i64 = 10_000;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PageJson<T> {
    /// All rows that match.
    count: i64,
    /// Address of the next page.
    next: Option<String>,
    /// Address of the previous page.
    previous: Option<String>,
    /// The rows of this page.
    results: Vec<T>,
}

/// A page of a list that is too long to be counted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyedPageJson<T> {
    /// Address of the next page.
    next: Option<String>,
    /// Always null: pages go forward.
    previous: Option<String>,
    /// The rows of this page.
    results: Vec<T>,
}

/// Which rows a request asks for.
#[derive(Clone)]
pub(crate) struct Paging {
    raw: Vec<(String, String)>,
    path: String,
    family: Family,
    size: i64,
    /// Seals the cursors: they hold values of a row, names among them, and travel in addresses.
    sealing: Sealing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Family {
    Numbered(PageNumber),
    Offset(i64),
    /// Below the last row of the page before; the first page without one.
    Cursor(Option<Place>),
    /// A bare array.
    Whole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageNumber {
    Number(i64),
    Last,
    Impossible,
}

/// A number of rows; beyond all counts it is the largest.
fn whole_number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().or_else(|| all_digits.then_some(i64::MAX))
}

impl Paging {
    /// Reads the parameters. `path` is the path as the caller sent it; `array` makes the bare array the default.
    pub(crate) fn new(app: &App, query: &AdminQuery, path: &str, default: i64, array: bool) -> Result<Self, Error> {
        Self::read(app.identity().sealing(), query, path, default, array)
    }

    /// Reads the parameters of a list that is paged by keyset alone.
    pub(crate) fn by_key(app: &App, query: &AdminQuery, path: &str, default: i64) -> Result<Self, Error> {
        let number = |name: &str| query.get(name).and_then(|value| whole_number(value.trim()));
        let asked = number("limit").or_else(|| number("page_size")).filter(|size| *size > 0);
        let sealing = app.identity().sealing();
        let after = query.get("cursor").map(|text| open_cursor(sealing, text)).transpose()?;
        let size = asked.unwrap_or(default).min(MAX_PAGE_SIZE);
        let (raw, path) = (query.raw.clone(), path.to_owned());
        Ok(Self { raw, path, family: Family::Cursor(after), size, sealing: sealing.clone() })
    }

    fn read(sealing: &Sealing, query: &AdminQuery, path: &str, default: i64, array: bool) -> Result<Self, Error> {
        let number = |name: &str| query.get(name).and_then(|value| whole_number(value.trim()));
        let present = |name: &str| query.raw.iter().any(|(raw, _)| to_snake(raw) == name);
        let sized = |asked: Option<i64>, max: i64| asked.filter(|size| *size > 0).unwrap_or(default).min(max);
        let paginate = query.get("paginate");
        let whole = match paginate {
            Some(value) => value.eq_ignore_ascii_case("false"),
            None => array,
        };
        let (family, size) = if whole {
            (Family::Whole, MAX_LIMIT)
        } else if present("cursor") {
            let size = match number("limit") {
                Some(limit) => sized(Some(limit), MAX_LIMIT),
                None => sized(number("page_size"), MAX_PAGE_SIZE),
            };
            (Family::Cursor(query.get("cursor").map(|text| open_cursor(sealing, text)).transpose()?), size)
        } else if present("page") || present("page_size") {
            let page = match query.get("page") {
                None => PageNumber::Number(1),
                Some("last") => PageNumber::Last,
                Some(text) => match text.parse::<i64>() {
                    Ok(page) if page >= 1 => PageNumber::Number(page),
                    _ => PageNumber::Impossible,
                },
            };
            (Family::Numbered(page), sized(number("page_size"), MAX_PAGE_SIZE))
        } else {
            let size = sized(number("limit"), MAX_LIMIT);
            (Family::Offset(number("offset").filter(|offset| *offset > 0).unwrap_or(0)), size)
        };
        Ok(Self { raw: query.raw.clone(), path: path.to_owned(), family, size, sealing: sealing.clone() })
    }

    /// The rows to read first. For the last page that is none, only the count.
    pub(crate) fn window(&self) -> Result<Window, Error> {
        match &self.family {
            Family::Numbered(PageNumber::Number(page)) => {
                Ok(Window::at((page - 1).saturating_mul(self.size), self.size))
            }
            Family::Numbered(PageNumber::Last) => Ok(Window::first(0)),
            Family::Numbered(PageNumber::Impossible) => Err(Error::NotFound(Lookup::Page)),
            Family::Offset(offset) => Ok(Window::at(*offset, self.size)),
            Family::Cursor(after) => Ok(Window::below(after.clone(), self.size)),
            Family::Whole => Ok(Window::first(self.size)),
        }
    }

    /// The rows of the last page, once the count is known and the last page was asked for.
    pub(crate) fn last_window(&self, count: i64) -> Option<Window> {
        (self.family == Family::Numbered(PageNumber::Last)).then(|| {
            let pages = self.pages(count);
            Window::at((pages - 1) * self.size, self.size)
        })
    }

    fn pages(&self, count: i64) -> i64 {
        ((count + self.size - 1) / self.size).max(1)
    }

    /// The answer of a list that is not counted.
    pub(crate) fn respond_uncounted<T: Serialize>(&self, origin: &Origin, page: Page<T>) -> Result<Response, Error> {
        let cursor = page.next.as_ref().map(|place| self.seal_cursor(place)).transpose()?;
        let next = cursor.map(|cursor| self.link(origin, &[("cursor", Some(cursor))]));
        Ok(ok(&KeyedPageJson { next, previous: None, results: page.rows }))
    }

    /// The answer.
    pub(crate) fn respond<T: Serialize>(&self, origin: &Origin, page: Page<T>) -> Result<Response, Error> {
        let count = page.count;
        let (next, previous) = match &self.family {
            Family::Whole => return Ok(ok(&page.rows)),
            Family::Numbered(number) => {
                let pages = self.pages(count);
                let current = match number {
                    PageNumber::Number(current) => *current,
                    PageNumber::Last => pages,
                    PageNumber::Impossible => return Err(Error::NotFound(Lookup::Page)),
                };
                if current > pages {
                    return Err(Error::NotFound(Lookup::Page));
                }
                let link = |page: i64| {
                    let page = (page > 1).then(|| page.to_string());
                    self.link(origin, &[("page", page)])
                };
                ((current < pages).then(|| link(current + 1)), (current > 1).then(|| link(current - 1)))
            }
            Family::Offset(offset) => {
                let link = |target: i64| {
                    let target = (target > 0).then(|| target.to_string());
                    self.link(origin, &[("limit", Some(self.size.to_string())), ("offset", target)])
                };
                let next = offset.saturating_add(self.size);
                ((next < count).then(|| link(next)), (*offset > 0).then(|| link(offset - self.size)))
            }
            Family::Cursor(_) => {
                let cursor = page.next.as_ref().map(|place| self.seal_cursor(place)).transpose()?;
                (cursor.map(|cursor| self.link(origin, &[("cursor", Some(cursor))])), None)
            }
        };
        Ok(ok(&PageJson { count, next, previous, results: page.rows }))
    }

    /// The keys and the id of a row. It opens nothing: rights are evaluated anew.
    fn seal_cursor(&self, place: &Place) -> Result<String, Error> {
        let text = json!([place.keys, place.id]).to_string();
        self.sealing.seal(PURPOSE, &text)
    }

    /// Whether keyset paging was asked for.
    pub(crate) const fn is_cursor(&self) -> bool {
        matches!(self.family, Family::Cursor(_))
    }

    /// The request again with some parameters set or removed: other names in the caller's spelling, sorted.
    fn link(&self, origin: &Origin, changes: &[(&str, Option<String>)]) -> String {
        let mut pairs: Vec<(String, String)> = Vec::with_capacity(self.raw.len() + changes.len());
        let changed = |name: &str| changes.iter().any(|(key, _)| *key == name);
        pairs.extend(self.raw.iter().filter(|(name, _)| !changed(name)).cloned());
        for (name, value) in changes {
            if let Some(value) = value {
                pairs.push(((*name).to_owned(), value.clone()));
            }
        }
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let query: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{}={}", query::encode(name), query::encode(value))).collect();
        let base = origin.base();
        if query.is_empty() {
            format!("{base}{}", self.path)
        } else {
            format!("{base}{}?{}", self.path, query.join("&"))
        }
    }
}

/// What the key is used for.
const PURPOSE: &str = "admin.cursor.1";

fn open_cursor(sealing: &Sealing, text: &str) -> Result<Place, Error> {
    sealing
        .open(PURPOSE, text)
        .and_then(|text| serde_json::from_str(&text).ok())
        .map(|(keys, id): (Vec<Option<String>>, i64)| Place { keys, id })
        .ok_or(Error::NotFound(Lookup::Cursor))
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use jhe_crypto::seal::SealKey;

    use super::*;

    fn paging(raw: &str) -> Paging {
        let query = AdminQuery::for_test(raw);
        Paging::read(&sealing(), &query, "/api/v1/organizations", DEFAULT_SIZE, false).unwrap()
    }

    fn sealing() -> Sealing {
        Sealing::new(SealKey::from_secret("secret", "test").unwrap())
    }

    fn links(raw: &str, count: i64) -> (Option<String>, Option<String>) {
        let origin = Origin { scheme: "https".into(), host: "h".into(), peer: None };
        let paging = paging(raw);
        let window = paging.last_window(count).unwrap_or_else(|| paging.window().unwrap());
        assert!(window.limit > 0);
        let body = paging.respond(&origin, Page { count, rows: Vec::<i64>::new(), next: None }).unwrap();
        let bytes = futures_block(axum::body::to_bytes(body.into_body(), usize::MAX));
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let text = |key: &str| value.get(key).and_then(|link| link.as_str()).map(str::to_owned);
        (text("next"), text("previous"))
    }

    fn futures_block<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        match std::pin::pin!(future).poll(&mut context) {
            std::task::Poll::Ready(result) => result.unwrap(),
            std::task::Poll::Pending => unreachable!("a buffered body is ready"),
        }
    }

    fn check(raw: &str, count: i64, next: Option<&str>, previous: Option<&str>) {
        let base = "https://h/api/v1/organizations";
        let full = |tail: Option<&str>| tail.map(|tail| format!("{base}{tail}"));
        assert_eq!(links(raw, count), (full(next), full(previous)), "{raw}");
    }

    #[test]
    fn links_stay_in_the_family_of_the_request() {
        check("pageSize=2&page=2", 9, Some("?page=3&pageSize=2"), Some("?pageSize=2"));
        check("page_size=2&page=2", 9, Some("?page=3&page_size=2"), Some("?page_size=2"));
        check("organization_id=1", 150, Some("?limit=20&offset=20&organization_id=1"), None);
        check("organization_id=1&limit=50&offset=100", 150, None, Some("?limit=50&offset=50&organization_id=1"));
        check("limit=2&offset=2", 9, Some("?limit=2&offset=4"), Some("?limit=2"));
        check("limit=2&offset=100", 9, None, Some("?limit=2&offset=98"));
        check("page=last&pageSize=4", 9, None, Some("?page=2&pageSize=4"));
        check("foo=a%7Cb&limit=2", 9, Some("?foo=a%7Cb&limit=2&offset=2"), None);
        check("", 9, None, None);
    }

    #[test]
    fn sizes_are_clamped_and_bad_ones_ignored() {
        assert_eq!(paging("page_size=5000").size, 1000);
        assert_eq!(paging("limit=99999").size, 10_000);
        for raw in ["page_size=0", "page_size=abc", "limit=-3", ""] {
            assert_eq!(paging(raw).size, 20, "{raw}");
        }
    }

    #[test]
    fn impossible_pages_are_not_found() {
        for raw in ["page=0", "page=-1", "page=abc"] {
            assert!(paging(raw).window().is_err(), "{raw}");
        }
        let query = AdminQuery::for_test("cursor=zzz");
        assert!(Paging::read(&sealing(), &query, "/", 20, false).is_err());
    }
}
