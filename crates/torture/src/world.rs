//! Who takes part: patients, what they measure, practitioners of one study. A number names a reading, and tells its
//! patient, its data type and every byte of its document, so that nothing need be remembered of what was sent.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jhe_testkit::omh;
use serde_json::{Value, json};

/// The system of the readings' identifiers.
pub(crate) const IDENTIFIERS: &str = "https://torture.example/reading";
/// Ids far from those that sequences reach.
pub(crate) const STUDY: i64 = 3_000_001;
pub(crate) const FIRST_PATIENT: i64 = 6_000_001;
pub(crate) const LAST_PATIENT: i64 = FIRST_PATIENT + PATIENTS as i64 - 1;
const FIRST_READER: i64 = 5_100_001;
/// Those of the study.
pub(crate) const PATIENTS: u8 = 8;
/// Practitioners, each with an account of its own. The last is the one who looks at everything at the end.
pub(crate) const READERS: i64 = 5;
const FIRST_USER: i64 = 5_000_001;
const FIRST_PRACTITIONER: i64 = 8_000_001;
const FIRST_ENROLMENT: i64 = 7_000_001;
/// Of demo data: an organization, a personal device.
const ORGANIZATION: i64 = 20003;
const DEVICE: i64 = 70001;

/// A data type of demo data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) id: i64,
    pub(crate) code: &'static str,
    name: &'static str,
    version: &'static str,
    member: &'static str,
    unit: &'static str,
    low: u64,
}

static KINDS: [Kind; 3] = [
    Kind {
        id: 50004,
        code: "omh:heart-rate:2.0",
        name: "heart-rate",
        version: "2.0",
        member: "heart_rate",
        unit: "beats/min",
        low: 55,
    },
    Kind {
        id: 50001,
        code: "omh:blood-glucose:4.0",
        name: "blood-glucose",
        version: "4.0",
        member: "blood_glucose",
        unit: "mg/dL",
        low: 75,
    },
    Kind {
        id: 50005,
        code: "omh:oxygen-saturation:2.0",
        name: "oxygen-saturation",
        version: "2.0",
        member: "oxygen_saturation",
        unit: "%",
        low: 80,
    },
];

/// A patient and a data type: what is consented to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pair(u8);

/// How many there are.
const PAIRS: u8 = PATIENTS * 3;

impl Pair {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..PAIRS).map(Self)
    }

    /// The pair of a reading.
    pub(crate) fn of(number: u64) -> Self {
        Self(u8::try_from(number % u64::from(PAIRS)).unwrap_or_default())
    }

    /// The pair of a patient and a code, or of the id of its data type.
    pub(crate) fn find(patient: i64, is_kind: impl Fn(&Kind) -> bool) -> Option<Self> {
        Self::all().find(|pair| pair.patient() == patient && is_kind(pair.kind()))
    }

    /// Its patient.
    pub(crate) fn patient(self) -> i64 {
        FIRST_PATIENT + i64::from(self.0 % PATIENTS)
    }

    /// Its data type.
    pub(crate) fn kind(self) -> &'static Kind {
        let [first, second, third] = &KINDS;
        match self.0 / PATIENTS {
            0 => first,
            1 => second,
            _ => third,
        }
    }

    /// Its place in a set.
    pub(crate) const fn bit(self) -> u32 {
        1 << self.0
    }

    /// Its place in a list of all.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The reading of a turn.
    pub(crate) fn number(self, turn: u64) -> u64 {
        turn * u64::from(PAIRS) + u64::from(self.0)
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of patient {}", self.kind().name, self.patient())
    }
}

/// The patient of all pairs in a set, when they have one.
pub(crate) fn only_patient(seen: u32) -> Option<i64> {
    let mut patients = Pair::all().filter(|pair| seen & pair.bit() != 0).map(Pair::patient);
    let first = patients.next()?;
    patients.all(|patient| patient == first).then_some(first)
}

/// The document of a reading: with spacing, a letter and a decimal that must survive.
pub(crate) fn document(number: u64) -> String {
    let Kind { name, version, member, unit, low, .. } = Pair::of(number).kind();
    let value = low + number % 20;
    let time = format!("2026-04-{:02}T{:02}:{:02}:00Z", number % 28 + 1, number / 28 % 24, number / 672 % 60);
    format!(
        "{{\"header\" : {{\"uuid\":\"5b6c1d2e-0000-4000-8000-{number:012}\",\"schema_id\":{{\"namespace\":\"omh\",\"name\":\"{name}\",\
         \"version\":\"{version}\"}},\"source_creation_date_time\":\"{time}\",\"note\":\"Zürich\"}},\n \"body\":{{\"{member}\":\
         {{\"value\":{value}.50,\"unit\":\"{unit}\"}},\"effective_time_frame\":{{\"date_time\":\"{time}\"}}}}}}"
    )
}

/// The reading that a document says it is.
pub(crate) fn number_of(document: &str) -> Option<u64> {
    document.split_once("-4000-8000-")?.1.get(..12)?.parse().ok()
}

/// The identifier of a reading.
pub(crate) fn identifier(number: u64) -> String {
    format!("reading-{number}")
}

/// What is uploaded of a reading.
pub(crate) fn resource(number: u64) -> Value {
    let pair = Pair::of(number);
    let mut body = omh::observation(pair.patient(), DEVICE, pair.kind().code, &document(number));
    if let Some(members) = body.as_object_mut() {
        members.insert("identifier".to_owned(), json!([{ "system": IDENTIFIERS, "value": identifier(number) }]));
    }
    body
}

