//! Lists the files below `schemas/` in one generated table, so that the crate needs no file at run time.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=schemas");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("schemas");
    let mut files = Vec::new();
    collect(&root, "", &mut files)?;
    // The order of a directory listing is not fixed; that of the table is.
    files.sort();
    let mut table = String::from("pub(crate) static FILES: &[(&str, &str)] = &[\n");
    for file in &files {
        writeln!(
            table,
            "    ({file:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/schemas/\", {file:?}))),"
        )?;
    }
    table.push_str("];\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("files.rs"), table)?;
    Ok(())
}

/// Adds the JSON files below `directory` to `files`, as paths from the root with `/` between their parts.
fn collect(directory: &Path, prefix: &str, files: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let name =
            entry.file_name().into_string().map_err(|name| format!("file name {} is not UTF-8", name.display()))?;
        if entry.file_type()?.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}
