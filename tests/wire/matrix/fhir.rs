//! The operations of the FHIR API: those it has, and those that nobody has.

use jhe_testkit::omh;
use serde_json::{Value, json};

use super::Operation;

/// Rows that only these operations look at: a reading of Peter's whose data type no study of his releases, and an entry of the
/// audit trail about him.
pub(super) const ROWS: &str = "
    INSERT INTO core_observation (id, subject_patient_id, codeable_concept_id, omh_data) VALUES (69001, 40001, 50001, '{}');
    INSERT INTO jhe_audit_event (id, actor_user_id, action, resource, resource_id, patient_id, organization_id)
        OVERRIDING SYSTEM VALUE VALUES (900001, 10003, 'read', 'Patient', '40001', 40001, 20003);
";

/// A native type: how many of it are called, one that belongs to the organization that is asked about, and one that belongs to
/// another.
struct Kind {
    name: &'static str,
    many: &'static str,
    ours: i64,
    theirs: i64,
}

const fn kind(name: &'static str, many: &'static str, ours: i64, theirs: i64) -> Kind {
    Kind { name, many, ours, theirs }
}

const KINDS: [Kind; 5] = [
    kind("Patient", "patients", 40001, 40003),
    kind("Group", "studies", 30001, 30004),
    kind("Device", "data sources", 70001, 70002),
    kind("Organization", "organizations", 20003, 20004),
    kind("Practitioner", "practitioners", 80003, 80006),
];

const BASE: &str = "/fhir/r5";

fn get(what: &str, template: &str, path: &str) -> Operation {
    Operation::new(what, "GET", &format!("{BASE}{template}"), &format!("{BASE}{path}"), "")
}

/// A search by form.
fn form(what: &str, kind: &str, fields: &str) -> Operation {
    let path = format!("{BASE}/{kind}/_search");
    Operation { media: "application/x-www-form-urlencoded", ..Operation::new(what, "POST", &path, &path, fields) }
}

fn create(what: &str, body: &Value) -> Operation {
    let path = format!("{BASE}/Observation");
    Operation::new(what, "POST", &path, &path, &body.to_string())
}

fn bundle(what: &str, kind: &str, resource: &Value) -> Operation {
    let entry = json!({ "resource": resource, "request": { "method": "POST", "url": "Observation" } });
    let body = json!({ "resourceType": "Bundle", "type": kind, "entry": [entry] });
    Operation::new(what, "POST", BASE, BASE, &body.to_string())
}

/// A heart rate of a patient.
fn heart_rate(patient: i64) -> Value {
    omh::observation(patient, 70001, "omh:heart-rate:2.0", &omh::heart_rate("60"))
}

