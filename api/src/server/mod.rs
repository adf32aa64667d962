//! The manager's HTTP server: routes, and what they share.

mod app;
mod attempts;
mod authority;
mod endpoint;
mod extract;
pub mod openapi;
mod problem;
mod responses;
mod router;
mod routes;
pub mod tokens;
pub mod triggers;
mod watchers;

pub use app::{App, AppParts, AuthMode, NoMembership, RouteSettings};
pub use authority::{Authority, NotIssued, ServerCertificate};
pub use router::{peer_router, router};
