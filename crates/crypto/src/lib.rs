//! Cryptography of the Exchange, all of it over established libraries: argon2 for passwords, aws-lc for the rest.
//!
//! Floor 1: no I/O, no clock. Randomness is a parameter, [`Entropy`]; [`OsEntropy`] is the real one.

pub mod client_secret;
mod entropy;
pub mod foreign;
pub mod password;
pub mod pkce;
pub mod seal;
pub mod signing;
pub mod token;

pub use entropy::{Entropy, OsEntropy};

/// A cryptographic operation did not work; says nothing about keys or inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cryptographic failure: {0}")]
pub struct CryptoError(pub &'static str);

/// Compares secrets in time that depends on their lengths alone.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}
