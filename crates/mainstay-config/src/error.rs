//! What a failed load reports: every problem with its key, its source and what was expected, never a value.

use std::fmt;

use crate::loader::Profile;
use crate::problem::Problem;
use crate::report::{self, Style};

/// Everything that is wrong with the configuration, as a report for the person who starts the program.
///
/// ```
/// # #[derive(Debug, serde::Deserialize, garde::Validate)]
/// # struct Settings { #[garde(skip)] port: u16, #[garde(skip)] name: String }
/// let error = mainstay_config::Loader::new("orders")
///     .environment([("ORDERS__PORT", "eighty")])
///     .load::<Settings>()
///     .unwrap_err();
///
/// assert_eq!(
///     error.to_string(),
///     "the configuration of orders is not valid: 2 problems (profile development, by default)\n\n \
///       1. MC005 port: expected u16, found text\n    \
///          --> ORDERS__PORT\n \
///       2. MC007 name: required, and no source sets it\n    \
///          looked in: ORDERS__NAME\n    \
///          help: set ORDERS__NAME\n\n\
///      read, lowest first: ORDERS__PORT"
/// );
/// assert_eq!(error.exit_code(), 78);
/// ```
///
/// `Display` is the report without colours, [`ConfigError::report`] has a choice, [`ConfigError::to_json`] is for
/// machines. Neither these nor `Debug` say what is not [safe to say](crate#what-is-shown).
#[derive(Debug)]
pub struct ConfigError {
    pub(crate) app: String,
    /// Behind a pointer: an error travels in many results.
    pub(crate) profile: Option<Box<Profile>>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) notes: Vec<String>,
    pub(crate) sources: Vec<String>,
}

impl ConfigError {
    /// The exit code for a process that ends because of this: 78, `EX_CONFIG` of sysexits.h.
    pub fn exit_code(&self) -> u8 {
        78
    }

    /// What is wrong, in the report's order, then the warnings.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The report as text.
    pub fn report(&self, style: Style) -> String {
        report::text(self, style)
    }

    /// The report as one JSON object, in one line:
    ///
    /// ```json
    /// {"app": "orders", "profile": "production", "profile_from": "ORDERS_PROFILE", "problems": [{"code": "MC005", "severity": "error",
    ///   "key": "port", "message": "expected u16, found text",
    ///   "source": {"kind": "variable", "variable": "ORDERS__PORT"}, "sources": [], "help": []}], "notes": []}
    /// ```
    ///
    /// A file's source is `{"kind": "file", "file": "config/default.toml", "line": 3, "column": 8}`; `kind` is also
    /// `embedded` or `argument`, or `other` with a `name`. What has more than one source lists them all in `sources`.
    /// `profile_from` is `null` where nothing named the profile.
    pub fn to_json(&self) -> String {
        report::json(self)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report(Style::Plain))
    }
}

impl std::error::Error for ConfigError {}
