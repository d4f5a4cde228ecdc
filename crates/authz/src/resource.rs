//! What a proof is about: one marker for each kind of row.

use jhe_domain::{
    ApplicationId, AuditEventId, DataSourceId, FhirSourceId, InvitationId, ObservationId, OrganizationId, PatientId,
    PractitionerId, StudyId, UserId,
};

/// A kind of row with ids of its own.
pub trait Resource {
    /// Its id type.
    type Id: Copy + std::fmt::Debug;
}

/// What FHIR searches find besides patients and their observations: rows that belong to organizations, not to a person.
pub trait Record: Resource + private::Sealed {}

mod private {
    pub trait Sealed {}
}

macro_rules! records {
    ($($name:ident)*) => {$(
        impl private::Sealed for $name {}
        impl Record for $name {}
    )*};
}

records! { Study DataSource Organization Practitioner }

macro_rules! resources {
    ($($(#[$doc:meta])* $name:ident($id:ty))*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}
        impl Resource for $name {
            type Id = $id;
        }
    )*};
}

resources! {
    /// Accounts.
    User(UserId)
    /// Organizations.
    Organization(OrganizationId)
    /// Studies.
    Study(StudyId)
    /// Patients.
    Patient(PatientId)
    /// Consents, addressed by their patient.
    Consent(PatientId)
    /// Observations.
    Observation(ObservationId)
    /// Invitations.
    Invitation(InvitationId)
    /// Practitioner profiles.
    Practitioner(PractitionerId)
    /// OAuth clients.
    Client(ApplicationId)
    /// Data sources and data types.
    DataSource(DataSourceId)
    /// Outside record systems.
    FhirSource(FhirSourceId)
    /// The audit trail.
    AuditEvent(AuditEventId)
    /// The server itself.
    Server(())
}
