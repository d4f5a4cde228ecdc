//! What a proof is about: one marker for each kind of row.

use jhe_domain::{
    ApplicationId, DataSourceId, FhirSourceId, InvitationId, ObservationId, OrganizationId, PatientId, PractitionerId,
    StudyId, UserId,
};

/// A kind of row with ids of its own.
pub trait Resource {
    /// Its id type.
    type Id: Copy + std::fmt::Debug;
}

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
    /// The server itself.
    Server(())
}
