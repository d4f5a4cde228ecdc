//! Decides, and hands out the proofs. One function for each thing that can be asked for; the truth table of the data
//! model (§5.4, §5.5, §5.10) is this module.

use std::collections::BTreeMap;

use jhe_domain::error::{Error, Lookup, Why};
use jhe_domain::{
    ApplicationId, FhirSourceId, ObservationId, OrganizationId, PatientId, PractitionerId, ScopeCodeId, StudyId, UserId,
};

use crate::actor::{Actor, FhirRole, InternalReason};
use crate::port::{Attribution, AuthzPort, Hidden, UploadTarget};
use crate::proof::{AccessScope, ConsentedUpload, Grant, Location, Reach};
use crate::{action, resource};

/// Asks the store and decides, within one unit of work.
pub struct Authorizer<'a, P> {
    actor: &'a Actor,
    port: &'a mut P,
}

impl<'a, P: AuthzPort> Authorizer<'a, P> {
    /// Starts deciding for `actor`, whom the unit of work will name in its audit entries.
    pub fn new(actor: &'a Actor, port: &'a mut P) -> Self {
        port.attribute(actor.attribution());
        Self { actor, port }
    }

    const fn deny<T>(why: Why) -> Result<T, Error> {
        Err(Error::denied(why))
    }

    /// How far the actor sees rows that belong to organizations.
    fn reach(&self) -> Reach {
        if let Some(reason) = self.actor.internal_reason() {
            Reach::Internal(reason)
        } else if self.actor.is_superuser() {
            Reach::Superuser
        } else if let Some(practitioner) = self.actor.practitioner() {
            Reach::Shared(practitioner)
        } else {
            Reach::Nothing
        }
    }

    async fn manages(&mut self, organization: OrganizationId) -> Result<bool, Error> {
        match self.reach() {
            Reach::Superuser | Reach::Internal(_) => Ok(true),
            Reach::Shared(who) => {
                Ok(self.port.role(who, organization).await?.is_some_and(jhe_domain::role::Role::manages))
            }
            _ => Ok(false),
        }
    }

    async fn leads(&mut self, organization: OrganizationId) -> Result<bool, Error> {
        match self.reach() {
            Reach::Superuser | Reach::Internal(_) => Ok(true),
            Reach::Shared(who) => {
                Ok(self.port.role(who, organization).await?.is_some_and(jhe_domain::role::Role::leads))
            }
            _ => Ok(false),
        }
    }

    async fn is_member(&mut self, organization: OrganizationId) -> Result<bool, Error> {
        match self.reach() {
            Reach::Superuser | Reach::Internal(_) => Ok(true),
            Reach::Shared(who) => Ok(self.port.role(who, organization).await?.is_some()),
            _ => Ok(false),
        }
    }

    /// A superuser learns that a row is missing; nobody else does.
    fn missing<T>(&self, entity: &'static str, otherwise: Why) -> Result<T, Error> {
        if self.actor.is_superuser() { Err(Error::NotFound(Lookup::Entity(entity))) } else { Self::deny(otherwise) }
    }

    // --- the caller itself ---

    /// The caller's own account.
    pub fn account(&self) -> AccessScope<resource::User> {
        AccessScope::new(Reach::Account(self.actor.user_id()), Location::default())
    }

    /// The caller's own account, and its own patient profile when it has one.
    pub fn own_patient(&self) -> Result<AccessScope<resource::Patient>, Error> {
        match self.actor.patient() {
            Some(patient) => Ok(AccessScope::new(Reach::Own(patient), Location::default())),
            None => Self::deny(Why::NotAPatient),
        }
    }

    /// One account by id: the own one, or any for a superuser.
    pub fn user(&self, user: UserId) -> Result<AccessScope<resource::User>, Error> {
        if self.actor.is_superuser() {
            Ok(AccessScope::new(Reach::Superuser, Location::default()))
        } else if user == self.actor.user_id() {
            Ok(self.account())
        } else {
            Self::deny(Why::NotPermitted)
        }
    }

