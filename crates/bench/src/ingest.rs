//! Uploads, alone and while people sign in in numbers.

use anyhow::{Result, ensure};
use jhe_testkit::connection::Connection;
use jhe_testkit::omh;
use serde_json::json;

use crate::identity::{Form, sign_in_form, sign_in_once};
use crate::load::{Outcome, Plan, drive};
use crate::place::Place;

/// Observations of one Bundle.
const ENTRIES: usize = 100;
/// Heart rate, for which Peter's consent of the demo data holds.
const HEART_RATE: &str = "omh:heart-rate:2.0";
/// Enough to keep all cores busy.
const UPLOADERS: usize = 16;
/// Browsers that sign in all the time.
const CROWD: usize = 50;

/// Drives both and prints the comparison.
pub(crate) async fn run(place: &Place, plan: Plan) -> Result<()> {
    println!("uploads of {ENTRIES} observations, {UPLOADERS} connections:");
    place
        .execute(
            "INSERT INTO oauth2_provider_accesstoken (token_digest, user_id, application_id, scope, created, expires)
             VALUES (sha256('bench-peter'), 10006, 1, 'openid', now(), now() + interval '1 day')"
                .to_owned(),
        )
        .await?;
    let alone = upload(place, plan, "alone").await?;
    alone.print("");
    let mut crowd = Vec::new();
    for mut connection in place.connections(CROWD).await? {
        let form = sign_in_form(&mut connection).await?;
        crowd.push((connection, form));
    }
    let storm = drive(
        "sign-ins meanwhile",
        place,
        plan.with(CROWD),
        crowd,
        async |(connection, form): &mut (Connection, Form)| sign_in_once(connection, form).await,
    );
    let (meanwhile, storm) = tokio::join!(upload(place, plan, "while 50 browsers sign in"), storm);
    let (meanwhile, storm) = (meanwhile?, storm?);
    meanwhile.print(&format!("{:.0} % of alone", meanwhile.rate() / alone.rate() * 100.0));
    storm.print("");
    Ok(())
}

async fn upload(place: &Place, plan: Plan, name: &'static str) -> Result<Outcome> {
    let document = omh::heart_rate("64");
    let entry = json!({
        "resource": omh::observation(40001, 70001, HEART_RATE, &document),
        "request": { "method": "POST", "url": "Observation" },
    });
    let bundle = json!({ "resourceType": "Bundle", "type": "batch", "entry": vec![entry; ENTRIES] }).to_string();
    let workers = place.connections(UPLOADERS).await?;
    drive(name, place, plan.with(UPLOADERS), workers, async move |connection: &mut Connection| {
        let headers = "authorization: Bearer bench-peter\r\ncontent-type: application/fhir+json\r\n";
        let answer = connection.send("POST", "/fhir/r5/", headers, &bundle).await?;
        ensure!(answer.status == 200, "refused");
        Ok(true)
    })
    .await
}
