//! The client against a test server, which misbehaves in ways that a real registry does not.

#![expect(
    clippy::disallowed_methods,
    reason = "tests build their own client; process is above this crate"
)]

mod bodies;
mod counts;
mod dial;
mod harbor;
mod hostile_tokens;
mod moved_to_https;
mod passing_on;
mod redirects;
mod referrers;
mod refusals;
mod renewal;
mod resend;
mod server;
mod sign_in;
mod spans;
mod transport;
mod waiting;
