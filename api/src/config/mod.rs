//! The manager's configuration: the environment overrides the file, and flags override both. It is read once, before
//! anything is opened or bound. All faults are reported together, each with its key.

mod beside;
mod clusters;
mod flags;
mod hooks;
mod telemetry;
#[cfg(test)]
mod tests;
mod timeouts;
mod triggers;
mod webhooks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api::AuthMode;
use api::triggers::{Hooks, Rules};
use oci::{AddressRange, DialRules};
use preheat::{ClusterSettings, Webhook};
use process::TlsFiles;
use process::telemetry::TelemetryOptions;
use settings::{Faults, Given, OwnRegistry, Read, Reader, Section, SettingsFile};
use tracing::warn;

pub(crate) use self::beside::PeerBeside;
pub(crate) use self::flags::{AddressFlags, ManagerFlags};
pub(crate) use self::telemetry::trace_preheats_not_polls;
pub(crate) use self::timeouts::Timeouts;

/// The default of `dial.addresses` for `stoker up`, where registries often run on the same machine.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// Everything that a manager, and the peer beside it in `up`, is built from.
#[derive(Debug)]
pub(crate) struct ManagerConfig {
    /// Keys, the embedded database and the first token.
    pub(crate) data_dir: PathBuf,
    /// Address for Harbor and people: `host:port`.
    pub(crate) listen: String,
    /// Address for peers: `host:port`.
    pub(crate) peer_listen: String,
    /// Address for probes and metrics: `host:port`.
    pub(crate) admin: String,
    pub(crate) database_url: String,
    /// Whether every request needs a token.
    pub(crate) auth: AuthMode,
    /// The URL at which others reach this manager, if it is not `listen`.
    pub(crate) public_url: Option<url::Url>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) timeouts: Timeouts,
    pub(crate) registries: Vec<OwnRegistry>,
    pub(crate) dial: DialRules,
    /// By name. A cluster that is not listed has the defaults.
    pub(crate) clusters: BTreeMap<String, ClusterSettings>,
    /// The receivers of notices.
    pub(crate) webhooks: Vec<Webhook>,
    /// What to preheat when a registry reports a push.
    pub(crate) triggers: Rules,
    /// Settings of webhooks of registries.
    pub(crate) hooks: Hooks,
    pub(crate) telemetry: TelemetryOptions,
    /// The URL of Jaeger's pages, for links.
    pub(crate) jaeger_ui: Option<url::Url>,
    pub(crate) beside: PeerBeside,
}

/// The defaults in which the programs that read this configuration differ.
#[derive(Debug)]
pub(crate) struct Program {
    listen: &'static str,
    peer_listen: &'static str,
    admin: &'static str,
    /// Whether loopback registries are allowed by default, as for a trial on one machine.
    is_laptop: bool,
    /// The name of the service in traces.
    service: &'static str,
}

impl Program {
    /// `stoker manager`
    pub(crate) const MANAGER: Self = Self {
        listen: "0.0.0.0:8080",
        peer_listen: "0.0.0.0:8443",
        admin: "127.0.0.1:40902",
        is_laptop: false,
        service: "stoker-manager",
    };
    /// `stoker up`
    pub(crate) const UP: Self = Self {
        listen: "127.0.0.1:8080",
        peer_listen: "127.0.0.1:8443",
        admin: "127.0.0.1:40901",
        is_laptop: true,
        service: "stoker",
    };
}

impl ManagerConfig {
    /// Reads the file at `path`, if one is given, and what overrides it.
    pub(crate) fn read(path: Option<&Path>, given: Given, program: &Program) -> Result<Read<Self>, Faults> {
        let file = SettingsFile::open(path)?;
        let reader = Reader::new(&file, given)?;
        let config = Self::from_section(&reader.top(), program);
        reader.finish(config)
    }

