//! Bodies of answers, read with a limit.

use reqwest::Response;
use serde_json::Value;

/// The JSON of an answer; `None` for what is none, breaks off, or is longer than `largest` bytes.
pub(crate) async fn json(mut answer: Response, largest: usize) -> Option<Value> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        if body.len() + chunk.len() > largest {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).ok()
}
