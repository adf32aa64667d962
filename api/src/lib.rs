//! The manager: the APIs for Harbor, callers and peers, and the command line.

mod app;
mod attempts;
mod authority;
mod endpoint;
mod extract;
pub mod openapi;
mod problem;
mod router;
mod routes;
pub mod tokens;
pub mod triggers;

pub use app::{App, AppParts, AuthMode, NoMembership, Rims};
pub use authority::{Authority, NotIssued, ServerCertificate};
pub use router::{peer_router, router};
