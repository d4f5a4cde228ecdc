//! Groups of uploads at a desk whose answers are chosen: each is stored once at most, and hears what became of it.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use super::*;
use jhe_domain::error::Conflict;

/// What comes of storing an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is stored.
    Stored,
    /// The database refuses it, and with it the statement.
    Refused,
    /// The statement is stored, and the connection breaks before the answer.
    Broken,
    /// There is a defect.
    Defect,
}

/// Remembers what it was given to store, and what it stored.
#[derive(Clone, Default)]
struct Fake {
    given: Arc<std::sync::Mutex<Vec<Vec<usize>>>>,
    stored: Arc<std::sync::Mutex<HashMap<usize, usize>>>,
}

fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk for Fake {
    type Question = (usize, Fate);
    type Answer = usize;

    async fn answer(&self, uploads: &[(usize, Fate)]) -> Result<Vec<usize>, Error> {
        let numbers: Vec<usize> = uploads.iter().map(|(number, _)| *number).collect();
        locked(&self.given).push(numbers.clone());
        assert!(uploads.iter().all(|(_, fate)| *fate != Fate::Defect), "a defect");
        if uploads.iter().any(|(_, fate)| *fate == Fate::Refused) {
            return Err(Error::Conflict(Conflict::EmailTaken));
        }
        for number in &numbers {
            *locked(&self.stored).entry(*number).or_default() += 1;
        }
        if uploads.iter().any(|(_, fate)| *fate == Fate::Broken) {
            return Err(Error::Unavailable { retry_after: Duration::from_secs(2), source: "broken".into() });
        }
        Ok(numbers)
    }
}

/// Stores uploads that wait together, some of which have given up; the answers are those of the others.
async fn store(fates: &[(Fate, bool)]) -> (Fake, Vec<(usize, Result<usize, Error>)>) {
    let (line, receiver) = mpsc::channel(GROUP);
    let mut waiting = Vec::new();
    for (number, (fate, given_up)) in fates.iter().enumerate() {
        let (done, answer) = oneshot::channel();
        line.send(Waiting { question: (number, *fate), done }).await.ok();
        if !given_up {
            waiting.push((number, answer));
        }
    }
    drop(line);
    let fake = Fake::default();
    serve(Arc::new(fake.clone()), Arc::new(Mutex::new(receiver))).await;
    let mut answers = Vec::new();
    for (number, answer) in waiting {
        answers.push((number, answer.await.unwrap()));
    }
    (fake, answers)
}

fn present(fates: &[Fate]) -> Vec<(Fate, bool)> {
    fates.iter().map(|fate| (*fate, false)).collect()
}

#[tokio::test]
async fn a_group_whose_outcome_is_unknown_is_not_stored_again() {
    let (fake, answers) = store(&present(&[Fate::Stored, Fate::Broken, Fate::Stored])).await;
    assert_eq!(*locked(&fake.given), [[0, 1, 2]]);
    for (_, answer) in answers {
        // Each may send it again, and is told when.
        let Err(Error::Unavailable { retry_after, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(retry_after, Duration::from_secs(2));
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_does_not_fail_the_others() {
    let (fake, answers) = store(&present(&[Fate::Stored, Fate::Refused, Fate::Broken, Fate::Stored])).await;
    assert_eq!(*locked(&fake.given), [vec![0, 1, 2, 3], vec![0], vec![1], vec![2], vec![3]]);
    let outcomes: Vec<bool> =
        answers.iter().map(|(number, answer)| answer.as_ref().is_ok_and(|id| id == number)).collect();
    assert_eq!(outcomes, [true, false, false, true]);
    assert!(matches!(answers[1].1, Err(Error::Conflict(_))));
}

#[tokio::test]
async fn a_defect_fails_those_who_asked_and_nobody_later() {
    let desk = Arc::new(Fake::default());
    let (line, receiver) = mpsc::channel(GROUP);
    let serving = tokio::spawn(serve(Arc::clone(&desk), Arc::new(Mutex::new(receiver))));
    let line = Gather(line);
    assert!(matches!(line.ask((0, Fate::Defect)).await, Err(Error::Internal(_))));
    assert_eq!(line.ask((1, Fate::Stored)).await.ok(), Some(1));
    drop(line);
    serving.await.unwrap();
}

#[tokio::test]
async fn who_has_given_up_is_not_stored() {
    let (fake, answers) = store(&[(Fate::Stored, false), (Fate::Stored, true), (Fate::Stored, false)]).await;
    assert_eq!(*locked(&fake.given), [[0, 2]]);
    assert!(answers.iter().all(|(number, answer)| answer.as_ref().ok() == Some(number)));
}

mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_is_stored_once_at_most_and_hears_the_truth(
            fates in vec((prop::sample::select(vec![Fate::Stored, Fate::Refused, Fate::Broken]), prop::bool::weighted(0.2)), 1..8),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (fake, answers) = runtime.block_on(store(&fates));
            let stored = locked(&fake.stored);
            prop_assert!(stored.values().all(|times| *times == 1), "{stored:?}");
            prop_assert_eq!(answers.len(), fates.iter().filter(|(_, given_up)| !given_up).count());
            for (number, answer) in answers {
                match answer {
                    Ok(id) => {
                        prop_assert_eq!(id, number);
                        prop_assert!(stored.contains_key(&number));
                    }
                    Err(Error::Conflict(_)) => prop_assert!(!stored.contains_key(&number)),
                    Err(error) => {
                        let unknown = matches!(error, Error::Unavailable { .. });
                        prop_assert!(unknown);
                    }
                }
            }
        }
    }
}
