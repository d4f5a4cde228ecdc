//! Files by which the server is deployed, checked without the tools they are for: the image, the chart, alerts and dashboard.
//! `deploy/helm/check` renders the chart as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{root, rust_files};

/// Variables that others read: PostgreSQL's driver, `jhe user`, the containers beside the server.
const ELSEWHERE: &[&str] =
    &["PGSSLMODE", "PGSSLROOTCERT", "JHE_PASSWORD", "POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_USER"];

fn read(path: &str) -> String {
    let text = std::fs::read_to_string(root().join(path));
    assert!(text.is_ok(), "{path}: {text:?}");
    text.unwrap()
}

/// Files of the chart's templates, by name.
fn templates() -> Vec<(String, String)> {
    let mut found: Vec<_> = std::fs::read_dir(root().join("deploy/helm/jhe/templates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    found.sort();
    assert!(found.len() > 10, "{}", found.len());
    found
}

/// The value of a key at the beginning of a line.
fn value_of(text: &str, key: &str) -> String {
    let prefix = format!("{key}:");
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
    line.unwrap().trim().trim_matches('"').to_owned()
}

/// Words that look like variables: capitals with an underscore in them, and the few without.
fn variables(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()) && !word.ends_with('_'))
        .filter(|word| word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'))
        .filter(|word| word.contains('_') || matches!(*word, "DEBUG" | "PGSSLMODE" | "PGSSLROOTCERT"))
        .map(str::to_owned)
        .collect()
}

/// Variables that the table of settings lists, in the first column.
fn listed() -> BTreeSet<String> {
    let table = read("docs/configuration.md");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let names: BTreeSet<String> = rows.flat_map(|row| variables(row.split('|').nth(1).unwrap())).collect();
    assert!(names.len() > 50, "{}", names.len());
    names
}

/// Names in `text` that the server does not know.
fn unknown(text: &str, listed: &BTreeSet<String>) -> Vec<String> {
    let known = |name: &str| listed.contains(name) || ELSEWHERE.contains(&name);
    let is_known = |name: &String| known(name) || name.strip_suffix("_FILE").is_some_and(known);
    variables(text).into_iter().filter(|name| !is_known(name)).collect()
}

#[test]
fn deployments_set_only_variables_that_exist() {
    let listed = listed();
    let mut faults = Vec::new();
    let compose = read("docker-compose.yml");
    let server = compose.split("\n  jhe:\n").nth(1).unwrap().split("\n  mail:\n").next().unwrap();
    let mut texts = vec![("docker-compose.yml".to_owned(), server.to_owned())];
    texts.extend(templates());
    for name in ["Dockerfile", "deploy/helm/jhe/values.yaml", "docs/operating.md", "docs/scaling.md"] {
        // The toolchain has variables of its own, and a command shows where a client's id belongs.
        let text = read(name).lines().filter(|line| !line.contains("RUSTUP_TOOLCHAIN")).collect::<Vec<_>>().join("\n");
        texts.push((name.to_owned(), text.replace("rotate-secret CLIENT_ID", "")));
    }
    for (name, text) in texts {
        faults.extend(unknown(&text, &listed).into_iter().map(|variable| format!("{name}: {variable}")));
    }
    assert_eq!(faults, Vec::<String>::new(), "not in docs/configuration.md");
}

#[test]
fn the_mail_catcher_is_documented_with_what_it_needs() {
    let compose = read("docker-compose.yml");
    let command = compose.lines().find(|line| line.contains("--profile mail")).unwrap();
    let given: Vec<&str> =
        command.split_whitespace().filter_map(|word| word.split_once('=')).map(|(name, _)| name).collect();
    assert_eq!(given, ["SMTP_HOST", "SMTP_PORT", "JHE_SMTP_SECURITY"]);
    for name in given {
        assert!(compose.contains(&format!("{name}: ${{{name}:-}}")), "{name} does not reach the server");
    }
}

#[test]
fn the_variable_check_can_fail() {
    let listed = BTreeSet::from(["SECRET_KEY".to_owned()]);
    assert_eq!(unknown("SECRET_KEY SECRET_KEY_FILE JHE_TYPO FHIR $env \"NAME\"", &listed), ["JHE_TYPO"]);
}

/// Names of the variables that hold secrets, from the source of the table.
fn secrets() -> BTreeSet<String> {
    let source = read("crates/config/src/variable.rs");
    let table = source.split("VARIABLES: &[Variable]").nth(1).unwrap();
    let quoted = |text: &str| text.split('"').nth(1).unwrap().to_owned();
    let mut names: BTreeSet<String> = table.split(" secret(").skip(1).map(quoted).collect();
    for entry in table.split("Variable {").skip(1).filter(|entry| entry.contains("secret: true")) {
        names.extend(entry.split("default:").next().unwrap().split('"').skip(1).step_by(2).map(str::to_owned));
    }
    assert!(names.contains("SECRET_KEY") && names.contains("JHE_DATA_KEY"), "{names:?}");
    names
}

#[test]
fn the_chart_keeps_what_is_secret_in_secrets() {
    let helpers = read("deploy/helm/jhe/templates/_helpers.tpl");
    let list = helpers.split("define \"jhe.secretNames\"").nth(1).unwrap().split("toJson").next().unwrap();
    let chart = variables(list);
    let missing: Vec<_> = secrets().difference(&chart).cloned().collect();
    assert_eq!(missing, Vec::<String>::new(), "secrets that the chart would put into the ConfigMap");
    let invented: Vec<_> = chart.difference(&secrets()).cloned().collect();
    assert_eq!(invented, Vec::<String>::new(), "no secrets of the server");
}

/// Paths of the keys of values.yaml, such as `db.host`, and of those that hold a map of the operator's.
fn values() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all, mut open) = (BTreeSet::new(), BTreeSet::new());
    let mut above: Vec<(usize, String)> = Vec::new();
    for line in read("deploy/helm/jhe/values.yaml").lines() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        let Some((key, rest)) = text.split_once(':') else { continue };
        if text.starts_with('#') || key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            continue;
        }
        above.retain(|(outer, _)| *outer < depth);
        let path = above.last().map_or_else(|| key.to_owned(), |(_, outer)| format!("{outer}.{key}"));
        if rest.trim() == "{}" {
            open.insert(path.clone());
        }
        above.push((depth, path.clone()));
        all.insert(path);
    }
    (all, open)
}

