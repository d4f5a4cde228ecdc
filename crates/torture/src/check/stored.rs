//! What was acknowledged is there, once and unchanged; what was not is wholly there or not at all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use crate::client::{Shared, pages};
use crate::history::{Attempt, Fate, Records, What};
use crate::place::Place;
use crate::world::{self, FIRST_PATIENT, IDENTIFIERS, LAST_PATIENT, Pair};

/// Rows that are read at once.
const CHUNK: usize = 5000;

/// The readings in the database.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Ids by number.
    pub(super) ids: HashMap<u64, i64>,
    /// Rows that are wrong in themselves.
    pub(super) faults: Vec<String>,
}

/// What is known of a reading from all that was heard of it.
#[derive(Debug, Default, Clone, Copy)]
struct Heard {
    /// Its id, as the server said when it stored it.
    stored: Option<i64>,
    /// How often it was said to be stored now.
    times: usize,
    /// It was said to be there.
    known: bool,
    /// It may be there.
    unknown: bool,
}

impl Table {
    /// Reads all rows of our patients.
    pub(super) async fn read(place: &Place) -> Result<Self> {
        let mut table = Self::default();
        let mut after = 0;
        loop {
            let sql = format!(
                "SELECT json_agg(json_build_array(o.id, o.subject_patient_id, o.codeable_concept_id, o.omh_data,
                            (SELECT json_agg(json_build_array(i.system, i.value)) FROM core_observationidentifier AS i
                              WHERE i.observation_id = o.id)) ORDER BY o.id)::text
                   FROM (SELECT * FROM core_observation
                          WHERE subject_patient_id BETWEEN {FIRST_PATIENT} AND {LAST_PATIENT} AND id > {after}
                          ORDER BY id LIMIT {CHUNK}) AS o"
            );
            let text = place.scalar(sql).await?;
            if text.is_empty() {
                return Ok(table);
            }
            let rows: Vec<Value> = serde_json::from_str(&text)?;
            for row in &rows {
                after = table.add(row)?;
            }
        }
    }

    /// Adds a row, and says its id.
    fn add(&mut self, row: &Value) -> Result<i64> {
        let member = |at: usize| row.get(at).unwrap_or(&Value::Null);
        let id = member(0).as_i64().context("a row without an id")?;
        let document = member(3).as_str().unwrap_or_default();
        let Some(number) = world::number_of(document) else {
            self.faults.push(format!("row {id}: the document is nobody's: {document}"));
            return Ok(id);
        };
        if document != world::document(number) {
            self.faults.push(format!("row {id}: the document of reading {number} was changed: {document}"));
        }
        let kind = member(2).as_i64();
        let pair = member(1).as_i64().and_then(|patient| Pair::find(patient, |one| Some(one.id) == kind));
        if pair != Some(Pair::of(number)) {
            self.faults.push(format!("row {id}: reading {number} is stored for another patient or data type"));
        }
        let expected = serde_json::json!([[IDENTIFIERS, world::identifier(number)]]);
        if *member(4) != expected {
            self.faults.push(format!("row {id}: reading {number} has the identifiers {}", member(4)));
        }
        if let Some(other) = self.ids.insert(number, id) {
            self.faults.push(format!("reading {number} is stored twice, as {other} and {id}"));
        }
        Ok(id)
    }
}

/// What was heard of each reading.
fn heard(attempts: &[Attempt]) -> BTreeMap<u64, Heard> {
    let mut all: BTreeMap<u64, Heard> = BTreeMap::new();
    for (number, fate) in attempts.iter().flat_map(|attempt| &attempt.entries) {
        let heard = all.entry(*number).or_default();
        match fate {
            Fate::Stored(id) => {
                heard.stored = Some(*id);
                heard.times += 1;
            }
            Fate::Known => heard.known = true,
            Fate::Unknown => heard.unknown = true,
            Fate::Refused => {}
        }
    }
    all
}

/// Each acknowledged reading is there once, with its bytes.
pub(super) fn acknowledged(table: &Table, records: &Records) -> Finding {
    let mut violations = records.wrong.get("acknowledged").cloned().unwrap_or_default();
    violations.extend(table.faults.iter().cloned());
    let mut count = 0;
    for (number, heard) in heard(&records.attempts) {
        let there = table.ids.get(&number).copied();
        count += usize::from(heard.stored.is_some() || heard.known);
        match (heard.stored, there) {
            (Some(id), Some(there)) if id != there => {
                violations.push(format!("reading {number} was acknowledged as {id} and is stored as {there}"));
            }
            (Some(id), None) => violations.push(format!("reading {number}, acknowledged as {id}, is lost")),
            (None, None) if heard.known => violations.push(format!("reading {number} was said to be there and is not")),
            _ => {}
        }
        if heard.times > 1 {
            violations.push(format!("reading {number} was acknowledged {} times as new", heard.times));
        }
        if heard.known && heard.times == 0 && !heard.unknown {
            violations.push(format!("reading {number} was said to be there before anybody sent it"));
        }
    }
    Finding::new("acknowledged readings are there once, byte for byte", format!("{count} acknowledged"), violations)
}

