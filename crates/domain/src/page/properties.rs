//! Pages follow each other without a gap or a repetition, whatever comes and goes meanwhile.

use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;

/// The page of a window over rows that are numbers, as a store reads it.
fn page(rows: &BTreeSet<i64>, window: &Window) -> Page<i64> {
    let below = |row: &&i64| window.after.as_ref().is_none_or(|after| **row > after.id);
    let skipped = usize::try_from(window.offset).unwrap();
    let reach = usize::try_from(window.reach()).unwrap();
    let read: Vec<i64> = rows.iter().filter(below).skip(skipped).take(reach).copied().collect();
    let count = i64::try_from(rows.len()).unwrap();
    Page::of(window, count, read, |row| Place { keys: Vec::new(), id: *row })
}

proptest! {
    #[test]
    fn places_lead_through_all_that_stays(
        mut rows in btree_set(0..200_i64, 0..40), limit in 1..9_i64, changes in vec((0..200_i64, any::<bool>()), 0..40),
    ) {
        let first = rows.clone();
        let mut touched = BTreeSet::new();
        let mut changes = changes.into_iter();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let found = page(&rows, &Window::below(after, limit));
            prop_assert!(i64::try_from(found.rows.len()).unwrap() <= limit);
            seen.extend(found.rows);
            let Some(next) = found.next else { break };
            after = Some(next);
            if let Some((row, comes)) = changes.next() {
                touched.insert(row);
                if comes { rows.insert(row) } else { rows.remove(&row) };
            }
        }
        prop_assert!(seen.is_sorted_by(|one, two| one < two), "no row twice: {seen:?}");
        prop_assert!(first.difference(&touched).all(|row| seen.contains(row)));
    }

    #[test]
    fn a_page_by_position_is_a_slice(rows in btree_set(0..200_i64, 0..40), offset in 0..50_i64, limit in 0..50_i64) {
        let found = page(&rows, &Window::at(offset, limit));
        let all: Vec<i64> = rows.iter().copied().collect();
        let at = |position: i64| usize::try_from(position).unwrap().min(all.len());
        prop_assert_eq!(&found.rows[..], &all[at(offset)..at(offset + limit)]);
        prop_assert_eq!((found.count, found.next), (i64::try_from(all.len()).unwrap(), None));
    }
}
