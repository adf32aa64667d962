//! The manager's configuration: file, environment and flag, rising in rank. It is read once, before anything is
//! opened or bound, and every fault is told at once with its key.

mod clusters;
mod dial;
mod registries;
mod section;
mod spelling;
mod store;
mod telemetry;
#[cfg(test)]
mod tests;
mod triggers;
mod webhooks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::AuthMode;
use api::triggers::Rules;
use clap::Args;
use oci::DialRules;
use peer::StoreLimits;
use peer::{FrontLimits, OwnRegistry};
use preheat::{ClusterSettings, Webhook};
use process::TlsFiles;
use process::config::Faults;
use process::telemetry::TelemetryOptions;

pub(crate) use self::dial::loopback;
pub(crate) use self::telemetry::kept_and_dropped;
use section::Section;

/// Everything that a manager, and the peer beside it in `up`, is built from.
#[derive(Debug)]
pub(crate) struct ManagerConfig {
    /// Keys, the embedded database and the first token.
    pub(crate) data_dir: PathBuf,
    /// Where Harbor and people ask: `host:port`.
    pub(crate) listen: String,
    /// Where peers call: `host:port`.
    pub(crate) peer_listen: String,
    /// Probes and metrics: `host:port`.
    pub(crate) admin: String,
    pub(crate) database_url: String,
    /// Whether every caller has to show a token.
    pub(crate) auth: AuthMode,
    /// The URL under which others reach this manager, when it is not `listen`.
    pub(crate) public_url: Option<url::Url>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) limits: LimitsSection,
    pub(crate) registries: Registries,
    pub(crate) dial: DialRules,
    /// By name; a cluster that is not here has the default.
    pub(crate) clusters: BTreeMap<String, ClusterSettings>,
    /// Who is told of preheats.
    pub(crate) webhooks: Vec<Webhook>,
    /// What is preheated when registries tell of pushes.
    pub(crate) triggers: Rules,
    pub(crate) telemetry: TelemetryOptions,
    /// Where people look at traces.
    pub(crate) jaeger_ui: Option<url::Url>,
    pub(crate) beside: PeerSection,
}

/// Configured registries; the credentials in them are not printed.
pub(crate) struct Registries(pub(crate) Vec<OwnRegistry>);

impl std::fmt::Debug for Registries {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list()
            .entries(self.0.iter().map(|registry| &registry.settings.name))
            .finish()
    }
}

/// `[limits]`: what is not given stays as it is built in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LimitsSection {
    /// A preheat that has not ended by then fails, naming what is open.
    pub(crate) preheat_limit: Option<Duration>,
    /// A preheat fails if no seed has called in for as long.
    pub(crate) no_seed_limit: Option<Duration>,
    /// Placements of a peer that is absent for longer fail as "peer left".
    pub(crate) absent_limit: Option<Duration>,
    /// The work of an absent seed is given to another one after this.
    pub(crate) replan_after: Option<Duration>,
    /// A peer that has not called for as long has lost its session.
    pub(crate) session_lease: Option<Duration>,
    /// Preheats that ended longer ago are forgotten; no time at all keeps them for ever.
    pub(crate) keep_preheats: Option<Duration>,
    /// 0: seeds are not checked.
    pub(crate) spot_check_every: Option<Duration>,
}

/// For the peer that `up` runs in the same process; `manager` has none and ignores it.
#[derive(Debug)]
pub(crate) struct PeerSection {
    /// Where container runtimes ask.
    pub(crate) front: String,
    /// Where other peers ask.
    pub(crate) share: String,
    pub(crate) front_limits: FrontLimits,
    pub(crate) store: StoreLimits,
}

