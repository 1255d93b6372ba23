//! What the loader does, one file per question.

mod canary;
mod codes;
mod env_files;
mod explaining;
mod files;
mod formats;
mod offline;
mod planted;
mod precedence;
mod profiles;
mod reports;
#[cfg(feature = "schema")]
mod schemas;
mod secret_files;
mod shapes;
mod values;
mod whole;

use std::fs;
use std::net::SocketAddr;

use mainstay_config::{ConfigError, Loaded, Loader, Secret};
use tempfile::TempDir;

#[derive(Debug, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    #[garde(dive)]
    pub(crate) server: Server,
    #[garde(dive)]
    #[serde(default)]
    pub(crate) limits: Limits,
    #[garde(skip)]
    #[serde(default = "no_password")]
    pub(crate) password: Secret<String>,
}

#[derive(Debug, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    #[garde(skip)]
    pub(crate) listen: SocketAddr,
    #[garde(length(min = 1))]
    #[serde(default = "anonymous")]
    pub(crate) name: String,
}

#[derive(Debug, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    #[garde(range(min = 1, max = 10_000))]
    pub(crate) connections: u32,
    #[garde(range(max = 1.0))]
    pub(crate) share: f64,
    #[garde(inner(length(min = 2)))]
    pub(crate) hosts: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 100, share: 0.5, hosts: Vec::new() }
    }
}

fn no_password() -> Secret<String> {
    Secret::new(String::new())
}

fn anonymous() -> String {
    "anonymous".to_owned()
}

pub(crate) const MINIMAL: &str = "[server]\nlisten = '127.0.0.1:80'\n";

/// A loader that sees neither the process environment nor a folder.
pub(crate) fn loader() -> Loader {
    Loader::new("orders").environment([("HOME", "/nowhere")])
}

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

pub(crate) fn load(loader: Loader) -> Result<Loaded<Settings>, ConfigError> {
    loader.load()
}

/// The report, with the folder's own path replaced.
/// One line a problem, without its code: for questions of what is found, not of how it looks.
pub(crate) fn findings(error: &ConfigError, folder: &std::path::Path, shown: &str) -> String {
    let lines: Vec<String> = error
        .problems()
        .iter()
        .map(|problem| {
            problem.to_string().split_once(' ').map(|(_, line)| line.to_owned()).unwrap_or_default()
        })
        .collect();
    lines.join("\n").replace(&*folder.to_string_lossy(), shown)
}

pub(crate) fn found(loader: Loader, folder: &TempDir) -> String {
    let error = load(loader.directory(Some(folder.path().to_owned()))).expect_err("a report");
    findings(&error, folder.path(), "config")
}

pub(crate) fn report(loader: Loader, folder: &TempDir) -> String {
    let error = load(loader.directory(Some(folder.path().to_owned()))).expect_err("a report");
    error.to_string().replace(&*folder.path().to_string_lossy(), "config")
}
