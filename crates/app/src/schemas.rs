//! Open mHealth schemas: those that are built in, and those of the operator's folders (FHIR contract §5.5).

use std::io;
use std::path::{Path, PathBuf};

use jhe_domain::error::Error;
use jhe_omh::{Schemas, retrieval_url};
use serde_json::Value;

/// What documents are held to.
#[derive(Debug, Clone, Copy)]
pub struct Documents {
    /// The schemas.
    pub schemas: &'static Schemas,
    /// The longest document, decoded.
    pub max_bytes: usize,
}

/// The built-in schemas with those of these folders; of two with one name the last holds. They stay until the process ends.
///
/// # Errors
/// A folder that cannot be read, a file that is no schema, or a reference to a schema that is not there.
pub(crate) async fn load(folders: &[PathBuf]) -> Result<&'static Schemas, Error> {
    if folders.is_empty() {
        return Ok(Schemas::embedded());
    }
    let folders = folders.to_vec();
    let read = move || {
        let mut documents = Vec::new();
        for folder in &folders {
            collect(folder, "", &mut documents)
                .map_err(|error| Error::internal(format!("OMH_SCHEMA_DIR: {}: {error}", folder.display())))?;
        }
        let schemas = Schemas::with_directory_contents(documents)
            .map_err(|error| Error::internal(format!("OMH_SCHEMA_DIR: {error}")))?;
        Ok(&*Box::leak(Box::new(schemas)))
    };
    tokio::task::spawn_blocking(read).await.map_err(Error::internal)?
}

/// Reads the schemas of these folders for those who only look.
///
/// # Errors
/// The same as at the start of a server.
pub async fn check(folders: &[PathBuf]) -> Result<(), Error> {
    load(folders).await.map(|_| ())
}

/// Adds the JSON files below a folder, by their retrieval URLs.
fn collect(folder: &Path, prefix: &str, documents: &mut Vec<(String, Value)>) -> io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    // The order of a listing is not fixed, and of two files with one name the last holds.
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), documents)?;
        } else if let Some(url) = retrieval_url(&path) {
            let text = std::fs::read_to_string(entry.path())?;
            let fault = |error| io::Error::other(format!("{path} is not JSON: {error}"));
            documents.push((url, serde_json::from_str(&text).map_err(fault)?));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_adds_schemas_and_a_fault_in_it_shows() {
        let folder = std::env::temp_dir().join(format!("jhe-schemas-{}", std::process::id()));
        let local = folder.join("local/moods");
        std::fs::create_dir_all(&local).unwrap();
        std::fs::write(folder.join("README.md"), "not a schema").unwrap();
        let file = local.join("mood-1.0.json");
        std::fs::write(&file, r#"{"type": "object", "required": ["mood"]}"#).unwrap();
        let schemas = load(std::slice::from_ref(&folder)).await.unwrap();
        assert!(schemas.has("local:mood:1.0") && schemas.has("omh:blood-glucose:4.0"));
        for fault in ["no JSON", r#"{"type": 7}"#, r#"{"$ref": "nowhere-1.0.json"}"#] {
            std::fs::write(&file, fault).unwrap();
            assert!(load(std::slice::from_ref(&folder)).await.is_err(), "{fault}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(load(&[folder]).await.is_err());
        assert!(!load(&[]).await.unwrap().has("local:mood:1.0"));
    }
}
