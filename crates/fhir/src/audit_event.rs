//! Entries of the audit trail as the server writes them: AuditEvent in the shape of IHE's Basic Audit Log Patterns.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::projection::Projection;
use crate::types::{NATIVE_SOURCE, ResourceType, USER_ID_SYSTEM};
use crate::{time, write};

const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const EVENT_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const INTERACTION: &str = "http://hl7.org/fhir/restful-interaction";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const SOURCE_TYPE: &str = "http://terminology.hl7.org/CodeSystem/security-source-type";
const SEVERITY: &str = "http://hl7.org/fhir/issue-severity";
/// IHE BALP: what says which request an entry belongs to.
const ENTITY_TYPE: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";

/// A consent under which something was read.
#[derive(Debug, Clone, Copy)]
pub struct ConsentOut<'a> {
    /// The study it was given for.
    pub study_id: i64,
    /// The study's name.
    pub study: &'a str,
    /// The name of the data type.
    pub data_type: &'a str,
}

/// The stored values of one entry.
#[derive(Debug, Clone)]
pub struct AuditEventOut<'a> {
    /// The row's id.
    pub id: i64,
    /// When.
    pub recorded: DateTime<Utc>,
    /// The account that acted.
    pub actor: Option<i64>,
    /// Its name.
    pub actor_name: Option<&'a str>,
    /// From where.
    pub address: Option<String>,
    /// The client it acted through.
    pub client: Option<&'a str>,
    /// What was done, as the trail names it.
    pub action: &'a str,
    /// To which kind of row.
    pub resource: &'a str,
    /// To which row.
    pub resource_id: Option<&'a str>,
    /// Whose data.
    pub patients: Vec<i64>,
    /// Of how many rows.
    pub rows: Option<i64>,
    /// HTTP status of the answer.
    pub status: Option<i32>,
    /// The request.
    pub request_id: Option<&'a str>,
    /// Its method and route template.
    pub template: Option<&'a str>,
    /// The consents that held.
    pub consents: Vec<ConsentOut<'a>>,
}

/// `AuditEvent.action` of an action of the trail: what it does to data.
pub fn action_code(action: &str) -> &'static str {
    match action {
        "create" | "invite" | "token_issue" | "exchange" => "C",
        "read" | "lookup" => "R",
        "update" | "cancel" | "token_refresh" | "password_change" | "password_reset" => "U",
        "delete" | "token_revoke" => "D",
        _ => "E",
    }
}

fn coding(system: &str, code: &str) -> Value {
    json!({ "system": system, "code": code })
}

fn concept(system: &str, code: &str) -> Value {
    json!({ "coding": [coding(system, code)] })
}

/// An object with one more member, if there is one.
fn with(mut object: Value, name: &str, member: Option<Value>) -> Value {
    if let (Some(members), Some(member)) = (object.as_object_mut(), member) {
        members.insert(name.to_owned(), member);
    }
    object
}

