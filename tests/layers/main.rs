//! The architecture as tests: floors of crates, who may name what, proofs in the store's signatures.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

mod deployment;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Floor of each shipped crate; a crate depends on lower floors only.
const FLOORS: &[(&str, u8)] = &[
    ("jhe-domain", 0),
    ("jhe-fhir", 1),
    ("jhe-omh", 1),
    ("jhe-authz", 1),
    ("jhe-crypto", 1),
    ("jhe-config", 1),
    ("jhe-pg", 1),
    ("jhe-outbound", 2),
    ("jhe-store", 2),
    ("jhe-app", 3),
    ("jhe-http", 4),
    ("jhe-api-admin", 5),
    ("jhe-api-fhir", 5),
    ("jhe-api-oauth", 5),
    ("jhe-web", 5),
    ("jhe-server", 6),
];
/// Not shipped, so outside the floors.
const OUTSIDE: &[&str] = &["jhe-testkit", "jhe-tests", "jhe-bench", "jhe-torture", "xtask"];
/// Crates that only one of ours may name.
const KEPT: &[(&str, &str)] = &[
    ("sqlx", "jhe-store"),
    ("oxide-auth", "jhe-api-oauth"),
    ("argon2", "jhe-crypto"),
    ("jsonschema", "jhe-omh"),
    ("lettre", "jhe-outbound"),
    ("jsonwebtoken", "jhe-crypto"),
    ("opentelemetry_sdk", "jhe-outbound"),
    ("opentelemetry-otlp", "jhe-outbound"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The folder of each of our crates, and its dependencies, development ones included.
fn packages() -> BTreeMap<String, (PathBuf, Vec<String>)> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let folder =
        |package: &Value| Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_path_buf();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let needs = package["dependencies"].as_array().unwrap().iter().map(name).collect();
            (name(package), (folder(package), needs))
        })
        .collect()
}

/// Dependencies of each of our crates.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    packages().into_iter().map(|(name, (_, needs))| (name, needs)).collect()
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

fn faults(dependencies: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, needs) in dependencies {
        for need in needs {
            if let Some((_, keeper)) = KEPT.iter().find(|(kept, _)| kept == need)
                && keeper != name
            {
                faults.push(format!("{name} names {need}, which is {keeper}'s"));
            }
            if let (Some(own), Some(below)) = (floor(name), floor(need))
                && below >= own
            {
                faults.push(format!("{name} (floor {own}) depends on {need} (floor {below})"));
            }
            if floor(name).is_some() && OUTSIDE.contains(&need.as_str()) {
                faults.push(format!("{name} ships, but depends on {need}"));
            }
        }
        if floor(name).is_none() && !OUTSIDE.contains(&name.as_str()) {
            faults.push(format!("{name} has no floor"));
        }
    }
    faults
}

#[test]
fn crates_depend_downwards_only() {
    assert_eq!(faults(&dependencies()), Vec::<String>::new());
}

#[test]
fn the_floor_check_can_fail() {
    let graph = |name: &str, need: &str| BTreeMap::from([(name.to_owned(), vec![need.to_owned()])]);
    for (name, need) in [
        ("jhe-store", "jhe-app"),
        ("jhe-api-admin", "jhe-api-fhir"),
        ("jhe-api-admin", "sqlx"),
        ("jhe-tests", "sqlx"),
        ("jhe-server", "jhe-testkit"),
        ("jhe-unknown", "serde"),
    ] {
        assert_eq!(faults(&graph(name, need)).len(), 1, "{name} -> {need}");
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Names of public async functions without a proof among their parameters.
fn unproved(source: &str) -> Vec<String> {
    const PROOFS: &[&str] = &["AccessScope<", "Grant<", "ConsentedUpload", "UploadRights", "&Admin"];
    source
        .split("pub async fn ")
        .skip(1)
        .filter_map(|rest| {
            let name = rest.split(['(', '<']).next()?.to_owned();
            let signature = rest.split(['{', ';']).next()?;
            let parameters = signature.split("->").next()?;
            (!PROOFS.iter().any(|proof| parameters.contains(proof))).then_some(name)
        })
        .collect()
}

#[test]
fn the_store_asks_for_proofs() {
    let folder = root().join("crates/store");
    let source = folder.join("src");
    let listed = std::fs::read_to_string(folder.join("unscoped.txt")).unwrap();
    let mut listed: Vec<&str> = listed
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .collect();
    let mut unlisted = Vec::new();
    for file in rust_files(&source) {
        let module = file.strip_prefix(&source).unwrap().with_extension("").display().to_string().replace('/', "::");
        for name in unproved(&std::fs::read_to_string(&file).unwrap()) {
            let full = format!("{module}::{name}");
            match listed.iter().position(|entry| *entry == full) {
                Some(index) => drop(listed.remove(index)),
                None => unlisted.push(full),
            }
        }
    }
    assert_eq!(unlisted, Vec::<String>::new(), "without a proof and not in crates/store/unscoped.txt");
    assert_eq!(listed, Vec::<&str>::new(), "gone, so to be struck from crates/store/unscoped.txt");
}

#[test]
fn the_proof_check_can_fail() {
    assert_eq!(unproved("pub async fn all(&mut self) -> Result<AccessScope<X>, Error> {"), ["all"]);
    assert_eq!(unproved("pub async fn some(&mut self, scope: &AccessScope<X>) -> R {"), Vec::<String>::new());
}

/// Dependencies that no source of a crate names.
fn unnamed<'a>(needs: &'a [String], sources: &str) -> Vec<&'a str> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: BTreeSet<&str> = sources.split(|c| !is_of_name(c)).collect();
    needs.iter().map(String::as_str).filter(|need| !words.contains(need.replace('-', "_").as_str())).collect()
}