/// What the API has.
pub(super) fn operations() -> Vec<Operation> {
    let mut all = vec![
        get("what the FHIR API can do", "/metadata", "/metadata"),
        get("where apps sign in", "/.well-known/smart-configuration", "/.well-known/smart-configuration"),
        Operation::new(
            "the same of the site",
            "GET",
            "/.well-known/smart-configuration",
            "/.well-known/smart-configuration",
            "",
        ),
    ];
    let search = |what: &str, query: &str| get(what, "/Observation", &format!("/Observation?{query}"));
    all.extend([
        search("search readings, without saying whose", ""),
        search("search all readings one may read", "_lastUpdated=ge2000"),
        search("search readings of a patient", "patient=40001"),
        search("search readings of a patient by identifier", "patient.identifier=urn:oid:1.2.3.4|E1234"),
        search("search readings of a study", "patient._has:Group:member:_id=30001"),
        search("search readings of an organization", "patient.organization=20003"),
        search("search readings of a data type", "patient=40001&code=omh:heart-rate:2.0"),
        search("search readings that no study releases", "_id=69001"),
        form("search readings by form", "Observation", "patient=40001"),
        get("search readings, next page of a form", "/Observation/_search", "/Observation/_search?patient=40001"),
        get("newest readings of a patient", "/Observation/$lastn", "/Observation/$lastn?patient=40001"),
        get(
            "newest readings of a study",
            "/Observation/$lastn",
            "/Observation/$lastn?patient._has:Group:member:_id=30001",
        ),
        get("newest readings of all one may read", "/Observation/$lastn", "/Observation/$lastn?_lastUpdated=ge2000"),
        get("read a reading (FHIR)", "/Observation/{id}", "/Observation/60003"),
        get("read a reading that no study releases", "/Observation/{id}", "/Observation/69001"),
        get("read a reading of others", "/Observation/{id}", "/Observation/60008"),
    ]);
    for Kind { name, many, ours, theirs } in KINDS {
        let search = |what: &str, query: &str| {
            get(&format!("search {many}{what}"), &format!("/{name}"), &format!("/{name}?{query}"))
        };
        all.extend([
            search("", ""),
            search(" of a patient", "patient=40001"),
            search(" of a study", "_has:Group:member:_id=30001"),
            search(" of an organization", "patient.organization=20003"),
            form(&format!("search {many} by form"), name, "_count=50"),
            get(
                &format!("search {many}, next page of a form"),
                &format!("/{name}/_search"),
                &format!("/{name}/_search?_count=50"),
            ),
            get(&format!("read one of the {many}"), &format!("/{name}/{{id}}"), &format!("/{name}/{ours}")),
            get(&format!("read one of the {many} of others"), &format!("/{name}/{{id}}"), &format!("/{name}/{theirs}")),
        ]);
    }
    all.extend([
        get("search the audit trail", "/AuditEvent", "/AuditEvent?_id=900001"),
        get("search the audit trail of a patient", "/AuditEvent", "/AuditEvent?patient=40001&_id=900001"),
        get(
            "search the audit trail of an organization",
            "/AuditEvent",
            "/AuditEvent?patient.organization=20003&_id=900001",
        ),
        form("search the audit trail by form", "AuditEvent", "_id=900001"),
        get("search the audit trail, next page of a form", "/AuditEvent/_search", "/AuditEvent/_search?_id=900001"),
        get("read an entry of the audit trail (FHIR)", "/AuditEvent/{id}", "/AuditEvent/900001"),
        create("upload a reading", &heart_rate(40001)),
        create("upload a reading of another patient", &heart_rate(40002)),
        create(
            "upload a reading of a data type without consent",
            &omh::observation(40001, 70001, "omh:blood-glucose:4.0", &omh::heart_rate("60")),
        ),
        bundle("upload a batch", "batch", &heart_rate(40001)),
        bundle("upload a transaction", "transaction", &heart_rate(40001)),
    ]);
    all
}

/// What nobody can do. None of these is in the API document.
pub(super) fn refused() -> Vec<Operation> {
    let ask = |what: &str, method: &str, template: &str, path: &str, body: &str| {
        Operation::new(what, method, &format!("{BASE}{template}"), &format!("{BASE}{path}"), body)
    };
    let mut all = Vec::new();
    let types = [("Observation", "readings", 60003), ("AuditEvent", "entries of the audit trail", 900_001)];
    for (name, many, id) in types.into_iter().chain(KINDS.iter().map(|kind| (kind.name, kind.many, kind.ours))) {
        let (one, that) = (format!("/{name}/{{id}}"), format!("/{name}/{id}"));
        let body = match name {
            "Observation" => heart_rate(40001).to_string(),
            _ => json!({ "resourceType": name }).to_string(),
        };
        let one_of = |verb: &str| format!("{verb} one of the {many}");
        all.extend([
            ask(&one_of("replace"), "PUT", &one, &that, &body),
            ask(&one_of("change"), "PATCH", &one, &that, &body),
            ask(&one_of("delete"), "DELETE", &one, &that, ""),
            ask(&one_of("versions of"), "GET", &format!("{one}/_history"), &format!("{that}/_history"), ""),
            ask(&one_of("a version of"), "GET", &format!("{one}/_history/{{vid}}"), &format!("{that}/_history/1"), ""),
            ask(
                &format!("versions of all {many}"),
                "GET",
                &format!("/{name}/_history"),
                &format!("/{name}/_history"),
                "",
            ),
        ]);
        if name != "Observation" {
            all.push(ask(&format!("make {many}"), "POST", &format!("/{name}"), &format!("/{name}"), &body));
        }
    }
    let everything = "/Patient/{id}/$everything";
    all.extend([
        ask("search a type that is not served", "GET", "/Condition", "/Condition", ""),
        ask(
            "make one of a type that is not served",
            "POST",
            "/Condition",
            "/Condition",
            r#"{"resourceType":"Condition"}"#,
        ),
        ask("all there is of a patient", "GET", everything, "/Patient/40001/$everything", ""),
        ask("export a study", "GET", "/Group/{id}/$export", "/Group/30001/$export", ""),
        ask("search everything", "GET", "", "", ""),
        ask("delete everything", "DELETE", "", "", ""),
    ]);
    let import = "/fhir-import/R4";
    all.push(Operation::new(
        "import records of an older release",
        "POST",
        import,
        import,
        r#"{"resourceType":"Bundle"}"#,
    ));
    all
}
