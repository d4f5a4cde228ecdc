//! The access matrix: every operation of the Admin API and of the FHIR API, asked by everybody, as a table that is kept in
//! `tests/golden/access_matrix.md` and read there. `UPDATE_GOLDEN=1` writes it anew; what changed is then a change of policy,
//! to be compared with the contract (data model §5.10, FHIR §10.1).

mod admin;
mod fhir;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use jhe_testkit::{ADMIN, MARK, MARY, MEGAN, NOBODY, PERCY, PETER, Person, TestServer, VICTOR};
use reqwest::Method;
use serde_json::Value;

/// Who asks. All rows asked about belong to organization 20003, its study 30001 or its patient 40001.
const PRINCIPALS: &[(&str, Option<Person>)] = &[
    ("nobody signed in", None),
    ("the patient", Some(PETER)),
    ("other patient", Some(PERCY)),
    ("bare account", Some(NOBODY)),
    ("outside practitioner", Some(MARK)),
    ("viewer", Some(VICTOR)),
    ("member", Some(MEGAN)),
    ("manager", Some(MARY)),
    ("superuser", Some(ADMIN)),
];

/// An operation: what it does, its path in the API document, how it is asked.
struct Operation {
    what: String,
    method: String,
    template: String,
    path: String,
    media: &'static str,
    body: String,
}

impl Operation {
    fn new(what: &str, method: &str, template: &str, path: &str, body: &str) -> Self {
        let [what, method, template, path, body] = [what, method, template, path, body].map(str::to_owned);
        Self { what, method, template, path, media: "application/json", body }
    }

    /// The operation as the API document has it.
    fn documented(&self) -> String {
        format!("{} {}", self.method, self.template)
    }
}

/// How an answer is shown: its status, and how many rows a list had; of a Bundle that was uploaded, how its entry was answered.
fn shown(status: u16, body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let entries = body["entry"].as_array();
    let rows = match (&body, body["type"].as_str()) {
        (Value::Array(rows), _) => Some(rows.len() as u64),
        (_, None) if body["results"].is_array() => body["count"].as_u64(),
        // The audit trail is never counted.
        (_, Some("searchset")) => body["total"].as_u64().or_else(|| entries.map(|entries| entries.len() as u64)),
        (_, Some("batch-response" | "transaction-response")) => {
            let answer = entries.unwrap()[0]["response"]["status"].as_str().unwrap();
            return format!("{status}: {}", answer.split(' ').next().unwrap());
        }
        _ => None,
    };
    match rows {
        Some(rows) if status == 200 => format!("200 ({rows})"),
        _ => status.to_string(),
    }
}

async fn column(person: Option<Person>, rows: &'static str, operations: &[Operation]) -> Vec<String> {
    let server = TestServer::start().await;
    server.execute(rows).await;
    let mut cells = Vec::with_capacity(operations.len());
    for operation in operations {
        let method: Method = operation.method.parse().unwrap();
        let mut call = server.call(method, &operation.path);
        if let Some(person) = person {
            call = call.as_user(person);
        }
        if !operation.body.is_empty() {
            call = call.body(operation.media, operation.body.clone());
        }
        let reply = call.send().await;
        cells.push(shown(reply.status.as_u16(), &reply.bytes));
    }
    server.stop().await;
    cells
}

/// Asks everybody everything, each on a server of its own: a line of cells for each operation.
async fn lines(rows: &'static str, operations: &[Operation]) -> Vec<Vec<String>> {
    let mut columns = Vec::new();
    for (_, person) in PRINCIPALS {
        columns.push(column(*person, rows, operations).await);
    }
    let line = |index: usize| columns.iter().map(|column| column[index].clone()).collect();
    (0..operations.len()).map(line).collect()
}

fn write_table(out: &mut String, operations: &[Operation], lines: &[Vec<String>]) {
    let names: Vec<&str> = PRINCIPALS.iter().map(|(name, _)| *name).collect();
    writeln!(out, "| what | request | {} |", names.join(" | ")).unwrap();
    writeln!(out, "|---|---|{}", "---|".repeat(names.len())).unwrap();
    for (operation, cells) in operations.iter().zip(lines) {
        writeln!(out, "| {} | `{}` | {} |", operation.what, operation.documented(), cells.join(" | ")).unwrap();
        assert!(cells.iter().all(|cell| !cell.starts_with('5')), "{}: {cells:?}", operation.what);
    }
}

fn golden() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/access_matrix.md"))
}

const LEGEND: &str = "# Who may do what

Everything the two APIs can do, asked by everybody. All rows asked about belong to one organization (20003), its study (30001) or its
patient (40001); viewer, member and manager are practitioners of that organization, and the outside practitioner is one of another.

- **200, 201, 204**: done. A number in brackets says how many rows a list showed: 0 means that there is nothing to see for this person.
  After a colon stands how the one entry of an uploaded Bundle was answered.
