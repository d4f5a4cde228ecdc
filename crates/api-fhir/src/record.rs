//! Group, Device, Organization and Practitioner: searched and read alike.

use axum::http::HeaderMap;
use axum::response::Response;
use jhe_app::App;
use jhe_authz::{Actor, Authorizer, FhirRole, Location};
use jhe_domain::page::Window;
use jhe_fhir::search::{SortField, SortKey};
use jhe_fhir::types::positive_id;
use jhe_fhir::{Projection, ResourceType, catalogue};
use jhe_store::record::{Record, RecordKey};

pub(crate) use jhe_store::record::{DataSources, Organizations, Practitioners, Studies};

use crate::error::FhirError;
use crate::representation;
use crate::search::{self, Pager, SearchCall};
use crate::translate;

/// A kind of record as a resource.
pub(crate) trait Served: Record {
    /// Its type.
    const KIND: ResourceType;

    /// Appends one, as a caller of this role sees it.
    fn write(row: &Self::Row, role: FhirRole, projection: &Projection, out: &mut Vec<u8>);

    /// The id in an address.
    fn parse_id(text: &str) -> Option<i64> {
        positive_id(text)
    }
}

impl Served for Studies {
    const KIND: ResourceType = ResourceType::Group;

    fn write(row: &Self::Row, role: FhirRole, projection: &Projection, out: &mut Vec<u8>) {
        let counts = matches!(role, FhirRole::Practitioner(_) | FhirRole::Superuser);
        representation::group(row, counts, projection, out);
    }
}

impl Served for DataSources {
    const KIND: ResourceType = ResourceType::Device;

    fn write(row: &Self::Row, _: FhirRole, projection: &Projection, out: &mut Vec<u8>) {
        representation::device(row, projection, out);
    }
}

impl Served for Organizations {
    const KIND: ResourceType = ResourceType::Organization;

    fn write(row: &Self::Row, _: FhirRole, projection: &Projection, out: &mut Vec<u8>) {
        representation::organization(row, projection, out);
    }

    /// The organization above all others has the id 0, to which `partOf` leads.
    fn parse_id(text: &str) -> Option<i64> {
        if text == "0" { Some(0) } else { positive_id(text) }
    }
}

impl Served for Practitioners {
    const KIND: ResourceType = ResourceType::Practitioner;

    fn write(row: &Self::Row, _: FhirRole, projection: &Projection, out: &mut Vec<u8>) {
        representation::practitioner(row, projection, out);
    }
}

/// Answers a search.
pub(crate) async fn search<S: Served>(app: &App, actor: &Actor, call: &SearchCall) -> Result<Response, FhirError> {
    let request = call.parse(S::KIND)?;
    let pager = Pager::new(app, actor, call, &request)?;
    let mut work = pager.work().await?;
    let (named, within) = (search::named(&request.scope), search::narrowed(&request.scope));
    let scope = Authorizer::new(actor, &mut work).fhir_records::<S::Kind>(&named, within).await?;
    if !search::is_native(&request) {
        pager.window(Some(0))?;
        drop(work);
        call.remember(app, actor, S::KIND).await?;
        return Ok(pager.respond_empty(Some(0)));
    }
    let mut query = translate::record_query(&request, S::parse_id, app.now());
    query.sort = order(&request.result.sort);
    // Before anything is read: whoever polls goes on from there.
    let moment = if pager.begins() { Some(work.moment().await?) } else { None };
    let counted = if pager.needs_count() || request.result.is_count_only() || pager.begins() {
        work.hold().await?;
        Some(work.records().count::<S>(&scope, &query, request.result.is_count_only()).await?)
    } else {
        None
    };
    let total = counted.map(|counted| counted.count);
    if request.result.is_count_only() {
        drop(work);
        call.remember(app, actor, S::KIND).await?;
        return Ok(pager.respond_empty(total));
    }
    let mut window = pager.window(total)?;
    if let Some(moment) = moment {
        window.newest = counted.map(|counted| counted.newest);
        window.time = moment.settled;
    }
    query.newest = window.newest;
    let wanted = Window { after: window.after.clone(), ..Window::at(window.offset(), window.limit) };
    let rows = work.records().search::<S>(&scope, &query, &wanted).await?;
    drop(work);
    call.remember(app, actor, S::KIND).await?;
    let (projection, role) = (request.result.projection(), actor.fhir_role());
    pager.respond(
        &window,
        total,
        rows,
        |row| Some(query.place::<S>(row)),
        |row| S::id(row),
        |row, out| S::write(row, role, &projection, out),
    )
}

fn order(sort: &[SortKey]) -> Vec<(RecordKey, bool)> {
    let keys = |key: &SortKey| -> &'static [RecordKey] {
        match key.field {
            SortField::LastUpdated => &[RecordKey::LastUpdated],
            SortField::Id => &[RecordKey::Id],
            SortField::Family => &[RecordKey::Family],
            SortField::Given => &[RecordKey::Given],
            SortField::Name => &[RecordKey::Name],
            SortField::Date | SortField::Code | SortField::Status | SortField::Patient | SortField::Birthdate => &[],
        }
    };
    sort.iter().flat_map(|key| keys(key).iter().map(|by| (*by, key.descending))).collect()
}

/// Answers a read by id.
pub(crate) async fn read<S: Served>(
    app: &App,
    actor: &Actor,
    id: &str,
    headers: &HeaderMap,
) -> Result<Response, FhirError> {
    let missing = || FhirError::from(catalogue::not_found(S::KIND.as_str(), id));
    let number = S::parse_id(id).ok_or_else(missing)?;
    let mut work = app.store().search().await?;
    let everywhere = Location::default();
    let scope = Authorizer::new(actor, &mut work).fhir_records::<S::Kind>(&everywhere, everywhere.clone()).await?;
    let row = work.records().find::<S>(&scope, number).await?.ok_or_else(missing)?;
    let role = actor.fhir_role();
    Ok(representation::single(headers, S::last_updated(&row), |out| S::write(&row, role, &Projection::Full, out)))
}