    /// The accounts a caller may list: all for superusers, the own one for practitioners.
    pub fn users(&self) -> Result<AccessScope<resource::User>, Error> {
        match self.reach() {
            Reach::Superuser | Reach::Internal(_) => Ok(AccessScope::new(self.reach(), Location::default())),
            Reach::Shared(_) => Ok(self.account()),
            Reach::Nothing | Reach::Account(_) | Reach::Own(_) => Self::deny(Why::NotPermitted),
        }
    }

    /// Looks an account up by its exact address: practitioners and superusers.
    pub fn look_up_user(&self) -> Result<Grant<resource::User, action::LookUp>, Error> {
        match self.reach() {
            Reach::Superuser | Reach::Internal(_) | Reach::Shared(_) => Ok(Grant::new(self.actor.user_id())),
            Reach::Nothing | Reach::Account(_) | Reach::Own(_) => Self::deny(Why::NotPermitted),
        }
    }

    /// Administration of the server.
    pub fn administer(&self) -> Result<Grant<resource::Server, action::Administer>, Error> {
        if self.actor.is_superuser() || self.actor.internal_reason().is_some() {
            Ok(Grant::new(()))
        } else {
            Self::deny(Why::NotPermitted)
        }
    }

    /// The audit trail: all of it for superusers, that of their organizations for managers, and what others did with
    /// their data for patients (operations §5). Whatever is `named` must be the caller's.
    pub async fn audit_trail(
        &mut self,
        named: &Location,
        within: Location,
    ) -> Result<AccessScope<resource::AuditEvent>, Error> {
        match self.reach() {
            reach @ (Reach::Superuser | Reach::Internal(_)) => return Ok(AccessScope::new(reach, within)),
            Reach::Shared(who) if self.port.leads_anywhere(who).await? => {
                self.require_shared(who, named).await?;
                return Ok(AccessScope::new(Reach::Shared(who), within));
            }
            _ => {}
        }
        match self.actor.patient() {
            Some(own) => {
                Self::require_own(own, named)?;
                Ok(AccessScope::new(Reach::Own(own), within))
            }
            None => Self::deny(Why::NotPermitted),
        }
    }

    fn require_own(own: PatientId, named: &Location) -> Result<(), Error> {
        match named.patients.iter().flatten().find(|&&named| named != own) {
            Some(other) => Self::deny(Why::PatientFilter(other.0)),
            None => Ok(()),
        }
    }

    async fn require_shared(&mut self, who: PractitionerId, named: &Location) -> Result<(), Error> {
        if *named == Location::default() {
            return Ok(());
        }
        match self.port.hidden(who, named).await? {
            Some(Hidden::Organization(id)) => Self::deny(Why::OrganizationFilter(id.0)),
            Some(Hidden::Study(id)) => Self::deny(Why::StudyFilter(id.0)),
            Some(Hidden::Patient(id)) => Self::deny(Why::PatientFilter(id.0)),
            None => Ok(()),
        }
    }

    // --- organizations ---

    /// The organization directory, which every account sees; rosters only where the reach covers them.
    pub fn organizations(&self) -> AccessScope<resource::Organization> {
        AccessScope::new(self.reach(), Location::default())
    }

    /// Who belongs to an organization, and its studies: its members, and managers of the organization above it.
    pub async fn roster(
        &mut self,
        organization: OrganizationId,
    ) -> Result<Grant<resource::Organization, action::ReadRoster>, Error> {
        // The directory shows everybody which organizations there are.
        let Some(position) = self.port.position(organization).await? else {
            return Err(Error::NotFound(Lookup::Entity("Organization")));
        };
        if self.is_member(organization).await? || self.leads(position.authority(organization)).await? {
            Ok(Grant::new(organization))
        } else {
            Self::deny(Why::NotPermitted)
        }
    }

