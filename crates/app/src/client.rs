//! Patient clients: the apps that patients are invited to.

use jhe_authz::{Actor, Authorizer};
use jhe_domain::client::Client;
use jhe_domain::error::{Error, Lookup};
use jhe_domain::study::Linked;
use jhe_domain::{ApplicationId, DataSourceId};
use jhe_store::Work;
use jhe_store::client::{NewPatientClient, PatientClientChange};

use crate::App;

async fn seen(work: &mut Work, actor: &Actor, id: ApplicationId) -> Result<Client, Error> {
    let scope = Authorizer::new(actor, work).clients();
    work.clients().find(&scope, id).await?.ok_or(Error::NotFound(Lookup::Entity("Application")))
}

/// Registers a patient client (admin API §6.9).
pub async fn create(
    app: &App,
    actor: &Actor,
    validate: impl FnOnce() -> Result<NewPatientClient, Error>,
) -> Result<Client, Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    let new = validate()?;
    let id = work.clients().create(&admin, &new).await?;
    let client = seen(&mut work, actor, id).await?;
    work.commit().await?;
    Ok(client)
}

/// Changes a patient client.
pub async fn update(
    app: &App,
    actor: &Actor,
    id: ApplicationId,
    validate: impl FnOnce() -> Result<PatientClientChange, Error>,
) -> Result<Client, Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    seen(&mut work, actor, id).await?;
    let change = validate()?;
    work.clients().update(&admin, id, &change).await?;
    let client = seen(&mut work, actor, id).await?;
    work.commit().await?;
    Ok(client)
}

/// Removes a patient client; its tokens end and its links do not work any more.
pub async fn delete(app: &App, actor: &Actor, id: ApplicationId) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    if !work.clients().delete(&admin, id).await? {
        return Err(Error::NotFound(Lookup::Entity("Application")));
    }
    work.commit().await
}

/// Links a patient client to a data source. `None` when there is no such data source, which is told with its id.
pub async fn attach_data_source(
    app: &App,
    actor: &Actor,
    id: ApplicationId,
    validate: impl FnOnce() -> Result<DataSourceId, Error>,
) -> Result<(DataSourceId, Option<Linked>), Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).link_data_sources(id).await?;
    seen(&mut work, actor, id).await?;
    let source = validate()?;
    let linked = work.clients().attach_data_source(&grant, source).await?;
    if linked.as_ref().is_some_and(|linked| !linked.created) {
        work.was_there_already();
    }
    work.commit().await?;
    Ok((source, linked))
}

/// Takes such a link away; nothing happens when there is none.
pub async fn detach_data_source(
    app: &App,
    actor: &Actor,
    id: ApplicationId,
    validate: impl FnOnce() -> Result<DataSourceId, Error>,
) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).link_data_sources(id).await?;
    seen(&mut work, actor, id).await?;
    let source = validate()?;
    work.clients().detach_data_source(&grant, source).await?;
    work.commit().await
}
