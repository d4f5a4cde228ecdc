//! What the database knows about the uploads of one request, asked once for all of them.

use std::collections::{BTreeSet, HashMap, HashSet};

use jhe_authz::{Actor, Authorizer, UploadRights};
use jhe_domain::data_source::ScopeCode;
use jhe_domain::error::{Error, Why};
use jhe_domain::observation::NewObservation;
use jhe_domain::{DataSourceId, PatientId, Phi};
use jhe_fhir::observation::SubjectRef;
use jhe_fhir::search::{SystemMatch, TokenValue, alias_systems};
use jhe_fhir::{Failure, catalogue};
use jhe_store::Work;
use jhe_store::filter::{Token, TokenSystem};
use jhe_store::observation::IdentifierMatch;

use super::candidate::Candidate;
use super::{Accepted, Judged};

/// An identifier of an observation; no system and an empty one are the same.
type Identifier = (String, String);

/// Identifiers that accepted uploads of the same request have taken, each with the number of its upload among those.
#[derive(Debug, Default)]
pub(super) struct Seen {
    identifiers: HashMap<Identifier, usize>,
    accepted: usize,
}

impl Seen {
    /// The accepted uploads that have one of some identifiers.
    fn matching(&self, wanted: &[TokenValue]) -> BTreeSet<usize> {
        let of = |token: &TokenValue| -> Vec<usize> {
            let value = token.code.clone().unwrap_or_default();
            let exactly = |system: &str| self.identifiers.get(&(system.to_owned(), value.clone())).copied();
            match &token.system {
                SystemMatch::None => exactly("").into_iter().collect(),
                SystemMatch::Exact(system) => exactly(system).into_iter().collect(),
                SystemMatch::Any => {
                    let all = self.identifiers.iter().filter(|((_, known), _)| *known == value);
                    all.map(|(_, number)| *number).collect()
                }
            }
        };
        wanted.iter().flat_map(of).collect()
    }
}

/// Rights, data sources, data types and identifiers that the uploads mention.
pub(super) struct Facts {
    rights: UploadRights,
    devices: HashSet<DataSourceId>,
    codes: HashMap<(String, String), ScopeCode>,
    taken: HashSet<Identifier>,
    /// What the conditions of uploads found, by the number of the upload.
    matches: HashMap<usize, Vec<IdentifierMatch>>,
}

impl Facts {
    /// Two questions, three where uploads have conditions, however many uploads there are. Each comes with its number.
    pub(super) async fn load<'a>(
        work: &mut Work,
        actor: &Actor,
        numbered: impl Iterator<Item = (usize, &'a Candidate)> + Clone,
    ) -> Result<Self, Error> {
        let candidates = numbered.clone().map(|(_, candidate)| candidate);
        let wanted: Vec<(usize, Token)> = numbered
            .flat_map(|(number, candidate)| {
                candidate.unless.iter().flatten().map(move |identifier| (number, token(identifier)))
            })
            .collect();
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
        let identifiers: Vec<Identifier> = candidates
            .flat_map(|c| &c.identifiers)
            .map(|(system, value)| (system.clone().unwrap_or_default(), value.clone()))
            .collect();

        let rights = Authorizer::new(actor, work).uploads(&patients).await?;
        let known = work.observations().upload_facts(&rights, &devices, &codes, &identifiers).await?;
        let mut matches: HashMap<usize, Vec<IdentifierMatch>> = HashMap::new();
        for found in work.observations().matching(&rights, &wanted).await? {
            let known = matches.entry(usize::try_from(found.condition).unwrap_or(usize::MAX)).or_default();
            if known.iter().all(|one| one.id != found.id) {
                known.push(found);
            }
        }
        Ok(Self {
            rights,
            devices: known.devices.into_iter().collect(),
            codes: known.codes.into_iter().map(|code| ((code.system.clone(), code.code.clone()), code)).collect(),
            taken: known.taken.into_iter().collect(),
            matches,
        })
    }

    /// What the condition of an upload has found: nothing, the one resource that is there already, or why it is refused.
    fn existing(&self, number: usize, candidate: &Candidate, seen: &Seen) -> Result<Option<Judged>, Failure> {
        let Some(wanted) = &candidate.unless else { return Ok(None) };
        let stored = self.matches.get(&number).map(Vec::as_slice).unwrap_or_default();
        let writable: Vec<&IdentifierMatch> = stored.iter().filter(|found| found.writable).collect();
        let earlier = seen.matching(wanted);
        match (writable.as_slice(), earlier.len()) {
            ([], 0) => match (stored, wanted.first()) {
                ([], _) | (_, None) => Ok(None),
                (_, Some(token)) => {
                    let system = token.systems().and_then(|systems| systems.first().copied()).unwrap_or_default();
                    Err(catalogue::identifier_in_use(system, token.code.as_deref().unwrap_or_default()))
                }
            },
            ([found], 0) => Ok(Some(Judged::Stored((*found).clone()))),
            ([], 1) => Ok(earlier.first().copied().map(Judged::Earlier)),
            _ => Err(catalogue::multiple_matches()),
        }
    }

    /// Steps 6 to 15 of the order of checks, for one upload after the others of its request.
    pub(super) fn judge(&self, number: usize, candidate: &Candidate, seen: &mut Seen) -> Result<Judged, Failure> {
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
        if let Some(existing) = self.existing(number, candidate, seen)? {
            return Ok(existing);
        }
        let identifiers: Vec<Identifier> = candidate
            .identifiers
            .iter()
            .map(|(system, value)| (system.clone().unwrap_or_default(), value.clone()))
            .collect();
        let is_taken = |one: &&Identifier| self.taken.contains(*one) || seen.identifiers.contains_key(*one);
        if let Some((system, value)) = identifiers.iter().find(is_taken) {
            return Err(catalogue::identifier_in_use(system, value));
        }
        let code = self.code(candidate)?;
        let upload = self.rights.consented(patient, code.id, &code.system, &code.code).map_err(refusal)?;
        let reading = candidate.reading.as_ref().map_err(Clone::clone)?;
        seen.identifiers.extend(identifiers.into_iter().map(|one| (one, seen.accepted)));
        seen.accepted += 1;
        Ok(Judged::New(Box::new(Accepted {
            upload,
            user: self.rights.user_of(patient),
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
        })))
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

fn token(identifier: &TokenValue) -> Token {
    let system = match &identifier.system {
        SystemMatch::Any => TokenSystem::Any,
        SystemMatch::None => TokenSystem::Absent,
        SystemMatch::Exact(system) => TokenSystem::OneOf(vec![system.clone()]),
    };
    Token { system, value: identifier.code.clone().map(Phi::new) }
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
