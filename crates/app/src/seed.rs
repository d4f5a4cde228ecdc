//! Reference data and demo data (data model §8): made once, the same every time.

mod rich;

use chrono::{DateTime, Utc};
use jhe_authz::{Actor, Authorizer, Grant, InternalReason, action, resource};
use jhe_config::Config;
use jhe_crypto::{OsEntropy, password, token};
use jhe_domain::error::Error;
use jhe_store::seed::{DemoOptions, SeedOptions, demo_observation_codes};
use jhe_store::{Store, Work};

pub use rich::{STUDY as RICH_STUDY, rich};

/// The password all demo accounts share. Printed by `jhe demo`, never used elsewhere.
pub const DEMO_PASSWORD: &str = "Jhe1234!";

/// What happened to the data that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeded {
    /// It, or a part of it, was made now.
    Made,
    /// It was there.
    Present,
}

fn options(config: &Config) -> SeedOptions {
    SeedOptions {
        site_url: config.site.url.as_str().to_owned(),
        console_client_id: config
            .auth
            .oidc_client_id
            .clone()
            .unwrap_or_else(|| token::alphanumeric(&mut OsEntropy, 40)),
        console_client_id_is_pinned: config.auth.oidc_client_id.is_some(),
        invite_code: config.auth.registration_invite_code.clone(),
        time_zone: config.site.time_zone.clone(),
        default_organizations: config.site.practitioner_default_orgs.clone(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the server fills its own database; nobody else could be the actor")]
fn seeder() -> Actor {
    Actor::internal(InternalReason::Seeding)
}

/// Makes the reference data that is missing.
///
/// # Errors
/// [`Error::Invalid`] when `TIME_ZONE` would become a setting and names no time zone.
pub async fn reference(store: &Store, config: &Config) -> Result<Seeded, Error> {
    let mut work = store.begin().await?;
    let actor = seeder();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    work.lock_seed(&admin).await?;
    let seeded = make_reference(&mut work, &admin, &options(config)).await?;
    work.commit().await?;
    Ok(seeded)
}

async fn make_reference(
    work: &mut Work,
    admin: &Grant<resource::Server, action::Administer>,
    options: &SeedOptions,
) -> Result<Seeded, Error> {
    let mut settings = work.settings();
    if settings.is_missing(admin, "site.time_zone").await? && !settings.is_time_zone(admin, &options.time_zone).await? {
        return Err(Error::sentence("TIME_ZONE is not the name of a time zone, such as America/Los_Angeles."));
    }
    Ok(if work.seed_reference(admin, options).await? { Seeded::Made } else { Seeded::Present })
}

/// Makes the demo data, on a database that holds nothing else.
///
/// # Errors
/// [`Error::Invalid`] in production mode, and when the database holds other organizations.
pub async fn demo(store: &Store, config: &Config) -> Result<Seeded, Error> {
    if config.site.production {
        return Err(Error::sentence("Demo data is not made in production mode: its password is known to all."));
    }
    // Hashed before the transaction starts: it takes a while.
    let password_hash = password::hash(DEMO_PASSWORD, &mut OsEntropy).map_err(Error::internal)?;
    let mut work = store.begin().await?;
    let actor = seeder();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    work.lock_seed(&admin).await?;
    let options = options(config);
    let reference = make_reference(&mut work, &admin, &options).await?;
    if work.holds_demo(&admin).await? {
        work.commit().await?;
        return Ok(reference);
    }
    if work.holds_other_organizations(&admin).await? {
        return Err(Error::sentence(
            "This database holds other organizations; demo data is only made on an empty one.",
        ));
    }
    let client_id = || token::alphanumeric(&mut OsEntropy, 40);
    let taken = taken();
    let demo = DemoOptions {
        password_hash,
        client_ids: [client_id(), client_id(), client_id()],
        ehr_client_id: config.seeding.sof_client_id.clone().unwrap_or_else(|| "sof-ehr-launch".to_owned()),
        ehr_client_secret: jhe_crypto::client_secret::digest(&ehr_secret(config)),
        documents: documents(taken)?,
        taken,
    };
    work.seed_demo(&admin, &options, &demo).await?;
    work.commit().await?;
    Ok(Seeded::Made)
}

/// The configured secret of the EHR launch client, or the published one: demo data is for development alone.
fn ehr_secret(config: &Config) -> String {
    match &config.seeding.sof_client_secret {
        Some(secret) => secret.reveal().to_owned(),
        None => jhe_config::EXAMPLE_SOF_SECRET.to_owned(),
    }
}

/// When the demo readings were taken: fixed, so that every installation shows the same.
fn taken() -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000, 0).unwrap_or_default()
}

fn documents(taken: DateTime<Utc>) -> Result<Vec<(String, String)>, Error> {
    demo_observation_codes()
        .into_iter()
        .zip(1_u64..)
        .map(|(code, ordinal)| {
            let uuid = format!("6f1d2c3b-0000-4000-8000-{ordinal:012}");
            let time = taken.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            let document = jhe_omh::examples::document(code, &uuid, &time, &time)
                .ok_or_else(|| Error::internal("a demo data type has no example"))?;
            Ok((code.to_owned(), document))
        })
        .collect()
}

/// Follows the address a demo is served at, which may change between starts.
pub async fn follow_site(store: &Store, site_url: &str) -> Result<(), Error> {
    let mut work = store.begin().await?;
    let actor = seeder();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    work.move_site(&admin, site_url).await?;
    work.commit().await
}
