//! The mark of a request for a new sign-in (`prompt=login`, `max_age`): it travels with the request through the sign-in
//! page, so that a session from before it does not answer the request.

use chrono::{DateTime, Utc};
use jhe_app::App;

/// The parameter that carries the mark.
pub(crate) const PARAMETER: &str = "fresh";

/// Marks a moment.
pub(crate) fn mark(app: &App, at: DateTime<Utc>) -> String {
    let moment = at.timestamp_micros().to_string();
    let mac = app.identity().sealing().mac(PARAMETER, &moment);
    format!("{moment}.{mac}")
}

/// The moment of a mark, in microseconds, if it is one of ours.
pub(crate) fn read(app: &App, mark: &str) -> Option<i64> {
    let (moment, mac) = mark.split_once('.')?;
    app.identity().sealing().verify_mac(PARAMETER, moment, mac).then(|| moment.parse().ok()).flatten()
}
