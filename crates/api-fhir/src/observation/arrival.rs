//! `_since-seq`: observations in the order of their arrival, for clients that poll (FHIR B-2).
//!
//! A number is the place behind what was shown, as one that grows: the transaction, and nineteen digits of the id. Nothing is
//! counted, and nothing about it needs to be kept secret: whoever makes one up reads no more than it may.

use axum::response::Response;
use jhe_app::App;
use jhe_authz::{Actor, Authorizer};
use jhe_fhir::catalogue;
use jhe_fhir::observation::ObservationOut;
use jhe_fhir::search::{SearchRequest, SummaryMode};
use jhe_store::observation::{Arrival, Arrived};

use crate::error::FhirError;
use crate::representation;
use crate::search::{self, Pager, SearchCall};
use crate::translate;

/// The parameter.
pub(super) const SINCE: &str = "_since-seq";
/// An id has up to so many digits.
const ID: u128 = 10_u128.pow(19);

fn number(place: Arrival) -> String {
    let part = |number: i64| u128::try_from(number).unwrap_or_default();
    (part(place.transaction) * ID + part(place.id)).to_string()
}

fn place(text: &str) -> Option<Arrival> {
    let number: u128 = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))?;
    Some(Arrival { transaction: i64::try_from(number / ID).ok()?, id: i64::try_from(number % ID).ok()? })
}

/// Of what belongs to pages and orders of other searches, the first that was sent.
fn misplaced(request: &SearchRequest) -> Option<&'static str> {
    let result = &request.result;
    [
        ("_sort", !result.sort.is_empty()),
        ("_page", result.page.is_some()),
        ("_offset", result.offset.is_some()),
        ("_cursor", result.cursor.is_some()),
        ("_summary", result.summary == SummaryMode::Count),
    ]
    .into_iter()
    .find_map(|(name, sent)| sent.then_some(name))
}

/// What arrived since `text`.
pub(super) async fn answer(
    app: &App,
    actor: &Actor,
    call: &SearchCall,
    request: &SearchRequest,
    text: &str,
) -> Result<Response, FhirError> {
    let since = place(text).ok_or_else(|| catalogue::invalid_value(SINCE, text))?;
    if let Some(name) = misplaced(request) {
        return Err(catalogue::unsupported_parameter(name).into());
    }
    let pager = Pager::new(app, actor, call, request)?;
    let mut work = app.store().search().await?;
    let (named, within) = (search::named(&request.scope), search::narrowed(&request.scope));
    let scope = Authorizer::new(actor, &mut work).fhir_observations(&named, within).await?;
    let projection = request.result.projection();
    let arrived = if search::is_native(request) {
        let filter = translate::observation_filter(request, app.now());
        let most = i64::try_from(request.result.count).unwrap_or(i64::MAX);
        let documents = ObservationOut::needs_document(&projection);
        work.observations().arrived(&scope, &filter, since, most, documents).await?
    } else {
        Arrived { rows: Vec::new(), until: since, more: false }
    };
    drop(work);
    pager.respond_behind(
        (SINCE, &number(arrived.until)),
        arrived.more,
        &arrived.rows,
        |row| row.id.0,
        |row, out| representation::observation(row, &projection, out),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back_and_grow_with_their_places() {
        let places = [(0, 0), (0, 60_001), (7, 0), (7, 1), (8, 0), (i64::MAX, i64::MAX)];
        let places = places.map(|(transaction, id)| Arrival { transaction, id });
        let numbers = places.map(|place| number(place).parse::<u128>().unwrap());
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        for one in places {
            assert_eq!(place(&number(one)), Some(one));
        }
        for text in ["-1", "+1", "1.5", "a", " 1", "0x1", &"9".repeat(40), "9999999999999999999"] {
            assert_eq!(place(text), None, "{text}");
        }
    }
}
