//! Studies and what belongs to them.

use std::collections::{HashMap, HashSet};

use jhe_authz::{Actor, Authorizer};
use jhe_domain::error::Error;
use jhe_domain::page::Window;
use jhe_domain::patient::Patient;
use jhe_domain::study::{Linked, NewStudy, Study, StudyChange};
use jhe_domain::{ApplicationId, DataSourceId, OrganizationId, PatientId, ScopeCodeId, StudyId};
use jhe_store::patient::PatientQuery;

use crate::App;

/// Makes a study of an organization (admin API §6.3).
pub async fn create(
    app: &App,
    actor: &Actor,
    organization: Option<OrganizationId>,
    validate: impl FnOnce(bool) -> Result<NewStudy, Error>,
) -> Result<Study, Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).create_study(organization).await?;
    let new = validate(grant.is_some())?;
    let grant = grant.ok_or_else(|| Error::invalid("organization", "This field is required."))?;
    let study = work.studies().create(&grant, &new).await?;
    work.commit().await?;
    Ok(study)
}

/// Changes a study. Its organization is fixed: naming another one is refused.
pub async fn update(
    app: &App,
    actor: &Actor,
    id: StudyId,
    organization: Option<OrganizationId>,
    validate: impl FnOnce() -> Result<StudyChange, Error>,
) -> Result<Study, Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_study(id).await?;
    let change = validate()?;
    let stored = work.studies().get_managed(&grant).await?;
    if organization.is_some_and(|organization| organization != stored.organization_id) {
        return Err(Error::invalid("organization", "The organization of a study cannot be changed."));
    }
    let study = work.studies().update(&grant, &change).await?;
    work.commit().await?;
    Ok(study)
}

/// Deletes a study with its enrolments and consents; observations stay.
pub async fn delete(app: &App, actor: &Actor, id: StudyId) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_study(id).await?;
    work.studies().delete(&grant).await?;
    work.commit().await
}

/// Enrolled patients with their enrolment rows, and the study.
#[derive(Debug)]
pub struct Enrolments {
    /// The study afterwards.
    pub study: Study,
    /// Each enrolment with its patient, in the order asked for.
    pub rows: Vec<(Linked, Patient)>,
}

impl Enrolments {
    /// All who were to be enrolled were already.
    pub fn were_there_already(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|(link, _)| !link.created)
    }
}

/// Enrols patients linked to the study's organization: all of them, or none.
pub async fn enrol(
    app: &App,
    actor: &Actor,
    id: StudyId,
    validate: impl FnOnce() -> Result<Vec<PatientId>, Error>,
) -> Result<Enrolments, Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_study(id).await?;
    let mut patients = validate()?;
    let mut seen = HashSet::new();
    patients.retain(|patient| seen.insert(*patient));
    let links = work
        .studies()
        .enrol(&grant, &patients)
        .await?
        .ok_or_else(|| Error::sentence("Patient and study must be from the same Organization"))?;
    let study = work.studies().get_managed(&grant).await?;
    let scope = Authorizer::new(actor, &mut work).patients(jhe_authz::Location::default());
    let ids: Vec<i64> = links.iter().map(|(_, patient)| patient.0).collect();
    let whole = Window::first(i64::try_from(ids.len()).unwrap_or(i64::MAX));
    let query = PatientQuery { ids: Some(ids), awaiting: true, ..PatientQuery::default() };
    let seen = work.patients().list(&scope, &query, whole).await?.rows;
    let mut seen: HashMap<PatientId, Patient> = seen.into_iter().map(|patient| (patient.id, patient)).collect();
    let mut rows = Vec::with_capacity(links.len());
    for (link, patient) in links {
        let patient = seen.remove(&patient);
        rows.push((link, patient.ok_or_else(|| Error::internal("a patient just enrolled is not visible"))?));
    }
    let enrolments = Enrolments { study, rows };
    if enrolments.were_there_already() {
        work.was_there_already();
    }
    work.commit().await?;
    Ok(enrolments)
}

/// Takes patients out of a study, with their consents.
pub async fn unenrol(
    app: &App,
    actor: &Actor,
    id: StudyId,
    validate: impl FnOnce() -> Result<Vec<PatientId>, Error>,
) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_study(id).await?;
    let patients = validate()?;
    work.studies().unenrol(&grant, &patients).await?;
    work.commit().await
}

/// Something a study is linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A data type it asks for.
    Scope(ScopeCodeId),
    /// A data source it works with.
    DataSource(DataSourceId),
    /// A patient client it works with.
    Client(ApplicationId),
}

/// Links a study to something. `None` when there is no such thing.
pub async fn link(
    app: &App,
    actor: &Actor,
    id: StudyId,
    validate: impl FnOnce() -> Result<Part, Error>,
) -> Result<(Part, Option<Linked>), Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_study(id).await?;
    let part = validate()?;
    let mut studies = work.studies();
    let linked = match part {
        Part::Scope(code) => studies.request_scope(&grant, code).await?,
        Part::DataSource(source) => studies.attach_data_source(&grant, source).await?,
        Part::Client(client) => studies.attach_client(&grant, client).await?,
    };
    if linked.as_ref().is_some_and(|linked| !linked.created) {
        work.was_there_already();
    }
    work.commit().await?;
    Ok((part, linked))
}

/// Removes a link of a study; nothing happens when there is none.
pub async fn unlink(
    app: &App,
    actor: &Actor,
    id: StudyId,
    validate: impl FnOnce() -> Result<Part, Error>,
) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_study(id).await?;
    let mut studies = work.studies();
    match validate()? {
        Part::Scope(code) => studies.drop_scope(&grant, code).await?,
        Part::DataSource(source) => studies.detach_data_source(&grant, source).await?,
        Part::Client(client) => studies.detach_client(&grant, client).await?,
    }
    work.commit().await
}