- **400**: understood, and refused for what was asked. **401**: sign in first. **403**: not permitted.
- **404**: not there, or not for this person to know of. **405**: nobody can do this.

## Admin API

";

const FHIR: &str = "
## FHIR API

Readings are shown to a practitioner when one and the same study releases them; the patient sees its own, whatever was consented.

";

const REFUSED: &str = "
## What nobody can do in the FHIR API

";

#[tokio::test]
async fn the_access_matrix_is_the_agreed_one() {
    let mut whole = LEGEND.to_owned();
    let operations = admin::operations();
    write_table(&mut whole, &operations, &lines(admin::ROWS, &operations).await);
    // What is refused changes nothing, so that one server serves both.
    let mut operations = fhir::operations();
    let offered = operations.len();
    operations.extend(fhir::refused());
    let lines = lines(fhir::ROWS, &operations).await;
    whole.push_str(FHIR);
    write_table(&mut whole, &operations[..offered], &lines[..offered]);
    whole.push_str(REFUSED);
    write_table(&mut whole, &operations[offered..], &lines[offered..]);
    let refusals = ["401", "404", "405"];
    assert!(lines[offered..].iter().flatten().all(|cell| refusals.contains(&cell.as_str())), "{:?}", &lines[offered..]);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden(), &whole).unwrap();
    }
    let agreed = std::fs::read_to_string(golden()).unwrap_or_default();
    for (now, then) in whole.lines().zip(agreed.lines()) {
        assert_eq!(now, then, "the policy changed");
    }
    assert_eq!(whole.lines().count(), agreed.lines().count(), "rows are missing or new");
}

/// The operations of the API document below some paths.
async fn documented(server: &TestServer, belongs: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let document = server.get("/api/v1/schema/?format=json").send().await.expect(200).json();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|_| belongs(path)) {
            documented.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    documented
}

#[track_caller]
fn assert_covered(documented: &BTreeSet<String>, operations: &[Operation]) {
    let covered: BTreeSet<String> = operations.iter().map(Operation::documented).collect();
    assert_eq!(documented.difference(&covered).collect::<Vec<_>>(), Vec::<&String>::new(), "without a row");
    assert_eq!(covered.difference(documented).collect::<Vec<_>>(), Vec::<&String>::new(), "no such operation");
}

#[tokio::test]
async fn every_operation_of_the_document_is_in_the_matrix() {
    let server = TestServer::start().await;
    let ours = documented(&server, |path| path.starts_with("/api/v1")).await;
    assert!(ours.len() > 100, "{}", ours.len());
    assert_covered(&ours, &admin::operations());
    let ours = documented(&server, |path| path.starts_with("/fhir") || path.ends_with("/smart-configuration")).await;
    assert!(ours.len() > 25, "{}", ours.len());
    assert_covered(&ours, &fhir::operations());
    for operation in fhir::refused() {
        assert!(!ours.contains(&operation.documented()), "{} is offered", operation.what);
    }
    server.stop().await;
}

/// What the CapabilityStatement announces is in the matrix, and for the other interactions it says that nobody has them.
#[tokio::test]
async fn every_announced_interaction_is_in_the_matrix() {
    let server = TestServer::start().await;
    let statement = server.get("/fhir/r5/metadata").send().await.expect(200).json();
    let offered: BTreeSet<String> = fhir::operations().iter().map(Operation::documented).collect();
    let refused: BTreeSet<String> = fhir::refused().iter().map(Operation::documented).collect();
    let rest = &statement["rest"][0];
    let codes = |at: &Value| -> Vec<String> {
        at.as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes(&rest["interaction"]), ["batch", "transaction"]);
    assert!(offered.contains("POST /fhir/r5"));
    for resource in rest["resource"].as_array().unwrap() {
        let kind = resource["type"].as_str().unwrap();
        let announced = codes(&resource["interaction"]);
        for (code, operation) in [
            ("read", "GET {}/{id}"),
            ("search-type", "GET {}"),
            ("create", "POST {}"),
            ("update", "PUT {}/{id}"),
            ("patch", "PATCH {}/{id}"),
            ("delete", "DELETE {}/{id}"),
            ("vread", "GET {}/{id}/_history/{vid}"),
            ("history-instance", "GET {}/{id}/_history"),
            ("history-type", "GET {}/_history"),
        ] {
            let operation = operation.replace("{}", &format!("/fhir/r5/{kind}"));
            let rows = if announced.iter().any(|one| one == code) { &offered } else { &refused };
            assert!(rows.contains(&operation), "{operation}");
        }
        for named in resource["operation"].as_array().into_iter().flatten() {
            let operation = format!("GET /fhir/r5/{kind}/${}", named["name"].as_str().unwrap());
            assert!(offered.contains(&operation), "{operation}");
        }
    }
    server.stop().await;
}
