//! Numbers about uploads, by data type: a closed list, since only data types that administrators made are accepted.

use jhe_domain::error::Error;
use jhe_fhir::Failure;
use jhe_omh::{OmhViolation, Schemas, ViolationKind};

use super::Receipt;

const UPLOADS: &str = "jhe_observations_total";
/// Where the data type is not known, or is whatever the caller wrote.
const NONE: &str = "-";

/// What became of the uploads of a request.
pub(super) fn uploads(asked: usize, outcome: &Result<Vec<Option<Result<Receipt, Failure>>>, Error>) {
    match outcome {
        Ok(outcomes) => {
            for outcome in outcomes {
                match outcome {
                    Some(Ok(receipt)) => {
                        let told = if receipt.created { "created" } else { "known" };
                        count(&receipt.coding_code, told, 1);
                    }
                    Some(Err(_)) => count(NONE, "refused", 1),
                    // One that was good, in a transaction of which nothing is stored.
                    None => count(NONE, "withdrawn", 1),
                }
            }
        }
        Err(_) => count(NONE, "failed", u64::try_from(asked).unwrap_or(u64::MAX)),
    }
}

fn count(code: &str, outcome: &'static str, number: u64) {
    metrics::counter!(UPLOADS, "code" => code.to_owned(), "outcome" => outcome).increment(number);
}

/// A document does not conform.
pub(super) fn nonconforming(code: &str, violations: &[OmhViolation]) {
    let schema = if Schemas::embedded().has(code) { code } else { NONE };
    for violation in violations {
        let kind = match violation.kind {
            ViolationKind::Required => "required",
            ViolationKind::Invalid => "invalid",
            ViolationKind::NotInstalled => "not_installed",
        };
        metrics::counter!("jhe_validation_failures_total", "schema" => schema.to_owned(), "kind" => kind).increment(1);
    }
}
