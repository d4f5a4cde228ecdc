//! What the database knows about the uploads of one request, asked once for all of them.

use std::collections::{BTreeSet, HashMap, HashSet};

use jhe_authz::{Actor, Authorizer, UploadRights};
use jhe_domain::data_source::ScopeCode;
use jhe_domain::error::{Error, Why};
use jhe_domain::observation::NewObservation;
use jhe_domain::{DataSourceId, PatientId, Phi};
use jhe_fhir::observation::SubjectRef;
use jhe_fhir::search::alias_systems;
use jhe_fhir::{Failure, catalogue};
use jhe_store::Work;

use super::Accepted;
use super::candidate::Candidate;

/// An identifier of an observation; no system and an empty one are the same.
type Identifier = (String, String);

/// Identifiers that accepted uploads of the same request have taken.
#[derive(Debug, Default)]
pub(super) struct Seen(HashSet<Identifier>);

/// Rights, data sources, data types and identifiers that the uploads mention.
pub(super) struct Facts {
    rights: UploadRights,
    devices: HashSet<DataSourceId>,
    codes: HashMap<(String, String), ScopeCode>,
    taken: HashSet<Identifier>,
}

impl Facts {
    /// Four questions, however many uploads there are.
    pub(super) async fn load<'a>(
        work: &mut Work,
        actor: &Actor,
        candidates: impl Iterator<Item = &'a Candidate> + Clone,
    ) -> Result<Self, Error> {
        let patients: BTreeSet<i64> = candidates.clone().filter_map(|c| row(&c.subject)).collect();
        let patients: Vec<PatientId> = patients.into_iter().map(PatientId).collect();
        let devices: BTreeSet<i64> = candidates.clone().filter_map(|c| row(&c.device)).collect();
        let devices: Vec<DataSourceId> = devices.into_iter().map(DataSourceId).collect();
        let codes: BTreeSet<(String, String)> = candidates
            .clone()
            .filter_map(|c| c.coding.as_ref().ok())
            .flat_map(|(system, code)| {
                alias_systems(system, code).into_iter().map(move |s| (s.to_owned(), code.clone()))
            })
            .collect();
        let codes: Vec<(String, String)> = codes.into_iter().collect();
        let identifiers: Vec<(Option<Phi<String>>, Phi<String>)> = candidates
            .flat_map(|c| &c.identifiers)
            .map(|(system, value)| (system.clone().map(Phi::new), Phi::new(value.clone())))
            .collect();

        let rights = Authorizer::new(actor, work).uploads(&patients).await?;
        let devices = work.observations().upload_devices(&rights, &devices).await?.into_iter().collect();
        let codes = work.observations().upload_codes(&rights, &codes).await?;
        let taken = work.observations().taken_identifiers(&rights, &identifiers).await?;
        Ok(Self {
            rights,
            devices,
            codes: codes.into_iter().map(|code| ((code.system.clone(), code.code.clone()), code)).collect(),
            taken: taken.into_iter().map(|(system, value)| (system.unwrap_or_default(), value)).collect(),
        })
    }

    /// Steps 6 to 15 of the order of checks, for one upload after the others of its request.
    pub(super) fn judge(&self, candidate: &Candidate, seen: &mut Seen) -> Result<Accepted, Failure> {
        let patient = match candidate.subject.as_ref().map_err(Clone::clone)? {
            SubjectRef::Numeric(id) if self.rights.knows(PatientId(*id)) => PatientId(*id),
            SubjectRef::Numeric(id) => return Err(catalogue::patient_unknown(&id.to_string())),
            SubjectRef::NotNumeric(text) => return Err(catalogue::patient_unknown(text)),
        };
        self.rights.may_write_for(patient).map_err(refusal)?;
        let device = match candidate.device.as_ref().map_err(Clone::clone)? {
            SubjectRef::Numeric(id) if self.devices.contains(&DataSourceId(*id)) => DataSourceId(*id),
            SubjectRef::Numeric(id) => return Err(catalogue::device_unknown(&id.to_string())),
            SubjectRef::NotNumeric(text) => return Err(catalogue::device_unknown(text)),
        };
        let identifiers: Vec<Identifier> = candidate
            .identifiers
            .iter()
            .map(|(system, value)| (system.clone().unwrap_or_default(), value.clone()))
            .collect();
        if let Some((system, value)) = identifiers.iter().find(|one| self.taken.contains(*one) || seen.0.contains(*one))
        {
            return Err(catalogue::identifier_in_use(system, value));
        }
        let code = self.code(candidate)?;
        let upload = self.rights.consented(patient, code.id, &code.system, &code.code).map_err(refusal)?;
        let reading = candidate.reading.as_ref().map_err(Clone::clone)?;
        seen.0.extend(identifiers);
        Ok(Accepted {
            upload,
            new: NewObservation {
                data_source_id: Some(device),
                status: candidate.status.clone(),
                document: reading.document.clone(),
                effective: reading.effective,
                identifiers: candidate
                    .identifiers
                    .iter()
                    .map(|(system, value)| (system.clone().map(Phi::new), Phi::new(value.clone())))
                    .collect(),
            },
            coding: (code.system.clone(), code.code.clone(), code.text.clone()),
        })
    }

    /// The registered data type: exactly as named, else under the twin of its system.
    fn code(&self, candidate: &Candidate) -> Result<&ScopeCode, Failure> {
        let (system, code) = candidate.coding.as_ref().map_err(Clone::clone)?;
        alias_systems(system, code)
            .into_iter()
            .find_map(|system| self.codes.get(&(system.to_owned(), code.clone())))
            .ok_or_else(|| catalogue::code_unknown(system, code))
    }
}

fn row(reference: &Result<SubjectRef, Failure>) -> Option<i64> {
    match reference {
        Ok(SubjectRef::Numeric(id)) => Some(*id),
        _ => None,
    }
}

fn refusal(error: Error) -> Failure {
    match error {
        Error::Denied(denial) => match denial.why {
            Why::MayNotWriteForPatient => catalogue::patient_not_writable(),
            Why::UploaderIsNoPatient => catalogue::not_a_patient(),
            Why::SubjectIsNotCaller => catalogue::other_patient(),
            Why::NotConsented { system, code } => catalogue::not_consented(&system, &code),
            _ => catalogue::forbidden(),
        },
        _ => catalogue::forbidden(),
    }
}
