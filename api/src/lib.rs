//! The manager: the APIs for Harbor, callers and peers, and the command line.

mod server;
pub mod types;

pub use server::{
    App, AppParts, AuthMode, Authority, NoMembership, NotIssued, RouteSettings, ServerCertificate, openapi,
    peer_router, router, tokens, triggers,
};
