//! What answers say, read as cheaply as a check can be: the load shares the machine with what it measures.

use anyhow::{Context, Result};
use jhe_testkit::connection::Answer;
use serde_json::Value;

/// What a Bundle says of itself.
#[derive(Debug)]
pub(super) struct Head {
    /// All matches.
    pub(super) total: Option<i64>,
    /// Path and query of the next page.
    pub(super) next: Option<String>,
}

fn text(answer: &Answer) -> Result<&str> {
    Ok(std::str::from_utf8(&answer.body)?)
}

/// How often exactly this text stands between two quotes. Documents in Base64 have none.
pub(super) fn count(answer: &Answer, wanted: &str) -> Result<usize> {
    Ok(text(answer)?.split('"').filter(|part| *part == wanted).count())
}

/// Entries of a searchset.
pub(super) fn entries(answer: &Answer) -> Result<usize> {
    count(answer, "fullUrl")
}

/// Ids of the entries of a searchset.
pub(super) fn ids(answer: &Answer) -> Result<Vec<i64>> {
    let mut ids = Vec::new();
    let mut parts = text(answer)?.split('"');
    while let Some(part) = parts.next() {
        if part == "fullUrl" {
            // The colon, then the address.
            let address = parts.nth(1).context("an entry without an address")?;
            ids.push(address.rsplit('/').next().unwrap_or_default().parse().context("an address without an id")?);
        }
    }
    Ok(ids)
}

/// What precedes the entries, which come last.
pub(super) fn head(answer: &Answer) -> Result<Head> {
    let text = text(answer)?;
    let head: Value = match text.split_once("\"entry\":") {
        Some((head, _)) => serde_json::from_str(&format!("{head}\"entry\":[]}}"))?,
        None => serde_json::from_str(text)?,
    };
    let links = head.get("link").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let next = links.iter().find(|link| link.get("relation").and_then(Value::as_str) == Some("next"));
    let next = next.and_then(|link| link.get("url")?.as_str()).map(path).transpose()?;
    Ok(Head { total: head.get("total").and_then(Value::as_i64), next })
}

/// An address without scheme and host.
fn path(address: &str) -> Result<String> {
    let (_, rest) = address.split_once("://").context("an address without a scheme")?;
    let start = rest.find('/').context("an address without a path")?;
    Ok(rest.get(start..).unwrap_or_default().to_owned())
}
