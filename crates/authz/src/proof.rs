//! The proofs: what the store demands before it touches a protected row.

use std::marker::PhantomData;

use jhe_domain::{OrganizationId, PatientId, PractitionerId, ScopeCodeId, StudyId, UserId};

use crate::actor::InternalReason;
use crate::resource::Resource;

/// The rows of `R` that one actor may read, as decided by [`crate::Authorizer`].
///
/// Holding one proves that the caller was authenticated. What it reaches becomes a predicate inside the query, so a
/// membership or consent that ends is gone with the next query. Not `Default`, not `Deserialize`, no public constructor.
#[must_use]
#[derive(Debug)]
pub struct AccessScope<R> {
    reach: Reach,
    within: Location,
    resource: PhantomData<fn() -> R>,
}

impl<R> Clone for AccessScope<R> {
    fn clone(&self) -> Self {
        Self { reach: self.reach, within: self.within.clone(), resource: PhantomData }
    }
}

impl<R> AccessScope<R> {
    pub(crate) const fn new(reach: Reach, within: Location) -> Self {
        Self { reach, within, resource: PhantomData }
    }

    /// What it reaches, for the store.
    pub const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// What it is narrowed to, for the store. Narrowing never adds a row.
    pub const fn within(&self) -> &Location {
        &self.within
    }
}

/// How far an actor sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nothing that belongs to anybody.
    Nothing,
    /// An account: itself.
    Account(UserId),
    /// A patient: its own record.
    Own(PatientId),
    /// A practitioner: rows shared through a membership.
    Shared(PractitionerId),
    /// Every row. Observations still need a consenting study.
    Superuser,
    /// The server itself, for a reason that is audited.
    Internal(InternalReason),
}

impl Reach {
    /// The practitioner through whose memberships rows are reached, if it is one.
    pub const fn practitioner(&self) -> Option<PractitionerId> {
        match self {
            Self::Shared(practitioner) => Some(*practitioner),
            _ => None,
        }
    }
}

/// Organizations, studies and patients a scope is narrowed to. For observations all hold in one and the same study.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// Any of these organizations.
    pub organizations: Option<Vec<OrganizationId>>,
    /// Any of these studies.
    pub studies: Option<Vec<StudyId>>,
    /// Any of these patients.
    pub patients: Option<Vec<PatientId>>,
}

impl Location {
    /// Narrowed by at most one of each.
    pub fn one(organization: Option<OrganizationId>, study: Option<StudyId>, patient: Option<PatientId>) -> Self {
        Self {
            organizations: organization.map(|id| vec![id]),
            studies: study.map(|id| vec![id]),
            patients: patient.map(|id| vec![id]),
        }
    }
}

/// Proof that one actor may do `A` to one row of `R`. Valid in the unit of work that checked it.
#[must_use]
#[derive(Debug)]
pub struct Grant<R: Resource, A> {
    id: R::Id,
    action: PhantomData<fn() -> A>,
}

impl<R: Resource, A> Grant<R, A> {
    pub(crate) const fn new(id: R::Id) -> Self {
        Self { id, action: PhantomData }
    }

    /// The row: there is no second id that could disagree with it.
    pub const fn id(&self) -> R::Id {
        self.id
    }
}

/// Proof that the actor may store observations of one code for one patient: it may write for the patient, and the
/// patient consented to the code in a study that requests it.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsentedUpload {
    patient: PatientId,
    code: ScopeCodeId,
}

impl ConsentedUpload {
    pub(crate) const fn new(patient: PatientId, code: ScopeCodeId) -> Self {
        Self { patient, code }
    }

    /// Whose reading it will be.
    pub const fn patient(&self) -> PatientId {
        self.patient
    }

    /// Of which data type.
    pub const fn code(&self) -> ScopeCodeId {
        self.code
    }
}