    /// Makes an organization below `parent`, or at the top of the tree.
    pub async fn create_organization(
        &mut self,
        parent: Option<OrganizationId>,
    ) -> Result<Grant<resource::Organization, action::CreateWithin>, Error> {
        match parent {
            Some(parent) if parent != OrganizationId::ROOT => {
                if self.leads(parent).await? {
                    Ok(Grant::new(parent))
                } else {
                    Self::deny(Why::NotPermitted)
                }
            }
            _ if self.actor.is_superuser() || self.actor.internal_reason().is_some() => {
                Ok(Grant::new(OrganizationId::ROOT))
            }
            _ if self.leads(OrganizationId::ROOT).await? => Self::deny(Why::TopLevelOrganization),
            _ => Self::deny(Why::NotPermitted),
        }
    }

    /// Changes or deletes an organization: managers of the organization above it, or of itself at the top.
    pub async fn manage_organization(
        &mut self,
        organization: OrganizationId,
    ) -> Result<Grant<resource::Organization, action::Manage>, Error> {
        let Some(position) = self.port.position(organization).await? else {
            return self.missing("Organization", Why::NotPermitted);
        };
        if self.leads(position.authority(organization)).await? {
            Ok(Grant::new(organization))
        } else {
            Self::deny(Why::NotPermitted)
        }
    }

    /// Adds practitioners to an organization, or removes them: its managers.
    pub async fn manage_practitioners(
        &mut self,
        organization: OrganizationId,
    ) -> Result<Grant<resource::Organization, action::ManagePractitioners>, Error> {
        if self.port.position(organization).await?.is_none() {
            return self.missing("Organization", Why::NotPermitted);
        }
        if self.leads(organization).await? { Ok(Grant::new(organization)) } else { Self::deny(Why::NotPermitted) }
    }

    // --- studies ---

    /// Studies of the caller's organizations; callers without a practitioner profile have no such list.
    pub fn studies(&self, within: Location) -> Result<AccessScope<resource::Study>, Error> {
        match self.reach() {
            Reach::Nothing => Self::deny(Why::NotAPractitioner),
            reach => Ok(AccessScope::new(reach, within)),
        }
    }

    /// One study: members of its organization. A foreign study and a missing one answer alike.
    pub async fn study(&mut self, study: StudyId) -> Result<Grant<resource::Study, action::Read>, Error> {
        if self.reach() == Reach::Nothing {
            return Self::deny(Why::NotAPractitioner);
        }
        self.study_part(study).await
    }

    /// Patients, requests, sources and clients of one study: members of its organization.
    pub async fn study_part(&mut self, study: StudyId) -> Result<Grant<resource::Study, action::Read>, Error> {
        if self.reach() == Reach::Nothing {
            return Self::deny(Why::StudyNotVisible);
        }
        match self.port.organization_of(study).await? {
            Some(organization) if self.is_member(organization).await? => Ok(Grant::new(study)),
            Some(_) => Self::deny(Why::StudyNotVisible),
            None => self.missing("Study", Why::StudyNotVisible),
        }
    }

    /// Makes a study in an organization. `None` and an unknown organization are denied, except to a superuser, whom
    /// validation answers.
    pub async fn create_study(
        &mut self,
        organization: Option<OrganizationId>,
    ) -> Result<Option<Grant<resource::Organization, action::ManageStudies>>, Error> {
        self.within_organization(organization).await.map(|id| id.map(Grant::new))
    }

    async fn within_organization(
        &mut self,
        organization: Option<OrganizationId>,
    ) -> Result<Option<OrganizationId>, Error> {
        match organization {
            Some(organization) if self.manages(organization).await? => {
                let known = !self.actor.is_superuser() || self.port.position(organization).await?.is_some();
                Ok(known.then_some(organization))
            }
            None if self.actor.is_superuser() => Ok(None),
            _ => Self::deny(Why::NotPermitted),
        }
    }

    /// Changes or deletes a study, or what belongs to it: members and managers of its organization.
    pub async fn manage_study(&mut self, study: StudyId) -> Result<Grant<resource::Study, action::Manage>, Error> {
        match self.port.organization_of(study).await? {
            Some(organization) if self.manages(organization).await? => Ok(Grant::new(study)),
            Some(_) => Self::deny(Why::NotPermitted),
            None => self.missing("Study", Why::NotPermitted),
        }
    }

    // --- patients ---

