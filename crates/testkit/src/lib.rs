//! Test harness: a database for each test, a whole server over a real socket, the cast of the demo data.
//!
//! Not shipped. A test that cannot get its database fails; it never skips.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::return_self_not_must_use,
    reason = "a harness fails loudly"
)]

mod balancer;
mod clock;
pub mod connection;
mod database;
mod http;
mod issuer;
mod mailbox;
pub mod omh;
mod patience;
mod replicated;
mod server;
mod service;

pub use balancer::Balancer;
pub use clock::TestClock;
pub use database::TestDb;
pub use http::{Call, Reply};
pub use issuer::TestIssuer;
pub use mailbox::{Mail, Mailbox};
pub use patience::{Locked, eventually};
pub use replicated::Replicated;
pub use server::TestServer;
pub use service::TestService;

/// A person of the demo data, by account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person(pub i64);

/// Superuser without memberships.
pub const ADMIN: Person = Person(10001);
/// Manager of 20001, 20002 and 20003.
pub const MARY: Person = Person(10002);
/// Member of 20003.
pub const MEGAN: Person = Person(10003);
/// Viewer of 20003.
pub const VICTOR: Person = Person(10004);
/// Viewer of 20003, member of 20007, manager of 20008.
pub const TOM: Person = Person(10005);
/// Patient 40001 of 20003.
pub const PETER: Person = Person(10006);
/// Patient 40002 of 20003.
pub const PAMELA: Person = Person(10007);
/// Manager of 20004 to 20007: a stranger to 20003.
pub const MARK: Person = Person(10008);
/// Patient 40003 of 20007.
pub const PERCY: Person = Person(10009);
/// Patient 40004 of 20008.
pub const PAUL: Person = Person(10010);
/// Patient 40005 of 20006 and 20008.
pub const PAT: Person = Person(10011);
/// An account without a profile.
pub const NOBODY: Person = Person(10099);

impl Person {
    /// A bearer token issued to the person in the template database.
    pub fn token(self) -> String {
        format!("test-{}", self.0)
    }
}
