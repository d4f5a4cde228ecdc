//! Secrets from files: `<NAME>_FILE` names a file that holds what `<NAME>` would, as container platforms mount them.

use std::path::Path;

use crate::Reader;

/// What is added to the name of a variable.
pub(crate) const SUFFIX: &str = "_FILE";

/// The value, or else the content of the file that is named instead. Only the line break at the end of the file is left
/// out: a secret may end in a space.
pub(crate) fn or_file(reader: &mut Reader<'_>, name: &str, value: Option<String>) -> Option<String> {
    let file = format!("{name}{SUFFIX}");
    let Some(path) = reader.value(&file) else { return value };
    if value.is_some() {
        reader.faults.push(format!("{name} and {file} are both set; set one of them"));
        return value;
    }
    match (reader.files)(Path::new(&path)) {
        Ok(text) => {
            let text = without_line_break(&text);
            if text.is_empty() {
                reader.faults.push(format!("{file} is \"{path}\"; the file is empty"));
            }
            Some(text.to_owned()).filter(|text| !text.is_empty())
        }
        Err(why) => {
            reader.faults.push(format!("{file} is \"{path}\"; it cannot be read: {why}"));
            // Its own fault has been told; that it is missing would be a second one for the same mistake.
            None
        }
    }
}

fn without_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Config, ConfigError};

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let files = |path: &Path| match path.to_str() {
            Some("/run/secrets/mail") => Ok("quiet harbour \n".to_owned()),
            Some("/run/secrets/empty") => Ok("\n".to_owned()),
            _ => Err("no such file".to_owned()),
        };
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::read_with_files(pairs, None, &files)
    }

    #[test]
    fn a_secret_may_be_in_a_file_and_loses_one_line_break() {
        let config = read(&[("REGISTRATION_INVITE_CODE_FILE", "/run/secrets/mail")]).unwrap();
        assert_eq!(config.auth.registration_invite_code.as_deref(), Some("quiet harbour "));
        assert!(config.warnings.is_empty());
        let config = read(&[("JHE_DATA_KEY_FILE", "/run/secrets/mail")]).unwrap();
        assert!(config.auth.data_encryption_key.is_some() && config.warnings.is_empty());
    }

    #[test]
    fn a_secret_told_twice_or_in_a_file_that_says_nothing_is_refused() {
        let fault = |pairs: &[(&str, &str)]| read(pairs).unwrap_err().to_string();
        let twice = fault(&[("SECRET_KEY", "hunter2"), ("SECRET_KEY_FILE", "/run/secrets/mail")]);
        assert!(twice.contains("SECRET_KEY and SECRET_KEY_FILE are both set") && !twice.contains("hunter2"), "{twice}");
        for path in ["/run/secrets/nowhere", "/run/secrets/empty"] {
            let text = fault(&[("DB_HOST", "db"), ("DB_PASSWORD_FILE", path)]);
            assert!(text.starts_with("DB_PASSWORD_FILE is") && text.contains(path), "{text}");
        }
        let both = fault(&[("SECRET_KEY_FILE", "/nowhere"), ("DATABASE_URL_FILE", "/nowhere")]);
        assert!(both.contains("SECRET_KEY_FILE") && both.contains("DATABASE_URL_FILE"), "{both}");
    }

    #[test]
    fn what_is_no_secret_is_not_read_from_a_file() {
        let config = read(&[("JHE_LOG_FILE", "/run/secrets/mail")]).unwrap();
        assert_eq!(config.server.log, "info");
        assert_eq!(config.warnings.len(), 1);
    }
}