    /// Patients shared with the caller, and those awaiting their confirmation in reduced form.
    pub fn patients(&self, within: Location) -> AccessScope<resource::Patient> {
        AccessScope::new(self.reach(), within)
    }

    /// One patient: itself, practitioners who share or await it, superusers.
    pub async fn patient(&mut self, patient: PatientId) -> Result<AccessScope<resource::Patient>, Error> {
        let within = Location::one(None, None, Some(patient));
        if self.actor.patient() == Some(patient) {
            return Ok(AccessScope::new(Reach::Own(patient), within));
        }
        match self.reach() {
            Reach::Nothing | Reach::Account(_) | Reach::Own(_) => Self::deny(Why::PatientNotVisible),
            Reach::Shared(who) => {
                if self.port.shares(who, patient).await? || self.port.awaits(who, patient).await? {
                    Ok(AccessScope::new(Reach::Shared(who), within))
                } else if self.port.patient_exists(patient).await? {
                    Self::deny(Why::PatientNotVisible)
                } else {
                    Err(Error::NotFound(Lookup::Entity("Patient")))
                }
            }
            reach @ (Reach::Superuser | Reach::Internal(_)) => {
                self.require_patient(patient).await?;
                Ok(AccessScope::new(reach, within))
            }
        }
    }

    async fn require_patient(&mut self, patient: PatientId) -> Result<(), Error> {
        if self.port.patient_exists(patient).await? { Ok(()) } else { Err(Error::NotFound(Lookup::Entity("Patient"))) }
    }

    /// Makes a patient in an organization; see [`Self::create_study`] for the `None` cases.
    pub async fn create_patient(
        &mut self,
        organization: Option<OrganizationId>,
    ) -> Result<Option<Grant<resource::Organization, action::ManagePatients>>, Error> {
        self.within_organization(organization).await.map(|id| id.map(Grant::new))
    }

    /// Changes a patient: whoever manages an organization it belongs to; `at` must be such an organization.
    pub async fn manage_patient(
        &mut self,
        patient: PatientId,
        at: Option<OrganizationId>,
    ) -> Result<Grant<resource::Patient, action::Manage>, Error> {
        let why = Why::NotPermitted;
        match self.reach() {
            Reach::Internal(_) => Ok(Grant::new(patient)),
            Reach::Superuser => {
                self.require_patient(patient).await?;
                match at {
                    Some(at) if self.port.link(patient, at).await?.is_none() => Self::deny(why),
                    _ => Ok(Grant::new(patient)),
                }
            }
            Reach::Shared(who) => {
                if self.port.manages_patient(who, patient, at).await? {
                    Ok(Grant::new(patient))
                } else if !self.port.patient_exists(patient).await? && self.port.manages_anywhere(who).await? {
                    Err(Error::NotFound(Lookup::Entity("Patient")))
                } else {
                    Self::deny(why)
                }
            }
            _ => Self::deny(why),
        }
    }

    /// Callers who manage patients anywhere at all; asked before the request is looked at any closer.
    pub async fn manages_somewhere(&mut self) -> Result<(), Error> {
        match self.reach() {
            Reach::Superuser | Reach::Internal(_) => Ok(()),
            Reach::Shared(who) if self.port.manages_anywhere(who).await? => Ok(()),
            _ => Self::deny(Why::NotPermitted),
        }
    }

    /// Removes a patient from one organization: whoever manages that organization, for a patient linked to it.
    pub async fn remove_patient(
        &mut self,
        patient: PatientId,
        from: OrganizationId,
    ) -> Result<(Grant<resource::Patient, action::Remove>, Grant<resource::Organization, action::ManagePatients>), Error>
    {
        if !self.manages(from).await? {
            return Self::deny(Why::NotPermitted);
        }
        if self.port.link(patient, from).await?.is_none() {
            return Err(Error::NotFound(Lookup::Entity("Patient")));
        }
        Ok((Grant::new(patient), Grant::new(from)))
    }

