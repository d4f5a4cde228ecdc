//! Observations after they are stored: corrections of their status, and removal.

use jhe_authz::{Actor, Authorizer, Location};
use jhe_domain::ObservationId;
use jhe_domain::error::{Error, Lookup};
use jhe_domain::observation::Observation;

use crate::App;

/// Marks an observation as entered in error, or takes that back (admin API §6.6).
pub async fn correct(
    app: &App,
    actor: &Actor,
    id: ObservationId,
    validate: impl FnOnce() -> Result<(Option<String>, Option<String>), Error>,
) -> Result<Observation, Error> {
    let mut work = app.store().begin().await?;
    let scope = Authorizer::new(actor, &mut work).observations(Location::default())?;
    let grant = Authorizer::new(actor, &mut work).correct_observation(id).await?;
    let (status, reason) = validate()?;
    if let Some(status) = status {
        work.observations().set_status(&grant, &status, reason).await?;
    }
    let observation =
        work.observations().find(&scope, id).await?.ok_or(Error::NotFound(Lookup::Entity("Observation")))?;
    work.commit().await?;
    Ok(observation)
}

/// Removes an observation for good, with a reason for the audit trail.
pub async fn remove(
    app: &App,
    actor: &Actor,
    id: ObservationId,
    reason: impl FnOnce() -> Result<String, Error>,
) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).remove_observation(id)?;
    let reason = reason();
    // What does not exist is said before what is missing; without the commit nothing happened.
    let given = reason.as_ref().map_or_else(|_| String::new(), Clone::clone);
    if !work.observations().remove(&grant, given).await? {
        return Err(Error::NotFound(Lookup::Entity("Observation")));
    }
    reason?;
    work.commit().await
}
