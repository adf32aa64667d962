//! What every program of ours needs around its own work: tasks that a shutdown waits for, listeners,
//! readiness, telemetry, HTTP clients, private files.
//!
//! Non-goals: nothing here knows of images, registries, peers or preheats.

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
mod vitals;

pub use readiness::{Latch, Readiness, readiness};
pub use running::{Running, stop_signal, survive_hangup};
pub use serve::{
    Certificates, Identify, ListenerLimits, ServeError, Serving, TlsFiles, bind, serve, serve_mutual,
};
pub use vitals::Vitals;

/// What a program that runs for long does first, once its log is set up and before it opens anything: its files are its
/// own, it may open as many as the machine lets it, and SIGHUP does not end it.
pub fn begin() {
    files::keep_new_files_private();
    descriptors::raise_limit();
    survive_hangup();
}

/// Chooses the TLS provider for the whole process. First thing in every `main` and test harness.
pub fn install_tls_provider() {
    // Fails only when a provider is installed already, which is what we want.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
