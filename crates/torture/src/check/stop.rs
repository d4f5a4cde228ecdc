//! Nobody notices a rolling restart: what a server that is told to stop has taken, it answers.

use std::collections::HashMap;
use std::time::Duration;

use super::Finding;
use super::stored::Table;
use crate::history::{Fate, Outcome, Records, Span, Stop};

/// By then a server has read what was sent to it.
const READ_BY_THEN: Duration = Duration::from_millis(100);

/// Looks at each stop.
pub(super) fn check(table: &Table, records: &Records) -> Finding {
    let mut violations = Vec::new();
    let attempts = records.attempts.iter().map(|one| (one.span, one.outcome));
    let changes = records.changes.iter().map(|one| (one.span, one.outcome));
    let reads = records.reads.iter().map(|one| (one.span, one.outcome));
    let mut lost = 0;
    for (span, outcome) in attempts.chain(changes).chain(reads) {
        if outcome != Outcome::Unanswered {
            continue;
        }
        let Some(stop) = during(records, span) else { continue };
        lost += 1;
        if span.start + READ_BY_THEN <= stop.asked {
            violations.push(format!(
                "a request, {span}, was not answered by the server that was told to stop at {:.4} s",
                stop.asked.as_secs_f64()
            ));
        }
    }
    violations.extend(carried_out(records, table));
    for moment in &records.unreachable {
        if records.stops.iter().any(|stop| (stop.switched..=stop.gone).contains(moment)) {
            violations.push(format!("nobody listened at {:.4} s, during a rolling restart", moment.as_secs_f64()));
        }
    }
    let looked_at = format!("{} restarts, {lost} requests that came too late", records.stops.len());
    Finding::new("a rolling restart answers what it has taken", looked_at, violations)
}

fn during(records: &Records, span: Span) -> Option<&Stop> {
    records.stops.iter().find(|stop| span.start <= stop.gone && span.end >= stop.asked)
}

/// Readings that are there although the only server that can have stored them gave no answer.
fn carried_out(records: &Records, table: &Table) -> Vec<String> {
    // Of each reading: whether nothing else can explain it.
    let mut only: HashMap<u64, bool> = HashMap::new();
    for attempt in &records.attempts {
        let is_lost = attempt.outcome == Outcome::Unanswered && during(records, attempt.span).is_some();
        for (number, fate) in &attempt.entries {
            let explains = match fate {
                Fate::Stored(_) => true,
                Fate::Unknown => !is_lost,
                Fate::Known | Fate::Refused => false,
            };
            let alone = only.entry(*number).or_insert(true);
            *alone &= !explains;
        }
    }
    let unexplained = only.into_iter().filter(|(number, alone)| *alone && table.ids.contains_key(number));
    unexplained
        .map(|(number, _)| format!("reading {number} was stored by a server that stopped, and not answered"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Attempt, What};

    #[test]
    fn what_a_stopping_server_took_must_be_answered() {
        let at = Duration::from_millis;
        let stop = Stop { switched: at(900), asked: at(1000), gone: at(1100) };
        let count = |start: u64, end: u64, stored: bool, later: Option<Fate>| {
            let attempt = |outcome, fate| Attempt {
                what: What::Single,
                span: Span { start: at(start), end: at(end) },
                outcome,
                entries: vec![(1, fate)],
            };
            let mut attempts = vec![attempt(Outcome::Unanswered, Fate::Unknown)];
            attempts.extend(later.map(|fate| attempt(Outcome::Acknowledged, fate)));
            let records = Records { attempts, stops: vec![stop], ..Records::default() };
            let ids = if stored { HashMap::from([(1, 11)]) } else { HashMap::new() };
            check(&Table { ids, ..Table::default() }, &records).violations()
        };
        assert_eq!(count(990, 1010, false, None), 0);
        assert_eq!(count(990, 1010, true, Some(Fate::Stored(11))), 0);
        assert_eq!(count(990, 1010, true, None), 1);
        assert_eq!(count(990, 1010, true, Some(Fate::Known)), 1);
        assert_eq!(count(800, 1010, false, None), 1);
        // Some other fault.
        assert_eq!(count(800, 950, true, None), 0);
    }
}
