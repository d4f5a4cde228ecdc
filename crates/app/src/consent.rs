//! Consents: what a patient agrees to, and takes back.

use std::collections::HashMap;

use jhe_authz::{Actor, Authorizer};
use jhe_domain::consent::{Consent, ConsentAction, ConsentBatch};
use jhe_domain::error::{Error, Lookup};
use jhe_domain::{PatientId, ScopeCodeId, StudyId};
use jhe_store::consent::ConsentWrite;

use crate::{App, wearable};

/// Writes a batch of answers (data model §6): all conditions of all items are checked before anything is written.
/// The same (study, data type) twice: the last one counts.
pub async fn write(
    app: &App,
    actor: &Actor,
    patient: PatientId,
    action: ConsentAction,
    validate: impl FnOnce() -> Result<ConsentBatch, Error>,
) -> Result<Vec<Consent>, Error> {
    let mut work = app.store().begin().await?;
    Authorizer::new(actor, &mut work).consent_writer(patient).await?;
    let ConsentBatch { studies, items } = validate()?;
    let grant = Authorizer::new(actor, &mut work).write_consents(patient, &studies).await?;
    work.consents().hold(&grant, &studies).await?;
    let mut writes: Vec<ConsentWrite> = Vec::with_capacity(items.len());
    let mut at: HashMap<(StudyId, ScopeCodeId), usize> = HashMap::new();
    for item in &items {
        let target = work.consents().target(&grant, item.study_id, &item.system, &item.code).await?;
        let Some(code) = target.code else {
            let text = format!("Code not found: system={} code={}", item.system, item.code);
            return Err(Error::sentence(text));
        };
        if action != ConsentAction::Delete && !target.requested {
            let text = format!("Scope {} is not requested by study {}.", item.code, item.study_id);
            return Err(Error::sentence(text));
        }
        if action == ConsentAction::Change && !target.answered {
            return Err(Error::NotFound(Lookup::Entity("StudyPatientScopeConsent")));
        }
        let write = ConsentWrite { study_id: item.study_id, scope_code_id: code.id, consented: item.consented };
        if let Some(earlier) = at.get(&(item.study_id, code.id)).and_then(|index| writes.get_mut(*index)) {
            *earlier = write;
        } else {
            at.insert((item.study_id, code.id), writes.len());
            writes.push(write);
        }
    }
    let consented = wearable::before(app, &mut work, &grant, &studies).await?;
    let written = if action == ConsentAction::Delete {
        let targets: Vec<_> = writes.iter().map(|write| (write.study_id, write.scope_code_id)).collect();
        work.consents().delete(&grant, &targets).await?;
        Vec::new()
    } else {
        let by_patient = actor.patient() == Some(patient);
        work.consents().write(&grant, &writes, by_patient, app.now()).await?
    };
    wearable::after(&mut work, &grant, &consented).await?;
    work.commit().await?;
    Ok(written)
}

/// Takes all answers of a patient back, where the setting allows it and the caller may write every one of them.
/// `None` where it does not apply: the caller then simply reads.
pub async fn reset(app: &App, actor: &Actor, patient: PatientId) -> Result<Option<u64>, Error> {
    if !app.settings().bool("consent.allow_reset", false) {
        return Ok(None);
    }
    let mut work = app.store().begin().await?;
    let scope = Authorizer::new(actor, &mut work).consents(patient).await?;
    let studies: Vec<StudyId> =
        work.consents().overview(&scope, patient).await?.studies.iter().map(|study| study.study_id).collect();
    let Ok(grant) = Authorizer::new(actor, &mut work).write_consents(patient, &studies).await else {
        return Ok(None);
    };
    work.consents().hold(&grant, &studies).await?;
    let consented = wearable::before(app, &mut work, &grant, &studies).await?;
    let gone = work.consents().reset(&grant, &studies).await?;
    wearable::after(&mut work, &grant, &consented).await?;
    work.commit().await?;
    Ok(Some(gone))
}
