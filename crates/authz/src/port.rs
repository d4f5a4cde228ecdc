//! What the authorization core asks of the store. Only `jhe-store` implements these traits; a test checks it.

use std::future::Future;

use chrono::{DateTime, Utc};
use jhe_domain::error::Error;
use jhe_domain::role::Role;
use jhe_domain::{
    ApplicationId, FhirSourceId, ObservationId, OrganizationId, PatientId, PractitionerId, ScopeCodeId, StudyId, UserId,
};

use crate::proof::Location;

/// What a bearer token stands for, whether or not it is still good.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// End of the token.
    pub expires: DateTime<Utc>,
    /// The token was revoked.
    pub revoked: bool,
    /// Client it was issued to.
    pub application_id: ApplicationId,
    /// That client is in use.
    pub application_enabled: bool,
    /// That client is a patient client.
    pub patient_client: bool,
    /// Granted OAuth scopes, separated by spaces.
    pub oauth_scope: String,
    /// The account it acts as; none for a client without owner.
    pub account: Option<Account>,
}

/// The account behind a token.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// Row id.
    pub user_id: UserId,
    /// May sign in.
    pub is_active: bool,
    /// Administrator.
    pub is_superuser: bool,
    /// `user_type` is practitioner.
    pub typed_practitioner: bool,
    /// Its patient profile.
    pub patient_id: Option<PatientId>,
    /// Its practitioner profile.
    pub practitioner_id: Option<PractitionerId>,
}

/// Looks a credential up by its digest.
pub trait CredentialPort: Send {
    /// The token with this SHA-256 digest.
    fn bearer(&mut self, digest: &[u8; 32]) -> impl Future<Output = Result<Option<Bearer>, Error>> + Send;
}

/// Where an organization stands in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrganizationPosition {
    /// The organization above it.
    pub part_of: Option<OrganizationId>,
}

impl OrganizationPosition {
    /// `authorityOrg(O)`: the parent when there is one below ROOT, else the organization itself.
    pub const fn authority(self, own: OrganizationId) -> OrganizationId {
        match self.part_of {
            Some(parent) if parent.0 != OrganizationId::ROOT.0 => parent,
            _ => own,
        }
    }
}

/// A patient an upload may be for, and which of its data types are consented to somewhere.
#[derive(Debug, Clone)]
pub struct UploadTarget {
    /// The patient.
    pub patient: PatientId,
    /// Its account.
    pub user: Option<UserId>,
    /// Whether the practitioner asked about manages it.
    pub managed: bool,
    /// Data types consented to in a study that requests them.
    pub consented: Vec<ScopeCodeId>,
}

/// Facts about roles and links; each is one of the predicate views.
pub trait AuthzPort: Send {
    /// Who acts, for the audit trail of this unit of work.
    fn attribute(&mut self, who: Attribution);
    /// `role(P,O)`.
    fn role(
        &mut self,
        who: PractitionerId,
        at: OrganizationId,
    ) -> impl Future<Output = Result<Option<Role>, Error>> + Send;
    /// Whether an organization exists, and what it is part of.
    fn position(
        &mut self,
        of: OrganizationId,
    ) -> impl Future<Output = Result<Option<OrganizationPosition>, Error>> + Send;
    /// The organization of a study.
    fn organization_of(&mut self, study: StudyId)
    -> impl Future<Output = Result<Option<OrganizationId>, Error>> + Send;
    /// The first of what is named, organizations before studies before patients, that does not exist for a practitioner.
    fn hidden(
        &mut self,
        who: PractitionerId,
        named: &Location,
    ) -> impl Future<Output = Result<Option<Hidden>, Error>> + Send;
    /// Whether a patient exists.
    fn patient_exists(&mut self, patient: PatientId) -> impl Future<Output = Result<bool, Error>> + Send;
    /// `shares(P,pt)`.
    fn shares(&mut self, who: PractitionerId, patient: PatientId) -> impl Future<Output = Result<bool, Error>> + Send;
    /// `awaits(P,pt)`.
    fn awaits(&mut self, who: PractitionerId, patient: PatientId) -> impl Future<Output = Result<bool, Error>> + Send;
    /// `manages(P,pt[,O])`.
    fn manages_patient(
        &mut self,
        who: PractitionerId,
        patient: PatientId,
        at: Option<OrganizationId>,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
    /// The link of a patient to an organization: confirmed or not.
    fn link(
        &mut self,
        patient: PatientId,
        at: OrganizationId,
    ) -> impl Future<Output = Result<Option<bool>, Error>> + Send;
    /// Whether a patient is enrolled in a study.
    fn enrolled(&mut self, patient: PatientId, study: StudyId) -> impl Future<Output = Result<bool, Error>> + Send;
    /// Whether a practitioner has one of the roles that manage, somewhere.
    fn manages_anywhere(&mut self, who: PractitionerId) -> impl Future<Output = Result<bool, Error>> + Send;
    /// Whether a practitioner leads some organization.
    fn leads_anywhere(&mut self, who: PractitionerId) -> impl Future<Output = Result<bool, Error>> + Send;
    /// The patient an outside record system belongs to.
    fn patient_of_source(
        &mut self,
        source: FhirSourceId,
    ) -> impl Future<Output = Result<Option<PatientId>, Error>> + Send;
    /// Whether `readable(P,obs)` holds for reading one, and whether P leads the organization of a study that makes it so.
    fn observation_standing(
        &mut self,
        who: PractitionerId,
        observation: ObservationId,
    ) -> impl Future<Output = Result<ObservationStanding, Error>> + Send;
    /// What is known about uploading for some patients, those that exist.
    fn upload_targets(
        &mut self,
        who: Option<PractitionerId>,
        patients: &[PatientId],
    ) -> impl Future<Output = Result<Vec<UploadTarget>, Error>> + Send;
}

/// Something a caller named that is not its to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// No organization the practitioner is a member of.
    Organization(OrganizationId),
    /// No study of such an organization.
    Study(StudyId),
    /// No patient shared with the practitioner.
    Patient(PatientId),
}

/// How a practitioner stands to one observation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ObservationStanding {
    /// May read it by id.
    pub readable: bool,
    /// Leads the organization of a study that makes it readable.
    pub led: bool,
}

/// Who acts, as the audit trail and the consent history name it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attribution {
    /// The account.
    pub user_id: Option<UserId>,
    /// The client it acts through.
    pub application_id: Option<ApplicationId>,
    /// `patient`, `practitioner`, `super_user` or `system`.
    pub kind: &'static str,
    /// From where, where that is recorded.
    pub ip: Option<std::net::IpAddr>,
}
