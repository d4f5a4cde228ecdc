//! Consent decides, at every moment: nothing is shown or stored against it, nothing is kept back in spite of it.
//!
//! A change takes effect at some moment between its beginning and its last possible effect, which is its end where it was
//! acknowledged, and later where its outcome is unknown. A read sees the consents of some moment between its beginning and its
//! end. It is wrong only if no choice of those moments explains it.

use std::time::Duration;

use super::Finding;
use crate::history::{Change, Fate, Outcome, Records, Span, What};
use crate::world::Pair;

/// The changes of one pair, arranged for the two questions.
#[derive(Debug, Default)]
struct Timeline {
    /// Gifts that may have happened: beginning, and the last effect of any up to here.
    gifts: Vec<(Duration, Duration)>,
    /// Withdrawals that happened: end, and the last beginning of any up to here.
    withdrawn: Vec<(Duration, Duration)>,
    /// Gifts that happened: end, and the last beginning of any up to here.
    given: Vec<(Duration, Duration)>,
    /// Withdrawals that may have happened: beginning, and the last effect of any up to here.
    withdrawals: Vec<(Duration, Duration)>,
}

/// Sorts by the first and replaces the second by the greatest so far.
fn running(mut pairs: Vec<(Duration, Duration)>) -> Vec<(Duration, Duration)> {
    pairs.sort_unstable();
    let mut greatest = Duration::ZERO;
    for (_, value) in &mut pairs {
        greatest = greatest.max(*value);
        *value = greatest;
    }
    pairs
}

/// The greatest second of those whose first is not after a moment.
fn until(pairs: &[(Duration, Duration)], moment: Duration) -> Option<Duration> {
    let count = pairs.partition_point(|(first, _)| *first <= moment);
    pairs.get(count.checked_sub(1)?).map(|(_, value)| *value)
}

impl Timeline {
    /// From the changes of a pair whose consent was given before all.
    fn new(changes: impl Iterator<Item = (Change, Duration)>) -> Self {
        let mut all = Self::default();
        all.gifts.push((Duration::ZERO, Duration::ZERO));
        all.given.push((Duration::ZERO, Duration::ZERO));
        for (Change { given, span, outcome, .. }, last_effect) in changes {
            let acknowledged = outcome == Outcome::Acknowledged;
            if outcome == Outcome::Refused {
                continue;
            }
            let (may, did) =
                if given { (&mut all.gifts, &mut all.given) } else { (&mut all.withdrawals, &mut all.withdrawn) };
            may.push((span.start, last_effect));
            if acknowledged {
                did.push((span.end, span.start));
            }
        }
        Self {
            gifts: running(all.gifts),
            withdrawn: running(all.withdrawn),
            given: running(all.given),
            withdrawals: running(all.withdrawals),
        }
    }

    /// Whether the consent may have held at some moment of a span: a gift may have come, and no withdrawal that ended
    /// before the span must have come after it.
    fn may_hold(&self, span: Span) -> bool {
        let Some(last_gift) = until(&self.gifts, span.end) else { return false };
        // The last withdrawal began after every gift had its effect.
        until(&self.withdrawn, span.start).is_none_or(|withdrawal| withdrawal < last_gift)
    }

    /// Whether the consent must have held at every moment of a span: a gift had come, and every withdrawal that may have
    /// come by its end had its effect before that gift began.
    fn must_hold(&self, span: Span) -> bool {
        let Some(gift) = until(&self.given, span.start) else { return false };
        until(&self.withdrawals, span.end).is_none_or(|withdrawal| withdrawal <= gift)
    }
}

/// The changes of each pair.
fn timelines(records: &Records) -> Vec<Timeline> {
    let timeline = |pair| {
        let own = records.changes.iter().filter(|change| change.pair == pair);
        Timeline::new(own.map(|change| (*change, records.last_effect(change.span, change.outcome))))
    };
    Pair::all().map(timeline).collect()
}

/// Whether each consent surely holds now, or surely does not; `None` where nobody can tell.
pub(super) fn now(records: &Records, now: Duration) -> Vec<(Pair, Option<bool>)> {
    let span = Span { start: now, end: now };
    let state = |line: &Timeline| match (line.must_hold(span), line.may_hold(span)) {
        (true, _) => Some(true),
        (_, false) => Some(false),
        _ => None,
    };
    Pair::all().zip(timelines(records).iter().map(state)).collect()
}

/// Looks at every read and every upload.
pub(super) fn check(records: &Records) -> Vec<Finding> {
    let timelines = timelines(records);
    let line = |pair: Pair| timelines.get(pair.index());
    vec![shown(records, line), stored(records, line), kept_back(records, line)]
}

