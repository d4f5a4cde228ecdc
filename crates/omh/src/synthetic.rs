//! Readings of made-up people over weeks and months, for demonstrations (data model §8.8): a continuous glucose monitor, and a
//! wearable with a record of each of eight types a day.
//!
//! What a person's reading at some time says depends on nothing but the person and that time, so the same data come out
//! whenever they are made.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::time::EffectiveTime;

/// What the readings of all people are mixed with.
const SEED: u64 = 4242;
/// Glucose is measured so often.
const GLUCOSE_MINUTES: i64 = 15;
/// Glucose is measured so long.
const GLUCOSE_DAYS: i64 = 14;
/// A wearable is worn so many days, from and to.
const WORN: (u64, u64) = (60, 180);
/// Minutes of the day at which people eat; glucose is highest [`AFTER_MEAL`] later.
const MEALS: [i64; 3] = [7 * 60 + 30, 12 * 60 + 30, 18 * 60 + 30];
const AFTER_MEAL: i64 = 45;

/// Days of which the local midnights are needed: the longest a wearable is worn, and the night before.
pub const DAYS: i64 = 181;

/// The codes of all types, glucose first.
pub const CODES: [&str; 9] = [
    "omh:blood-glucose:4.0",
    "omh:physical-activity:1.2",
    "omh:step-count:3.0",
    "ieee:sleep-stage-summary:1.0",
    "omh:sleep-episode:1.1",
    "omh:sleep-duration:2.0",
    "omh:heart-rate:2.0",
    "omh:respiratory-rate:2.0",
    "omh:oxygen-saturation:2.0",
];

/// A made-up person.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// What tells people apart.
    pub name: &'a str,
    /// Years.
    pub age: u32,
}

/// A reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Its code, one of [`CODES`].
    pub code: &'static str,
    /// The document.
    pub document: String,
    /// When it was taken.
    pub taken: EffectiveTime,
}

/// All readings of a person up to `now`. `midnights` are those of the last [`DAYS`] local days, the last of them today's, and tell
/// what time of day it is where the person lives. The newest reading of each type is of today.
pub fn readings(person: Person<'_>, midnights: &[DateTime<Utc>], now: DateTime<Utc>) -> Vec<Reading> {
    let seed = seed(person.name);
    let mut all = glucose(seed, person.age, midnights, now);
    let (least, most) = WORN;
    let worn = usize::try_from(least + hash(seed, 1, 0) % (most - least + 1)).unwrap_or_default();
    let first = midnights.len().saturating_sub(worn).max(1);
    for days in midnights.windows(2).skip(first - 1) {
        if let [yesterday, today] = days {
            all.extend(day(seed, *yesterday, *today, now));
        }
    }
    all
}

fn glucose(seed: u64, age: u32, midnights: &[DateTime<Utc>], now: DateTime<Utc>) -> Vec<Reading> {
    let step = GLUCOSE_MINUTES * 60;
    let last = now.timestamp().div_euclid(step);
    let points = GLUCOSE_DAYS * 24 * 60 / GLUCOSE_MINUTES;
    let base = 82.0 + f64::from(age) * 0.35 + spread(seed, 2, 0) * 8.0;
    let value = |slot: i64, at: DateTime<Utc>| {
        let day = midnights.partition_point(|midnight| *midnight <= at).saturating_sub(1);
        let midnight = midnights.get(day).copied().unwrap_or(at);
        let (minute, number) = ((at - midnight).num_minutes(), day_number(midnight));
        let meals = MEALS.iter().zip(3..).map(|(meal, kind)| {
            let height = 35.0 + spread(seed, kind, number) * 15.0;
            let away = minutes(minute - meal - AFTER_MEAL) / 40.0;
            height * (-away * away).exp()
        });
        (base + meals.sum::<f64>() + spread(seed, 6, slot) * 9.0).round().clamp(40.0, 300.0)
    };
    let reading = |slot: i64| {
        let at = DateTime::from_timestamp(slot * step, 0)?;
        let body = json!({ "blood_glucose": { "unit": "mg/dL", "value": whole(value(slot, at)) }, "effective_time_frame": point(at) });
        Some(Reading { taken: EffectiveTime::Instant(at), ..reading(seed, 0, slot, at, "demo-cgm-generator", &body) })
    };
    (last - points..=last).filter_map(reading).collect()
}

