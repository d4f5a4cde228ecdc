//! The chain of the audit trail, as the server itself verifies it; a server that cannot is not asked.

use anyhow::Result;

use super::Finding;
use crate::place::Place;

const NAME: &str = "the audit chain holds";

/// Runs the server's own verification on the database.
pub(super) fn check(place: &Place) -> Result<Option<Finding>> {
    if !place.program.command(&["audit", "--help"])?.status()?.success() {
        println!("{NAME}: skipped, the server has no command audit");
        return Ok(None);
    }
    let status = place.program.command(&["audit", "verify"])?.env("DATABASE_URL", &place.url).status()?;
    let violations = if status.success() { Vec::new() } else { vec![format!("jhe audit verify: {status}")] };
    Ok(Some(Finding::new(NAME, "jhe audit verify".to_owned(), violations)))
}
