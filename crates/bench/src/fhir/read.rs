//! Pages, single rows and counts; what a closed loop reaches, and how long answers take at half of that.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use jhe_testkit::connection::Answer;

use super::study::Study;
use super::{Asker, Dice, answer, limit};
use crate::load::{Outcome, Plan, drive, drive_at};
use crate::place::Place;

/// Rows of a page.
const PAGE: usize = 100;
/// Patients whose later pages are asked for.
const DEEP_PATIENTS: i64 = 32;
/// The study's pages that are walked before later ones are asked for.
const DEEP_STEPS: usize = 50;

/// Makes the path of a request.
type Path = dyn Fn(&mut Dice) -> String + Send + Sync;
/// Finds fault with an answer.
type Check = dyn Fn(&Answer) -> Result<()> + Send + Sync;

/// What is asked over and over, and what makes an answer a right one.
#[derive(Clone)]
struct Question {
    name: &'static str,
    path: Arc<Path>,
    check: Arc<Check>,
}

impl Question {
    fn new(
        name: &'static str,
        path: impl Fn(&mut Dice) -> String + Send + Sync + 'static,
        check: impl Fn(&Answer) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { name, path: Arc::new(path), check: Arc::new(check) }
    }

    async fn ask(&self, asker: &mut Asker) -> Result<bool> {
        let path = (self.path)(&mut asker.dice);
        let answer = asker.get(&path).await?;
        (self.check)(&answer)?;
        Ok(true)
    }

    async fn closed(&self, place: &Place, plan: Plan) -> Result<Outcome> {
        let workers = Asker::several(place, plan.connections).await?;
        let question = self.clone();
        drive(self.name, place, plan, workers, async move |asker: &mut Asker| question.ask(asker).await).await
    }

    /// Half of what the closed loop reached.
    async fn at_half(&self, place: &Place, plan: Plan, reached: &Outcome) -> Result<()> {
        let workers = Asker::several(place, plan.connections).await?;
        let question = self.clone();
        let operate = async move |asker: &mut Asker| question.ask(asker).await;
        let outcome = drive_at("  at half that rate", place, plan, reached.rate() / 2.0, workers, operate).await?;
        outcome.print("open loop, from the time each should have begun");
        Ok(())
    }
}

fn full_page(answer: &Answer) -> Result<()> {
    let found = answer::entries(answer)?;
    ensure!(found == PAGE, "{found} entries");
    Ok(())
}

fn full_page_of(total: i64) -> impl Fn(&Answer) -> Result<()> + Send + Sync + 'static {
    move |answer| {
        full_page(answer)?;
        let found = answer::head(answer)?.total;
        ensure!(found == Some(total), "total {found:?}");
        Ok(())
    }
}

fn of_patient(patient: i64) -> String {
    format!("/fhir/r5/Observation?patient={patient}&_count={PAGE}")
}

fn of_study(study: &Study) -> String {
    format!("/fhir/r5/Observation?patient._has:Group:member:_id={}", study.id)
}

/// Code and 30 days, as parameters to append.
fn code_and_date(study: &Study, dice: &mut Dice) -> String {
    let windows = i64::try_from(study.days.len()).unwrap_or_default() - 1;
    let first = usize::try_from(dice.below(windows)).unwrap_or_default();
    let day = |index: usize| study.days.get(index).map_or("", String::as_str);
    format!(
        "code=https://w3id.org/openmhealth%7Comh:heart-rate:2.0&date=ge{}&date=lt{}&_count={PAGE}",
        day(first),
        day(first + 1)
    )
}

/// Drives everything and prints the table.
pub(super) async fn run(place: &Place, plan: Plan, study: &Study) -> Result<()> {
    println!("reading, {} connections, {} s each:", plan.connections, plan.duration.as_secs());
    pages_of_patients(place, plan, study).await?;
    pages_of_study(place, plan, study).await?;
    for question in others(study) {
        question.closed(place, plan).await?.print("");
    }
    Ok(())
}

