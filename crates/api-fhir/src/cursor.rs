//! Cursors: where a page begins, sealed, so that only ours continue, for the same caller and the same search.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jhe_app::App;

/// What the key is used for.
const PURPOSE: &str = "fhir.cursor.1";

/// Where a page begins. Holds ids and times, no names: it travels in URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cursor {
    /// Rows before the page.
    pub(crate) start: i64,
    /// The last row before the page, in the type's own order: its time where that counts, its id.
    pub(crate) after: Option<(i64, i64)>,
    /// What changed after this moment is left out.
    pub(crate) snapshot: Option<DateTime<Utc>>,
    /// The total of the first page.
    pub(crate) total: Option<i64>,
}

impl Cursor {
    /// The text for a link. `search` is the caller and all conditions of the search.
    pub(crate) fn seal(self, app: &App, search: &str) -> String {
        let text = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let payload = [
            text(Some(self.start)),
            text(self.after.map(|(time, _)| time)),
            text(self.after.map(|(_, id)| id)),
            text(self.snapshot.map(|at| at.timestamp_micros())),
            text(self.total),
        ]
        .join(".");
        let mac = app.identity().mac(PURPOSE, &format!("{payload}\0{search}"));
        URL_SAFE_NO_PAD.encode(format!("{payload}~{mac}"))
    }

    /// Reads it back; `None` when it is not ours or belongs to another search.
    pub(crate) fn open(app: &App, search: &str, sealed: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(sealed).ok()?).ok()?;
        let (payload, mac) = text.split_once('~')?;
        if !app.identity().verify_mac(PURPOSE, &format!("{payload}\0{search}"), mac) {
            return None;
        }
        let mut numbers = payload.split('.').map(|part| part.parse::<i64>().ok());
        let start = numbers.next()??;
        let after = numbers.next()?.zip(numbers.next()?);
        let snapshot = numbers.next()?.and_then(DateTime::from_timestamp_micros);
        Some(Self { start, after, snapshot, total: numbers.next()? })
    }
}
