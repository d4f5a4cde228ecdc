//! Settings as operators change them over the API (admin API §6.11). What is written holds at once in every process.

use jhe_authz::{Actor, Authorizer, Grant, action, resource};
use jhe_config::SiteUrl;
use jhe_domain::error::{Conflict, Error, Lookup, Violation, Violations};
use jhe_domain::organization::parse_memberships;
use jhe_domain::setting::{KNOWN_SETTINGS, Setting, SettingValue, is_secret};
use jhe_store::Work;

use crate::{App, audit};

fn missing() -> Error {
    Error::NotFound(Lookup::Entity("JheSetting"))
}

/// A setting to write, as asked for; what is missing stays.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Name.
    pub key: Option<String>,
    /// Value.
    pub value: Option<SettingValue>,
}

/// Lists that may answer a bare array by default (admin API §4.4).
const PLAIN_ARRAY_LISTS: [&str; 2] = ["organizations", "data_sources"];

fn wrong(message: &str) -> Error {
    Error::Invalid(Violations::one(Violation::unlisted("value", message)))
}

/// Refuses values that the server could not work with.
async fn check(work: &mut Work, actor: &Actor, key: &str, value: &SettingValue) -> Result<(), Error> {
    let known = KNOWN_SETTINGS.iter().find(|(known, _)| *known == key).map(|(_, kind)| *kind);
    if let Some(kind) = known.filter(|kind| *kind != value.type_name()) {
        return Err(Error::invalid("valueType", format!("The setting {key} is of type {kind}.")));
    }
    match (key, value) {
        ("site.url", SettingValue::String(url)) if SiteUrl::parse(url).is_none() => {
            Err(wrong("Enter an http or https URL without a path."))
        }
        ("ow.api_url", SettingValue::String(url)) if !url.is_empty() && !jhe_outbound::wearable::is_address(url) => {
            Err(wrong("Enter an http or https URL without a name, a password and a query."))
        }
        ("ow.ingest_mode", SettingValue::String(mode)) if !["normalized", "raw"].contains(&mode.as_str()) => {
            Err(wrong("Enter normalized or raw."))
        }
        ("ow.poll_interval_minutes", SettingValue::Int(minutes)) if *minutes < 1 => {
            Err(wrong("Enter a number from 1."))
        }
        ("auth.password.min_length", SettingValue::Int(length)) if !(8..=128).contains(length) => {
            Err(wrong("Enter a number from 8 to 128."))
        }
        ("retention.audit_days", SettingValue::Int(days)) if !audit::RETENTION_DAYS.contains(days) => {
            Err(wrong("Enter a number from 30 to 36500."))
        }
        (
            "auth.patient.invitation_expiration_days" | "auth.patient.invitation_redemption_window_hours",
            SettingValue::Int(number),
        ) if *number < 0 => Err(wrong("Enter a number that is not negative.")),
        ("site.time_zone", SettingValue::String(name)) => {
            let admin = Authorizer::new(actor, work).administer()?;
            if work.settings().is_time_zone(&admin, name).await? {
                Ok(())
            } else {
                Err(wrong("Enter the name of a time zone, such as America/Los_Angeles."))
            }
        }
        ("auth.default_orgs", SettingValue::String(text)) => {
            let Some(memberships) = parse_memberships(text) else {
                return Err(wrong("Enter organization:role pairs separated by semicolons."));
            };
            let ids: Vec<i64> = memberships.iter().map(|(id, _)| id.0).collect();
            let admin = Authorizer::new(actor, work).administer()?;
            if work.settings().organizations_exist(&admin, &ids).await? {
                Ok(())
            } else {
                Err(wrong("An organization does not exist."))
            }
        }
        ("api.plain_array_lists", SettingValue::Json(text)) => match serde_json::from_str::<Vec<String>>(text) {
            Ok(lists) if lists.iter().all(|list| PLAIN_ARRAY_LISTS.contains(&list.as_str())) => Ok(()),
            _ => Err(wrong("Enter a list of organizations and data_sources, or of one of them, or of none.")),
        },
        ("auth.patient_access_clients" | "auth.sof.trusted_issuers", SettingValue::Json(text))
            if serde_json::from_str::<Vec<String>>(text).is_err() =>
        {
            Err(wrong("Enter a list of texts."))
        }
        _ => Ok(()),
    }
}

/// The site's own clients move with its address, or nobody could sign in to its console any more.
async fn follow_site(
    work: &mut Work,
    admin: &Grant<resource::Server, action::Administer>,
    key: &str,
    value: &SettingValue,
) -> Result<(), Error> {
    match value {
        SettingValue::String(address) if key == "site.url" && !address.is_empty() => {
            work.move_site(admin, address).await
        }
        _ => Ok(()),
    }
}

/// Makes a setting. `key` is what it is to be called, as far as that can be read.
pub async fn create(
    app: &App,
    actor: &Actor,
    key: impl FnOnce() -> String,
    validate: impl FnOnce() -> Result<(String, SettingValue), Error>,
) -> Result<Setting, Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    // Said first: whoever makes it again is not helped by faults of the value.
    if !work.settings().is_missing(&admin, &key()).await? {
        return Err(Error::Conflict(Conflict::SettingKeyTaken));
    }
    let (key, value) = validate()?;
    check(&mut work, actor, &key, &value).await?;
    follow_site(&mut work, &admin, &key, &value).await?;
    let id = work.settings().write(&admin, None, &key, &value).await?;
    let setting = work.settings().find(&admin, id).await?.ok_or_else(missing)?;
    work.commit().await?;
    app.settings().spread().await?;
    Ok(setting)
}

/// Changes a setting. `validate` is told what is stored.
pub async fn update(
    app: &App,
    actor: &Actor,
    id: i64,
    validate: impl FnOnce(&Setting) -> Result<Written, Error>,
) -> Result<Setting, Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    let stored = work.settings().find(&admin, id).await?.ok_or_else(missing)?;
    let written = validate(&stored)?;
    let renamed = written.key.as_ref().filter(|key| **key != stored.key);
    if is_secret(&stored.key) && written.value.is_none() && renamed.is_some_and(|key| !is_secret(key)) {
        return Err(Error::invalid("key", "A secret value cannot move to a key that shows it: send a new value too."));
    }
    let (key, value) = (written.key.unwrap_or(stored.key), written.value.unwrap_or(stored.value));
    check(&mut work, actor, &key, &value).await?;
    follow_site(&mut work, &admin, &key, &value).await?;
    work.settings().write(&admin, Some(id), &key, &value).await?;
    let setting = work.settings().find(&admin, id).await?.ok_or_else(missing)?;
    work.commit().await?;
    app.settings().spread().await?;
    Ok(setting)
}

/// Removes a setting: its default holds.
pub async fn delete(app: &App, actor: &Actor, id: i64) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let admin = Authorizer::new(actor, &mut work).administer()?;
    if !work.settings().delete(&admin, id).await? {
        return Err(missing());
    }
    work.commit().await?;
    app.settings().spread().await
}