/// What templates ask of the values, as `db.host`.
fn asked(text: &str) -> BTreeSet<String> {
    text.split(".Values.")
        .skip(1)
        .map(|rest| {
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_')).collect::<String>()
        })
        .map(|path| path.trim_end_matches('.').to_owned())
        .collect()
}

#[test]
fn templates_use_values_that_exist_and_every_value_is_used() {
    let (all, open) = values();
    let used: BTreeSet<String> = templates().iter().flat_map(|(_, text)| asked(text)).collect();
    let parent = |path: &str| path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
    let missing: Vec<_> =
        used.iter().filter(|path| !all.contains(*path) && !parent(path).is_some_and(|p| open.contains(&p))).collect();
    assert!(missing.is_empty(), "not in values.yaml: {missing:?}");
    // A value is used by its own name, as part of one that is used whole, or through a part of it.
    let is_used = |path: &String| {
        used.iter()
            .any(|one| one == path || one.starts_with(&format!("{path}.")) || path.starts_with(&format!("{one}.")))
    };
    // Accepted and ignored.
    let unused: Vec<_> = all.iter().filter(|path| !is_used(path) && *path != "workers").collect();
    assert!(unused.is_empty(), "no template uses: {unused:?}");
}

#[test]
fn the_schema_knows_the_values() {
    let schema: Value = serde_json::from_str(&read("deploy/helm/jhe/values.schema.json")).unwrap();
    let known: BTreeSet<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let (all, _) = values();
    for path in &all {
        let mut place = &schema;
        for part in path.split('.') {
            if place["properties"].is_object() {
                place = &place["properties"][part];
                assert!(place.is_object(), "{path} is not in the schema");
            }
        }
    }
    for name in &known {
        assert!(all.contains(name) || name == "global", "{name} is in the schema only");
    }
    // Names that values of earlier charts have.
    for name in "image imagePullPolicy replicas env db.name db.user db.password db.host db.port debug.enabled migrate.enabled \
                 args volumeMounts resources deploymentStrategy pdb service httpRoute ingress livenessProbe readinessProbe \
                 nameOverride fullnameOverride workers"
        .split_whitespace()
    {
        assert!(all.contains(name), "{name}");
    }
    // Names that came with this one.
    for name in
        "existingSecret db.existingSecret db.sslMode db.readUrls siteUrl oidcKey.existingSecret bootstrap mcp.enabled \
                 autoscaling serviceAccount podSecurityContext networkPolicy serviceMonitor extraVolumes nodeSelector \
                 tolerations affinity topologySpread migrate.asJob"
            .split_whitespace()
    {
        assert!(all.contains(name), "{name}");
    }
}

