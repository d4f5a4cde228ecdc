//! One type for the id of each entity: tables share small integers, so mixing two up would otherwise go unnoticed.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// A login account (`core_jheuser`), shown as `jheUserId`.
    UserId
    /// A practitioner profile (`core_practitioner`).
    PractitionerId
    /// A patient (`core_patient`).
    PatientId
    /// An organization (`core_organization`); 0 is ROOT.
    OrganizationId
    /// A study (`core_study`), a Group in FHIR.
    StudyId
    /// A data type (`core_codeableconcept`): what a study asks for and a patient consents to.
    ScopeCodeId
    /// A data source (`core_datasource`), a Device in FHIR.
    DataSourceId
    /// An observation (`core_observation`).
    ObservationId
    /// The row id of an OAuth client (`oauth2_provider_application`), not its public `client_id`.
    ApplicationId
    /// An invitation (`core_patientinvitation`).
    InvitationId
    /// A setting (`core_jhesetting`).
    SettingId
    /// An outside record system a patient brings data from (`core_fhirsource`).
    FhirSourceId
    /// An entry of the audit trail (`jhe_audit_event`).
    AuditEventId
    /// A link row between two entities.
    LinkId
}

impl OrganizationId {
    /// The ROOT of the organization tree.
    pub const ROOT: Self = Self(0);
}

/// An imported resource (`core_fhirauxresource`), whose id FHIR clients see as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FhirAuxResourceId(pub uuid::Uuid);

impl std::fmt::Display for FhirAuxResourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
