//! What a load reports: every problem with its key, its source and what was expected, never a value.

use std::fmt;

use crate::layer::{Origin, Place, joined};

/// Everything that is wrong with the configuration, as a report for the person who starts the program.
///
/// ```
/// # #[derive(Debug, serde::Deserialize, garde::Validate)]
/// # struct Settings { #[garde(skip)] port: u16 }
/// let error = mainstay_config::Loader::new("orders")
///     .environment([("ORDERS__PORT", "eighty")])
///     .load::<Settings>()
///     .unwrap_err();
///
/// assert_eq!(
///     error.to_string(),
///     "the configuration of orders is not valid: 1 problem (profile development)\n  \
///      port: expected u16, found text (ORDERS__PORT)"
/// );
/// assert_eq!(error.exit_code(), 78);
/// ```
///
/// `Display` gives one line a problem and `Debug` holds the same texts: neither ever contains a value.
/// Whatever was read wrongly (files, variables, arguments, the profile) is reported together. Then a value that does
/// not fit its type is reported alone, because reading stops there; then all broken rules are reported together.
#[derive(Debug)]
pub struct ConfigError {
    pub(crate) app: String,
    pub(crate) profile: Option<String>,
    pub(crate) problems: Vec<Problem>,
}

/// One line of the report.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    key: Option<String>,
    message: String,
    source: Option<String>,
}

// === impl ConfigError ===

impl ConfigError {
    /// The exit code for a process that ends because of this: 78, `EX_CONFIG` of sysexits.h.
    pub fn exit_code(&self) -> u8 {
        78
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "the configuration of {} is not valid: {count} problem{plural}", self.app)?;
        if let Some(profile) = &self.profile {
            write!(f, " (profile {profile})")?;
        }
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}

// === impl Problem ===

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { key: None, message: message.into(), source: None }
    }

    pub(crate) fn key(mut self, path: &[String]) -> Self {
        self.key = Some(joined(path));
        self
    }

    pub(crate) fn at(self, origin: &Origin) -> Self {
        self.source(origin.to_string())
    }

    pub(crate) fn place(mut self, (line, column): Place) -> Self {
        self.source = self.source.map(|source| format!("{source}:{line}:{column}"));
        self
    }

    /// Whether this is about the value at this key, about something in it, or about a table around it.
    pub(crate) fn touches(&self, key: &str) -> bool {
        let starts = |long: &str, short: &str| {
            long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.key.as_deref().is_some_and(|own| own.is_empty() || starts(own, key) || starts(key, own))
    }

    pub(crate) fn source(mut self, source: impl Into<Option<String>>) -> Self {
        self.source = source.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.source) {
            (Some(key), Some(source)) => write!(f, "{key}: {} ({source})", self.message),
            (Some(name), None) | (None, Some(name)) => write!(f, "{name}: {}", self.message),
            (None, None) => f.write_str(&self.message),
        }
    }
}

/// The one of `known` that `word` is probably a typo of.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "`a`, `b`, `c`"
pub(crate) fn list<'a, I: IntoIterator<Item = &'a str>>(names: I) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
