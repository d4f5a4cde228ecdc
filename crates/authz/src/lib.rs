//! Who may do what: [`Actor`], [`Authorizer`] and the proofs without which the store answers nothing.
//!
//! Floor 1: decides, but has no SQL and knows no HTTP. It asks through the traits of [`port`], which only the store
//! implements. Proofs are made here alone, after a check, and cannot be forged:
//!
//! ```
//! fn takes_proof(_: &jhe_authz::AccessScope<jhe_authz::resource::Patient>) {}
//! ```
//! ```compile_fail
//! // No public constructor, no `Default`: a scope cannot be made up.
//! let forged: jhe_authz::AccessScope<jhe_authz::resource::Patient> = Default::default();
//! ```
//! ```
//! fn reads(scope: &jhe_authz::AccessScope<jhe_authz::resource::Patient>) -> &jhe_authz::Reach { scope.reach() }
//! ```
//! ```compile_fail
//! // Its fields are private: it cannot be widened either.
//! fn widens(scope: &mut jhe_authz::AccessScope<jhe_authz::resource::Patient>) { scope.reach = jhe_authz::Reach::Superuser; }
//! ```
//! ```
//! fn manages(grant: &jhe_authz::Grant<jhe_authz::resource::Patient, jhe_authz::action::Manage>) -> jhe_domain::PatientId { grant.id() }
//! ```
//! ```compile_fail
//! // A grant to read is not a grant to change.
//! fn manages(grant: &jhe_authz::Grant<jhe_authz::resource::Patient, jhe_authz::action::Read>) -> jhe_domain::PatientId { grant.id() }
//! fn escalates(grant: &jhe_authz::Grant<jhe_authz::resource::Patient, jhe_authz::action::Read>) {
//!     fn needs(_: &jhe_authz::Grant<jhe_authz::resource::Patient, jhe_authz::action::Manage>) {}
//!     needs(grant);
//! }
//! ```
//! ```
//! fn knows(actor: &jhe_authz::Actor) -> jhe_domain::UserId { actor.user_id() }
//! ```
//! ```compile_fail
//! // An actor comes from a verified token, never from a number.
//! let forged = jhe_authz::Actor::from(10001_i64);
//! ```

pub mod action;
mod actor;
mod authorizer;
pub mod port;
mod proof;
pub mod resource;

pub use actor::{Actor, FhirRole, InternalReason, authenticate};
pub use authorizer::{Authorizer, UploadRights};
pub use proof::{AccessScope, ConsentedUpload, Grant, Location, Reach};