/// What is wrong with the actions of a template: braces, and blocks that do not end.
fn template_faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start..].find("}}") else {
            faults.push(format!("no end: {}", rest[start..].lines().next().unwrap_or_default()));
            break;
        };
        let action = &rest[start + 2..start + length];
        rest = &rest[start + length + 2..];
        if action.contains("{{") {
            faults.push(format!("an action within an action: {action}"));
        }
        let words = action.trim_matches('-').trim();
        match words.split_whitespace().next().unwrap_or_default() {
            "if" | "with" | "range" | "define" | "block" => open.push(words.to_owned()),
            "else" if open.is_empty() => faults.push("else without if".to_owned()),
            "end" if open.pop().is_none() => faults.push("end without a beginning".to_owned()),
            _ => {}
        }
    }
    faults.extend(open.into_iter().map(|words| format!("not ended: {words}")));
    faults
}

#[test]
fn blocks_of_templates_end() {
    for (name, text) in templates() {
        assert_eq!(template_faults(&text), Vec::<String>::new(), "{name}");
        assert!(!text.contains('\t'), "{name} holds a tab");
    }
    // What is included is defined.
    let all: String = templates().into_iter().map(|(_, text)| text).collect();
    let names = |word: &str| -> BTreeSet<String> {
        all.split(&format!("{word} \"jhe.")).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names("include"), names("define"));
}

#[test]
fn the_template_check_can_fail() {
    assert_eq!(template_faults("{{ if .a }}{{- with .b -}}x{{ end }}"), ["not ended: if .a"]);
    assert_eq!(template_faults("{{ end }}"), ["end without a beginning"]);
    assert_eq!(template_faults("a {{ .b \n c").len(), 1);
    assert_eq!(template_faults("{{/* if */}}{{ .a }}"), Vec::<String>::new());
}

#[test]
fn the_chart_is_that_of_this_server() {
    let chart = read("deploy/helm/jhe/Chart.yaml");
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"');
    assert_eq!(value_of(&chart, "appVersion"), version);
    assert_eq!(value_of(&chart, "apiVersion"), "v2");
    let deployment = read("deploy/helm/jhe/templates/deployment.yaml");
    for path in ["\"/health\"", "\"/ready\""] {
        assert!(deployment.contains(path), "{path}");
    }
    let helpers = read("deploy/helm/jhe/templates/_helpers.tpl");
    assert!(!helpers.contains("httpHeaders"), "a probe that names a host is refused where that host is not allowed");
}

/// The lines of an instruction of a stage, as the shell gets them.
fn instruction(stage: &str, word: &str) -> String {
    let start = stage.find(&format!("\n{word} ")).unwrap() + word.len() + 2;
    let mut command = String::new();
    for line in stage[start..].lines() {
        match line.strip_suffix('\\') {
            Some(line) => command.push_str(line),
            None => return command + line,
        }
    }
    command
}

/// What packages of a workspace are built to: package, kind, name. Tests and the like need not be in the image.
fn targets(folder: &Path) -> BTreeSet<(String, String, String)> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--no-deps"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        for target in package["targets"].as_array().unwrap() {
            found.insert((text(&package["name"]), text(&target["kind"][0]), text(&target["name"])));
        }
    }
    found.retain(|(_, kind, _)| !matches!(kind.as_str(), "test" | "bench" | "example"));
    found
}

/// A folder that is gone when the test ends.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn the_image_is_prepared_from_the_manifest_of_every_crate() {
    let scratch = Scratch(std::env::temp_dir().join(format!("jhe-manifests-{}", std::process::id())));
    let listing = Command::new("git")
        .args(["ls-files", "-z", "-c", "-o", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listing.status.success());
    for name in String::from_utf8(listing.stdout).unwrap().split('\0') {
        // Suites are not part of the context, but for what .dockerignore lets through: their manifest.
        let in_suite = name.starts_with("tests/") && name != "tests/Cargo.toml";
        let matters = [".rs", ".toml", ".lock"].iter().any(|ending| name.ends_with(ending));
        if matters && !in_suite && root().join(name).is_file() {
            let target = scratch.0.join(name);
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(root().join(name), target).unwrap();
        }
    }
    let dockerfile = read("Dockerfile");
    let stage = dockerfile.split("FROM base AS manifests").nth(1).unwrap().split("\nFROM ").next().unwrap();
    let command = instruction(stage, "RUN");
    let done = Command::new("sh").args(["-e", "-c", &command]).current_dir(&scratch.0).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let sources = rust_files(&scratch.0);
    assert!(sources.iter().all(|file| std::fs::read_to_string(file).unwrap() == "fn main() {}\n"), "a source was kept");
    assert_eq!(targets(&scratch.0), targets(&root()));
}

