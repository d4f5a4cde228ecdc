//! Credentials: sessions, codes, tokens, keys, attempts. The exception to "no query without a proof": these rows are
//! what proofs are made from, and they are found by the digest of a secret. Called only by identity (`jhe-app`).
//!
//! Times come from the caller's clock. Each function without a proof is listed in `unscoped.txt`.

mod account;
mod attempt;
mod client;
mod code;
mod key;
mod link;
mod one_time_code;
mod session;
mod token;

pub use account::{LoginAccount, NewPractitioner};
pub use attempt::{Attempts, Bounds};
pub use client::{Asked, Asking, ClientCredentials, Failures};
pub use code::{CodeRow, NewCode};
pub use key::StoredKey;
pub use link::LinkPurpose;
pub use one_time_code::PendingSignIn;
pub use session::{NewSession, OwnSession, SessionRow};
pub use token::{AuthorizedClient, Issue, NewAccessToken, NewRefreshToken, RefreshRow, Rotation, TokenInfo};
