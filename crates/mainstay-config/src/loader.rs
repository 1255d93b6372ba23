//! The loader: which sources there are, in which order, and what came of them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::{env, fmt};

use garde::Validate;
use serde::de::DeserializeOwned;

pub use self::offline::{ProfileCheck, ProfilesReport};
use crate::boot::Boot;
use crate::error::ConfigError;
use crate::explain::Trail;
use crate::guard::Guard;
use crate::layer::Merged;
use crate::problem::Problem;
use crate::shape;

mod check;
mod findings;
mod links;
mod offline;
mod profile;
mod read;
mod rules;
mod shadow;
#[cfg(feature = "reload")]
mod values;

use self::check::Checked;
pub(crate) use self::profile::Profile;
#[cfg(feature = "reload")]
pub(crate) use self::values::Digests;

/// Reads all sources into one value.
///
/// The [crate's page](crate) says what the sources are. Built by value; nothing is read before [`Loader::load`].
///
/// ```no_run
/// # #[derive(serde::Deserialize, garde::Validate)]
/// # struct Settings {}
/// # fn main() -> Result<(), mainstay_config::ConfigError> {
/// let loaded = mainstay_config::Loader::new("orders")
///     .profiles(&["development", "staging", "production"])
///     .profile(None)                            // from --profile
///     .directory(Some("/etc/orders".into()))    // from --config-dir
///     .set("server.listen=127.0.0.1:8080")      // from --set
///     .load::<Settings>()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is read before `load`"]
pub struct Loader {
    app: String,
    profiles: Vec<String>,
    profile: Option<String>,
    directory: Option<PathBuf>,
    usual_directory: Option<PathBuf>,
    embedded: Vec<(&'static str, &'static str)>,
    env_files: Option<PathBuf>,
    env_files_in: Option<Vec<String>>,
    secrets: Vec<PathBuf>,
    environment: Option<Vec<(OsString, OsString)>>,
    arguments: Vec<String>,
    supplied: Vec<String>,
    guards: Vec<Guard>,
}

/// The settings, and where they came from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded<T> {
    /// The settings, complete and valid.
    pub settings: T,
    /// The profile that was in force.
    pub profile: String,
    pub(crate) trail: Trail,
    pub(crate) warnings: Vec<Problem>,
}

/// Loads the settings of `app` in the usual way.
///
/// The profiles are `development` (the default), `staging` and `production`, chosen with `{APP}_PROFILE` or `APP_ENV`.
/// Files come from the folder that `{APP}_CONFIG_DIR` names, or else from `./config` if there is such a thing; without
/// either there are the type's defaults and the variables.
///
/// # Errors
///
/// [`ConfigError`], which lists what is wrong.
pub fn load<T>(app: &str) -> Result<T, ConfigError>
where
    T: DeserializeOwned + Validate,
    T::Context: From<Boot>,
{
    Ok(Loader::new(app).usual_directory("config").load()?.settings)
}

// === impl Loader ===

impl Loader {
    /// A loader for the application of this name, which also names its variables: in capitals, with `_` for
    /// everything that is not a letter or digit.
    ///
    /// | variable, for `orders` | says |
    /// |---|---|
    /// | `ORDERS__SERVER__LISTEN` | `server.listen` |
    /// | `ORDERS__SERVER__LISTEN_FILE` | the file that holds the value of `server.listen` |
    /// | `ORDERS_PROFILE`, else `APP_ENV` | the profile |
    /// | `ORDERS_CONFIG_DIR` | the folder of the files |
    /// | `ORDERS_SECRETS_DIR` | a folder of secret files |
    pub fn new(app: impl Into<String>) -> Self {
        Self {
            app: app.into(),
            profiles: ["development", "staging", "production"].map(str::to_owned).to_vec(),
            profile: None,
            directory: None,
            usual_directory: None,
            embedded: Vec::new(),
            env_files: None,
            env_files_in: None,
            secrets: Vec::new(),
            environment: None,
            arguments: Vec::new(),
            supplied: Vec::new(),
            guards: Vec::new(),
        }
    }

    /// The profiles that exist; the first is in force when nothing names one. Default: `development`, `staging`,
    /// `production`.
    ///
    /// Naming any other is an error, so that a typo does not start production with the defaults.
    ///
    /// # Panics
    ///
    /// When the list is empty, or when a name cannot be part of a file's name: others than small letters, digits,
    /// `-` and `_`, or `default` or `local`, which are files of their own.
    pub fn profiles(mut self, names: &[&str]) -> Self {
        profile::assert_names(names);
        self.profiles = names.iter().copied().map(str::to_owned).collect();
        self
    }

    /// The profile by name, as given on the command line. Beats the variables; `None` leaves it to them.
    pub fn profile(mut self, name: Option<String>) -> Self {
        self.profile = name;
        self
    }

    /// The folder of the files, as given on the command line. Beats `{APP}_CONFIG_DIR`; `None` leaves it to that.
    pub fn directory(mut self, path: Option<PathBuf>) -> Self {
        self.directory = path;
        self
    }

