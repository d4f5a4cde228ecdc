//! Wearables: which are connected (admin API §6.4), and when consent goes, the connection that fed it ends (data model §6.8,
//! integrations §2.7).
//!
//! No withdrawal waits for the service: what is to end is queued with the withdrawal and told by a task, again and again for some
//! days. Reads have stopped by then in any case.

use std::time::Duration;

use jhe_authz::{Actor, Authorizer, Grant, action, resource};
use jhe_domain::error::Error;
use jhe_domain::{PatientId, Secret, StudyId};
pub use jhe_outbound::wearable::Connection;
use jhe_outbound::wearable::{Service, WearableFault, Wearables};
use jhe_store::Work;
use tokio::sync::watch;

use crate::App;

/// Seconds between the attempts.
const BACK_OFF: [f64; 7] = [60.0, 300.0, 1_800.0, 7_200.0, 21_600.0, 86_400.0, 86_400.0];
/// Seconds after which one that was taken and never told about comes up again: longer than the service may take.
const LEASE: f64 = 120.0;
/// How often the queue is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// The service as the settings name it, when the module is on.
fn service(app: &App) -> Option<Service> {
    let (address, key) = (app.settings().string("ow.api_url"), app.settings().string("ow.api_key"));
    let is_configured = app.settings().bool("module.ow", false) && !address.is_empty() && !key.is_empty();
    is_configured.then(|| Service { address, key: Secret::new(key) })
}

/// What is known of the wearables of a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The patient's account is not linked to the service.
    Unlinked,
    /// It is, and the settings name no service.
    NotConfigured,
    /// It is, and the service does not answer.
    Unreachable,
    /// As the service tells.
    Known(Vec<Connection>),
}

/// The wearables of a patient: for the patient, practitioners who share it, superusers.
pub async fn status(app: &App, actor: &Actor, id: PatientId) -> Result<Status, Error> {
    // The service is asked without a connection of the database in hand.
    let account = {
        let mut work = app.store().read().await?;
        let scope = Authorizer::new(actor, &mut work).wearables(id).await?;
        work.patients().wearable_account(&scope, id).await?
    };
    let Some(account) = account else { return Ok(Status::Unlinked) };
    let Some(service) = service(app) else { return Ok(Status::NotConfigured) };
    match app.wearables().await?.connections(&service, &account).await {
        Ok(connections) => Ok(Status::Known(connections)),
        Err(fault) => {
            tracing::warn!(reason = fault.reason, "connections to wearables cannot be told");
            Ok(Status::Unreachable)
        }
    }
}

/// Of these studies those that have a consent to lose, where anybody is to be told.
pub(crate) async fn before(
    app: &App,
    work: &mut Work,
    grant: &Grant<resource::Consent, action::WriteConsents>,
    studies: &[StudyId],
) -> Result<Vec<StudyId>, Error> {
    if service(app).is_none() {
        return Ok(Vec::new());
    }
    work.consented_studies(grant, studies).await
}

/// Queues the end of the connection, if these studies lost what it was for.
pub(crate) async fn after(
    work: &mut Work,
    grant: &Grant<resource::Consent, action::WriteConsents>,
    consented: &[StudyId],
) -> Result<(), Error> {
    if consented.is_empty() { Ok(()) } else { work.queue_disconnection(grant, consented).await }
}

/// Tells the service what is queued until it is told to stop itself.
pub async fn disconnect(app: App, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
    let wearables = app.wearables().await?;
    while !*stop.borrow() {
        if service(&app).is_some() {
            match tell_next(&app, wearables).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %error, "the queue of wearables cannot be read yet"),
            }
        }
        tokio::time::timeout(PAUSE, stop.wait_for(|stopped| *stopped)).await.ok();
    }
    Ok(())
}

/// Tells the service of the next connection that is to end; `false` when there is none.
async fn tell_next(app: &App, wearables: &Wearables) -> Result<bool, Error> {
    // One at a time: whether it is still to end is looked at right before it is told.
    let taken = {
        let mut work = app.store().begin().await?;
        let taken = work.take_due_disconnection(LEASE).await?;
        work.commit().await?;
        taken
    };
    let Some(taken) = taken else { return Ok(false) };
    // Where the service is by now, which may have been set right while it was taken.
    let told = match service(app) {
        _ if taken.is_moot => Ok(()),
        Some(service) => wearables.disconnect(&service, &taken.account, &taken.provider).await,
        None => Err(WearableFault { reason: "the module was turned off".to_owned() }),
    };
    let mut work = app.store().begin().await?;
    match told {
        Ok(()) => work.note_disconnection_settled(&taken).await?,
        Err(fault) => {
            let again = usize::try_from(taken.attempts - 1).ok().and_then(|attempt| BACK_OFF.get(attempt)).copied();
            if again.is_none() {
                tracing::error!(
                    wearable.id = taken.id,
                    reason = fault.reason,
                    "a connection to a wearable did not end"
                );
            } else {
                tracing::warn!(
                    wearable.id = taken.id,
                    reason = fault.reason,
                    "a connection to a wearable goes on for now"
                );
            }
            work.note_disconnection_failed(&taken, &fault.reason, again).await?;
        }
    }
    work.commit().await?;
    Ok(true)
}
