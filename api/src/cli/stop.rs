//! How a command ends: its exit code, and what is printed to stderr.

use std::fmt::Display;
use std::process::ExitCode;

use super::client::AskError;
use super::output;

/// How a command fails: exit code and message.
#[derive(Debug)]
pub(crate) struct Stop {
    code: u8,
    /// Printed to stderr; empty if the command has printed everything.
    message: String,
}

/// The command failed.
pub(super) const FAILED: u8 = 1;
/// The manager gave no usable response.
pub(super) const NO_RESPONSE: u8 = 2;
/// As in `sysexits.h`: the command line or the configuration is wrong.
pub(super) const USAGE: u8 = 64;

impl Stop {
    pub(crate) fn failed(message: impl Display) -> Self {
        Self {
            code: FAILED,
            message: message.to_string(),
        }
    }

    /// The command has printed everything already.
    pub(crate) fn silent(code: u8) -> Self {
        Self {
            code,
            message: String::new(),
        }
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self {
            code: USAGE,
            message: message.to_string(),
        }
    }

    pub(crate) fn no_response(message: impl Display) -> Self {
        Self {
            code: NO_RESPONSE,
            message: message.to_string(),
        }
    }
}

impl From<AskError> for Stop {
    fn from(error: AskError) -> Self {
        match error {
            AskError::BadServer(_) | AskError::TokenFile { .. } => Self::usage(error),
            _ => Self::no_response(error),
        }
    }
}

impl From<settings::Faults> for Stop {
    fn from(faults: settings::Faults) -> Self {
        Self::usage(faults)
    }
}

/// Prints all causes: only the innermost may say what to do.
impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}

/// Prints why a command failed, and returns its exit code.
pub(super) fn end(ended: Result<(), Stop>) -> ExitCode {
    let Err(stop) = ended else {
        return ExitCode::SUCCESS;
    };
    if !stop.message.is_empty() {
        output::remark(format!("stoker: {}", stop.message));
    }
    ExitCode::from(stop.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_another_exit_code_than_no_response() {
        let unreachable = AskError::Unreachable {
            base: "http://h".to_owned(),
            reason: "refused".to_owned(),
        };
        assert_eq!(Stop::from(unreachable).code, NO_RESPONSE);
        assert_eq!(Stop::from(AskError::BadServer("h".to_owned())).code, USAGE);
        assert_eq!(Stop::from(settings::Faults::default()).code, USAGE);
        assert_eq!(Stop::from(anyhow::anyhow!("no")).code, FAILED);
    }
}
