//! The settings in effect, each with its source, for people to read.

use serde::Serialize;
use toml::{Table, Value};

use crate::Loaded;
use crate::redact::masked;

/// One setting in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key, `server.listen`.
    pub key: String,
    /// Its value as TOML; a [`Secret`](crate::Secret) is `"[redacted]"`, and so is what stands before the `@` of a URL.
    pub value: String,
    /// The file with line and column, the variable or the argument; `None` for the type's own default.
    pub source: Option<String>,
}

impl<T: Serialize> Loaded<T> {
    /// Every setting in effect, by key, with where it came from. Empty options are not listed.
    ///
    /// ```
    /// # use mainstay_config::{Loader, Secret};
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Deserialize, Serialize, garde::Validate)]
    /// struct Settings {
    ///     #[garde(skip)]
    ///     token: Secret<String>,
    ///     #[garde(skip)]
    ///     #[serde(default)]
    ///     copies: u8,
    /// }
    ///
    /// # fn main() -> Result<(), mainstay_config::ConfigError> {
    /// let loaded = Loader::new("demo").environment([("DEMO__TOKEN", "hunter2")]).load::<Settings>()?;
    /// let lines: Vec<_> = loaded
    ///     .effective()
    ///     .into_iter()
    ///     .map(|setting| format!("{} = {} from {:?}", setting.key, setting.value, setting.source))
    ///     .collect();
    /// assert_eq!(lines, [
    ///     "copies = 0 from None",
    ///     r#"token = "[redacted]" from Some("DEMO__TOKEN")"#,
    /// ]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When the settings cannot be written as TOML: a map whose keys are not texts, or an integer beyond 64 bits.
    pub fn effective(&self) -> Vec<Setting> {
        let table =
            Table::try_from(&self.settings).expect("settings that were read as tables are written as tables");
        let mut settings = Vec::new();
        self.collect("", table, &mut settings);
        settings.sort_by(|a, b| a.key.cmp(&b.key));
        settings
    }

    fn collect(&self, prefix: &str, table: Table, settings: &mut Vec<Setting>) {
        for (name, value) in table {
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value {
                Value::Table(table) => self.collect(&key, table, settings),
                leaf => {
                    let value = without_passwords(leaf).to_string();
                    settings.push(Setting { source: self.source_of(&key), value, key });
                }
            }
        }
    }
}

/// Masks what stands before the `@` of every URL.
fn without_passwords(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(masked(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(without_passwords).collect()),
        Value::Table(table) => {
            Value::Table(table.into_iter().map(|(key, value)| (key, without_passwords(value))).collect())
        }
        other => other,
    }
}