/// The records of one day, and of the night before it.
fn day(seed: u64, yesterday: DateTime<Utc>, today: DateTime<Utc>, now: DateTime<Utc>) -> Vec<Reading> {
    let number = day_number(today);
    let between = |kind: u64, low: i64, high: i64| {
        low + whole(f64::midpoint(spread(seed, kind, number), 1.0) * minutes(high - low))
    };
    // What lies in the future is moved up to now, where the day is still young.
    let at = |start: DateTime<Utc>, minute: i64| (start + TimeDelta::minutes(minute)).min(now);
    let awake = at(today, between(11, 6 * 60, 7 * 60 + 30));
    let asleep = at(yesterday, between(10, 22 * 60, 23 * 60 + 45)).min(awake);
    let waking = between(12, 10, 45);
    let slept = between(13, 360, 480);
    let (deep, rem) = (slept * between(14, 15, 22) / 100, slept * between(15, 18, 25) / 100);
    let moved = at(today, between(16, 16 * 60, 19 * 60));
    let rested = (moved + TimeDelta::minutes(between(17, 20, 70))).min(now);
    let noon = at(today, 12 * 60);
    let evening = at(today, 23 * 60 + 59);
    let duration = |value: i64| json!({ "value": value, "unit": "min" });
    let night = interval(asleep, awake);
    let records: [(usize, Value, EffectiveTime); 8] = [
        (
            1,
            json!({
                "activity_name": if between(18, 0, 10) < 5 { "walking" } else { "cycling" },
                "effective_time_frame": interval(moved, rested),
                "kcal_burned": { "value": between(19, 90, 420), "unit": "kcal" },
                "reported_activity_intensity": "moderate",
            }),
            period(moved, rested),
        ),
        (
            2,
            json!({
                "step_count": { "value": between(20, 2_500, 13_500), "unit": "steps" },
                "effective_time_frame": interval(today.min(evening), evening),
            }),
            period(today.min(evening), evening),
        ),
        (
            3,
            json!({
                "sleep_stage_summary": {
                    "total_sleep_time": duration(slept),
                    "rem_sleep_duration": duration(rem),
                    "light_sleep_duration": duration(slept - deep - rem),
                    "deep_sleep_duration": duration(deep),
                    "awake_duration": duration(waking),
                    "number_of_awakenings": between(21, 0, 5),
                },
                "effective_time_frame": night,
            }),
            period(asleep, awake),
        ),
        (
            4,
            json!({
                "total_sleep_time": duration(slept),
                "latency_to_sleep_onset": duration(between(22, 3, 25)),
                "wake_after_sleep_onset": duration(waking),
                "number_of_awakenings": between(21, 0, 5),
                "is_main_sleep": true,
                "effective_time_frame": night,
            }),
            period(asleep, awake),
        ),
        (5, json!({ "sleep_duration": duration(slept), "effective_time_frame": night }), period(asleep, awake)),
        (
            6,
            json!({
                "heart_rate": { "value": between(23, 56, 88), "unit": "beats/min" },
                "effective_time_frame": point(noon),
            }),
            EffectiveTime::Instant(noon),
        ),
        (
            7,
            json!({
                "respiratory_rate": { "value": between(24, 12, 19), "unit": "breaths/min" },
                "effective_time_frame": point(awake),
            }),
            EffectiveTime::Instant(awake),
        ),
        (
            8,
            json!({
                "oxygen_saturation": { "value": between(25, 94, 99), "unit": "%" },
                "effective_time_frame": point(awake),
            }),
            EffectiveTime::Instant(awake),
        ),
    ];
    let source = "demo-synthea-omh-ieee-generator";
    let made = |(kind, body, taken)| {
        let end = match taken {
            EffectiveTime::Instant(at) => at,
            EffectiveTime::Period { end, .. } => end.unwrap_or(now),
            EffectiveTime::None => now,
        };
        Reading { taken, ..reading(seed, kind, number, end, source, &body) }
    };
    records.into_iter().map(made).collect()
}