    /// Returns `None` only if a fault was reported.
    fn from_section(top: &Section<'_>, program: &Program) -> Option<Self> {
        let data_dir = top.needed("data_dir", top.path("data_dir"));
        let database_url = database_url(top, data_dir.as_deref());
        let public_url = top.text("public_url");
        let registries = settings::registry::read(top);
        let telemetry = top.table("telemetry");
        let jaeger_ui = telemetry.text("jaeger_ui");
        let config = Self {
            data_dir: data_dir.clone().unwrap_or_default(),
            listen: top.address_or("listen", program.listen),
            peer_listen: top.address_or("peer_listen", program.peer_listen),
            admin: top.address_or("admin", program.admin),
            database_url: database_url.unwrap_or_default(),
            auth: auth(top),
            public_url: public_url
                .and_then(|url| top.check("public_url", web_address(&url, "https://stoker.example.com"))),
            tls: tls(top),
            timeouts: timeouts::read(top),
            dial: settings::dial::read(top, if program.is_laptop { loopback() } else { Vec::new() }),
            clusters: clusters::read(top),
            webhooks: webhooks::read(top),
            triggers: triggers::read(top),
            hooks: hooks::read(top),
            telemetry: telemetry_options(&telemetry, program.service),
            jaeger_ui: jaeger_ui
                .and_then(|url| telemetry.check("jaeger_ui", web_address(&url, "http://jaeger:16686"))),
            beside: beside::read(top, &registries),
            registries,
        };
        data_dir.map(|_| config)
    }
}

/// Logs a warning for each key that has moved.
pub(crate) fn log_warnings(warnings: &[String]) {
    for warning in warnings {
        warn!(stoker.setting = %warning, "configuration: a key has moved");
    }
}

fn telemetry_options(section: &Section<'_>, service: &str) -> TelemetryOptions {
    let mut options = settings::telemetry::read(section, service);
    trace_preheats_not_polls(&mut options);
    options
}

/// The loopback addresses.
pub(crate) fn loopback() -> Vec<AddressRange> {
    LOOPBACK.iter().filter_map(|range| range.parse().ok()).collect()
}

fn auth(top: &Section<'_>) -> AuthMode {
    let mode = match top.text_or("auth", "tokens").as_str() {
        "tokens" => Ok(AuthMode::Tokens),
        "none" => Ok(AuthMode::None),
        _ => Err(
            "must be \"tokens\" (every request needs one) or \"none\" (everyone who reaches the port may do everything)",
        ),
    };
    top.check("auth", mode).unwrap_or_default()
}

fn database_url(top: &Section<'_>, data_dir: Option<&Path>) -> Option<String> {
    const KNOWN: [&str; 5] = [
        "sqlite:",
        "postgres://",
        "postgresql://",
        "mysql://",
        "mariadb://",
    ];
    let Some(url) = top.secret("database_url") else {
        let embedded = embedded_database(data_dir?);
        top.default("database_url", embedded.as_str());
        return Some(embedded);
    };
    if !KNOWN.iter().any(|start| url.starts_with(start)) {
        // The URL may hold a password, so the fault does not repeat it.
        top.fault("database_url", "must begin with sqlite:, postgres:// or mysql://");
    }
    Some(url)
}

/// The default database: a file in the data folder.
pub(crate) fn embedded_database(data_dir: &Path) -> String {
    format!("sqlite:{}", data_dir.join("stoker.db").display())
}

fn web_address(text: &str, example: &str) -> Result<url::Url, String> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(format!(
            "`{text}` is not an http or https URL; write for example {example}"
        )),
    }
}

fn tls(top: &Section<'_>) -> Option<TlsFiles> {
    let (certificate, key) = (existing(top, "tls_cert"), existing(top, "tls_key"));
    match (&certificate, &key) {
        (Some(_), None) => top.incomplete("tls_key", "is needed beside tls_cert"),
        (None, Some(_)) => top.incomplete("tls_cert", "is needed beside tls_key"),
        _ => {}
    }
    let (certificate, key) = certificate.zip(key)?;
    Some(TlsFiles { certificate, key })
}

fn existing(top: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    let path = top.path(key)?;
    if let Err(error) = std::fs::metadata(&path) {
        top.unreadable(key, format_args!("{}: {error}", path.display()));
    }
    Some(path)
}
