//! Where a schema lives: code, file and retrieval URL name the same document.

/// The namespaces of codes, each with the URL prefix of its documents.
const NAMESPACES: [(&str, &str); 3] = [
    ("omh", "https://w3id.org/openmhealth/schemas/omh/"),
    ("ieee", "https://w3id.org/ieee/ieee-1752-schema/"),
    ("local", "https://jupyterhealth.org/schemas/local/"),
];

/// The retrieval URL of a schema file, from its path inside a schema directory.
///
/// The first part of the path is the namespace (`omh`, `ieee` or `local`), the last one the file name; directories in
/// between only group files. Parts are separated by `/`. `None` for another namespace or a file that is not `.json`.
///
/// ```
/// assert_eq!(
///     jhe_omh::retrieval_url("ieee/sleep/time-in-bed-1.0.json").as_deref(),
///     Some("https://w3id.org/ieee/ieee-1752-schema/time-in-bed-1.0.json"),
/// );
/// ```
pub fn retrieval_url(relative_path: &str) -> Option<String> {
    let (namespace, rest) = relative_path.split_once('/')?;
    let file = rest.rsplit('/').next().unwrap_or(rest);
    let stem = file.strip_suffix(".json")?;
    let (_, prefix) = NAMESPACES.iter().find(|(name, _)| *name == namespace)?;
    (!stem.is_empty()).then(|| format!("{prefix}{file}"))
}

/// The code (`namespace:name:version`) whose schema has this retrieval URL, if its name is that of a code's schema.
pub(crate) fn code_of(retrieval_url: &str) -> Option<String> {
    NAMESPACES.iter().find_map(|(namespace, prefix)| {
        let stem = retrieval_url.strip_prefix(prefix)?.strip_suffix(".json")?;
        let (name, version) = stem.rsplit_once('-')?;
        let is_plain = !name.is_empty() && !version.is_empty() && !stem.contains(['/', ':']);
        is_plain.then(|| format!("{namespace}:{name}:{version}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_gives_url_and_url_gives_code() {
        for (path, url, code) in [
            (
                "omh/blood-glucose-4.0.json",
                "https://w3id.org/openmhealth/schemas/omh/blood-glucose-4.0.json",
                "omh:blood-glucose:4.0",
            ),
            (
                "ieee/metadata/header-1.0.json",
                "https://w3id.org/ieee/ieee-1752-schema/header-1.0.json",
                "ieee:header:1.0",
            ),
            (
                "omh/forced-expiratory-volume-1-second-1.0.json",
                "https://w3id.org/openmhealth/schemas/omh/forced-expiratory-volume-1-second-1.0.json",
                "omh:forced-expiratory-volume-1-second:1.0",
            ),
            ("local/mood-1.0.json", "https://jupyterhealth.org/schemas/local/mood-1.0.json", "local:mood:1.0"),
        ] {
            assert_eq!(retrieval_url(path).as_deref(), Some(url));
            assert_eq!(code_of(url).as_deref(), Some(code));
        }
    }

    #[test]
    fn other_files_have_no_url() {
        for path in ["mood-1.0.json", "omh/README.md", "else/mood-1.0.json", "omh/.json", ""] {
            assert_eq!(retrieval_url(path), None, "{path}");
        }
    }

    #[test]
    fn other_urls_have_no_code() {
        for url in [
            "https://example.org/mood-1.0.json",
            "https://w3id.org/openmhealth/schemas/omh/a/b-1.0.json",
            "https://w3id.org/openmhealth/schemas/omh/mood.json",
        ] {
            assert_eq!(code_of(url), None, "{url}");
        }
    }
}
