//! Cursors: where a page begins, sealed, so that only ours continue, for the same caller and the same search.

use chrono::{DateTime, Utc};
use jhe_app::identity::sealing::Sealing;
use jhe_domain::error::Error;
use jhe_domain::page::Place;
use serde::{Deserialize, Serialize};

/// What the key is used for.
const PURPOSE: &str = "fhir.cursor.2";

/// Where a page begins. It holds values of a row, names among them, and travels in URLs: so it is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cursor {
    /// Rows before the page.
    pub(crate) start: i64,
    /// The place of the last row before the page.
    pub(crate) after: Option<Place>,
    /// What changed after this moment is left out.
    pub(crate) snapshot: Option<DateTime<Utc>>,
    /// All there is is gone through, instead of asking for each readable pair.
    pub(crate) walk: bool,
    /// What has a greater id is left out.
    pub(crate) newest: Option<i64>,
    /// The total of the first page.
    pub(crate) total: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    s: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<(Vec<Option<String>>, i64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    m: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    w: bool,
    /// Digest of the search.
    d: String,
}

impl Cursor {
    /// The text for a link. `search` is the caller and all conditions of the search.
    pub(crate) fn seal(self, sealing: &Sealing, search: &str) -> Result<String, Error> {
        let payload = Payload {
            s: self.start,
            k: self.after.map(|place| (place.keys, place.id)),
            m: self.snapshot.map(|at| at.timestamp_micros()),
            t: self.total,
            n: self.newest,
            w: self.walk,
            d: sealing.mac(PURPOSE, search),
        };
        let text = serde_json::to_string(&payload).map_err(Error::internal)?;
        sealing.seal(PURPOSE, &text)
    }

    /// Reads it back; `None` when it is not ours or belongs to another search.
    pub(crate) fn open(sealing: &Sealing, search: &str, sealed: &str) -> Option<Self> {
        let payload: Payload = serde_json::from_str(&sealing.open(PURPOSE, sealed)?).ok()?;
        sealing.verify_mac(PURPOSE, search, &payload.d).then_some(())?;
        Some(Self {
            start: payload.s,
            after: payload.k.map(|(keys, id)| Place { keys, id }),
            snapshot: payload.m.and_then(DateTime::from_timestamp_micros),
            total: payload.t,
            newest: payload.n,
            walk: payload.w,
        })
    }
}

#[cfg(test)]
mod properties;
