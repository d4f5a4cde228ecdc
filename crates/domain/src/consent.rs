//! Consents: what a patient agreed to, study by study and data type by data type.

use chrono::{DateTime, Utc};

use crate::data_source::{DataSource, ScopeCode};
use crate::id::{LinkId, OrganizationId, PatientId, StudyId};

/// The consents of one patient as a viewer sees them (admin API §6.4).
#[derive(Debug, Clone, Default)]
pub struct ConsentOverview {
    /// Data types released in any visible study, by text.
    pub consolidated: Vec<ScopeCode>,
    /// The visible studies the patient is enrolled in, by id.
    pub studies: Vec<StudyConsents>,
}

/// The requested data types of one study and the patient's answers.
#[derive(Debug, Clone)]
pub struct StudyConsents {
    /// The study.
    pub study_id: StudyId,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Name of the organization.
    pub organization_name: String,
    /// Type of the organization.
    pub organization_type: String,
    /// Its data sources, by name.
    pub data_sources: Vec<DataSource>,
    /// Requested data types in request order, with the answer where there is one.
    pub scopes: Vec<ScopeAnswer>,
}

/// A requested data type and the patient's answer.
#[derive(Debug, Clone)]
pub struct ScopeAnswer {
    /// The data type.
    pub code: ScopeCode,
    /// The answer and when it was given; none while pending.
    pub answer: Option<(bool, DateTime<Utc>)>,
}

/// One consent to write: which study, which data type, which answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentItem {
    /// The study.
    pub study_id: StudyId,
    /// Coding system of the data type.
    pub system: String,
    /// Code of the data type.
    pub code: String,
    /// The answer; ignored when deleting.
    pub consented: bool,
}

/// Consents to write together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsentBatch {
    /// Every study that was named, also without an answer.
    pub studies: Vec<StudyId>,
    /// The answers.
    pub items: Vec<ConsentItem>,
}

/// A written consent.
#[derive(Debug, Clone)]
pub struct Consent {
    /// Row id.
    pub id: LinkId,
    /// Row id of the enrolment.
    pub study_patient_id: LinkId,
    /// The study.
    pub study_id: StudyId,
    /// The patient.
    pub patient_id: PatientId,
    /// The data type.
    pub code: ScopeCode,
    /// The answer.
    pub consented: bool,
    /// When it was given.
    pub consented_time: DateTime<Utc>,
}

/// What to do with a batch of consents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentAction {
    /// Create, or overwrite what is there.
    Record,
    /// Change what is there.
    Change,
    /// Take the answers back; pending again.
    Delete,
}
