//! Developer commands: `cargo xtask <command>`. Depends on no crate of the workspace, so it costs no second build.

use std::process::{Command, ExitCode};

const HELP: &str = "commands:
  check              format, lints, layers
  generate           openapi/jhe.yaml and the table in docs/configuration.md
  db                 how to start a scratch database
  migration <name>   make a new, empty migration file";

const SCRATCH: &str = "\
A scratch database of its own, gone when its folder is removed:
  JHE_DATA_DIR=$(mktemp -d) cargo run -- serve
Or a server you already have, where the tests make and drop databases of their own:
  TEST_DATABASE_URL=postgres://user:password@localhost/postgres cargo test --workspace";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["check"] => check(),
        ["generate"] => generate(),
        ["db"] => {
            println!("{SCRATCH}");
            Ok(())
        }
        ["migration", name] => migration(name),
        _ => Err(HELP.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn cargo(arguments: &[&str]) -> Result<String, String> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(program)
        .args(arguments)
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("cargo {} failed", arguments.join(" ")));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

fn check() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    cargo(&["test", "--quiet", "-p", "jhe-tests", "--test", "layers"])?;
    Ok(())
}

fn write(path: &str, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))
}

fn generate() -> Result<(), String> {
    let document = cargo(&["run", "--quiet", "-p", "jhe-server", "--", "openapi"])?;
    write("openapi/jhe.yaml", &document)?;
    let table = cargo(&["run", "--quiet", "-p", "jhe-server", "--", "config-table"])?;
    let path = "docs/configuration.md";
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let (head, rest) = text.split_once("<!-- table -->\n").ok_or("docs/configuration.md has no table marker")?;
    let (_, tail) = rest.split_once("<!-- end -->").ok_or("docs/configuration.md has no end marker")?;
    write(path, &format!("{head}<!-- table -->\n{table}<!-- end -->{tail}"))
}

fn is_migration_name(name: &str) -> bool {
    name.contains('_') && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn migration(name: &str) -> Result<(), String> {
    if !is_migration_name(name) {
        return Err(format!("{name}: a migration is named verb_object, in lower case"));
    }
    let output = Command::new("date").args(["-u", "+%Y%m%d%H%M%S"]).output().map_err(|error| error.to_string())?;
    let stamp = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let path = format!("migrations/{stamp}_{name}.sql");
    write(&path, "-- What this changes, and why.\n")?;
    println!("{path}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_named_verb_object() {
        for (name, fits) in [("create_study", true), ("study", false), ("Create_study", false), ("../a_b", false)] {
            assert_eq!(is_migration_name(name), fits, "{name}");
        }
    }
}
