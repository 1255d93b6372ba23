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
//! | variables, `ORDERS__SERVER__LISTEN` for `server.listen` | always |
//! | [`Loader::set`], `server.listen=0.0.0.0:80` | always |
//!
//! Tables merge key by key; a list replaces a list. Each file is read once, from exactly the named folder.
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
//! [`ConfigError`] is a report, one line a problem: the key, what was expected, what kind of thing was there, and the
//! file with line and column or the exact variable. It never shows a value: what is in the wrong place may be a secret.
//!
//! # While the process runs
//!
//! With the feature `reload`, `reload::Live` follows the folder of the files.

#[cfg(feature = "clap")]
mod command;
mod deserialize;
mod effective;
mod error;
mod explain;
mod layer;
mod loader;
mod redact;
#[cfg(feature = "reload")]
pub mod reload;
#[cfg(feature = "schema")]
mod schema;
mod secret;
mod shape;
mod watch;

#[cfg(feature = "clap")]
pub use self::command::{CommandError, ConfigCommand};
pub use self::effective::Setting;
pub use self::error::ConfigError;
pub use self::explain::{Candidate, Explanation, Standing};
pub use self::loader::{Loaded, Loader, ProfileCheck, ProfilesReport, load};
pub use self::secret::Secret;
#[cfg(feature = "schema")]
pub use schemars;