    /// Looks patients up by exact e-mail address: whoever manages some organization.
    pub async fn look_up_patient(&mut self) -> Result<Grant<resource::Server, action::LookUp>, Error> {
        match self.reach() {
            Reach::Superuser | Reach::Internal(_) => Ok(Grant::new(())),
            Reach::Shared(who) if self.port.manages_anywhere(who).await? => Ok(Grant::new(())),
            _ => Self::deny(Why::NotPermitted),
        }
    }

    /// Attaches an existing patient to an organization. The flag tells whether the link holds at once: because the
    /// caller shares the patient already or is a superuser. A stranger's link waits for the patient.
    pub async fn attach_patient(
        &mut self,
        patient: PatientId,
        to: OrganizationId,
    ) -> Result<(Grant<resource::Patient, action::Attach>, bool), Error> {
        let confirmed = match self.reach() {
            Reach::Superuser | Reach::Internal(_) => {
                if self.port.position(to).await?.is_none() {
                    return Err(Error::sentence("Organization could not be found"));
                }
                true
            }
            Reach::Shared(who) => {
                if !self.manages(to).await? {
                    return Self::deny(Why::NotPermitted);
                }
                self.port.shares(who, patient).await?
            }
            _ => return Self::deny(Why::NotPermitted),
        };
        self.require_patient(patient).await?;
        Ok((Grant::new(patient), confirmed))
    }

    /// The patient itself agrees to a link that waits for it.
    pub async fn confirm_attachment(
        &mut self,
        patient: PatientId,
        to: OrganizationId,
    ) -> Result<Grant<resource::Patient, action::ConfirmAttachment>, Error> {
        if self.actor.patient() == Some(patient) && self.port.link(patient, to).await? == Some(false) {
            Ok(Grant::new(patient))
        } else {
            Self::deny(Why::NotPermitted)
        }
    }

    // --- consents ---

    /// The consents of one patient: itself, and practitioners who share it, who see their own organizations' studies.
    pub async fn consents(&mut self, patient: PatientId) -> Result<AccessScope<resource::Consent>, Error> {
        self.patient_part(patient, Why::ConsentsNotVisible, Why::OtherPatient).await
    }

    /// Clients and invitations of one patient: itself, practitioners who share it, superusers.
    pub async fn patient_clients(&mut self, patient: PatientId) -> Result<AccessScope<resource::Consent>, Error> {
        self.patient_part(patient, Why::PatientNotVisible, Why::PatientNotVisible).await
    }

    /// The wearable devices of one patient: as [`Authorizer::patient_clients`].
    pub async fn wearables(&mut self, patient: PatientId) -> Result<AccessScope<resource::Consent>, Error> {
        self.patient_part(patient, Why::PatientNotVisible, Why::OtherPatient).await
    }

    /// Practitioners who do not share the patient are told `stranger`, everybody else `other`.
    async fn patient_part(
        &mut self,
        patient: PatientId,
        stranger: Why,
        other: Why,
    ) -> Result<AccessScope<resource::Consent>, Error> {
        let within = Location::one(None, None, Some(patient));
        if self.actor.patient() == Some(patient) {
            return Ok(AccessScope::new(Reach::Own(patient), within));
        }
        match self.reach() {
            Reach::Superuser | Reach::Internal(_) => {
                self.require_patient(patient).await?;
                Ok(AccessScope::new(Reach::Superuser, within))
            }
            Reach::Shared(who) => {
                if self.port.shares(who, patient).await? {
                    Ok(AccessScope::new(Reach::Shared(who), within))
                } else if self.port.patient_exists(patient).await? {
                    Self::deny(stranger)
                } else {
                    Err(Error::NotFound(Lookup::Entity("Patient")))
                }
            }
            _ => Self::deny(other),
        }
    }

    /// Who may write consents of this patient at all, before any study is looked at.
    pub async fn consent_writer(&mut self, patient: PatientId) -> Result<(), Error> {
        if self.actor.patient() == Some(patient) {
            return Ok(());
        }
        match self.reach() {
            Reach::Superuser | Reach::Internal(_) => self.require_patient(patient).await,
            Reach::Shared(who) => {
                self.require_patient(patient).await?;
                if self.port.manages_patient(who, patient, None).await? {
                    Ok(())
                } else if self.port.shares(who, patient).await? {
                    Self::deny(Why::RoleTooLow)
                } else {
                    Self::deny(Why::NotForThisPatient)
                }
            }
            _ => Self::deny(Why::OtherPatient),
        }
    }