async fn pages_of_patients(place: &Place, plan: Plan, study: &Study) -> Result<()> {
    let bare = limit::page(place, plan, study).await?;
    bare.print("");
    let bare = limit::page_by_pairs(place, plan, study).await?;
    bare.print("");
    let among = study.clone();
    let first = Question::new("page of a patient", move |dice| of_patient(among.patient(dice)), full_page);
    let reached = first.closed(place, plan).await?;
    reached.print(&format!("{:.0} % of the bare page, code by code", reached.rate() / bare.rate() * 100.0));
    first.at_half(place, plan, &reached).await?;
    let steps = (study.rows / study.patients / i64::try_from(PAGE)? / 2).clamp(1, 25);
    let mut asker = Asker::several(place, 1).await?.pop().context("a connection")?;
    let mut links = Vec::new();
    for _ in 0..DEEP_PATIENTS {
        let path = of_patient(study.patient(&mut asker.dice));
        links.push(walk(&mut asker, path, usize::try_from(steps)?).await?.pop().context("a later page")?);
    }
    let deep = Question::new("page of a patient, deep", move |dice| dice.pick(&links).to_owned(), full_page);
    deep.closed(place, plan).await?.print(&format!("page {}", steps + 1));
    Ok(())
}

async fn pages_of_study(place: &Place, plan: Plan, study: &Study) -> Result<()> {
    let path = format!("{}&_count={PAGE}", of_study(study));
    let asked = path.clone();
    let first = Question::new("page of the study, with total", move |_| asked.clone(), full_page_of(study.rows));
    let reached = first.closed(place, plan).await?;
    reached.print("");
    first.at_half(place, plan, &reached).await?;
    let mut asker = Asker::several(place, 1).await?.pop().context("a connection")?;
    let links = walk(&mut asker, path, DEEP_STEPS).await?.split_off(DEEP_STEPS / 2);
    let deep = Question::new("page of the study, deep", move |dice| dice.pick(&links).to_owned(), full_page);
    deep.closed(place, plan).await?.print(&format!("pages {} to {}", DEEP_STEPS / 2 + 2, DEEP_STEPS + 1));
    Ok(())
}

/// Follows `next` so many times; the links to the pages that follow.
async fn walk(asker: &mut Asker, first: String, steps: usize) -> Result<Vec<String>> {
    let mut links = Vec::with_capacity(steps);
    let mut path = first;
    for _ in 0..steps {
        let answer = asker.get(&path).await?;
        full_page(&answer)?;
        path = answer::head(&answer)?.next.context("no next page")?;
        links.push(path.clone());
    }
    Ok(links)
}

fn others(study: &Study) -> Vec<Question> {
    let of_one = study.clone();
    let of_all = study.clone();
    let rows = (study.first_row, study.rows);
    let counted = format!("{}&_summary=count", of_study(study));
    let among = study.clone();
    let listed = format!("/api/v1/observations?study_id={}&limit={PAGE}", study.id);
    let some = |answer: &Answer| {
        let found = answer::entries(answer)?;
        ensure!((1..=PAGE).contains(&found), "{found} entries");
        Ok(())
    };
    let list = |answer: &Answer| {
        let found = answer::count(answer, "subjectPatientId")?;
        ensure!(found == PAGE, "{found} results");
        Ok(())
    };
    let total = study.rows;
    vec![
        Question::new(
            "patient by code and 30 days",
            move |dice| {
                let patient = of_one.patient(dice);
                format!("/fhir/r5/Observation?patient={patient}&{}", code_and_date(&of_one, dice))
            },
            some,
        ),
        Question::new(
            "study by code and 30 days",
            move |dice| format!("{}&{}", of_study(&of_all), code_and_date(&of_all, dice)),
            full_page,
        ),
        Question::new(
            "read by id",
            move |dice| format!("/fhir/r5/Observation/{}", rows.0 + dice.below(rows.1)),
            |answer| {
                ensure!(answer::count(answer, "valueAttachment")? == 1, "no document");
                Ok(())
            },
        ),
        Question::new(
            "_summary=count of the study",
            move |_| counted.clone(),
            move |answer| {
                let found = answer::head(answer)?.total;
                ensure!(found == Some(total), "total {found:?}");
                Ok(())
            },
        ),
        Question::new(
            "/api/v1/observations of a patient",
            move |dice| format!("/api/v1/observations?patient_id={}&limit={PAGE}", among.patient(dice)),
            list,
        ),
        Question::new("/api/v1/observations of the study", move |_| listed.clone(), list),
        Question::new(
            "/api/v1/users/profile",
            |_| "/api/v1/users/profile".to_owned(),
            |answer| {
                ensure!(answer::count(answer, "email")? > 0, "no profile");
                Ok(())
            },
        ),
    ]
}
