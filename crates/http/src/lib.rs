//! Shared HTTP parts: what every API family needs before and after its handlers.
//!
//! Floor 4. Holds no route of a family. [`family::Family`] is how a family says its own errors; the layers here take it
//! as a parameter, so that a refusal has the right words whichever layer made it.
//!
//! A layer is a function of a request and of what is within it: whoever builds a router nests them into one, since each
//! layer of a router of its own is cloned, boxed and allocated anew for every request.

pub mod account;
pub mod authenticate;
pub mod body;
pub mod cors;
pub mod family;
pub mod head;
pub mod https;
pub mod known;
pub mod layers;
pub mod metrics;
pub mod normalize;
pub mod origin;
pub mod overload;
pub mod page;
pub mod panics;
pub mod prefer;
pub mod query;
pub mod refuse;
pub mod route;
mod router;
pub mod stopping;
mod target;
pub mod timeout;
pub mod trace;

/// Registers handlers with their documentation.
pub use utoipa_axum::routes;

pub use authenticate::Caller;
pub use origin::Origin;
pub use router::{DocumentedRouter, with_method_fallback};