    /// Writes consents of one patient in the named studies (data model §5.4, §6): the patient itself, practitioners
    /// who manage the study's organization that the patient belongs to, superusers. Enrolment is checked for each.
    pub async fn write_consents(
        &mut self,
        patient: PatientId,
        studies: &[StudyId],
    ) -> Result<Grant<resource::Consent, action::WriteConsents>, Error> {
        self.consent_writer(patient).await?;
        let own = self.actor.patient() == Some(patient);
        if own {
            // Whoever answers for itself is the patient, also who works with studies besides.
            self.port.attribute(Attribution { kind: "patient", ..self.actor.attribution() });
        }
        for &study in studies {
            if let (false, Reach::Shared(who)) = (own, self.reach()) {
                let Some(organization) = self.port.organization_of(study).await? else {
                    return Self::deny(Why::NotForThisPatient);
                };
                let role = self.port.role(who, organization).await?;
                let belongs = self.port.link(patient, organization).await? == Some(true);
                match role {
                    Some(role) if belongs && role.manages() => {}
                    Some(_) if belongs => return Self::deny(Why::RoleTooLow),
                    _ => return Self::deny(Why::NotForThisPatient),
                }
            }
            if !self.port.enrolled(patient, study).await? {
                return Err(Error::sentence(format!("Patient is not enrolled in study {study}.")));
            }
        }
        Ok(Grant::new(patient))
    }

    // --- invitations ---

    /// Invites a patient: whoever manages it, superusers.
    pub async fn invite(&mut self, patient: PatientId) -> Result<Grant<resource::Patient, action::Invite>, Error> {
        match self.reach() {
            Reach::Superuser | Reach::Internal(_) => {
                self.require_patient(patient).await?;
                Ok(Grant::new(patient))
            }
            Reach::Shared(who) => {
                if self.port.manages_patient(who, patient, None).await? {
                    Ok(Grant::new(patient))
                } else if !self.port.patient_exists(patient).await? && self.port.manages_anywhere(who).await? {
                    Err(Error::NotFound(Lookup::Entity("Patient")))
                } else {
                    Self::deny(Why::NotPermitted)
                }
            }
            _ => Self::deny(Why::NotPermitted),
        }
    }

    /// Invitations the caller may know of.
    pub fn invitations(&self) -> Result<AccessScope<resource::Invitation>, Error> {
        match self.reach() {
            Reach::Nothing => Self::deny(Why::NotPermitted),
            reach => Ok(AccessScope::new(reach, Location::default())),
        }
    }

    // --- clients and data sources ---

    /// Patient clients: all for practitioners, those of its studies for a patient.
    pub fn clients(&self) -> AccessScope<resource::Client> {
        let reach = match (self.reach(), self.actor.patient()) {
            (Reach::Nothing, Some(patient)) => Reach::Own(patient),
            (reach, _) => reach,
        };
        AccessScope::new(reach, Location::default())
    }

    /// The caller's own API keys: practitioners.
    pub const fn own_keys(&self) -> Result<Grant<resource::Practitioner, action::ManageKeys>, Error> {
        match self.actor.practitioner() {
            Some(practitioner) => Ok(Grant::new(practitioner)),
            None => Self::deny(Why::PractitionerClientsOnly),
        }
    }

    /// Says which data sources a patient client reads from: superusers, and whoever leads some organization. Whether there
    /// is such a client is not asked here.
    pub async fn link_data_sources(
        &mut self,
        client: ApplicationId,
    ) -> Result<Grant<resource::Client, action::LinkDataSources>, Error> {
        match self.reach() {
            Reach::Superuser | Reach::Internal(_) => Ok(Grant::new(client)),
            Reach::Shared(who) if self.port.leads_anywhere(who).await? => Ok(Grant::new(client)),
            _ => Self::deny(Why::NotPermitted),
        }
    }

