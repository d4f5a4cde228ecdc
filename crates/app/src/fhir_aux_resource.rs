//! Resources that patients bring along from outside record systems: their references (fhir §6.5).

use std::collections::{BTreeSet, HashMap};

use jhe_authz::{Actor, Authorizer};
use jhe_domain::error::{Error, Lookup};
use jhe_domain::fhir_aux_resource::{IndexedReferences, PendingReferences, ReferenceCounts};
use jhe_domain::{FhirSourceId, PatientId, Phi};
use jhe_fhir::reference_index::{self, Found, Row, Target};

use crate::App;

/// Points references between the resources of a source at the rows that hold their targets, in batches that each hold
/// entirely or not at all: what a run that was cut off has done stays, and the next one goes on. Runs at the same time
/// take turns.
pub async fn index_references(app: &App, actor: &Actor, id: FhirSourceId) -> Result<ReferenceCounts, Error> {
    let members: Vec<_> = reference_index::members().collect();
    let mut counts = ReferenceCounts::default();
    let mut after = None;
    loop {
        let mut work = app.store().begin().await?;
        let grant = Authorizer::new(actor, &mut work).manage_source(id).await?;
        let mut resources = work.fhir_aux_resources();
        let source = resources.lock_source(&grant).await?.ok_or(Error::NotFound(Lookup::Entity("FhirSource")))?;
        let batch = resources.pending_references(&grant, &members, after).await?;
        let wanted = targets(&batch.rows, &source.fhir_base_url);
        let asked: Vec<_> = wanted.iter().map(|target| (target.kind.clone(), Phi::new(target.id.clone()))).collect();
        let matches = resources.match_references(&grant, &asked).await?;
        let known: HashMap<Target, Found> = wanted
            .into_iter()
            .zip(matches)
            .map(|(target, found)| {
                let row = found.upstream.map(|id| id.to_string());
                let PatientId(patient) = source.patient_id;
                let found = Found::decide(&target, found.is_row_id, row, patient);
                (target, found)
            })
            .collect();
        let changes = rewrite(&batch.rows, &source.fhir_base_url, &known, &mut counts);
        resources.store_references(&grant, &source, &changes).await?;
        work.commit().await?;
        after = batch.rows.last().map(|row| row.id);
        if !batch.has_more {
            return Ok(counts);
        }
    }
}

fn row(pending: &PendingReferences) -> Row<'_> {
    Row { kind: &pending.resource_type, members: pending.members.reveal(), indexed: pending.is_indexed }
}

/// What the references of some resources name.
fn targets(rows: &[PendingReferences], base_url: &str) -> BTreeSet<Target> {
    let mut wanted = BTreeSet::new();
    for pending in rows {
        reference_index::rewrite(row(pending), base_url, &mut |target| {
            wanted.insert(target.clone());
            Found::Own
        });
    }
    wanted
}

/// What is to be written. A resource that was indexed before and still waits for its target is not.
fn rewrite(
    rows: &[PendingReferences],
    base_url: &str,
    known: &HashMap<Target, Found>,
    counts: &mut ReferenceCounts,
) -> Vec<IndexedReferences> {
    let mut changes = Vec::new();
    for pending in rows {
        let mut find = |target: &Target| known.get(target).cloned().unwrap_or(Found::Missing);
        let done = reference_index::rewrite(row(pending), base_url, &mut find);
        counts.rows_indexed += u64::from(!pending.is_indexed);
        counts.refs_rewritten += done.rewritten;
        counts.refs_not_found += done.not_found;
        if !pending.is_indexed || done.members.is_some() || !done.unresolved {
            let members = done.members.map(Phi::new);
            changes.push(IndexedReferences { id: pending.id, members, is_unresolved: done.unresolved });
        }
    }
    changes
}
