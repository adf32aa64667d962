//! The settings that flags and environment variables set. They win over the file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource as GivenBy;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::source::ValueSource;

/// Values by the full name of their key, each with the flag or variable that sets it.
#[derive(Debug, Clone, Default)]
pub struct Given(BTreeMap<String, GivenValue>);

/// `Debug` shows the source only: the text may be a secret.
#[derive(Clone)]
struct GivenValue {
    text: OsString,
    source: ValueSource,
}

impl std::fmt::Debug for GivenValue {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.source.fmt(out)
    }
}

impl Given {
    /// Adds a value as if a flag had set it.
    #[must_use]
    pub fn flag(mut self, key: &str, text: impl Into<OsString>) -> Self {
        let source = ValueSource::Flag(format!("--{}", key.replace('_', "-")));
        self.add(key, text.into(), source);
        self
    }

    /// Merges both; the values of `other` win.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn add(&mut self, key: &str, text: OsString, source: ValueSource) {
        self.0.insert(key.to_owned(), GivenValue { text, source });
    }

    pub(crate) fn get(&self, key: &str) -> Option<(&OsStr, &ValueSource)> {
        let value = self.0.get(key)?;
        Some((&value.text, &value.source))
    }

    /// Collects the arguments of `T` that the command line or the environment sets.
    fn by<T: Args>(matches: &ArgMatches) -> Self {
        let declared = T::augment_args(Command::default());
        let mut given = Self::default();
        for argument in declared.get_arguments() {
            let id = argument.get_id().as_str();
            let source = match matches.value_source(id) {
                Some(GivenBy::CommandLine) => {
                    ValueSource::Flag(format!("--{}", argument.get_long().unwrap_or(id)))
                }
                Some(GivenBy::EnvVariable) => {
                    let name = argument.get_env().unwrap_or_default();
                    ValueSource::Variable(name.to_string_lossy().into_owned())
                }
                _ => continue,
            };
            let text = matches.get_raw(id).and_then(|mut values| values.next());
            given.add(id, text.unwrap_or_default().to_owned(), source);
        }
        given
    }
}

/// Command-line arguments that are settings, and which of them are set. The id of each argument is the full key of its
/// setting.
#[derive(Debug, Clone, Default)]
pub struct Flags<T> {
    pub arguments: T,
    pub given: Given,
}

impl<T: Args> FromArgMatches for Flags<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            given: Given::by::<T>(matches),
            arguments: T::from_arg_matches(matches)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<T: Args> Args for Flags<T> {
    fn group_id() -> Option<clap::Id> {
        T::group_id()
    }

    fn augment_args(command: Command) -> Command {
        T::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        T::augment_args_for_update(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Args)]
    struct Declared {
        #[arg(long)]
        listen: Option<String>,
        #[arg(long, id = "telemetry.jaeger_ui", value_name = "URL")]
        jaeger_ui: Option<String>,
        #[arg(long)]
        seed: bool,
        #[arg(long, default_value = "x")]
        admin: String,
    }

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        flags: Flags<Declared>,
        #[arg(long)]
        other: Option<String>,
    }

    #[test]
    fn only_arguments_that_are_set_are_collected_with_their_flag() {
        let line = ["p", "--jaeger-ui", "http://j", "--seed", "--other", "o"];
        let program = Program::parse_from(line);
        let given = &program.flags.given;
        let flag = |name: &str| ValueSource::Flag(name.to_owned());
        assert_eq!(
            given.get("telemetry.jaeger_ui"),
            Some((OsStr::new("http://j"), &flag("--jaeger-ui")))
        );
        assert_eq!(given.get("seed"), Some((OsStr::new("true"), &flag("--seed"))));
        assert_eq!((given.get("listen"), given.get("admin")), (None, None));
        assert!(given.get("other").is_none() && program.other.is_some());
        let declared = &program.flags.arguments;
        assert!(declared.listen.is_none() && declared.seed && declared.admin == "x");
        assert_eq!(declared.jaeger_ui.as_deref(), Some("http://j"));
        assert!(!format!("{given:?}").contains("http://j"));
    }
}
