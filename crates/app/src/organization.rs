//! Organizations and who works in them.

use jhe_authz::{Actor, Authorizer};
use jhe_domain::error::{Error, Lookup};
use jhe_domain::organization::{Membership, Organization, OrganizationChange, Roster};
use jhe_domain::practitioner::Practitioner;
use jhe_domain::role::Role;
use jhe_domain::{OrganizationId, UserId};

use crate::App;

/// A new organization, checked.
#[derive(Debug, Clone)]
pub struct NewOrganization {
    /// Name.
    pub name: String,
    /// Type code.
    pub type_code: String,
    /// The organization above.
    pub part_of: Option<OrganizationId>,
}

/// An organization with who belongs to it.
pub type Seen = (Organization, Roster);

async fn seen(app: &App, actor: &Actor, id: OrganizationId) -> Result<Seen, Error> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(actor, &mut work).organizations();
    let organization =
        work.organizations().find(&scope, id).await?.ok_or(Error::NotFound(Lookup::Entity("Organization")))?;
    let roster = work.organizations().rosters(&scope, &[id]).await?.remove(&id).unwrap_or_default();
    Ok((organization, roster))
}

/// Makes an organization (admin API §6.2). The maker leads a sub-organization from the start.
pub async fn create(
    app: &App,
    actor: &Actor,
    parent: Option<OrganizationId>,
    validate: impl FnOnce() -> Result<NewOrganization, Error>,
) -> Result<Seen, Error> {
    let mut work = app.store().begin().await?;
    let mut authorizer = Authorizer::new(actor, &mut work);
    let grant = authorizer.create_organization(parent).await?;
    let new = validate()?;
    if let Some(parent) = new.part_of {
        let scope = Authorizer::new(actor, &mut work).organizations();
        if work.organizations().find(&scope, parent).await?.is_none() {
            return Err(Error::invalid("partOf", format!("Invalid pk \"{parent}\" - object does not exist.")));
        }
    }
    let manager = new.part_of.filter(|parent| *parent != OrganizationId::ROOT).and(actor.practitioner());
    let id = work.organizations().create(&grant, &new.name, &new.type_code, new.part_of, manager).await?;
    work.commit().await?;
    seen(app, actor, id).await
}

/// Changes an organization. Moving it needs the lead of the new parent as well, and may not close a circle.
pub async fn update(
    app: &App,
    actor: &Actor,
    id: OrganizationId,
    new_parent: Option<Option<OrganizationId>>,
    validate: impl FnOnce() -> Result<OrganizationChange, Error>,
) -> Result<Seen, Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_organization(id).await?;
    work.organizations().lock_tree(&grant).await?;
    let scope = Authorizer::new(actor, &mut work).organizations();
    let stored = work.organizations().find(&scope, id).await?.ok_or(Error::NotFound(Lookup::Entity("Organization")))?;
    let moved = new_parent.filter(|parent| *parent != stored.part_of);
    if let Some(parent) = moved {
        // The right to make something below the new parent is the right to move something there.
        let _leads = Authorizer::new(actor, &mut work).create_organization(parent).await?;
    }
    if id == OrganizationId::ROOT {
        return Err(Error::sentence("The ROOT organization cannot be changed."));
    }
    let change = validate()?;
    if let Some(Some(parent)) = moved {
        if work.organizations().find(&scope, parent).await?.is_none() {
            return Err(Error::invalid("partOf", format!("Invalid pk \"{parent}\" - object does not exist.")));
        }
        if work.organizations().is_within(&grant, parent).await? {
            return Err(Error::invalid("partOf", "An organization cannot be part of itself or its descendants."));
        }
    }
    work.organizations().update(&grant, &change).await?;
    work.commit().await?;
    seen(app, actor, id).await
}

/// Deletes an organization with everything below it; patients stay.
pub async fn delete(app: &App, actor: &Actor, id: OrganizationId) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_organization(id).await?;
    if id == OrganizationId::ROOT {
        return Err(Error::sentence("The ROOT organization cannot be deleted."));
    }
    work.organizations().delete(&grant).await?;
    work.commit().await
}

/// A membership as its manager sees it.
#[derive(Debug)]
pub struct MembershipSeen {
    /// The row.
    pub membership: Membership,
    /// The organization.
    pub organization: Organization,
    /// The practitioner.
    pub practitioner: Practitioner,
    /// Organizations of the practitioner that the manager belongs to.
    pub shared: Vec<OrganizationId>,
}

/// Adds a practitioner to an organization, or changes its role.
pub async fn set_role(
    app: &App,
    actor: &Actor,
    id: OrganizationId,
    validate: impl FnOnce() -> Result<(UserId, Role), Error>,
) -> Result<MembershipSeen, Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_practitioners(id).await?;
    let (user, role) = validate()?;
    let practitioner = match work.users().candidate(&grant, user).await? {
        None => return Err(Error::NotFound(Lookup::Entity("JheUser"))),
        Some(None) => return Err(Error::NotFound(Lookup::PractitionerProfile)),
        Some(Some(practitioner)) => practitioner,
    };
    let membership = work.organizations().set_role(&grant, practitioner, role).await?;
    if !membership.created {
        work.was_there_already();
    }
    let scope = Authorizer::new(actor, &mut work).organizations();
    let organization =
        work.organizations().find(&scope, id).await?.ok_or(Error::NotFound(Lookup::Entity("Organization")))?;
    let (practitioner, shared) = work
        .practitioners()
        .of_membership(&grant, &scope, practitioner)
        .await?
        .ok_or_else(|| Error::internal("the practitioner just added is gone"))?;
    work.commit().await?;
    Ok(MembershipSeen { membership, organization, practitioner, shared })
}

/// Removes a practitioner from an organization.
pub async fn remove_practitioner(
    app: &App,
    actor: &Actor,
    id: OrganizationId,
    validate: impl FnOnce() -> Result<UserId, Error>,
) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).manage_practitioners(id).await?;
    let user = validate()?;
    match work.users().candidate(&grant, user).await? {
        None => return Err(Error::NotFound(Lookup::Entity("JheUser"))),
        Some(None) => return Err(Error::NotFound(Lookup::PractitionerProfile)),
        Some(Some(practitioner)) => work.organizations().remove_practitioner(&grant, practitioner).await?,
    }
    work.commit().await
}
