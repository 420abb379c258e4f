//! How a command ends when it does not end well: what is told, and with which exit code.

use std::io::{IsTerminal as _, Write as _};

use crate::daemon::api::ApiError;
use crate::daemon::environment::forbids_colours;
use crate::daemon::health::HealthError;
use crate::daemon::key::KeyError;
use crate::daemon::recovery::{NoPlan, NotSettled};
use crate::daemon::standby::StandbyError;
use crate::daemon::wiring::WiringError;
use crate::records::RecordsError;
use crate::ruleset::diagnostic::{self, Diagnostic};
use crate::serve::ServeError;
use crate::signals::SignalError;
use crate::stream::checkpoint::CheckpointError;
use crate::stream::copies::CopyError;
use crate::stream::follow::FollowError;
use crate::stream::{Fault, StreamError};

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub enum Failure {
    /// The answer is no, and has been told.
    No,
    /// A file that people wrote is wrong.
    Refused(Vec<Diagnostic>),
    /// Something else, with its hint and exit code.
    Told {
        /// What is wrong.
        message: String,
        /// The next step.
        hint: Option<String>,
        /// The exit code.
        code: u8,
    },
}

impl Failure {
    /// A wrong call or setting.
    pub(super) fn usage(message: impl Into<String>, hint: Option<&str>) -> Failure {
        Failure::Told { message: message.into(), hint: hint.map(str::to_owned), code: 2 }
    }

    /// The exit code: 1 the answer is no, 2 usage, 3 an outside service failed.
    pub(super) fn code(&self) -> u8 {
        match self {
            Failure::No | Failure::Refused(_) => 1,
            Failure::Told { code, .. } => *code,
        }
    }

    /// Tells it on standard error.
    pub(super) fn tell(&self) {
        match self {
            Failure::No => {}
            Failure::Refused(found) => warn(found),
            Failure::Told { message, .. } if message.is_empty() => {}
            Failure::Told { message, hint, .. } => {
                let mut text = format!("error: {message}\n");
                if let Some(hint) = hint {
                    text.push_str(&format!("hint: {hint}\n"));
                }
                say(&text);
            }
        }
    }
}

/// Shows findings on standard error.
pub(super) fn warn(found: &[Diagnostic]) {
    if !found.is_empty() {
        say(&diagnostic::render(found, std::io::stderr().is_terminal() && !forbids_colours()));
    }
}

/// Writes to standard error; that nobody reads it is no reason to fail.
pub(super) fn say(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Failure {
        let code = match error.fault() {
            Fault::Operator => 2,
            Fault::Dependency => 3,
            // Whoever read our output has seen enough.
            Fault::Nobody => return Failure::Told { message: String::new(), hint: None, code: 0 },
        };
        Failure::Told { message: error.to_string(), hint: error.hint(), code }
    }
}

impl From<WiringError> for Failure {
    fn from(error: WiringError) -> Failure {
        let hint = match &error {
            WiringError::NoSource => "add one under `sources:`; docs/configuration.md shows how",
            WiringError::UnknownSource { .. } => "name one of `sources:`, and the file with `--config`",
            WiringError::NoBrokers { .. } => "name the cluster under `brokers:`",
            WiringError::JournalTopic { .. } => {
                "let all sources and sinks be topics of one cluster, or leave `state.journal_topic` out"
            }
            _ => "see docs/configuration.md",
        };
        match error {
            WiringError::Stream(error) => error.into(),
            WiringError::Copies(error) => error.into(),
            error => Failure::usage(error.to_string(), Some(hint)),
        }
    }
}

impl From<SignalError> for Failure {
    fn from(error: SignalError) -> Failure {
        WiringError::from(error).into()
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        let code = match &error {
            ApiError::Serve(ServeError::Records(RecordsError::Open { .. } | RecordsError::Query(_))) => 3,
            _ => 2,
        };
        Failure::Told { message: error.to_string(), hint: Some(error.hint().to_owned()), code }
    }
}

impl From<HealthError> for Failure {
    fn from(error: HealthError) -> Failure {
        Failure::usage(error.to_string(), Some(error.hint()))
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Failure {
        let code = if error.is_outside() { 3 } else { 2 };
        Failure::Told { message: error.to_string(), hint: Some(error.hint().to_owned()), code }
    }
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Failure {
        let code = if error.is_outside() { 3 } else { 2 };
        Failure::Told { message: error.to_string(), hint: Some(error.hint().to_owned()), code }
    }
}

impl From<FollowError> for Failure {
    fn from(error: FollowError) -> Failure {
        match error {
            FollowError::Stream(error) => error.into(),
            FollowError::Copy(error) => error.into(),
            FollowError::Checkpoint(error) => error.into(),
        }
    }
}

impl From<StandbyError> for Failure {
    fn from(error: StandbyError) -> Failure {
        match error {
            StandbyError::Follow(error) => error.into(),
            StandbyError::Key(error) => error.into(),
        }
    }
}

impl From<NotSettled> for Failure {
    fn from(error: NotSettled) -> Failure {
        match error {
            NotSettled::Stream(error) => error.into(),
            NotSettled::Checkpoint(error) => error.into(),
            NotSettled::Signals(error) => error.into(),
        }
    }
}

impl From<NoPlan> for Failure {
    fn from(none: NoPlan) -> Failure {
        match none {
            NoPlan::Stream(error) => error.into(),
            NoPlan::Unknown(unknown) => Failure::usage(
                unknown.what,
                Some(
                    "restore `state.path` from a copy, count `history`, or start with --accept-empty-state to judge on without these counts",
                ),
            ),
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Failure {
        Failure::usage(error.to_string(), Some(error.hint()))
    }
}