impl AuditEventOut<'_> {
    /// Appends the resource.
    pub fn write_json(&self, out: &mut Vec<u8>, projection: &Projection) {
        let mut event = Map::new();
        let meta = json!({ "versionId": time::version_id(self.recorded), "lastUpdated": time::instant(self.recorded), "source": NATIVE_SOURCE });
        let tag = projection
            .is_partial()
            .then(|| json!([coding("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "SUBSETTED")]));
        let meta = with(meta, "tag", tag);
        event.insert("resourceType".to_owned(), json!(ResourceType::AuditEvent.as_str()));
        event.insert("id".to_owned(), json!(self.id.to_string()));
        event.insert("meta".to_owned(), meta);
        // Agent, code, recorded and source are mandatory.
        let mut put = |name: &str, mandatory: bool, value: Value| {
            if mandatory || projection.shows(name, true) {
                event.insert(name.to_owned(), value);
            }
        };
        let (category, code) = self.kind();
        put("category", false, json!([category]));
        put("code", true, json!({ "coding": [code] }));
        put("action", false, json!(action_code(self.action)));
        put("recorded", true, json!(time::instant(self.recorded)));
        put("outcome", false, self.outcome());
        if let [patient] = self.patients.as_slice() {
            put("patient", false, json!({ "reference": format!("Patient/{patient}") }));
        }
        put("agent", true, self.agents());
        put(
            "source",
            true,
            json!({ "observer": { "display": "JupyterHealth Exchange" }, "type": [concept(SOURCE_TYPE, "4")] }),
        );
        put("entity", false, self.entities());
        write::value(out, &Value::Object(event));
    }

    /// `category` and the coding of `code`.
    fn kind(&self) -> (Value, Value) {
        let rest = |code: &str| (concept(EVENT_TYPE, "rest"), coding(INTERACTION, code));
        let account = |code: &str| (concept(DICOM, "110114"), coding(DICOM, code));
        match self.action {
            "create" | "invite" => rest("create"),
            "read" if self.resource_id.is_some() => rest("read"),
            "read" | "lookup" => rest("search-type"),
            "update" | "cancel" => rest("update"),
            "delete" => rest("delete"),
            "login" | "login_failed" | "lockout" => account("110122"),
            "logout" => account("110123"),
            "denied" => (concept(DICOM, "110113"), coding(INTERACTION, "operation")),
            _ => (concept(DICOM, "110114"), coding(INTERACTION, "operation")),
        }
    }

    fn outcome(&self) -> Value {
        let failed = matches!(self.action, "denied" | "login_failed" | "lockout" | "token_reuse")
            || self.status.is_some_and(|status| status >= 400);
        let outcome = json!({ "code": coding(SEVERITY, if failed { "error" } else { "success" }) });
        with(outcome, "detail", self.status.map(|status| json!([{ "text": format!("HTTP {status}") }])))
    }

    fn agents(&self) -> Value {
        let who = match (self.actor, self.actor_name) {
            (Some(actor), name) => {
                let who = json!({ "identifier": { "system": USER_ID_SYSTEM, "value": actor.to_string() } });
                with(who, "display", name.map(|name| json!(name)))
            }
            // The server refuses nothing to itself.
            (None, _) if self.action == "denied" => json!({ "display": "Not named" }),
            (None, _) => json!({ "display": "JupyterHealth Exchange" }),
        };
        let part = if action_code(self.action) == "R" { "IRCP" } else { "AUT" };
        let agent = json!({ "type": concept(PARTICIPATION, part), "who": who, "requestor": true });
        let mut agents = vec![with(agent, "networkString", self.address.as_ref().map(|address| json!(address)))];
        if let Some(client) = self.client {
            agents.push(json!({ "type": concept(DICOM, "110150"), "who": { "display": client }, "requestor": false }));
        }
        Value::Array(agents)
    }

    fn entities(&self) -> Value {
        let patient =
            |id: &i64| json!({ "what": { "reference": format!("Patient/{id}") }, "role": concept(ROLE, "1") });
        let mut entities: Vec<Value> = self.patients.iter().map(patient).collect();
        let what = match (self.resource, self.resource_id) {
            ("Observation" | "Patient" | "Practitioner" | "Organization", Some(id)) => {
                json!({ "reference": format!("{}/{id}", self.resource) })
            }
            (resource, Some(id)) => json!({ "display": format!("{resource} {id}") }),
            (resource, None) => json!({ "display": resource }),
        };
        let mut detail = Vec::new();
        if let Some(rows) = self.rows {
            detail.push(json!({ "type": { "text": "rows" }, "valueString": rows.to_string() }));
        }
        if let Some(template) = self.template {
            detail.push(json!({ "type": { "text": "request" }, "valueString": template }));
        }
        let data = json!({ "what": what, "role": concept(ROLE, "4") });
        entities.push(with(data, "detail", (!detail.is_empty()).then_some(Value::Array(detail))));
        if let Some(id) = self.request_id {
            entities
                .push(json!({ "what": { "identifier": { "value": id } }, "role": concept(ENTITY_TYPE, "XrequestId") }));
        }
        let consent = |consent: &ConsentOut<'_>| {
            json!({ "what": { "type": "Consent", "display": format!("{}: {}", consent.study, consent.data_type) },
                    "detail": [{ "type": { "text": "study" }, "valueString": consent.study_id.to_string() }] })
        };
        entities.extend(self.consents.iter().map(consent));
        Value::Array(entities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structure;

    #[test]
    fn every_action_is_a_valid_resource() {
        for action in [
            "read",
            "create",
            "update",
            "delete",
            "lookup",
            "invite",
            "redeem",
            "login",
            "denied",
            "cancel",
            "login_failed",
            "lockout",
            "logout",
            "token_issue",
            "token_refresh",
            "token_reuse",
            "token_revoke",
            "exchange",
            "password_change",
            "password_reset",
        ] {
            for full in [true, false] {
                let event = AuditEventOut {
                    id: 12,
                    recorded: DateTime::from_timestamp(1_792_350_841, 0).unwrap(),
                    actor: full.then_some(10002),
                    actor_name: full.then_some("Mary"),
                    address: full.then(|| "192.0.2.1".to_owned()),
                    client: full.then_some("JHE Admin UI"),
                    action,
                    resource: "Observation",
                    resource_id: full.then_some("7"),
                    patients: if full { vec![40001, 40002] } else { vec![40001] },
                    rows: full.then_some(2),
                    status: full.then_some(403),
                    request_id: full.then_some("abc"),
                    template: full.then_some("GET /fhir/r5/Observation"),
                    consents: vec![ConsentOut { study_id: 30001, study: "Study", data_type: "Heart rate" }],
                };
                for projection in [Projection::Full, Projection::Summary, Projection::identity()] {
                    let mut out = Vec::new();
                    event.write_json(&mut out, &projection);
                    let value: Value = serde_json::from_slice(&out).unwrap();
                    assert_eq!(structure::validate("AuditEvent", &value), Ok(()), "{value}");
                    assert_eq!(value.get("patient").is_some(), !full && projection != Projection::identity());
                }
            }
        }
    }
}
