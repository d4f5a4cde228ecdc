//! Practitioners as administrators manage them (admin API §6.7).

use jhe_authz::{Actor, Authorizer};
use jhe_domain::error::{Conflict, Error, Lookup};
use jhe_domain::role::Role;
use jhe_domain::user::UserType;
use jhe_domain::{OrganizationId, Phi, PractitionerId};
use jhe_store::Work;
use jhe_store::practitioner::Listed;
use jhe_store::user::UserChange;

use crate::App;
use crate::identity::account::password;

fn missing() -> Error {
    Error::NotFound(Lookup::Entity("Practitioner"))
}

/// A practitioner to make.
#[derive(Debug, Clone)]
pub struct NewPractitioner {
    /// Login name.
    pub email: Phi<String>,
    /// Family name.
    pub name_family: Option<Phi<String>>,
    /// Given name.
    pub name_given: Option<Phi<String>>,
    /// Where it becomes a member.
    pub organization: Option<OrganizationId>,
}

/// New names; what is missing stays.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Family name.
    pub family: Option<Option<Phi<String>>>,
    /// Given name.
    pub given: Option<Option<Phi<String>>>,
}

async fn seen(work: &mut Work, actor: &Actor, id: PractitionerId) -> Result<Listed, Error> {
    let admin = Authorizer::new(actor, work).administer()?;
    work.practitioners().find(&admin, id).await?.ok_or_else(missing)
}

/// Makes a practitioner, with an account where there is none yet: its owner gets a link to choose a password. An existing
/// practitioner keeps its names.
pub async fn create(
    app: &App,
    actor: &Actor,
    validate: impl FnOnce() -> Result<NewPractitioner, Error>,
) -> Result<Listed, Error> {
    let new = {
        let mut work = app.store().read().await?;
        let _admin = Authorizer::new(actor, &mut work).administer()?;
        validate()?
    };
    match make(app, actor, new.clone()).await {
        // Somebody made the account at the same moment: it is there now.
        Err(Error::Conflict(Conflict::EmailTaken)) => make(app, actor, new).await,
        done => done,
    }
}

async fn make(app: &App, actor: &Actor, new: NewPractitioner) -> Result<Listed, Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    let grant = Authorizer::new(actor, &mut work).look_up_user()?;
    let mut found = work.users().by_email(&grant, &new.email).await?;
    if let Some(user) = &found
        && !work.users().hold(&admin, user.id).await?
    {
        // It went at this moment, with what it was for.
        found = None;
    }
    let user = if let Some(user) = &found {
        user.id
    } else {
        let account = UserChange {
            email: Some(new.email.clone()),
            first_name: new.name_given.clone(),
            last_name: new.name_family.clone(),
            user_type: Some(Some(UserType::Practitioner)),
            is_superuser: None,
        };
        work.users().create(&admin, &account, &app.identity().unusable_password()).await?
    };
    let made = work.users().give_profile(&admin, user, UserType::Practitioner).await?;
    let place: Vec<_> = new.organization.map(|organization| (organization, Role::Member)).into_iter().collect();
    if !work.users().place(&admin, user, &place).await? {
        return Err(Error::sentence_at("organizationId", "Organization not found."));
    }
    let scope = Authorizer::new(actor, &mut work).user(user)?;
    let profile = work.users().find(&scope, user).await?.and_then(|user| user.practitioner_id).ok_or_else(missing)?;
    if made && found.is_some() {
        // What was issued to the account as it was does not carry what it is now.
        work.end_all_access(user, app.now()).await?;
    }
    if made {
        // The account's own may be shorter.
        let (family, given) = (new.name_family.map(Some), new.name_given.map(Some));
        work.practitioners().rename(&admin, profile, family.as_ref(), given.as_ref()).await?;
    }
    if found.is_none() {
        password::invite(app, &mut work, user, &new.email).await?;
    }
    let practitioner = seen(&mut work, actor, profile).await?;
    work.commit().await?;
    Ok(practitioner)
}

/// Changes a practitioner's names.
pub async fn update(
    app: &App,
    actor: &Actor,
    id: PractitionerId,
    validate: impl FnOnce() -> Result<Names, Error>,
) -> Result<Listed, Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    seen(&mut work, actor, id).await?;
    let names = validate()?;
    work.practitioners().rename(&admin, id, names.family.as_ref(), names.given.as_ref()).await?;
    let practitioner = seen(&mut work, actor, id).await?;
    work.commit().await?;
    Ok(practitioner)
}

/// Removes a practitioner, and its account unless that is still needed.
pub async fn delete(app: &App, actor: &Actor, id: PractitionerId) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    if !work.practitioners().delete(&admin, id).await? {
        return Err(missing());
    }
    work.commit().await
}