/// A reading of the `kind`-th of [`CODES`], without its time.
fn reading(seed: u64, kind: usize, slot: i64, created: DateTime<Utc>, source: &str, body: &Value) -> Reading {
    let code = CODES.get(kind).copied().unwrap_or_default();
    let mut parts = code.split(':');
    let mut part = || parts.next().unwrap_or_default();
    let (namespace, name, version) = (part(), part(), part());
    let salt = 100 + u64::try_from(kind).unwrap_or_default();
    let (high, low) = (hash(seed, salt, slot), hash(!seed, salt, slot));
    let uuid = format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        0x8000 | low >> 50,
        low & 0xffff_ffff_ffff
    );
    let document = json!({
        "header": {
            "uuid": uuid,
            "schema_id": { "namespace": namespace, "name": name, "version": version },
            "source_creation_date_time": text(created),
            "modality": "sensed",
            "external_datasheets": [{ "datasheet_type": "software", "datasheet_reference": source }],
        },
        "body": body,
    });
    Reading { code, document: document.to_string(), taken: EffectiveTime::None }
}

/// A number for a local day, by its midnight.
fn day_number(midnight: DateTime<Utc>) -> i64 {
    midnight.timestamp().div_euclid(24 * 3600)
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn point(at: DateTime<Utc>) -> Value {
    json!({ "date_time": text(at) })
}

fn interval(start: DateTime<Utc>, end: DateTime<Utc>) -> Value {
    json!({ "time_interval": { "start_date_time": text(start), "end_date_time": text(end) } })
}

/// The same as it is stored, in whole seconds as the document has it.
fn period(start: DateTime<Utc>, end: DateTime<Utc>) -> EffectiveTime {
    EffectiveTime::Period { start: Some(start), end: Some(end) }
}

fn seed(name: &str) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mix(name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv) ^ SEED)
}

/// The finalizer of SplitMix64.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn hash(seed: u64, kind: u64, slot: i64) -> u64 {
    mix(mix(seed.wrapping_add(kind.wrapping_mul(0x9e37_79b9_7f4a_7c15))) ^ slot.cast_unsigned())
}

/// A number from -1 to 1.
fn spread(seed: u64, kind: u64, slot: i64) -> f64 {
    let part = u32::try_from(hash(seed, kind, slot) >> 32).unwrap_or_default();
    f64::from(part) / f64::from(u32::MAX) * 2.0 - 1.0
}

fn minutes(number: i64) -> f64 {
    i32::try_from(number).map_or(0.0, f64::from)
}

