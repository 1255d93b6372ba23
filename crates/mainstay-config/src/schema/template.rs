//! The templates: `default.toml` and `.env` with every key, for people to fill in.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::key::{Key, Table};
use crate::Loader;

/// See [`Loader::toml_template`].
pub(super) fn toml(loader: &Loader, schema: &Map<String, Value>) -> String {
    let mut text = format!(
        "# Every setting of {}. A line whose `#` stands directly before a key shows the default: take the `#` away to\n\
         # change it. A required key has no value here. The name in capitals is the variable that sets the key too; with\n\
         # `_FILE` behind it, it names a file that holds the value, which is the better place for a secret.\n",
        loader.name()
    );
    table(&mut text, loader, &Table::root(schema), "");
    text
}

/// See [`Loader::env_template`].
pub(super) fn env(loader: &Loader, schema: &Map<String, Value>) -> String {
    let mut text = format!(
        "# Every variable of {}. A line whose `#` stands directly before a name shows the default: take the `#` away to\n\
         # change it. A required variable has no value here, unless a file sets the key. With `_FILE` behind its name, a\n\
         # variable names a file that holds the value, which is the better place for a secret.\n",
        loader.name()
    );
    for key in Table::root(schema).all() {
        let Some(name) = loader.variable_name(&key.path) else { continue };
        text.push('\n');
        comment(&mut text, &key.doc);
        let name = if key.is_map { name + "__<KEY>" } else { name };
        let value = key.default.as_ref().and_then(variable_value);
        let is_unsaid = key.default.is_some() && value.is_none() && !key.is_map;
        comment(
            &mut text,
            &facts(key, is_unsaid.then(|| "has a default that cannot be said here".to_owned())),
        );
        line(&mut text, &format!("#{name}={}", value.unwrap_or_default()));
        if key.is_secret && !key.is_map {
            line(&mut text, &format!("#{name}_FILE="));
        }
    }
    text
}

fn table(text: &mut String, loader: &Loader, table: &Table, mark: &str) {
    let mark = if table.is_optional { "#" } else { mark };
    if !table.path.is_empty() {
        text.push('\n');
        comment(text, &table.doc);
        if table.is_optional {
            comment(text, "the whole table may be left out");
        }
        let path: Vec<_> = table.path.iter().map(|level| key_name(level)).collect();
        line(text, &format!("{mark}[{}]", path.join(".")));
    }
    for (index, key) in table.keys.iter().enumerate() {
        if index > 0 || table.path.is_empty() {
            text.push('\n');
        }
        comment(text, &key.doc);
        comment(text, &facts(key, loader.variable_name(&key.path)));
        let name = key_name(key.path.last().expect("a key has a name"));
        match key.default.as_ref().and_then(toml_value) {
            Some(value) if key.is_only_tables && mark.is_empty() => line(text, &format!("{name} = {value}")),
            Some(value) => line(text, &format!("#{name} = {value}")),
            None => line(text, &format!("#{name} =")),
        }
    }
    for inner in &table.tables {
        self::table(text, loader, inner, mark);
    }
}

/// "integer, 1 to 255; required; DEMO__COPIES"
fn facts(key: &Key, last: Option<String>) -> String {
    let mut facts = vec![key.kind.clone()];
    if key.is_secret {
        facts.push("secret".to_owned());
    }
    if key.is_required {
        facts.push("required".to_owned());
    } else if key.default.is_none() {
        facts.push("may be left out".to_owned());
    }
    facts.extend(last);
    facts.join("; ")
}

fn comment(text: &mut String, words: &str) {
    for words in words.lines() {
        line(text, &format!("# {words}"));
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{}", line.trim_end()).expect("writing to a string does not fail");
}

fn key_name(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { on_one_line(name) }
}

/// The default as TOML on one line; none where TOML has no such value.
fn toml_value(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => on_one_line(text),
        Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(toml_value).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries
                .iter()
                .filter_map(|(key, value)| Some(format!("{} = {}", key_name(key), toml_value(value)?)))
                .collect();
            entries.sort();
            if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
        }
    })
}

/// JSON's text is TOML's, but for one character.
fn on_one_line(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// The default as a variable says it; none where a variable cannot.
fn variable_value(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null | Value::Object(_) => return None,
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text)?,
        Value::Array(items) => {
            let is_plain = |item: &Value| match item {
                Value::String(text) => !text.contains(',') && text.trim() == text && !text.is_empty(),
                other => other.is_number() || other.is_boolean(),
            };
            let word = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            items.iter().all(is_plain).then_some(())?;
            quoted(&items.iter().map(word).collect::<Vec<_>>().join(","))?
        }
    })
}

/// In single quotes, unless every reader of a `.env` takes it as it is.
fn quoted(text: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/,+@%=".contains(c);
    if text.chars().all(is_plain) {
        Some(text.to_owned())
    } else if text.contains('\'') {
        // How a quote within quotes is written differs from reader to reader; most texts have only one kind.
        (!text.contains(['"', '$', '\\', '`']) && !text.contains(char::is_control))
            .then(|| format!("\"{text}\""))
    } else {
        (!text.contains(char::is_control)).then(|| format!("'{text}'"))
    }
}
