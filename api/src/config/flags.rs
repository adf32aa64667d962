//! Settings from the command line and the environment. The id of each argument is the full key of its setting.

use std::path::PathBuf;

use clap::Args;

/// The flags of `up`, `manager`, `doctor` and `config`. Each flag has an environment variable.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ManagerFlags {
    /// Folder for keys, the database and the first token (admin.token).
    #[arg(long, env = "STOKER_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Configuration file (TOML); environment and flags override it.
    #[arg(long, env = "STOKER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// "tokens": every request needs one. "none": everyone who reaches the port may do everything. [default: tokens]
    #[arg(long, env = "STOKER_AUTH", value_name = "MODE")]
    auth: Option<String>,
    /// URL at which others reach this manager, if it is not the listening address.
    #[arg(long, env = "STOKER_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// PEM file with the certificate chain; the manager then serves TLS.
    #[arg(long, env = "STOKER_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the private key of the certificate.
    #[arg(long, env = "STOKER_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// URL of Jaeger's pages, for links to traces. `OTEL_EXPORTER_OTLP_ENDPOINT` sets where spans are sent.
    #[arg(
        id = "telemetry.jaeger_ui",
        long = "jaeger-ui",
        env = "STOKER_JAEGER_UI",
        value_name = "URL"
    )]
    jaeger_ui: Option<String>,
    /// The database. [default: sqlite:DIR/stoker.db]
    #[arg(long, env = "STOKER_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
}

/// The listening addresses of `stoker manager`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AddressFlags {
    /// Address for Harbor and people. [default: 0.0.0.0:8080]
    #[arg(long, env = "STOKER_LISTEN", value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Address for peers (TLS 1.3 with certificates of this manager's authority). [default: 0.0.0.0:8443]
    #[arg(long, env = "STOKER_PEER_LISTEN", value_name = "HOST:PORT")]
    peer_listen: Option<String>,
    /// Address for probes and metrics. [default: 127.0.0.1:40902]
    #[arg(long, env = "STOKER_ADMIN", value_name = "HOST:PORT")]
    admin: Option<String>,
}
