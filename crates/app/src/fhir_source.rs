//! Outside record systems that patients bring data from (admin API §6.12).

use jhe_authz::{Actor, Authorizer};
use jhe_domain::error::{Conflict, Error, Lookup};
use jhe_domain::fhir_source::{FhirSource, FhirSourceChange};
use jhe_domain::{DataSourceId, FhirSourceId};
use jhe_store::Work;

use crate::App;

async fn seen(work: &mut Work, actor: &Actor, id: FhirSourceId) -> Result<FhirSource, Error> {
    let scope = Authorizer::new(actor, work).fhir_sources();
    work.fhir_sources().find(&scope, id).await?.ok_or(Error::NotFound(Lookup::Entity("FhirSource")))
}

fn no_data_source(id: DataSourceId) -> Error {
    Error::invalid("dataSource", format!("Invalid pk \"{}\" - object does not exist.", id.0))
}

/// One constraint keeps a data source that is used from going and one that is gone from being used: here it is the latter,
/// because the data source was deleted after it was looked at.
fn lost_race(error: Error, data_source: DataSourceId) -> Error {
    match error {
        Error::Conflict(Conflict::DataSourceInUse) => no_data_source(data_source),
        other => other,
    }
}

/// Names an outside record system of the caller's own.
pub async fn register(
    app: &App,
    actor: &Actor,
    validate: impl FnOnce() -> Result<(DataSourceId, FhirSourceChange), Error>,
) -> Result<FhirSource, Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).register_source()?;
    let (data_source, new) = validate()?;
    let (label, url) = (new.label.unwrap_or_default(), new.fhir_base_url.unwrap_or_default());
    let id = work.fhir_sources().register(&grant, data_source, &label, &url).await;
    let id = id.map_err(|error| lost_race(error, data_source))?;
    let source = seen(&mut work, actor, id.ok_or_else(|| no_data_source(data_source))?).await?;
    work.commit().await?;
    Ok(source)
}

/// Changes an outside record system.
pub async fn update(
    app: &App,
    actor: &Actor,
    id: FhirSourceId,
    validate: impl FnOnce() -> Result<FhirSourceChange, Error>,
) -> Result<FhirSource, Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_source(id).await?;
    let change = validate()?;
    let data_source = change.data_source_id.unwrap_or(DataSourceId(0));
    let updated = work.fhir_sources().update(&grant, &change).await;
    if !updated.map_err(|error| lost_race(error, data_source))? {
        return Err(no_data_source(data_source));
    }
    let source = seen(&mut work, actor, id).await?;
    work.commit().await?;
    Ok(source)
}

/// Removes an outside record system with the records that came from it.
pub async fn delete(app: &App, actor: &Actor, id: FhirSourceId) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_source(id).await?;
    work.fhir_sources().delete(&grant).await?;
    work.commit().await
}
