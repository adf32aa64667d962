//! The manager's front door: what Harbor, people and peers call.

mod server;
pub mod types;

pub use server::{
    App, AppParts, AuthMode, Authority, NoMembership, NotIssued, RouteSettings, ServerCertificate, openapi,
    peer_router, router, tokens, triggers,
};
