//! The manager's configuration: file, environment and flag, rising in rank. It is read once, before anything is
//! opened or bound, and every fault is reported at once with its key.

mod beside;
mod clusters;
mod flags;
mod telemetry;
#[cfg(test)]
mod tests;
mod timeouts;
mod triggers;
mod webhooks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api::AuthMode;
use api::triggers::Rules;
use oci::{AddressRange, DialRules};
use preheat::{ClusterSettings, Webhook};
use process::TlsFiles;
use process::telemetry::TelemetryOptions;
use settings::{Faults, Given, OwnRegistry, Read, Reader, Section, SettingsFile};
use tracing::warn;

pub(crate) use self::beside::PeerBeside;
pub(crate) use self::flags::{AddressFlags, ManagerFlags};
pub(crate) use self::telemetry::kept_and_dropped;
pub(crate) use self::timeouts::Timeouts;

/// Addresses that are listed where nothing else is said: `stoker up` runs on the machine of who tries it out.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

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
    pub(crate) timeouts: Timeouts,
    pub(crate) registries: Vec<OwnRegistry>,
    pub(crate) dial: DialRules,
    /// By name; a cluster that is not here has the default.
    pub(crate) clusters: BTreeMap<String, ClusterSettings>,
    /// Where notices of preheats are sent.
    pub(crate) webhooks: Vec<Webhook>,
    /// What is preheated when registries tell of pushes.
    pub(crate) triggers: Rules,
    pub(crate) telemetry: TelemetryOptions,
    /// Where people look at traces.
    pub(crate) jaeger_ui: Option<url::Url>,
    pub(crate) beside: PeerBeside,
}

/// In what the programs that read this configuration differ.
#[derive(Debug)]
pub(crate) struct Program {
    listen: &'static str,
    peer_listen: &'static str,
    admin: &'static str,
    /// Everything runs on one machine, which is tried out: registries on it are dialled unless the file says otherwise.
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
    /// Reads the file at `path`, if there is one, and what goes before it.
    pub(crate) fn read(path: Option<&Path>, given: Given, program: &Program) -> Result<Read<Self>, Faults> {
        let file = SettingsFile::open(path)?;
        let reader = Reader::new(&file, given)?;
        let config = Self::from_section(&reader.top(), program);
        reader.finish(config)
    }

    /// Returns nothing only where a fault was noted.
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
            telemetry: telemetry_options(&telemetry, program.service),
            jaeger_ui: jaeger_ui
                .and_then(|url| telemetry.check("jaeger_ui", web_address(&url, "http://jaeger:16686"))),
            beside: beside::read(top, &registries),
            registries,
        };
        data_dir.map(|_| config)
    }
}

/// Logs what should be written in another way.
pub(crate) fn log_warnings(warnings: &[String]) {
    for warning in warnings {
        warn!(stoker.setting = %warning, "configuration: a key has moved");
    }
}

fn telemetry_options(section: &Section<'_>, service: &str) -> TelemetryOptions {
    let mut options = settings::telemetry::read(section, service);
    kept_and_dropped(&mut options);
    options
}

/// This machine, by number.
pub(crate) fn loopback() -> Vec<AddressRange> {
    LOOPBACK.iter().filter_map(|range| range.parse().ok()).collect()
}

fn auth(top: &Section<'_>) -> AuthMode {
    let mode = match top.text_or("auth", "tokens").as_str() {
        "tokens" => Ok(AuthMode::Tokens),
        "none" => Ok(AuthMode::None),
        _ => Err(
            "must be \"tokens\" (every caller shows one) or \"none\" (whoever reaches the port may do everything)",
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
        // The URL itself may hold a password: it is not repeated.
        top.fault("database_url", "must begin with sqlite:, postgres:// or mysql://");
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
