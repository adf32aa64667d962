//! The manager's front door: what Harbor, people and peers call.

mod app;
mod endpoint;
mod extract;
pub mod openapi;
mod problem;
mod router;
mod routes;
pub mod tokens;
pub mod triggers;

pub use app::{App, AppParts, AuthMode, Rims};
pub use router::router;
