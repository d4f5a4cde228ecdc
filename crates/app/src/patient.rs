//! Patients.

use jhe_authz::{Actor, Authorizer};
use jhe_domain::error::{Conflict, Error, Lookup};
use jhe_domain::patient::{Disclosure, NewPatient, Patient, PatientChange};
use jhe_domain::{OrganizationId, PatientId, Phi};
use jhe_store::Work;

use crate::App;

async fn seen(work: &mut Work, actor: &Actor, id: PatientId) -> Result<Patient, Error> {
    let scope = Authorizer::new(actor, work).patient(id).await?;
    work.patients().find(&scope, id).await?.ok_or(Error::NotFound(Lookup::Entity("Patient")))
}

fn repeated(identifiers: &[(Phi<String>, Phi<String>)]) -> bool {
    let mut seen = std::collections::HashSet::new();
    identifiers.iter().any(|(system, value)| !seen.insert((system.reveal(), value.reveal())))
}

async fn check_identifiers(
    work: &mut Work,
    actor: &Actor,
    own: Option<PatientId>,
    identifiers: &[(Phi<String>, Phi<String>)],
) -> Result<(), Error> {
    let viewer = Authorizer::new(actor, work).patients(jhe_authz::Location::default());
    if let Some(conflict) = work.patients().identifier_in_use(&viewer, own, identifiers).await? {
        return Err(Error::Conflict(conflict));
    }
    if repeated(identifiers) {
        return Err(Error::sentence_at("identifiers", "Duplicate external identifier in the request."));
    }
    Ok(())
}

/// A conflict that a concurrent request caused after our own checks, in words.
fn lost_race(error: Error) -> Error {
    match error {
        Error::Conflict(Conflict::EmailTaken) => {
            Error::sentence_at("telecomEmail", "User with this email already exists")
        }
        Error::Conflict(Conflict::Constraint(_)) => Error::sentence(
            "Could not save the patient because of a data conflict. Please check the values and try again.",
        ),
        other => other,
    }
}

/// Makes a patient of an organization, with a login account that has no password yet (admin API §6.4). An account
/// that works with studies or administers never becomes a patient this way, except by a superuser.
pub async fn create(
    app: &App,
    actor: &Actor,
    organization: Option<OrganizationId>,
    validate: impl FnOnce(bool) -> Result<NewPatient, Error>,
) -> Result<Patient, Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).create_patient(organization).await?;
    let new = validate(grant.is_some())?;
    let grant = grant.ok_or_else(|| Error::invalid("organizationId", "This field is required."))?;
    check_identifiers(&mut work, actor, None, &new.identifiers).await?;
    let account = work.patients().existing_account(&grant, &new.email).await?;
    if let Some(account) = &account {
        if account.is_patient {
            return Err(Error::sentence_at("telecomEmail", "User with this email already exists"));
        }
        if account.is_privileged && !actor.is_superuser() {
            return Err(Error::sentence_at("telecomEmail", "This email cannot be used for a patient."));
        }
    }
    let password = app.identity().unusable_password();
    let id = work
        .patients()
        .create(&grant, &new, account.map(|account| account.user_id), &password)
        .await
        .map_err(lost_race)?;
    let patient = seen(&mut work, actor, id).await?;
    work.commit().await?;
    Ok(patient)
}

/// Changes a patient: everything in the request, or nothing.
pub async fn update(
    app: &App,
    actor: &Actor,
    id: PatientId,
    at: Option<OrganizationId>,
    validate: impl FnOnce() -> Result<PatientChange, Error>,
) -> Result<Patient, Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_patient(id, at).await?;
    let mut change = validate()?;
    if let Some(email) = &change.telecom_email {
        let stored = seen(&mut work, actor, id).await?;
        let same = match (&stored.telecom_email, email) {
            (Some(stored), Some(email)) => stored.reveal().eq_ignore_ascii_case(email.reveal()),
            (stored, email) => stored.is_none() && email.is_none(),
        };
        if same {
            change.telecom_email = None;
        } else if email.is_none() {
            return Err(Error::invalid("telecomEmail", "This field may not be null."));
        } else if !actor.is_superuser() {
            return Err(Error::invalid("telecomEmail", "Only an administrator can change a patient's login e-mail."));
        } else if stored.user_id.is_none() {
            // The address is the account's: without one there is nothing to change.
            return Err(Error::sentence_at("telecomEmail", "Patient has no associated user account."));
        }
    }
    let site = app.settings().site_url();
    let mut wanted = change.identifiers.clone().unwrap_or_default();
    if let Some(Some(value)) = &change.site_identifier {
        wanted.push((Phi::new(site.clone()), value.clone()));
    }
    check_identifiers(&mut work, actor, Some(id), &wanted).await?;
    let told_email = change.telecom_email.is_some();
    work.patients().update(&grant, &change, &site).await.map_err(|error| match error {
        Error::Conflict(Conflict::EmailTaken) if told_email => {
            Error::invalid("telecomEmail", "user with this Email Address already exists.")
        }
        other => lost_race(other),
    })?;
    let patient = seen(&mut work, actor, id).await?;
    work.commit().await?;
    Ok(patient)
}

/// Takes a patient out of one organization; the last one takes the record with it (data model §3.2).
pub async fn remove(
    app: &App,
    actor: &Actor,
    id: PatientId,
    from: impl FnOnce() -> Result<OrganizationId, Error>,
) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    Authorizer::new(actor, &mut work).manages_somewhere().await?;
    let from = from()?;
    let (patient, organization) = Authorizer::new(actor, &mut work).remove_patient(id, from).await?;
    if !work.patients().remove(&patient, &organization).await? {
        return Err(Error::NotFound(Lookup::Entity("Patient")));
    }
    work.commit().await
}

/// Attaches an existing patient to an organization. A stranger's link waits until the patient agrees; called by the
/// patient itself it is that agreement.
pub async fn attach(
    app: &App,
    actor: &Actor,
    id: PatientId,
    to: impl FnOnce() -> Result<OrganizationId, Error>,
) -> Result<Patient, Error> {
    let mut work = app.store().begin().await?;
    let is_own = actor.patient() == Some(id) && !actor.is_superuser();
    if !is_own {
        // Who may attach nobody is told so before anything else.
        Authorizer::new(actor, &mut work).manages_somewhere().await?;
    }
    let to = to()?;
    let agreement =
        if is_own { Some(Authorizer::new(actor, &mut work).confirm_attachment(id, to).await) } else { None };
    match agreement {
        Some(Ok(grant)) => work.patients().confirm_attachment(&grant, to).await?,
        Some(Err(error)) if actor.practitioner().is_none() => return Err(error),
        // Who also works with studies may attach the own record as any other.
        _ => {
            let (grant, confirmed) = Authorizer::new(actor, &mut work).attach_patient(id, to).await?;
            let at_once = confirmed || !app.settings().bool("patient.attach_requires_confirmation", true);
            if !work.patients().attach(&grant, to, at_once, actor.is_superuser()).await? {
                return Err(Error::sentence("This patient is already a member of this organization."));
            }
        }
    }
    let mut patient = seen(&mut work, actor, id).await?;
    if let Disclosure::Pending(awaiting) = &mut patient.disclosure {
        *awaiting = to;
    }
    work.commit().await?;
    Ok(patient)
}
