//! The `jhe` binary: commands, wiring, lifecycle. Floor 6; logic worth a unit test lives below.
//!
//! A library beside the binary, so that tests start the very server that operators run: [`serve::start`].

pub mod audit;
mod background;
pub mod check;
pub mod cli;
pub mod clock;
pub mod connections;
pub mod database;
pub mod demo;
pub mod manage;
pub mod metrics;
pub mod openapi;
mod probes;
pub mod routes;
pub mod serve;
mod walk;
