//! What a grant allows: one marker for each thing that is checked on its own.

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}
    )*};
}

actions! {
    /// See the row.
    Read
    /// See who belongs to an organization, and its studies.
    ReadRoster
    /// Change or delete the row.
    Manage
    /// Make something that belongs to the row.
    CreateWithin
    /// Make, attach and remove patients of an organization.
    ManagePatients
    /// Make studies of an organization.
    ManageStudies
    /// Add practitioners to an organization, or remove them.
    ManagePractitioners
    /// Attach an existing patient to an organization.
    Attach
    /// The patient agrees to an attachment.
    ConfirmAttachment
    /// Answer consent requests.
    WriteConsents
    /// Invite a patient to a client.
    Invite
    /// Look a patient up by exact e-mail address.
    LookUp
    /// Mark an observation as entered in error, or take that back.
    CorrectStatus
    /// Remove a row for good.
    Remove
    /// Have API keys, which act as their practitioner.
    ManageKeys
    /// Say which data sources a patient client reads from.
    LinkDataSources
    /// Name an outside record system of the own.
    RegisterSource
    /// Administer the server.
    Administer
}
