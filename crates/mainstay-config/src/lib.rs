//! Sources in, one typed and validated value out.
//!
//! ```
//! use mainstay_config::Loader;
//!
//! #[derive(Debug, serde::Deserialize, garde::Validate)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     #[garde(skip)]
//!     greeting: String,
//!     #[garde(range(min = 1))]
//!     #[serde(default = "one")]
//!     copies: u16,
//! }
//!
//! fn one() -> u16 {
//!     1
//! }
//!
//! # fn main() -> Result<(), mainstay_config::ConfigError> {
//! let loaded = Loader::new("hello")
//!     .profiles(&["development"])
//!     .embedded(&[("default.toml", "greeting = 'hi'"), ("development.toml", "")])
//!     .environment([("HELLO__COPIES", "3")])
//!     .load::<Settings>()?;
//!
//! assert_eq!(loaded.settings.copies, 3);
//! assert_eq!(loaded.source_of("copies").as_deref(), Some("HELLO__COPIES"));
//! assert_eq!(loaded.source_of("greeting").as_deref(), Some("built-in default.toml:1:12"));
//! # Ok(())
//! # }
//! ```
//!
//! # Sources, lowest first
//!
//! | source | when |
//! |---|---|
//! | the type's own `#[serde(default)]` | always |
//! | `default.toml` | required in a named folder |
//! | `{profile}.toml` | required in a named folder |
//! | `local.toml` | optional, in a folder, for the profile `development` only: one developer's own machine |
//! | `.env`, then `.env.{profile}` | optional, in a folder, in every profile but `production`: see [`Loader::env_files_in`] |
//! | folders of secret files: [`Loader::secrets`], `ORDERS_SECRETS_DIR`, systemd's `$CREDENTIALS_DIRECTORY` | when named |
//! | variables, `ORDERS__SERVER__LISTEN` for `server.listen`; `ORDERS__SERVER__LISTEN_FILE` names a file with the value | always |
//! | [`Loader::set`], `server.listen=0.0.0.0:80` | always |
//!
//! Instead of TOML a file may be JSON, or with the feature `yaml` YAML: `default.json`, `production.yaml`. Tables merge key
//! by key; a list replaces a list. Each file is read once, from exactly the named folder; there is no search upwards.
//!
//! # Values from variables
//!
//! A variable's value stays text until the type that it is for asks for something else: a `String` gets `0123` as
//! it is, a `u16` gets 123, a `bool` takes `true`, `false`, `yes`, `no`, `on`, `off`, `1` and `0` in any case, a list
//! splits at commas (`a, b`; empty is the empty list). An empty value is a value: it is not taken for "not set".
//! Structures come from files. So do keys that a variable's name cannot say: keys are lowercased, so a map's key
//! `X-Api-Key` is out of reach, and numbers inside `#[serde(flatten)]` and untagged enums stay text, because serde
//! does not say there which type it wants.
//!
//! # Living with it
//!
//! [`Loaded::effective`] lists every setting with its source, and [`Loaded::explain`] every source of one setting, with
//! what the losers said. [`Loader::check_profiles`] checks all profiles where their secrets are not at hand.
//!
//! The feature `schema` derives a JSON Schema and templates of `default.toml` and `.env` from the settings' types
//! (`Loader::json_schema`, `Loader::toml_template`, `Loader::env_template`); the types then derive `schemars::JsonSchema`.
//! The feature `clap` makes all of it a command: `ConfigCommand`.
//!
//! # What a mistake looks like
//!
//! [`ConfigError`] is one report of everything that is wrong: what cannot be read, the profile, the variables, types,
//! missing values, unknown keys, the settings' own rules and the [guards](Loader::guard). None of these keeps another
//! from being checked. Each problem has its key, what was expected, what kind of thing was there, the file with line and
//! column or the exact variable, and for a typo what was probably meant.
//!
//! | code | what is wrong |
//! |---|---|
//! | `MC001` | a file or folder cannot be read: missing, a folder, not UTF-8, ... |
//! | `MC002` | a file is not TOML, JSON, YAML or `.env`, as its name says |
//! | `MC003` | the profile is none of those that exist |
//! | `MC004` | a variable or `--set` cannot be used: not UTF-8, without `=`, with an empty level |
//! | `MC005` | a value does not fit its type |
//! | `MC006` | a text is none of an enum's |
//! | `MC007` | a required value is missing |
//! | `MC008` | a file has an unknown key |
//! | `MC009` | a variable or `--set` names an unknown key, or a variable is not read for want of a second `_` |
//! | `MC010` | the same setting is given twice: by name and alias, in different case |
//! | `MC011` | a single value in one place, and a table in another |
//! | `MC012` | a rule of the settings (garde) is broken |
//! | `MC013` | a [`Guard`] refuses the value, or guards a key that does not exist |
//! | `MC014` | warning: a value that is overridden does not fit its type |
//! | `MC015` | warning: a variable that Kubernetes injects for a Service begins like the application's |
//!
//! Codes do not change their meaning. Warnings do not keep the program from starting, see [`Loaded::warnings`].
//!
//! # How all of them are found
//!
//! A serde type stops at its first mistake. When the ordinary reading has failed, the type is read again and again, each
//! time with one more mistake out of the way and an invented value in its place, and the rules are checked on what comes
//! of it. So the `Deserialize` of a setting has to be pure. What the application gets comes from the ordinary reading
//! only.
//!
//! Some types let less be found:
//!
//! | what | what is missed |
//! |---|---|
//! | `#[serde(flatten)]`, internally tagged and untagged enums | the first mistake inside stands for all; it is shown at the table, not at its key; unknown variables inside are not noticed |
//! | `try_from`, and a `Deserialize` of one's own | if no invented value passes, what is missing beside it, and the rules; a note says so |
//! | structs without `deny_unknown_fields` | unknown keys in files (in variables they are always found) |
//! | rules that look at two fields | nothing when the other field's value is invented: the rule may then object without reason |
//!
//! Where a file could not be read, no missing value is claimed, as it may be in there; a note says so.
//!
//! # What is shown
//!
//! No message contains a value. The line of a file is shown, up to the end of the value, where that value is a plain one
//! of a type or range that is not a [`Secret`], alone on its line, and neither its key nor the line has a word like
//! `password`, `token` or `key` in it, nor a URL with a user in it. It is never shown for an unknown key, nor where a list or a
//! table is expected. So a secret in the place of a plain number is shown, if nothing on its line tells that it is one.
//!
//! # What it costs
//!
//! Loading 40 nested settings from two files and 30 variables costs no more than figment's own load and extract of the same
//! (`cargo run --release -p mainstay-bench -- config`, held by CI): the passes that collect mistakes run only when something
//! is wrong. Reading a live value is one load of an `Arc`. Without optional features the crate builds 29 other packages
//! (figment alone, with TOML and variables, about 40); a test holds the number.
//!
//! # While the process runs
//!
//! With the feature `reload`, `reload::Live` follows the folder of the files.

mod boot;
mod code;
#[cfg(feature = "clap")]
mod command;
mod deserialize;
mod effective;
mod error;
mod explain;
mod guard;
mod layer;
mod loader;
mod problem;
mod redact;
#[cfg(feature = "reload")]
pub mod reload;
mod report;
#[cfg(feature = "schema")]
mod schema;
mod secret;
mod shape;

pub use self::boot::Boot;
#[cfg(feature = "clap")]
pub use self::command::{CommandError, ConfigCommand};
pub use self::effective::Setting;
pub use self::error::ConfigError;
pub use self::explain::{Candidate, Explanation, Standing};
pub use self::guard::Guard;
pub use self::loader::{Loaded, Loader, ProfileCheck, ProfilesReport, load};
pub use self::problem::Problem;
pub use self::report::Style;
pub use self::secret::Secret;
#[cfg(feature = "schema")]
pub use schemars;