/// Whether .dockerignore leaves a path out of the context; only the patterns that are used here are understood.
fn is_ignored(patterns: &str, path: &str) -> bool {
    let mut ignored = false;
    for pattern in patterns.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (pattern, verdict) = pattern.strip_prefix('!').map_or((pattern, true), |pattern| (pattern, false));
        let pattern = pattern.trim_start_matches('/');
        let folder = pattern.strip_suffix("/*").unwrap_or(pattern);
        assert!(!folder.contains('*'), "not understood here: {pattern}");
        let below = path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        if below || (path == folder && folder == pattern) {
            ignored = verdict;
        }
    }
    ignored
}

#[test]
fn the_context_of_the_image_holds_every_manifest() {
    let patterns = read(".dockerignore");
    let listing = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    let names = String::from_utf8(listing.stdout).unwrap();
    let needed = |name: &&str| {
        name.ends_with("Cargo.toml")
            || ["crates/", "xtask/", "migrations/", "openapi/", ".cargo/"].iter().any(|folder| name.starts_with(folder))
            || *name == "Cargo.lock"
    };
    let missing: Vec<_> = names.split('\0').filter(needed).filter(|name| is_ignored(&patterns, name)).collect();
    assert!(missing.is_empty(), ".dockerignore leaves out what the image is built from: {missing:?}");
}

#[test]
fn the_context_check_can_fail() {
    assert!(is_ignored("target\ntests\n", "tests/Cargo.toml"));
    assert!(!is_ignored("tests/*\n!tests/Cargo.toml\n", "tests/Cargo.toml"));
    assert!(is_ignored("tests/*\n!tests/Cargo.toml\n", "tests/wire/main.rs"));
    assert!(!is_ignored("tests\n", "crates/store/tests.rs"));
}

#[test]
fn the_image_has_the_toolchain_of_the_project() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains(&format!("RUSTUP_TOOLCHAIN={channel}")), "{channel}");
    let (minor, _) = channel.rsplit_once('.').unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{minor}-slim-")), "{minor}");
}

#[test]
fn the_toolchain_brings_what_the_checks_need() {
    let toolchain = read("rust-toolchain.toml");
    for component in ["rustfmt", "clippy"] {
        assert!(
            toolchain.lines().any(|line| line.starts_with("components = ") && line.contains(component)),
            "{component}"
        );
    }
}

/// Names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_lowercase() && c != '_')
        .filter(|word| word.starts_with("jhe_") && word.len() > 4)
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned())
        .collect()
}

#[test]
fn alerts_and_dashboard_use_metrics_that_exist() {
    let dashboard = read("deploy/grafana/jhe.json");
    let _: Value = serde_json::from_str(&dashboard).unwrap();
    let alerts = read("deploy/prometheus/alerts.yml");
    // Alerts also name tables, where somebody is to look.
    let tables: String = std::fs::read_dir(root().join("migrations"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let used: BTreeSet<String> = metrics(&alerts)
        .into_iter()
        .chain(metrics(&dashboard))
        .filter(|name| !tables.contains(name.as_str()))
        .collect();
    assert!(used.len() > 15, "{used:?}");
    let documented = metrics(&read("docs/operating.md"));
    // `…_idle` and `…_max` stand beside the name they belong to.
    let short = ["jhe_db_connections_idle", "jhe_db_connections_max"];
    let missing: Vec<_> =
        used.iter().filter(|name| !documented.contains(*name) && !short.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "not in docs/operating.md: {missing:?}");
    if root().join("crates/server/src/metrics.rs").exists() {
        let source: String =
            rust_files(&root().join("crates")).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        let missing: Vec<_> = used.iter().filter(|name| !source.contains(&format!("\"{name}\""))).collect();
        assert!(missing.is_empty(), "no such metrics: {missing:?}");
    }
}
