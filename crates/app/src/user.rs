//! Accounts as administrators manage them, and names as their owners do (admin API §6.1).

use jhe_authz::{Actor, Authorizer};
use jhe_domain::UserId;
use jhe_domain::error::{Conflict, Error, Lookup};
use jhe_domain::organization::parse_memberships;
use jhe_domain::user::{User, UserType};
use jhe_store::Work;
use jhe_store::user::UserChange;

use crate::App;

fn taken(error: Error) -> Error {
    match error {
        Error::Conflict(Conflict::EmailTaken) => {
            Error::invalid("email", "user with this Email Address already exists.")
        }
        other => other,
    }
}

async fn seen(work: &mut Work, actor: &Actor, id: UserId) -> Result<User, Error> {
    let scope = Authorizer::new(actor, work).user(id)?;
    work.users().find(&scope, id).await?.ok_or(Error::NotFound(Lookup::Entity("JheUser")))
}

/// Gives an account the profile its type stands for; a new practitioner also gets the memberships of the setting.
async fn complete(app: &App, work: &mut Work, actor: &Actor, id: UserId, kind: UserType) -> Result<(), Error> {
    let admin = Authorizer::new(actor, work).administer()?;
    let made = work.users().give_profile(&admin, id, kind).await?;
    if made && kind == UserType::Practitioner {
        let memberships = parse_memberships(&app.settings().string("auth.default_orgs"));
        let placed = match memberships {
            Some(memberships) => work.users().place(&admin, id, &memberships).await?,
            None => false,
        };
        if !placed {
            tracing::error!("the setting auth.default_orgs does not hold; an account is made without memberships");
        }
    }
    Ok(())
}

/// Makes an account with a password nobody knows: its owner chooses one by mail.
pub async fn create(
    app: &App,
    actor: &Actor,
    validate: impl FnOnce() -> Result<UserChange, Error>,
) -> Result<User, Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    let mut new = validate()?;
    if new.is_superuser == Some(true) {
        // Administrators work through a practitioner profile.
        new.user_type = Some(Some(UserType::Practitioner));
    }
    let password = app.identity().unusable_password();
    let id = work.users().create(&admin, &new, &password).await.map_err(taken)?;
    if let Some(kind) = new.user_type.flatten() {
        complete(app, &mut work, actor, id, kind).await?;
    }
    let user = seen(&mut work, actor, id).await?;
    work.commit().await?;
    Ok(user)
}

/// Whether a change asks for anything but names to become different from what is stored.
fn beyond_names(user: &User, change: &UserChange) -> bool {
    let email = change.email.as_ref().is_some_and(|email| !email.reveal().eq_ignore_ascii_case(user.email.reveal()));
    let kind = change.user_type.is_some_and(|kind| kind != user.user_type);
    let superuser = change.is_superuser.is_some_and(|superuser| superuser != user.is_superuser);
    email || kind || superuser
}

fn is_name(field: Option<&str>) -> bool {
    matches!(field, Some("firstName" | "lastName"))
}

/// Changes an account: anything for superusers, the own names for everybody.
pub async fn update(
    app: &App,
    actor: &Actor,
    id: UserId,
    validate: impl FnOnce(bool) -> Result<UserChange, Error>,
) -> Result<User, Error> {
    let mut work = app.store().begin().await?;
    let admin = actor.is_superuser().then(|| Authorizer::new(actor, &mut work).administer()).transpose()?;
    if let Some(admin) = &admin {
        // Held, it is what it is until this is done.
        work.users().hold(admin, id).await?;
    }
    let stored = seen(&mut work, actor, id).await?;
    if let Some(admin) = admin {
        let mut change = validate(true)?;
        if change.is_superuser == Some(false) && id == actor.user_id() {
            return Err(Error::invalid("isSuperuser", "You cannot remove your own administrator right."));
        }
        if change.is_superuser == Some(true) && !stored.is_superuser {
            change.user_type = Some(Some(UserType::Practitioner));
        }
        work.users().update(&admin, id, &change).await.map_err(taken)?;
        let rights = change.is_superuser.is_some_and(|superuser| superuser != stored.is_superuser);
        let kind = change.user_type.is_some_and(|kind| kind != stored.user_type);
        if rights || kind {
            // What was issued to the account as it was does not carry what it is now.
            work.end_all_access(id, app.now()).await?;
        }
        if let Some(kind) = change.user_type.flatten() {
            complete(app, &mut work, actor, id, kind).await?;
        }
    } else {
        // A fault in what they may not change anyway is no reason to say more than that.
        let change = validate(false).map_err(|error| match error {
            Error::Invalid(faults) if faults.0.iter().any(|fault| !is_name(fault.field.as_deref())) => {
                Error::denied(jhe_domain::error::Why::NotPermitted)
            }
            other => other,
        })?;
        if beyond_names(&stored, &change) {
            return Err(Error::denied(jhe_domain::error::Why::NotPermitted));
        }
        let scope = Authorizer::new(actor, &mut work).user(id)?;
        work.users().rename(&scope, change.first_name.as_ref(), change.last_name.as_ref()).await?;
    }
    let user = seen(&mut work, actor, id).await?;
    work.commit().await?;
    Ok(user)
}

/// Removes an account with its profiles, sessions, tokens and own clients.
pub async fn delete(app: &App, actor: &Actor, id: UserId) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    if id == actor.user_id() {
        return Err(Error::sentence("You cannot delete your own account."));
    }
    if !work.users().delete(&admin, id).await? {
        return Err(Error::NotFound(Lookup::Entity("JheUser")));
    }
    work.commit().await
}