/// What `up` and `manager` take on the command line; each flag has its mirror in the environment.
#[derive(Debug, Default, Args)]
pub(crate) struct ManagerFlags {
    /// Folder for keys, the database and the first token (admin.token).
    #[arg(long, env = "STOKER_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Configuration file (TOML); environment and flags win over it.
    #[arg(long, env = "STOKER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// "tokens": every caller shows one. "none": whoever reaches the port may do everything. [default: tokens]
    #[arg(long, env = "STOKER_AUTH", value_name = "MODE")]
    pub(crate) auth: Option<String>,
    /// URL under which others reach this manager, if it is not the listening address.
    #[arg(long, env = "STOKER_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// PEM file with the certificate chain; the manager then serves TLS.
    #[arg(long, env = "STOKER_TLS_CERT", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// PEM file with the private key of the certificate.
    #[arg(long, env = "STOKER_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// URL of Jaeger's pages, for links to traces; where spans go is `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[arg(long, env = "STOKER_JAEGER_UI", value_name = "URL")]
    pub(crate) jaeger_ui: Option<String>,
}

/// The flags whose defaults differ between `up` and `manager`, as given, and these defaults.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) listen: Option<String>,
    pub(crate) peer_listen: Option<String>,
    pub(crate) admin: Option<String>,
    pub(crate) front: Option<String>,
    pub(crate) share: Option<String>,
    pub(crate) database_url: Option<String>,
    pub(crate) listen_default: &'static str,
    pub(crate) peer_listen_default: &'static str,
    pub(crate) admin_default: &'static str,
    /// Everything runs on one machine, which is tried out: registries on it are dialled unless the file says otherwise.
    pub(crate) is_laptop: bool,
    /// `stoker-manager`, or `stoker` when a peer runs beside it.
    pub(crate) service: &'static str,
}

impl ManagerConfig {
    /// Reads the file that the flags name and merges both.
    pub(crate) fn read(flags: ManagerFlags, addresses: Addresses) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let table = process::config::read_toml(flags.config.as_deref())?;
        let mut file = Section::top(table);
        let config = merge(flags, addresses, &mut file, &mut faults);
        file.end(&mut faults);
        faults.none()?;
        // Without a fault there is a value for everything.
        config.ok_or_else(Faults::default)
    }
}

fn merge(
    flags: ManagerFlags,
    given: Addresses,
    file: &mut Section,
    faults: &mut Faults,
) -> Option<ManagerConfig> {
    let data_dir = flags.data_dir.or(file.parsed("data_dir", faults));
    if data_dir.is_none() {
        faults.add(
            "data_dir",
            "is needed: give --data-dir DIR, or data_dir in the configuration file",
        );
    }
    let listen = address("listen", given.listen, given.listen_default, file, faults);
    let peer_listen = address(
        "peer_listen",
        given.peer_listen,
        given.peer_listen_default,
        file,
        faults,
    );
    let admin = address("admin", given.admin, given.admin_default, file, faults);
    let database_url = database_url(given.database_url, data_dir.as_deref(), file, faults);
    let auth = flags.auth.or(file.text("auth", faults));
    let auth = auth.map_or(Some(AuthMode::default()), |mode| {
        faults.check("auth", auth_mode(&mode))
    });
    let public_url = flags.public_url.or(file.text("public_url", faults));
    let public_url = public_url
        .and_then(|url| faults.check("public_url", web_address(&url, "https://stoker.example.com")));
    let tls = tls(flags.tls_cert, flags.tls_key, file, faults);
    let limits = limits(file.table("limits", faults), faults);
    let registries = Registries(registries::read(file, faults));
    let dial = dial::read(file, given.is_laptop, faults);
    let clusters = clusters::read(file, faults);
    let webhooks = webhooks::read(file, faults);
    let triggers = triggers::read(file, faults);
    let (telemetry, jaeger_ui) = telemetry::read(
        given.service,
        flags.jaeger_ui,
        file.table("telemetry", faults),
        faults,
    );
    let beside = beside(given.front, given.share, file, faults);
    Some(ManagerConfig {
        data_dir: data_dir?,
        listen,
        peer_listen,
        admin,
        database_url: database_url?,
        auth: auth?,
        public_url,
        tls,
        limits,
        registries,
        dial,
        clusters,
        webhooks,
        triggers,
        telemetry,
        jaeger_ui,
        beside,
    })
}