    /// Used when no folder is named, if it exists.
    fn usual_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.usual_directory = Some(path.into());
        self
    }

    /// Files that were compiled in, by name, used instead of a folder when none is named: `default.toml` and
    /// `{profile}.toml` (or `.yaml`, `.json`), which then both have to be among them. Default: none.
    pub fn embedded(mut self, files: &[(&'static str, &'static str)]) -> Self {
        self.embedded = files.to_vec();
        self
    }

    /// The folder of `.env` and `.env.{profile}`, which are read if they exist. Default: the folder of the
    /// configuration files; no other is looked at, and none when there is no such folder.
    ///
    /// These files only stand in for variables: nothing is ever set in the process environment.
    pub fn env_files(mut self, folder: impl Into<PathBuf>) -> Self {
        self.env_files = Some(folder.into());
        self
    }

    /// The profiles in which `.env` files are read. Default: all but `production`, where a forgotten file must not
    /// count.
    pub fn env_files_in(mut self, profiles: &[&str]) -> Self {
        self.env_files_in = Some(profiles.iter().copied().map(str::to_owned).collect());
        self
    }

    /// A folder of secret files, one value a file, named `payment.api_key` or `PAYMENT__API_KEY`; may be called for
    /// several. `{APP}_SECRETS_DIR` names one more, and systemd's `$CREDENTIALS_DIRECTORY` is read when it is set.
    ///
    /// A file that no setting is named after is a problem; among systemd's credentials it is passed over.
    pub fn secrets(mut self, folder: impl Into<PathBuf>) -> Self {
        self.secrets.push(folder.into());
        self
    }

    /// The variables to read instead of the process environment, for tests.
    pub fn environment<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.environment = Some(variables.collect());
        self
    }

    /// One value as `key.path=value`, as given on the command line. Beats every other source; of two for one key the
    /// later one counts.
    ///
    /// Everybody on the machine can read the command line of a process: secrets do not belong here.
    pub fn set(mut self, assignment: impl Into<String>) -> Self {
        self.arguments.push(assignment.into());
        self
    }

    /// One more rule on what production must not run with. Default: none.
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    /// Reads everything once, in the order that the [crate's page](crate) gives, and checks it.
    ///
    /// The rules of the settings get the profile if they ask for it, see [`Boot`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which lists everything that is wrong.
    pub fn load<T>(self) -> Result<Loaded<T>, ConfigError>
    where
        T: DeserializeOwned + Validate,
        T::Context: From<Boot>,
    {
        let environment = self.environment.clone().unwrap_or_else(|| env::vars_os().collect());
        let mut problems = Vec::new();
        let profile = read::keep(self.choose_profile(&environment), &mut problems);
        let name = profile.as_ref().map(|profile| profile.name.as_str());
        let mut layers = self.read(name, &environment, &shape::known::<T>, &mut problems);
        let prefix = self.prefix();
        let links = links::among(&environment, &format!("{prefix}_"));
        if !links.is_empty() {
            layers.retain(|layer| !links::is_one(&links, layer));
            problems.extend(links::warnings(&links));
        }
        let merged = Merged::new(layers);
        let Checked { settings, notes, outline } =
            self.check::<T>(&merged, name, &environment, &mut problems);
        problems.sort_by_cached_key(|problem| (problem.is_warning(), problem.order()));
        match (settings, profile) {
            (Some(settings), Some(profile)) if problems.iter().all(Problem::is_warning) => {
                let trail = Trail::new(merged.into_layers(), &outline, &problems);
                Ok(Loaded { settings, profile: profile.name, trail, warnings: problems })
            }
            (_, profile) => {
                let sources = merged.layers().iter().map(|layer| layer.origin.to_string()).collect();
                let profile = profile.map(Box::new);
                Err(ConfigError { app: self.app, profile, problems, notes, sources })
            }
        }
    }

    #[cfg(feature = "schema")]
    pub(crate) fn name(&self) -> &str {
        &self.app
    }

    /// The variable of the key, unless a variable's name cannot say it.
    #[cfg(feature = "schema")]
    pub(crate) fn variable_name(&self, path: &[String]) -> Option<String> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let can_be_said = |level: &String| {
            !level.contains("__") && !level.trim_matches('_').is_empty() && level.chars().all(is_plain)
        };
        let name = || format!("{}__{}", self.prefix(), path.join("__").to_uppercase());
        path.iter().all(can_be_said).then(name)
    }

    fn prefix(&self) -> String {
        let letter = |character: char| if character.is_alphanumeric() { character } else { '_' };
        self.app.chars().map(letter).collect::<String>().to_uppercase()
    }
}

/// Shows no values: the environment and the arguments may hold secrets.
impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("app", &self.app)
            .field("profiles", &self.profiles)
            .field("profile", &self.profile)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

// === impl Loaded ===

impl<T> Loaded<T> {
    /// Where the value at this key (`server.listen`) came from: the file with line and column, the variable, or
    /// `--set server.listen`. `None` when no source sets it, so that it is the type's own default, and for a table,
    /// whose keys may come from different sources. A list has one source.
    pub fn source_of(&self, key: &str) -> Option<String> {
        self.trail.source_of(key)
    }

    /// What was read, lowest first: files, variables, arguments.
    pub fn sources(&self) -> Vec<String> {
        self.trail.sources()
    }

    /// What is suspicious, and yet no reason not to start: worth a line in the log.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, Validate)]
    struct Settings {
        #[garde(skip)]
        #[serde(default)]
        size: u16,
    }

    #[test]
    fn the_usual_folder_is_used_only_if_it_exists_and_then_completely() {
        let place = tempfile::tempdir().unwrap();
        let usual = place.path().join("config");
        let load = || {
            let none: [(&str, &str); 0] = [];
            let loader = Loader::new("orders").environment(none).usual_directory(&usual);
            loader.load::<Settings>().map(|loaded| loaded.settings.size)
        };
        assert_eq!(load().unwrap(), 0);

        fs::create_dir(&usual).unwrap();
        assert_eq!(load().unwrap_err().to_string().matches("does not exist").count(), 2);

        fs::write(usual.join("default.toml"), "size = 7").unwrap();
        fs::write(usual.join("development.toml"), "").unwrap();
        assert_eq!(load().unwrap(), 7);
    }

    #[test]
    fn a_name_with_other_characters_gives_a_usable_prefix() {
        assert_eq!(Loader::new("order-app v2").prefix(), "ORDER_APP_V2");
    }
}
