//! Ten times as many sign-ins as can be served: those let in must be answered as fast and as many as ever.

use anyhow::Result;

use crate::identity::{sign_in_form, sign_in_request};
use crate::load::{Outcome, Plan};
use crate::place::Place;
use crate::storm::{self, Asker};

/// Browsers; as many as are needed for none to wait for another.
const CROWD: usize = 400;
/// Rates up to what can be served, as parts of what one password hash allows on all cores.
const CALM: [f64; 3] = [0.5, 0.7, 0.9];
/// Rates beyond, as multiples of the most that was served until then.
const STORM: [f64; 3] = [2.0, 5.0, 10.0];

/// Offers more and more sign-ins and prints what came of each.
pub(crate) async fn run(place: &Place, plan: Plan, hashes: f64) -> Result<()> {
    println!(
        "sign-ins offered at a steady rate, {hashes:.0}/s being what argon2id alone allows; what is refused counts as failed:"
    );
    let mut peak: f64 = 0.0;
    for part in CALM {
        let outcome = offered(place, plan.with(CROWD), hashes * part).await?;
        peak = peak.max(outcome.rate());
        outcome.print("");
    }
    let calm = peak;
    for times in STORM {
        let outcome = offered(place, plan.with(CROWD), calm * times).await?;
        peak = peak.max(outcome.rate());
        outcome.print(&format!("{times:.0} times as many, {:.0} % of the most so far", outcome.rate() / peak * 100.0));
    }
    Ok(())
}

async fn offered(place: &Place, plan: Plan, rate: f64) -> Result<Outcome> {
    let mut crowd = Vec::new();
    for mut connection in place.connections(plan.connections).await? {
        let form = sign_in_form(&mut connection).await?;
        let request = sign_in_request(&connection, &form);
        crowd.push(Asker::new(connection, request)?);
    }
    tokio::task::block_in_place(|| storm::offer(format!("{rate:.0} sign-ins a second"), place, plan, rate, 302, crowd))
}