/// The document in an Observation, if its attachment can be read.
pub(crate) fn document_of(observation: &Value) -> Option<String> {
    let data = observation.pointer("/valueAttachment/data")?.as_str()?;
    String::from_utf8(STANDARD.decode(data).ok()?).ok()
}

/// The change of a consent, as a patient's app sends it.
pub(crate) fn consent(pair: Pair, given: bool) -> Value {
    let scope = json!({ "codingSystem": omh::SYSTEM, "codingCode": pair.kind().code, "consented": given });
    json!({ "studyScopeConsents": [{ "studyId": STUDY, "scopeConsents": [scope] }] })
}

/// The token of a patient.
pub(crate) fn patient_token(patient: i64) -> String {
    format!("torture-patient-{patient}")
}

/// The account of a practitioner, counted from 0.
pub(crate) const fn reader(number: i64) -> i64 {
    FIRST_READER + number
}

/// The token of a practitioner's account.
pub(crate) fn reader_token(account: i64) -> String {
    format!("torture-reader-{account}")
}

/// Statements that put all of them into the database, every consent given.
pub(crate) fn setup() -> String {
    let last = PATIENTS - 1;
    let last_reader = READERS - 1;
    let kinds = KINDS.each_ref().map(|kind| kind.id.to_string()).join(", ");
    let patient_token = patient_token(0);
    let patient_token = patient_token.trim_end_matches('0');
    let reader_token = reader_token(0);
    let reader_token = reader_token.trim_end_matches('0');
    format!(
        "INSERT INTO core_study (id, name, description, organization_id) VALUES ({STUDY}, 'Torture', 'Torture', {ORGANIZATION});
         INSERT INTO core_studyscoperequest (study_id, scope_code_id) SELECT {STUDY}, unnest(ARRAY[{kinds}]);
         INSERT INTO core_studydatasource (study_id, data_source_id) VALUES ({STUDY}, {DEVICE});
         INSERT INTO core_jheuser (id, email, password, first_name, last_name, user_type, email_is_verified)
         SELECT {FIRST_USER} + n, 'torture-' || n || '@example.com', '!', 'Torture', 'Patient ' || n, 'patient', true
           FROM generate_series(0, {last}) AS n;
         INSERT INTO core_patient (id, jhe_user_id, name_family, name_given, birth_date)
         SELECT {FIRST_PATIENT} + n, {FIRST_USER} + n, 'Patient ' || n, 'Torture', date '1950-01-01' + n
           FROM generate_series(0, {last}) AS n;
         INSERT INTO core_patientorganization (patient_id, organization_id)
         SELECT {FIRST_PATIENT} + n, {ORGANIZATION} FROM generate_series(0, {last}) AS n;
         INSERT INTO core_studypatient (id, study_id, patient_id)
         SELECT {FIRST_ENROLMENT} + n, {STUDY}, {FIRST_PATIENT} + n FROM generate_series(0, {last}) AS n;
         INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time)
         SELECT {FIRST_ENROLMENT} + n, kind, true, now() FROM generate_series(0, {last}) AS n, unnest(ARRAY[{kinds}]) AS kind;
         INSERT INTO oauth2_provider_accesstoken (token_digest, user_id, application_id, scope, created, expires)
         SELECT sha256(convert_to('{patient_token}' || ({FIRST_PATIENT} + n), 'UTF8')), {FIRST_USER} + n, 1, 'openid', now(),
                now() + interval '7 days'
           FROM generate_series(0, {last}) AS n;
         INSERT INTO core_jheuser (id, email, password, first_name, last_name, user_type, email_is_verified)
         SELECT {FIRST_READER} + n, 'torture-reader-' || n || '@example.com', '!', 'Torture', 'Reader ' || n, 'practitioner', true
           FROM generate_series(0, {last_reader}) AS n;
         INSERT INTO core_practitioner (id, jhe_user_id, name_family, name_given)
         SELECT {FIRST_PRACTITIONER} + n, {FIRST_READER} + n, 'Reader ' || n, 'Torture' FROM generate_series(0, {last_reader}) AS n;
         INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role)
         SELECT {FIRST_PRACTITIONER} + n, {ORGANIZATION}, 'viewer' FROM generate_series(0, {last_reader}) AS n;
         INSERT INTO oauth2_provider_accesstoken (token_digest, user_id, application_id, scope, created, expires)
         SELECT sha256(convert_to('{reader_token}' || ({FIRST_READER} + n), 'UTF8')), {FIRST_READER} + n, 4, 'openid', now(),
                now() + interval '7 days'
           FROM generate_series(0, {last_reader}) AS n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_tells_everything_of_its_reading() {
        for pair in Pair::all() {
            let number = pair.number(4711);
            assert_eq!(Pair::of(number), pair);
            assert_eq!(number_of(&document(number)), Some(number));
            assert_eq!(document_of(&resource(number)), Some(document(number)));
            assert_eq!(Pair::find(pair.patient(), |kind| kind.code == pair.kind().code), Some(pair));
        }
    }

    #[test]
    fn pairs_of_one_patient_have_one() {
        let of =
            |patient: i64| Pair::all().filter(|pair| pair.patient() == patient).fold(0, |seen, pair| seen | pair.bit());
        assert_eq!(only_patient(of(FIRST_PATIENT)), Some(FIRST_PATIENT));
        assert_eq!(only_patient(of(FIRST_PATIENT) | of(LAST_PATIENT)), None);
        assert_eq!(only_patient(0), None);
    }
}
