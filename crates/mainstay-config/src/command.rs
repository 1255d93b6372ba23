//! The command `config`, ready for an application's command line.

use std::fmt;
use std::io::{self, Write};

use clap::Subcommand;
use garde::Validate;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{ConfigError, Loaded, Loader, ProfilesReport};

/// Looks at the settings without starting anything. Needs the feature `clap`.
///
/// ```
/// use clap::Parser;
/// use mainstay_config::{ConfigCommand, Loader, schemars};
///
/// #[derive(Parser)]
/// enum Cli {
///     /// Look at the settings
///     #[command(subcommand)]
///     Config(ConfigCommand),
/// }
///
/// #[derive(serde::Deserialize, serde::Serialize, garde::Validate, schemars::JsonSchema)]
/// # #[schemars(crate = "mainstay_config::schemars")]
/// struct Settings {
///     #[garde(skip)]
///     copies: u8,
/// }
///
/// # fn main() -> Result<(), mainstay_config::CommandError> {
/// let Cli::Config(command) = Cli::parse_from(["demo", "config", "explain", "copies"]);
/// let loader = Loader::new("demo").environment([("DEMO__COPIES", "3")]);
/// let mut text = Vec::new();
/// command.run::<Settings>(loader, &mut text)?;
/// assert!(String::from_utf8_lossy(&text).contains("wins: the only source of this key"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
#[non_exhaustive]
pub enum ConfigCommand {
    /// Say whether the settings are valid; exit with 78 if not
    Check {
        /// Check every profile, without the environment; secrets may be missing
        #[arg(long)]
        all_profiles: bool,
    },
    /// Print every setting with where it came from; secrets are redacted
    Show,
    /// Print every source that sets a key, and which one won
    Explain {
        /// As server.listen; of a table, all keys in it
        key: String,
    },
    /// Print a default.toml with every key, its meaning and its default
    Template {
        /// Print a .env with every variable instead
        #[arg(long)]
        env: bool,
    },
    /// Print the JSON Schema of the settings, for editors
    Schema,
}

/// Why a [`ConfigCommand`] failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum CommandError {
    /// The settings are not valid.
    Config(ConfigError),
    /// At least one profile is not valid.
    Profiles(ProfilesReport),
    /// There is nothing to explain at this key.
    UnknownKey {
        /// The key.
        key: String,
        /// The one that was probably meant.
        meant: Option<String>,
    },
    /// The text could not be written.
    Io(io::Error),
}

impl ConfigCommand {
    /// Does what was asked for, and writes its text to `out`.
    ///
    /// `template` and `schema` read no source.
    ///
    /// # Errors
    ///
    /// [`CommandError`].
    pub fn run<T>(&self, loader: Loader, out: &mut impl Write) -> Result<(), CommandError>
    where
        T: DeserializeOwned + Serialize + Validate<Context = ()> + JsonSchema,
    {
        let text = match self {
            Self::Check { all_profiles: true } => format!("{}\n", loader.check_profiles::<T>()?),
            Self::Check { all_profiles: false } => {
                format!("the configuration is valid (profile {})\n", loader.load::<T>()?.profile)
            }
            Self::Show => effective(&loader.load::<T>()?),
            Self::Explain { key } => explain(&loader.load::<T>()?, key)?,
            Self::Template { env: false } => loader.toml_template::<T>(),
            Self::Template { env: true } => loader.env_template::<T>(),
            Self::Schema => loader.json_schema::<T>(),
        };
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}

/// One line a setting: key, value, source.
fn effective<T: Serialize>(loaded: &Loaded<T>) -> String {
    let mut text =
        format!("# profile {}; read, lowest first: {}\n", loaded.profile, loaded.sources().join(", "));
    for setting in loaded.effective() {
        let source = setting.source.as_deref().unwrap_or("default of the type");
        text += &format!("{} = {}  # {source}\n", setting.key, setting.value);
    }
    text
}

fn explain<T: Serialize>(loaded: &Loaded<T>, key: &str) -> Result<String, CommandError> {
    let keys = loaded.keys_of(key);
    if keys.is_empty() {
        return Err(CommandError::UnknownKey { key: key.to_owned(), meant: loaded.meant(key) });
    }
    Ok(keys.iter().filter_map(|key| loaded.explain(key)).map(|found| found.to_string()).collect())
}

// === impl CommandError ===

impl CommandError {
    /// The exit code for a process that ends because of this: 78 for settings that are not valid, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::Profiles(report) => report.exit_code(),
            Self::UnknownKey { .. } | Self::Io(_) => 1,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Profiles(report) => report.fmt(f),
            Self::UnknownKey { key, meant } => {
                write!(f, "no source sets `{}`, and it has no default", key.escape_debug())?;
                meant.as_ref().map_or(Ok(()), |meant| write!(f, "; did you mean `{meant}`?"))
            }
            Self::Io(error) => write!(f, "cannot write: {error}"),
        }
    }
}

impl std::error::Error for CommandError {}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<ProfilesReport> for CommandError {
    fn from(report: ProfilesReport) -> Self {
        Self::Profiles(report)
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
