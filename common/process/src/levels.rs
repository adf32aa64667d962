//! Log levels by module, changeable at runtime.

use std::sync::Arc;

use tracing_subscriber::Registry;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::reload;

const UNLESS_TOLD: &str = "info,sqlx=warn,sea_orm=warn,sea_orm_migration=warn";
/// A filter is short; a longer text is a mistake.
const LONGEST: usize = 4_096;

type Handle = reload::Handle<EnvFilter, Registry>;

/// Reads and replaces the log filter of this process.
#[derive(Clone)]
pub struct Levels(Arc<Handle>);

#[derive(Debug, thiserror::Error)]
pub enum BadFilter {
    #[error("`{0}` is not a log filter: write for example info,stoker_peer=debug or peer::fetch=trace,info")]
    Unreadable(String),
    #[error("the log filter is too long: write at most {LONGEST} characters")]
    TooLong,
    #[error("the log levels can no longer be changed: the process is ending")]
    Gone,
}

pub(crate) fn reloadable(filter: Option<&str>) -> (Levels, reload::Layer<EnvFilter, Registry>) {
    let filter = filter
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(UNLESS_TOLD));
    let (layer, handle) = reload::Layer::new(filter);
    (Levels(Arc::new(handle)), layer)
}

impl Default for Levels {
    /// Connected to no log: settings have no effect.
    fn default() -> Self {
        reloadable(None).0
    }
}

impl Levels {
    /// Returns the current filter in the syntax of `RUST_LOG`.
    pub fn get(&self) -> String {
        self.0
            .with_current(ToString::to_string)
            .unwrap_or_else(|_| UNLESS_TOLD.to_owned())
    }

    /// Sets the filter; an empty text restores the default.
    pub fn set(&self, text: &str) -> Result<(), BadFilter> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(BadFilter::TooLong);
        }
        let wanted = if text.is_empty() { UNLESS_TOLD } else { text };
        let filter = EnvFilter::try_new(wanted).map_err(|_| BadFilter::Unreadable(text.to_owned()))?;
        self.0.reload(filter).map_err(|_| BadFilter::Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_replaced_and_a_bad_one_changes_nothing() {
        let (levels, _layer) = reloadable(Some("warn"));
        assert_eq!(levels.get(), "warn");
        levels.set("peer::fetch=debug,info").expect("a filter");
        assert_eq!(levels.get(), "peer::fetch=debug,info");
        assert!(matches!(levels.set("peer=loud"), Err(BadFilter::Unreadable(_))));
        assert!(matches!(levels.set(&"a".repeat(5_000)), Err(BadFilter::TooLong)));
        assert_eq!(levels.get(), "peer::fetch=debug,info");
    }
}