#[expect(clippy::cast_possible_truncation, reason = "measures of people are small")]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{Schemas, validate};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// Midnights eight hours behind UTC.
    fn midnights(today: &str) -> Vec<DateTime<Utc>> {
        (0..DAYS).rev().map(|day| at(today) - TimeDelta::days(day)).collect()
    }

    fn of(name: &str, now: &str) -> Vec<Reading> {
        readings(Person { name, age: 50 }, &midnights("2026-03-03T08:00:00Z"), at(now))
    }

    fn end(reading: &Reading) -> DateTime<Utc> {
        match reading.taken {
            EffectiveTime::Instant(at) => at,
            EffectiveTime::Period { start, end } => {
                assert!(start <= end, "{reading:?}");
                end.unwrap()
            }
            EffectiveTime::None => panic!("{reading:?}"),
        }
    }

    #[test]
    fn documents_conform_and_tell_the_time_they_are_stored_with() {
        for now in ["2026-03-03T08:00:00Z", "2026-03-03T19:07:30Z", "2026-03-04T07:59:59Z"] {
            let all = of("may.nguyen@example.com", now);
            for reading in all.iter().step_by(7) {
                let document: Value = serde_json::from_str(&reading.document).unwrap();
                assert_eq!(validate(Schemas::embedded(), reading.code, &document), Ok(()), "{}", reading.document);
                let told = crate::time::effective_time(&document).unwrap();
                assert_eq!(told, reading.taken, "{}", reading.document);
            }
        }
    }

    #[test]
    fn the_newest_of_each_type_is_of_today_and_none_is_later() {
        for now in ["2026-03-03T08:00:00Z", "2026-03-03T08:20:00Z", "2026-03-03T19:00:00Z", "2026-03-04T07:59:00Z"] {
            let all = of("olivia.smith@example.com", now);
            for code in CODES {
                let newest = all.iter().filter(|reading| reading.code == code).map(end).max().unwrap();
                assert!(newest >= at("2026-03-03T08:00:00Z") && newest <= at(now), "{code} {newest} {now}");
            }
        }
    }

    #[test]
    fn there_are_as_many_as_agreed_and_each_is_one_of_its_own() {
        let mut worn = HashSet::new();
        for name in ["may.nguyen@example.com", "olivia.smith@example.com", "liang.chen@example.com"] {
            let all = of(name, "2026-03-03T19:00:00Z");
            let count = |code: &str| all.iter().filter(|reading| reading.code == code).count();
            assert_eq!(count("omh:blood-glucose:4.0"), 1345);
            let days = count("omh:step-count:3.0");
            assert!((60..=180).contains(&days), "{days}");
            worn.insert(days);
            assert!(CODES[1..].iter().all(|code| count(code) == days));
            let uuids: HashSet<String> = all
                .iter()
                .map(|reading| {
                    let document: Value = serde_json::from_str(&reading.document).unwrap();
                    document["header"]["uuid"].as_str().unwrap().to_owned()
                })
                .collect();
            assert_eq!(uuids.len(), all.len());
        }
        assert!(worn.len() > 1);
    }

    #[test]
    fn glucose_is_higher_after_meals_and_within_its_bounds() {
        let all = of("raj.singh@example.com", "2026-03-03T19:00:00Z");
        let (mut after, mut before) = (Vec::new(), Vec::new());
        for reading in all.iter().filter(|reading| reading.code == "omh:blood-glucose:4.0") {
            let document: Value = serde_json::from_str(&reading.document).unwrap();
            let value = document["body"]["blood_glucose"]["value"].as_i64().unwrap();
            assert!((40..=300).contains(&value));
            match (end(reading) - TimeDelta::hours(8)).format("%H:%M").to_string().as_str() {
                "08:15" | "13:15" | "19:15" => after.push(value),
                "07:00" | "12:00" | "18:00" => before.push(value),
                _ => {}
            }
        }
        let mean = |values: &[i64]| values.iter().sum::<i64>() / i64::try_from(values.len()).unwrap();
        assert!(mean(&after) > mean(&before) + 15, "{} {}", mean(&after), mean(&before));
    }

    #[test]
    fn the_same_come_out_whenever_they_are_made() {
        let made = |name: &str, today: &str, now: &str| {
            let all = readings(Person { name, age: 50 }, &midnights(today), at(now));
            // Before the first today, after the second beginning.
            let within = |one: &Reading| end(one) < at("2026-03-03T08:00:00Z") && end(one) > at("2026-02-20T00:00:00Z");
            all.into_iter().filter(within).collect::<Vec<_>>()
        };
        let first = made("lars.andersson@example.com", "2026-03-03T08:00:00Z", "2026-03-03T19:00:00Z");
        assert!(first.len() > 1000);
        assert!(first == made("lars.andersson@example.com", "2026-03-04T08:00:00Z", "2026-03-05T01:10:00Z"));
        assert!(first != made("zara.ali@example.com", "2026-03-03T08:00:00Z", "2026-03-03T19:00:00Z"));
    }
}