/// No answer shows what was withdrawn.
fn shown<'a>(records: &Records, line: impl Fn(Pair) -> Option<&'a Timeline>) -> Finding {
    let mut violations = Vec::new();
    let (mut reads, mut tempted) = (0, 0);
    for read in records.reads.iter().filter(|read| read.outcome == Outcome::Acknowledged) {
        reads += 1;
        for pair in Pair::all().filter(|pair| line(*pair).is_some_and(|line| !line.may_hold(read.span))) {
            tempted += 1;
            if read.seen & pair.bit() != 0 {
                let (what, span) = (read.what.name(), read.span);
                violations.push(format!("{what}, {span}, shows {pair}, which was withdrawn before"));
            }
        }
    }
    let looked_at = format!("{reads} answers, {tempted} times a consent was withdrawn meanwhile");
    Finding::new("no read shows what was withdrawn", looked_at, violations)
}

/// Nothing is stored for which there was no consent.
fn stored<'a>(records: &Records, line: impl Fn(Pair) -> Option<&'a Timeline>) -> Finding {
    let mut violations = Vec::new();
    let mut count = 0;
    for attempt in &records.attempts {
        for (number, fate) in &attempt.entries {
            if matches!(fate, Fate::Stored(_)) {
                count += 1;
                if line(Pair::of(*number)).is_some_and(|line| !line.may_hold(attempt.span)) {
                    violations.push(format!("reading {number} was stored without consent, {}", attempt.span));
                }
            }
        }
    }
    Finding::new("nothing is stored without consent", format!("{count} stored"), violations)
}

/// While consent holds, acknowledged readings are found and new ones are taken.
fn kept_back<'a>(records: &Records, line: impl Fn(Pair) -> Option<&'a Timeline>) -> Finding {
    let mut violations = Vec::new();
    let mut count = 0;
    for read in records.reads.iter().filter(|read| !read.outcome.is_unknown()) {
        let Some(number) = read.wanted else { continue };
        if line(Pair::of(number)).is_some_and(|line| line.must_hold(read.span)) {
            count += 1;
            if read.outcome == Outcome::Refused {
                violations.push(format!("{}, {}, does not find reading {number}", read.what.name(), read.span));
            }
        }
    }
    for attempt in &records.attempts {
        let refused = attempt.entries.iter().filter(|(_, fate)| *fate == Fate::Refused);
        let held = |number: &u64| line(Pair::of(*number)).is_some_and(|line| line.must_hold(attempt.span));
        let wrong: Vec<u64> = refused.map(|(number, _)| *number).filter(held).collect();
        // A transaction is refused for any one of its readings.
        if !wrong.is_empty() && (attempt.what != What::Transaction || wrong.len() == attempt.entries.len()) {
            violations.push(format!("readings {wrong:?} were refused in spite of consent, {}", attempt.span));
        }
        count += 1;
    }
    Finding::new("nothing is kept back in spite of consent", format!("{count} reads by id and uploads"), violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u64, end: u64) -> Span {
        Span { start: Duration::from_millis(start), end: Duration::from_millis(end) }
    }

    /// Changes as (given, start, end, last effect where the outcome is unknown).
    fn line(changes: &[(bool, u64, u64, Option<u64>)]) -> Timeline {
        let pair = Pair::of(0);
        Timeline::new(changes.iter().map(|(given, start, end, late)| {
            let outcome = if late.is_some() { Outcome::Unanswered } else { Outcome::Acknowledged };
            let change = Change { pair, given: *given, span: span(*start, *end), outcome };
            (change, Duration::from_millis(late.unwrap_or(*end)))
        }))
    }

    #[test]
    fn a_read_is_wrong_only_if_no_moment_explains_it() {
        let withdrawn = [(false, 10, 20, None)];
        let given_again = [(false, 10, 20, None), (true, 40, 50, None)];
        let perhaps_given = [(false, 10, 20, None), (true, 40, 50, Some(100)), (false, 60, 70, None)];
        let perhaps_withdrawn = [(false, 10, 20, Some(30))];
        let cases: [(&[_], Span, bool, bool); 14] = [
            (&[], span(5, 6), true, true),
            (&withdrawn, span(5, 9), true, true),
            (&withdrawn, span(5, 12), true, false),
            (&withdrawn, span(15, 30), true, false),
            (&withdrawn, span(21, 30), false, false),
            (&given_again, span(21, 39), false, false),
            (&given_again, span(21, 45), true, false),
            (&given_again, span(45, 60), true, false),
            (&given_again, span(51, 60), true, true),
            // The gift may come after the second withdrawal.
            (&perhaps_given, span(75, 80), true, false),
            (&perhaps_given, span(21, 39), false, false),
            (&perhaps_withdrawn, span(25, 28), true, false),
            (&perhaps_withdrawn, span(40, 50), true, false),
            (&perhaps_withdrawn, span(1, 2), true, true),
        ];
        for (changes, read, may, must) in cases {
            assert_eq!(line(changes).may_hold(read), may, "{changes:?} {read:?}");
            assert_eq!(line(changes).must_hold(read), must, "{changes:?} {read:?}");
        }
    }

    #[test]
    fn an_unknown_gift_explains_nothing_once_it_is_settled() {
        let changes = [(true, 0, 5, Some(8)), (false, 10, 20, None)];
        assert!(!line(&changes).may_hold(span(21, 22)));
        assert!(line(&changes).may_hold(span(12, 13)));
    }
}