    /// Data sources and data types, which every account sees.
    pub fn data_sources(&self) -> AccessScope<resource::DataSource> {
        AccessScope::new(self.reach(), Location::default())
    }

    // --- outside record systems ---

    /// Outside record systems: the own ones, those of shared patients, all for superusers.
    pub fn fhir_sources(&self) -> AccessScope<resource::FhirSource> {
        let reach = match (self.reach(), self.actor.patient()) {
            (Reach::Nothing, Some(own)) => Reach::Own(own),
            (reach, _) => reach,
        };
        AccessScope::new(reach, Location::default())
    }

    /// Names an outside record system: patients, for themselves.
    pub const fn register_source(&self) -> Result<Grant<resource::Patient, action::RegisterSource>, Error> {
        match self.actor.patient() {
            Some(own) => Ok(Grant::new(own)),
            None => Self::deny(Why::FhirSourcesOnlyByPatients),
        }
    }

    /// Changes an outside record system: its patient and superusers. Practitioners who share the patient know of it and
    /// are refused; to others it does not exist.
    pub async fn manage_source(
        &mut self,
        source: FhirSourceId,
    ) -> Result<Grant<resource::FhirSource, action::Manage>, Error> {
        let missing = || Err(Error::NotFound(Lookup::Entity("FhirSource")));
        let Some(patient) = self.port.patient_of_source(source).await? else { return missing() };
        if self.actor.patient() == Some(patient) || self.actor.is_superuser() {
            return Ok(Grant::new(source));
        }
        match self.reach() {
            Reach::Shared(who) if self.port.shares(who, patient).await? => Self::deny(Why::NotPermitted),
            _ => missing(),
        }
    }

    // --- observations ---

    /// Observations for the admin API: readable ones, narrowed; filters outside the reach match nothing.
    pub fn observations(&self, within: Location) -> Result<AccessScope<resource::Observation>, Error> {
        match self.reach() {
            Reach::Nothing => Self::deny(Why::NotAPractitioner),
            reach => Ok(AccessScope::new(reach, within)),
        }
    }

    /// Observations for FHIR: what is `named` must be the caller's (data model §5.6), also where nothing of it is left in
    /// `within`. A patient reads its own record whatever organizations and studies are named.
    pub async fn fhir_observations(
        &mut self,
        named: &Location,
        within: Location,
    ) -> Result<AccessScope<resource::Observation>, Error> {
        self.fhir_scope(named, within).await
    }

    /// Patients for FHIR, under the same rule.
    pub async fn fhir_patients(
        &mut self,
        named: &Location,
        within: Location,
    ) -> Result<AccessScope<resource::Patient>, Error> {
        self.fhir_scope(named, within).await
    }

    /// Studies, data sources, organizations or practitioners for FHIR, under the same rule.
    pub async fn fhir_records<R: resource::Record>(
        &mut self,
        named: &Location,
        within: Location,
    ) -> Result<AccessScope<R>, Error> {
        self.fhir_scope(named, within).await
    }

    async fn fhir_scope<R>(&mut self, named: &Location, within: Location) -> Result<AccessScope<R>, Error> {
        match self.actor.fhir_role() {
            FhirRole::Patient(own) => {
                Self::require_own(own, named)?;
                let within = Location { patients: within.patients, ..Location::default() };
                Ok(AccessScope::new(Reach::Own(own), within))
            }
            FhirRole::Bare => Ok(AccessScope::new(Reach::Nothing, within)),
            FhirRole::Superuser => Ok(AccessScope::new(Reach::Superuser, within)),
            FhirRole::Practitioner(who) => {
                self.require_shared(who, named).await?;
                let reach = if self.actor.is_superuser() { Reach::Superuser } else { Reach::Shared(who) };
                Ok(AccessScope::new(reach, within))
            }
        }
    }

