//! What every program needs besides its own work: tasks with a graceful shutdown, listeners, readiness, telemetry, HTTP
//! clients, private files.
//!
//! Non-goals: nothing here knows about images, registries, peers or preheats.

pub mod admin;
pub mod clock;
pub mod cut;
pub mod descriptors;
pub mod files;
pub mod http;
mod levels;
pub mod metrics;
pub mod mutual;
mod readiness;
mod running;
mod serve;
pub mod telemetry;
pub mod trust;
mod vitals;

pub use readiness::{Latch, Readiness, readiness};
pub use running::{Running, stop_signal, survive_hangup};
pub use serve::{
    Certificates, Identify, ListenerLimits, ServeError, Serving, TlsFiles, bind, serve, serve_mutual,
};
pub use vitals::Vitals;

/// Prepares a long-running program: private files, the highest limit of open files, and no exit on SIGHUP. Call it
/// after the log is set up and before anything is opened.
pub fn begin() {
    files::keep_new_files_private();
    descriptors::raise_limit();
    survive_hangup();
}

/// Installs the TLS provider of the process. Call it first in every `main` and test harness.
pub fn install_tls_provider() {
    // Fails only if a provider is installed already, which is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
