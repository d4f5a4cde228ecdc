//! How long Open mHealth documents take: reading their text, validation, effective time. `cargo bench -p jhe-omh`
//!
//! Figures to compare with others of the same machine; nothing fails here. `jhe-bench` times the whole server.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use jhe_omh::time::effective_time;
use jhe_omh::{Schemas, examples, validate};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let schemas = Schemas::embedded();
    for code in ["omh:blood-glucose:4.0", "omh:blood-pressure:4.0", "omh:heart-rate:2.0", "omh:step-count:3.0"] {
        let Some(text) = examples::synthetic(code, 7, "2026-01-31T08:30:00Z") else { continue };
        let document: Value = serde_json::from_str(&text)?;
        measure(&format!("{code}: read {} bytes", text.len()), || {
            black_box(serde_json::from_str::<Value>(black_box(&text)).is_ok());
        });
        measure(&format!("{code}: validate"), || {
            black_box(validate(schemas, code, black_box(&document)).is_ok());
        });
        measure(&format!("{code}: effective time"), || {
            black_box(effective_time(black_box(&document)).is_ok());
        });
    }
    Ok(())
}

/// Prints how long `run` takes: the median of rounds long enough for the clock.
fn measure(name: &str, mut run: impl FnMut()) {
    let started = Instant::now();
    let mut count = 0_u32;
    while started.elapsed() < Duration::from_millis(50) {
        run();
        count += 1;
    }
    let mut rounds: Vec<Duration> = (0..21)
        .map(|_| {
            let started = Instant::now();
            (0..count).for_each(|_| run());
            started.elapsed() / count
        })
        .collect();
    rounds.sort_unstable();
    let median = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
    println!("{name:<60} {median:>12.2?}");
}
