//! Data sources as administrators manage them (admin API §6.10).

use jhe_authz::{Actor, Authorizer};
use jhe_domain::data_source::DataSource;
use jhe_domain::error::{Error, Lookup};
use jhe_domain::study::Linked;
use jhe_domain::{DataSourceId, ScopeCodeId};
use jhe_store::Work;

use crate::App;

async fn seen(work: &mut Work, actor: &Actor, id: DataSourceId) -> Result<DataSource, Error> {
    let scope = Authorizer::new(actor, work).data_sources();
    work.data_sources().find(&scope, id).await?.ok_or(Error::NotFound(Lookup::Entity("DataSource")))
}

/// Makes a data source of a name and a type.
pub async fn create(
    app: &App,
    actor: &Actor,
    validate: impl FnOnce() -> Result<(String, String), Error>,
) -> Result<DataSource, Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    let (name, type_code) = validate()?;
    let id = work.data_sources().create(&admin, &name, &type_code).await?;
    let source = seen(&mut work, actor, id).await?;
    work.commit().await?;
    Ok(source)
}

/// Changes name and type of a data source; what is missing stays.
pub async fn update(
    app: &App,
    actor: &Actor,
    id: DataSourceId,
    validate: impl FnOnce() -> Result<(Option<String>, Option<String>), Error>,
) -> Result<DataSource, Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    seen(&mut work, actor, id).await?;
    let (name, type_code) = validate()?;
    work.data_sources().update(&admin, id, name.as_deref(), type_code.as_deref()).await?;
    let source = seen(&mut work, actor, id).await?;
    work.commit().await?;
    Ok(source)
}

/// Removes a data source that no records of outside systems use.
pub async fn delete(app: &App, actor: &Actor, id: DataSourceId) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    if !work.data_sources().delete(&admin, id).await? {
        return Err(Error::NotFound(Lookup::Entity("DataSource")));
    }
    work.commit().await
}

/// Says that a data source delivers a data type. `None` for the link when there is no such data type.
pub async fn support(
    app: &App,
    actor: &Actor,
    id: DataSourceId,
    validate: impl FnOnce() -> Result<ScopeCodeId, Error>,
) -> Result<(ScopeCodeId, Option<Linked>), Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    seen(&mut work, actor, id).await?;
    let code = validate()?;
    let linked = work.data_sources().support(&admin, id, code).await?;
    if linked.as_ref().is_some_and(|linked| !linked.created) {
        work.was_there_already();
    }
    work.commit().await?;
    Ok((code, linked))
}

/// Takes that back; nothing happens when it was not said.
pub async fn drop_support(
    app: &App,
    actor: &Actor,
    id: DataSourceId,
    validate: impl FnOnce() -> Result<ScopeCodeId, Error>,
) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    seen(&mut work, actor, id).await?;
    let code = validate()?;
    work.data_sources().drop_support(&admin, id, code).await?;
    work.commit().await
}
