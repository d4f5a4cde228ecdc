//! The rich demo (data model §8.8): twenty people who wear a glucose monitor and a ring, and share all of it with one study.

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};
use jhe_authz::Authorizer;
use jhe_crypto::{OsEntropy, password};
use jhe_domain::error::Error;
use jhe_domain::observation::{EffectiveTime, NewObservation};
use jhe_domain::{PatientId, Phi};
use jhe_omh::synthetic::{self, Person, Reading};
use jhe_store::Store;
use jhe_store::seed::{RichPatient, RichStudy};

use super::{Seeded, seeder};

/// The organization it belongs to has this in its name.
const ORGANIZATION: &str = "Planetary Research Institute";
/// The name of its study.
pub const STUDY: &str = "CGM & Wearables Demo";
const GLUCOSE_SOURCE: &str = "Dexcom";
const WEARABLE_SOURCE: &str = "Oura";
/// Days since everybody consented.
const CONSENTED: i64 = 183;
/// Readings stored with one statement.
const CHUNK: usize = 1_000;

/// The local part of the address, birth date, phone.
const PEOPLE: [(&str, (i32, u32, u32), &str); 20] = [
    ("may.nguyen", (1984, 7, 11), "265-642-0143"),
    ("olivia.smith", (1976, 3, 23), "187-554-0198"),
    ("liang.chen", (1948, 11, 30), "997-576-0102"),
    ("anika.patel", (1989, 1, 17), "345-233-0170"),
    ("carlos.garcia", (1955, 5, 4), "609-442-0186"),
    ("chinelo.okafor", (1962, 8, 19), "435-287-0116"),
    ("zofia.kowalski", (1945, 2, 14), "399-765-0124"),
    ("hiroshi.tanaka", (1958, 10, 1), "298-443-0131"),
    ("layla.abdullah", (1973, 12, 25), "198-619-0149"),
    ("emile.dubois", (1981, 6, 3), "400-870-0162"),
    ("raj.singh", (1992, 9, 12), "398-112-0181"),
    ("sofia.martinez", (1967, 7, 27), "229-998-0108"),
    ("jisoo.kim", (1950, 4, 20), "988-889-0157"),
    ("dmitri.ivanov", (1983, 2, 5), "799-443-0129"),
    ("sipho.mbatha", (1979, 11, 8), "762-112-0140"),
    ("giulia.rossi", (1960, 5, 30), "772-981-0169"),
    ("luis.hernandez", (1952, 3, 14), "118-112-0194"),
    ("aylin.yilmaz", (1972, 1, 1), "388-887-0175"),
    ("lars.andersson", (1988, 10, 10), "334-874-0111"),
    ("zara.ali", (1947, 6, 6), "202-555-0188"),
];

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn people() -> Vec<RichPatient> {
    let person = |(name, (year, month, day), phone): &(&str, (i32, u32, u32), &'static str)| {
        let (given, family) = name.split_once('.').unwrap_or((name, ""));
        RichPatient {
            email: format!("{name}@example.com"),
            given: capitalized(given),
            family: capitalized(family),
            born: NaiveDate::from_ymd_opt(*year, *month, *day).unwrap_or_default(),
            phone,
            password: password::unusable(&mut OsEntropy),
        }
    };
    PEOPLE.iter().map(person).collect()
}

/// Makes the rich demo, up to `now`, once.
///
/// # Errors
/// [`Error::Invalid`] where there is no organization for it, or somebody has one of its addresses.
pub async fn rich(store: &Store, now: DateTime<Utc>) -> Result<Seeded, Error> {
    let people = people();
    let emails: Vec<&str> = people.iter().map(|person| person.email.as_str()).collect();
    let mut work = store.begin().await?;
    let actor = seeder();
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    work.lock_seed(&admin).await?;
    let Some(organization) = work.organization_like(&admin, ORGANIZATION).await? else {
        return Err(Error::sentence(format!(
            "The rich demo needs an organization named {ORGANIZATION}: make the demo data first."
        )));
    };
    let study = RichStudy {
        organization,
        name: STUDY,
        description: "Synthetic CGM + Oura wearable demo data.",
        sources: &[GLUCOSE_SOURCE, WEARABLE_SOURCE],
        codes: &synthetic::CODES,
        consented: now - TimeDelta::days(CONSENTED),
    };
    match work.rich_state(&admin, &study, &emails).await? {
        (_, true) => return Ok(Seeded::Present),
        (0, false) => {}
        (_, false) => {
            return Err(Error::sentence("An account has the address of one of the people of the rich demo."));
        }
    }
    let made = work.seed_rich(&admin, &study, &people).await?;
    let midnights = work.local_midnights(&admin, now, synthetic::DAYS).await?;
    let patients: Vec<PatientId> = made.patients.values().copied().collect();
    let rights = Authorizer::new(&actor, &mut work).uploads(&patients).await?;
    let sender = work.sender();
    for person in &people {
        let absent = || Error::internal("a part of the rich demo was not made");
        let patient = *made.patients.get(&person.email).ok_or_else(absent)?;
        let age = u32::try_from(now.year() - person.born.year()).unwrap_or_default();
        let readings = synthetic::readings(Person { name: &person.email, age }, &midnights, now);
        let mut rows = Vec::with_capacity(readings.len());
        for reading in readings {
            let (code, system) = made.codes.get(reading.code).ok_or_else(absent)?;
            let source = if reading.code == synthetic::CODES[0] { GLUCOSE_SOURCE } else { WEARABLE_SOURCE };
            let upload = rights.consented(patient, *code, system, reading.code)?;
            let source = made.sources.get(source).copied();
            rows.push((upload, observation(reading, source), sender.clone()));
        }
        for chunk in rows.chunks(CHUNK) {
            work.observations().insert(chunk).await?;
        }
    }
    work.commit().await?;
    Ok(Seeded::Made)
}

fn observation(reading: Reading, source: Option<jhe_domain::DataSourceId>) -> NewObservation {
    NewObservation {
        data_source_id: source,
        status: "final".to_owned(),
        document: Phi::new(reading.document),
        effective: match reading.taken {
            jhe_omh::time::EffectiveTime::Instant(at) => EffectiveTime::Instant(at),
            jhe_omh::time::EffectiveTime::Period { start, end } => EffectiveTime::Period(start, end),
            jhe_omh::time::EffectiveTime::None => EffectiveTime::Unknown,
        }
        .to_micros(),
        identifiers: Vec::new(),
    }
}