/// Through the API everything is found that is in the table, once; each document is looked at on the way.
pub(super) async fn through_the_api(table: &Table, shared: &Arc<Shared>) -> Finding {
    let mut violations = Vec::new();
    let looked_at = match pages(shared).await {
        Ok(found) => {
            let distinct: HashSet<u64> = found.iter().copied().collect();
            if distinct.len() != found.len() {
                violations.push(format!("{} of {} rows came twice", found.len() - distinct.len(), found.len()));
            }
            let missing = table.ids.keys().filter(|number| !distinct.contains(number));
            violations.extend(missing.map(|number| format!("reading {number} is stored and not found")));
            let strange = distinct.iter().filter(|number| !table.ids.contains_key(number));
            violations.extend(strange.map(|number| format!("reading {number} is found and not stored")));
            format!("{} found", found.len())
        }
        Err(error) => {
            violations.push(format!("{error:#}"));
            "none found".to_owned()
        }
    };
    Finding::new("the API finds what is stored, byte for byte", looked_at, violations)
}

/// What was not acknowledged is wholly there or not at all: rows have been looked at when they were read, so what is left
/// are refusals that left something behind, transactions in halves, and readings of nobody.
pub(super) fn halves(table: &Table, records: &Records) -> Finding {
    let all = heard(&records.attempts);
    let mut violations = Vec::new();
    let mut unknown = 0;
    for (number, heard) in &all {
        let acknowledged = heard.stored.is_some() || heard.known;
        unknown += usize::from(heard.unknown && !acknowledged);
        if !acknowledged && !heard.unknown && table.ids.contains_key(number) {
            violations.push(format!("reading {number} was refused and is stored"));
        }
    }
    violations.extend(
        table
            .ids
            .keys()
            .filter(|number| !all.contains_key(number))
            .map(|number| format!("nobody sent reading {number}")),
    );
    let mut transactions = HashSet::new();
    for attempt in records.attempts.iter().filter(|attempt| attempt.what == What::Transaction) {
        let Some((first, _)) = attempt.entries.first() else { continue };
        if !transactions.insert(*first) {
            continue;
        }
        let there = attempt.entries.iter().filter(|(number, _)| table.ids.contains_key(number)).count();
        if there != 0 && there != attempt.entries.len() {
            violations.push(format!(
                "{there} of {} readings of the transaction of reading {first} are stored",
                attempt.entries.len()
            ));
        }
    }
    let looked_at = format!("{unknown} readings never answered, {} transactions", transactions.len());
    Finding::new("what was not acknowledged is whole or absent", looked_at, violations)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::history::{Outcome, Span};

    fn row(id: i64, number: u64) -> Value {
        let pair = Pair::of(number);
        let names = json!([[IDENTIFIERS, world::identifier(number)]]);
        json!([id, pair.patient(), pair.kind().id, world::document(number), names])
    }

    fn table(rows: &[Value]) -> Table {
        let mut table = Table::default();
        for row in rows {
            table.add(row).unwrap();
        }
        table
    }

    fn records(uploads: &[(What, &[(u64, Fate)])]) -> Records {
        let span = Span { start: Duration::ZERO, end: Duration::ZERO };
        let attempt = |(what, entries): &(What, &[(u64, Fate)])| Attempt {
            what: *what,
            span,
            outcome: Outcome::Acknowledged,
            entries: entries.to_vec(),
        };
        Records { attempts: uploads.iter().map(attempt).collect(), ..Records::default() }
    }

    #[test]
    fn what_is_lost_changed_or_doubled_is_found() {
        let sent = records(&[(What::Single, &[(1, Fate::Stored(11))]), (What::Single, &[(2, Fate::Unknown)])]);
        let count = |rows: &[Value]| acknowledged(&table(rows), &sent).violations();
        assert_eq!(count(&[row(11, 1)]), 0);
        assert_eq!(count(&[row(11, 1), row(12, 2)]), 0);
        assert_eq!(count(&[]), 1);
        assert_eq!(count(&[row(12, 1)]), 1);
        assert_eq!(count(&[row(11, 1), row(12, 2), row(13, 2)]), 1);
        let mut changed = row(11, 1);
        changed[3] = json!(world::document(1).replace("Zürich", "Zurich"));
        assert_eq!(count(&[changed]), 1);
        let mut nameless = row(11, 1);
        nameless[4] = Value::Null;
        assert_eq!(count(&[nameless]), 1);
        let early = records(&[(What::Single, &[(1, Fate::Known)])]);
        assert_eq!(acknowledged(&table(&[row(11, 1)]), &early).violations(), 1);
    }

    #[test]
    fn halves_are_found() {
        let both = [(1, Fate::Unknown), (2, Fate::Unknown)];
        let sent = records(&[(What::Transaction, &both), (What::Single, &[(3, Fate::Refused)])]);
        let count = |rows: &[Value]| halves(&table(rows), &sent).violations();
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&[row(11, 1), row(12, 2)]), 0);
        assert_eq!(count(&[row(11, 1)]), 1);
        assert_eq!(count(&[row(13, 3)]), 1);
        assert_eq!(count(&[row(14, 4)]), 1);
    }
}