    /// Marks an observation as entered in error or takes that back: who leads the organization of a study that makes
    /// it readable, superusers.
    pub async fn correct_observation(
        &mut self,
        observation: ObservationId,
    ) -> Result<Grant<resource::Observation, action::CorrectStatus>, Error> {
        let missing = Err(Error::NotFound(Lookup::Entity("Observation")));
        match (self.reach(), self.actor.practitioner()) {
            (Reach::Shared(who), _) | (Reach::Superuser, Some(who)) => {
                let standing = self.port.observation_standing(who, observation).await?;
                match standing {
                    _ if !standing.readable => missing,
                    _ if standing.led => Ok(Grant::new(observation)),
                    _ => Self::deny(Why::NotPermitted),
                }
            }
            _ => missing,
        }
    }

    /// Removes an observation for good: superusers.
    pub fn remove_observation(
        &self,
        observation: ObservationId,
    ) -> Result<Grant<resource::Observation, action::Remove>, Error> {
        self.administer().map(|_| Grant::new(observation))
    }

    /// Learns in one question what the caller may upload for the patients named.
    pub async fn uploads(&mut self, patients: &[PatientId]) -> Result<UploadRights, Error> {
        let role = self.actor.fhir_role();
        let who = match role {
            FhirRole::Practitioner(who) => Some(who),
            FhirRole::Patient(_) | FhirRole::Bare | FhirRole::Superuser => None,
        };
        let targets = self.port.upload_targets(who, patients).await?;
        let seeds = self.actor.internal_reason() == Some(InternalReason::Seeding);
        Ok(UploadRights { role, seeds, targets: targets.into_iter().map(|target| (target.patient, target)).collect() })
    }

    /// The practitioner whose view may be remembered, if the caller is one.
    pub const fn remembering(&self) -> Option<PractitionerId> {
        self.actor.practitioner()
    }
}

/// What one caller may upload, for the patients that were asked about.
#[derive(Debug)]
pub struct UploadRights {
    role: FhirRole,
    /// The server itself makes demo data: for any patient, and only what was consented all the same.
    seeds: bool,
    targets: BTreeMap<PatientId, UploadTarget>,
}

impl UploadRights {
    /// Whether the patient exists.
    pub fn knows(&self, patient: PatientId) -> bool {
        self.targets.contains_key(&patient)
    }

    /// The account of a patient that was asked about.
    pub fn user_of(&self, patient: PatientId) -> Option<UserId> {
        self.targets.get(&patient).and_then(|target| target.user)
    }

    /// Through whom the caller may write at all: for the patients a practitioner manages, or for itself.
    pub const fn writer(&self) -> (Option<PractitionerId>, Option<PatientId>) {
        match self.role {
            FhirRole::Practitioner(who) => (Some(who), None),
            FhirRole::Patient(own) => (None, Some(own)),
            FhirRole::Bare | FhirRole::Superuser => (None, None),
        }
    }

    /// Whether the caller may write for the patient (FHIR §5.3 step 8).
    pub fn may_write_for(&self, patient: PatientId) -> Result<(), Error> {
        match self.role {
            FhirRole::Superuser if self.knows(patient) => Ok(()),
            FhirRole::Bare if self.seeds && self.knows(patient) => Ok(()),
            FhirRole::Bare => Err(Error::denied(Why::UploaderIsNoPatient)),
            FhirRole::Patient(own) if own == patient => Ok(()),
            FhirRole::Patient(_) => Err(Error::denied(Why::SubjectIsNotCaller)),
            FhirRole::Practitioner(_) if self.targets.get(&patient).is_some_and(|target| target.managed) => Ok(()),
            FhirRole::Practitioner(_) | FhirRole::Superuser => Err(Error::denied(Why::MayNotWriteForPatient)),
        }
    }

    /// The proof for one patient and code; `system` and `code` name the data type in the refusal.
    pub fn consented(
        &self,
        patient: PatientId,
        scope_code: ScopeCodeId,
        system: &str,
        code: &str,
    ) -> Result<ConsentedUpload, Error> {
        self.may_write_for(patient)?;
        match self.targets.get(&patient) {
            Some(target) if target.consented.contains(&scope_code) => Ok(ConsentedUpload::new(patient, scope_code)),
            _ => Err(Error::denied(Why::NotConsented { system: system.to_owned(), code: code.to_owned() })),
        }
    }
}
