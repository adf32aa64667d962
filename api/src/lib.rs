//! The manager's front door: what Harbor, people and peers call.

mod app;
mod extract;
pub mod openapi;
mod problem;
mod router;
mod routes;
pub mod tokens;

pub use app::{App, AppParts, AuthMode};
pub use router::router;