fn auth_mode(text: &str) -> Result<AuthMode, &'static str> {
    match text {
        "tokens" => Ok(AuthMode::Tokens),
        "none" => Ok(AuthMode::None),
        _ => Err(
            "must be \"tokens\" (every caller shows one) or \"none\" (whoever reaches the port may do everything)",
        ),
    }
}

/// `host:port` from the flag, else the file, else the default.
fn address(
    key: &'static str,
    flag: Option<String>,
    default: &str,
    file: &mut Section,
    faults: &mut Faults,
) -> String {
    let from_file = file.text(key, faults);
    let address = flag.or(from_file).unwrap_or_else(|| default.to_owned());
    let port = address
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        faults.add(
            key,
            format!("`{address}` is no host:port; write for example {default}"),
        );
    }
    address
}

fn database_url(
    flag: Option<String>,
    data_dir: Option<&Path>,
    file: &mut Section,
    faults: &mut Faults,
) -> Option<String> {
    let from_file = file.text("database_url", faults);
    let Some(url) = flag.or(from_file) else {
        return data_dir.map(embedded_database);
    };
    let known = [
        "sqlite:",
        "postgres://",
        "postgresql://",
        "mysql://",
        "mariadb://",
    ];
    if !known.iter().any(|start| url.starts_with(start)) {
        // The URL itself may hold a password: it is not repeated.
        faults.add("database_url", "must begin with sqlite:, postgres:// or mysql://");
    }
    Some(url)
}

/// The database that is used unless one is named: a file in the data folder.
pub(crate) fn embedded_database(data_dir: &Path) -> String {
    format!("sqlite:{}", data_dir.join("stoker.db").display())
}

fn web_address(text: &str, example: &str) -> Result<url::Url, String> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(format!(
            "`{text}` is no http or https URL; write for example {example}"
        )),
    }
}

fn tls(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    file: &mut Section,
    faults: &mut Faults,
) -> Option<TlsFiles> {
    let certificate = certificate.or(file.parsed("tls_cert", faults));
    let key = key.or(file.parsed("tls_key", faults));
    for (name, path) in [("tls_cert", &certificate), ("tls_key", &key)] {
        if let Some(path) = path {
            faults.check(
                name,
                std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display())),
            );
        }
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            faults.add("tls_key", "is needed beside tls_cert");
            None
        }
        (None, Some(_)) => {
            faults.add("tls_cert", "is needed beside tls_key");
            None
        }
    }
}

fn limits(mut section: Section, faults: &mut Faults) -> LimitsSection {
    let limits = LimitsSection {
        preheat_limit: section.duration("preheat_limit", faults),
        no_seed_limit: section.duration("no_seed_limit", faults),
        absent_limit: section.duration("absent_limit", faults),
        replan_after: section.duration("replan_after", faults),
        session_lease: section.duration("session_lease", faults),
        keep_preheats: section.duration("keep_preheats", faults),
        spot_check_every: section.duration("spot_check_every", faults),
    };
    section.end(faults);
    limits
}

fn beside(
    front: Option<String>,
    share: Option<String>,
    file: &mut Section,
    faults: &mut Faults,
) -> PeerSection {
    let built_in = FrontLimits::default();
    PeerSection {
        front: address("front", front, "127.0.0.1:65001", file, faults),
        share: address("share", share, "127.0.0.1:65002", file, faults),
        front_limits: FrontLimits {
            yes_kept: file.duration("yes_kept", faults).unwrap_or(built_in.yes_kept),
            yes_kept_on_error: file
                .duration("yes_kept_on_error", faults)
                .unwrap_or(built_in.yes_kept_on_error),
            yes_kept_offline: file
                .duration("yes_kept_offline", faults)
                .unwrap_or(built_in.yes_kept_offline),
            public_kept: file
                .duration("public_kept", faults)
                .unwrap_or(built_in.public_kept),
            allow: file.list("allow", faults),
            prefetch: file.switch("prefetch", faults).unwrap_or(built_in.prefetch),
            unproven_ranges: file
                .parsed("unproven_ranges", faults)
                .unwrap_or(built_in.unproven_ranges),
        },
        store: store::read(file, faults),
    }
}
