//! `jhe audit`: checks the hash chain over the audit trail, and tends it.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Subcommand;
use jhe_app::App;
use jhe_app::audit::{Expired, Verdict};
use jhe_app::identity::stored_sealing;
use jhe_config::Config;

use crate::cli::print;
use crate::clock::SystemClock;
use crate::database::readable;
use crate::manage::{Pending, on_store};

/// Commands about the audit trail.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check every seal against the entries it covers; exit status 1 when something was changed, added or removed.
    Verify {
        /// Number and keyed digest of a seal, as the log told them: `12:abc…`. It must still be part of the chain.
        #[arg(long, value_name = "SEQ:SEAL", value_parser = known)]
        expect: Vec<(i64, String)>,
        /// Number and keyed digest of a seal up to which the chain was verified before SECRET_KEY was changed: up to there
        /// seals, which cannot be checked any more, are taken for what they say.
        #[arg(long, value_name = "SEQ:SEAL", value_parser = known)]
        vouch: Option<(i64, String)>,
    },
    /// Seal now what is settled, instead of waiting for the server to do it.
    Seal,
    /// Remove now what is older than the setting retention.audit_days, instead of waiting for the server to do it.
    Expire {
        /// Number and keyed digest of a seal up to which the chain was verified before SECRET_KEY was changed: up to there
        /// seals, which cannot be checked any more, are taken for what they say.
        #[arg(long, value_name = "SEQ:SEAL", value_parser = known)]
        vouch: Option<(i64, String)>,
    },
}

fn known(text: &str) -> Result<(i64, String), String> {
    let fault = || "a number, a colon and the seal, as the log tells them".to_owned();
    let (seq, seal) = text.split_once(':').ok_or_else(fault)?;
    Ok((seq.parse().map_err(|_| fault())?, seal.to_owned()))
}

/// Runs one.
pub async fn run(config: Config, command: AuditCommand) -> Result<ExitCode> {
    let vouch = match command {
        AuditCommand::Verify { expect, vouch } => return verify(&config, &expect, vouch.as_ref()).await,
        AuditCommand::Seal => None,
        AuditCommand::Expire { vouch } => Some(vouch),
    };
    on_store(&config, Pending::Refuse, async |store| {
        let app = App::start(store.clone(), config.clone(), Arc::new(SystemClock)).await.map_err(readable)?;
        match &vouch {
            None => seal(&app).await,
            Some(vouched) => expire(&app, vouched.as_ref()).await,
        }
    })
    .await
}

async fn seal(app: &App) -> Result<ExitCode> {
    let made = jhe_app::audit::seal(app).await.map_err(readable)?;
    print(&made.map_or_else(
        || "nothing to seal".to_owned(),
        |seal| format!("seal {}:{} covers {} entries", seal.seq, seal.seal, seal.rows),
    ))
}

async fn expire(app: &App, vouched: Option<&(i64, String)>) -> Result<ExitCode> {
    let Expired { rows, fault } = jhe_app::audit::expire(app, vouched).await.map_err(readable)?;
    print(&format!("{rows} entries removed"))?;
    match fault {
        None => Ok(ExitCode::SUCCESS),
        Some(fault) => {
            print(&format!("FAULT: {fault}; nothing more is removed"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Changes nothing: no schema, no keys, no entries.
async fn verify(config: &Config, expect: &[(i64, String)], vouch: Option<&(i64, String)>) -> Result<ExitCode> {
    let verdict = on_store(config, Pending::Refuse, async |store| {
        let sealing = stored_sealing(store, config).await.map_err(readable)?;
        jhe_app::audit::verify(store, &sealing, expect, vouch).await.map_err(readable)
    });
    tell(&verdict.await?)
}

fn tell(verdict: &Verdict) -> Result<ExitCode> {
    let end = verdict.end.as_ref();
    let end = end.map_or_else(|| "no seal yet".to_owned(), |(seq, seal)| format!("ends with {seq}:{seal}"));
    let removed = match verdict.removed {
        0 => String::new(),
        rows => format!(", {rows} removed when their time had come"),
    };
    let mut lines = vec![format!(
        "{} entries in {} seals, {} not sealed yet{removed}, {end}",
        verdict.sealed, verdict.seals, verdict.waiting
    )];
    lines.extend(verdict.faults.iter().map(|fault| format!("FAULT: {fault}")));
    lines.push(if verdict.faults.is_empty() { "audit trail: ok" } else { "audit trail: FAILED" }.to_owned());
    print(&lines.join("\n"))?;
    Ok(if verdict.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
