//! What the run was, in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fault::Fault;
use crate::history::{Outcome, Records, What};

/// Recovery times by kind of fault.
#[derive(Debug, Default)]
pub(crate) struct Recoveries(BTreeMap<Fault, Vec<Duration>>);

impl Recoveries {
    /// Adds one.
    pub(crate) fn add(&mut self, fault: Fault, took: Duration) {
        self.0.entry(fault).or_default().push(took);
    }

    /// Prints how often each fault came, and how soon the server answered.
    pub(crate) fn print(&self) {
        println!(
            "{:<34} {:>6}   from \"the database takes connections\" to the first right answer, ms",
            "fault", "times"
        );
        println!("{:<34} {:>6} {:>10} {:>10} {:>10}", "", "", "least", "median", "most");
        for (fault, times) in &self.0 {
            let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
            times.sort_unstable_by(f64::total_cmp);
            let at = |index: usize| times.get(index).copied().unwrap_or_default();
            let (least, median, most) = (at(0), at(times.len() / 2), at(times.len().saturating_sub(1)));
            println!("{:<34} {:>6} {least:>10.1} {median:>10.1} {most:>10.1}", fault.name(), times.len());
        }
    }
}

/// Prints how often each thing was asked, and with which outcome.
pub(crate) fn operations(records: &Records) {
    const OUTCOMES: [(Outcome, &str); 5] = [
        (Outcome::Acknowledged, "done"),
        (Outcome::Refused, "refused"),
        (Outcome::Failed, "failed"),
        (Outcome::Unanswered, "unanswered"),
        (Outcome::HungUp, "hung up"),
    ];
    let counts = records.counts();
    print!("{:<34}", "operation");
    for (_, name) in OUTCOMES {
        print!(" {name:>10}");
    }
    println!();
    let whats: std::collections::BTreeSet<What> = counts.keys().map(|(what, _)| *what).collect();
    for what in whats {
        print!("{:<34}", what.name());
        for (outcome, _) in OUTCOMES {
            print!(" {:>10}", counts.get(&(what, outcome)).copied().unwrap_or_default());
        }
        println!();
    }
    println!(
        "outcomes unknown to the client: failed, unanswered, hung up; nobody listened {} times",
        records.unreachable.len()
    );
}