#[test]
fn every_dependency_is_named() {
    let mut unused = Vec::new();
    for (name, (folder, needs)) in packages() {
        let sources: String = rust_files(&folder)
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect::<Vec<_>>()
            .join("\n");
        unused.extend(unnamed(&needs, &sources).iter().map(|need| format!("{name} needs no {need}")));
    }
    assert_eq!(unused, Vec::<String>::new());
}

#[test]
fn the_name_check_can_fail() {
    let needs = ["serde".to_owned(), "serde-json".to_owned()];
    assert_eq!(unnamed(&needs, "use serde_json::Value;"), ["serde"]);
}

fn implements_a_port(source: &str) -> bool {
    ["AuthzPort for", "CredentialPort for"].iter().any(|port| source.contains(port))
}

#[test]
fn only_the_store_answers_the_ports() {
    for file in rust_files(&root().join("crates")) {
        let implements = implements_a_port(&std::fs::read_to_string(&file).unwrap());
        assert!(!implements || file.starts_with(root().join("crates/store")), "{} implements a port", file.display());
    }
}

#[test]
fn the_port_check_can_fail() {
    assert!(implements_a_port("impl jhe_authz::port::AuthzPort for Everybody {"));
    assert!(!implements_a_port("fn ask(port: &mut impl AuthzPort) {"));
}

/// Lines that name a place outside the project, as `file:line`. The words are put together here, so that this file
/// does not hold them itself.
fn foreign_paths(name: &str, text: &str) -> Vec<String> {
    let folders = ["work", "farm", "root", "home"].map(|folder| format!("/{folder}/"));
    let relative = ["..", "shared"].join("/");
    let starts_a_path = |line: &str, folder: &str| {
        line.match_indices(folder).any(|(at, _)| {
            let before = line.get(..at).and_then(|head| head.chars().last());
            // `a/home/b` is a path of the project or a URL, not one that starts at the root of a machine.
            before.is_none_or(|before| !before.is_ascii_alphanumeric() && !matches!(before, '}' | '.' | '_' | '-'))
        })
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.contains(&relative) || folders.iter().any(|folder| starts_a_path(line, folder)))
        .map(|(index, _)| format!("{name}:{}", index + 1))
        .collect()
}

#[test]
fn no_file_names_a_place_outside_the_project() {
    let listing = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    assert!(listing.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listing.stderr));
    let names = String::from_utf8(listing.stdout).unwrap();
    let mut found = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        // Binary files, and files deleted but still in the index, have no text.
        if let Ok(text) = std::fs::read_to_string(root().join(name)) {
            found.extend(foreign_paths(name, &text));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_path_check_can_fail() {
    let outside = format!("first\nsee {}/notes", ["..", "shared"].join("/"));
    assert_eq!(foreign_paths("a.md", &outside), ["a.md:2"]);
    let absolute = format!("cd {}", ["", "work", "main"].join("/"));
    assert_eq!(foreign_paths("a.sh", &absolute), ["a.sh:1"]);
    assert_eq!(foreign_paths("a.html", "<a href=\"{base}/home/\">"), Vec::<String>::new());
}

#[test]
fn handlers_open_no_write_transaction() {
    for family in ["api-admin", "api-fhir", "api-oauth", "web", "http"] {
        for file in rust_files(&root().join("crates").join(family)) {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(!text.contains(".begin()"), "{} opens a write transaction", file.display());
        }
    }
}

/// Names of tests in a table, of the form `module::test`, and `test` after the word unit.
fn named_tests(table: &str) -> Vec<String> {
    table
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| text.contains('_') && text.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b':')))
        .filter_map(|text| text.rsplit("::").next().map(str::to_owned))
        .collect()
}

#[test]
fn the_security_table_names_tests_that_exist() {
    let table = std::fs::read_to_string(root().join("docs/security/rfc9700.md")).unwrap();
    let mut source = String::new();
    for folder in ["tests/wire", "crates"] {
        for file in rust_files(&root().join(folder)) {
            source.push_str(&std::fs::read_to_string(file).unwrap());
        }
    }
    let named = named_tests(&table);
    assert!(named.len() > 40, "{}", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !source.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
