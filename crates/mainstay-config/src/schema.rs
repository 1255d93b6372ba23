//! What the settings' types say of themselves: JSON Schema for editors, and documented templates for people.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::redact::masked;
use crate::secret::REDACTED;
use crate::{Loader, Secret};

mod key;
mod template;

/// The mark of a [`Secret`] in a schema.
const SECRET: &str = "x-secret";

/// The mark of a table that may be absent.
const OPTIONAL: &str = "x-optional";

/// Needs the feature `schema`.
impl Loader {
    /// A JSON Schema (draft 7, which all editors know) for each of the files, pretty and always the same.
    ///
    /// A key that is unknown to a type with `deny_unknown_fields` is refused. Nothing is required, as a file may leave
    /// to another source what it does not know; [`load`](Self::load) says what no source sets. A [`Secret`] is
    /// `writeOnly` and `x-secret` and shows no default.
    ///
    /// Ranges, lengths and patterns are read from garde's attributes; rules in code (`custom`) are not in it.
    ///
    /// For the editor, the first line of a TOML file may be `#:schema ./schema.json`.
    pub fn json_schema<T: JsonSchema>(&self) -> String {
        let mut schema = described::<T>();
        as_part(&mut schema);
        schema.insert("title".to_owned(), format!("Settings of {}", self.name()).into());
        let mut schema = Value::Object(schema);
        // The order must not depend on whether some crate of the build turns on serde_json's `preserve_order`.
        schema.sort_all_objects();
        format!("{schema:#}\n")
    }

    /// A `default.toml` with every key: what it is for, its type, its variable, and its default.
    ///
    /// ```
    /// # use mainstay_config::{Loader, Secret, schemars};
    /// #[derive(schemars::JsonSchema)]
    /// # #[schemars(crate = "mainstay_config::schemars")]
    /// struct Settings {
    ///     /// How many.
    ///     #[schemars(range(min = 1), default = "two")]
    ///     copies: u8,
    ///     /// Who we are.
    ///     token: Secret<String>,
    /// }
    /// # fn two() -> u8 { 2 }
    ///
    /// let template = Loader::new("demo").toml_template::<Settings>();
    /// assert!(template.ends_with(r#"
    /// ## How many.
    /// ## integer, 1 to 255; DEMO__COPIES
    /// #copies = 2
    ///
    /// ## Who we are.
    /// ## text; secret; required; DEMO__TOKEN
    /// #token =
    /// "#), "{template}");
    /// ```
    ///
    /// A line that shows a default has its `#` directly before the key; without it the line says the same as before. A
    /// required key has no value there. Keys stand in alphabetical order, tables after single keys.
    pub fn toml_template<T: JsonSchema>(&self) -> String {
        template::toml(self, &described::<T>())
    }

    /// A `.env` with every variable: what it is for, its type, whether it is a secret, and its default.
    ///
    /// Every variable is commented out. Keys that a variable's name cannot say (capitals, `-`, `.`) are left out.
    pub fn env_template<T: JsonSchema>(&self) -> String {
        template::env(self, &described::<T>())
    }
}

/// Marks it `writeOnly` and `x-secret`.
impl<T: Zeroize + JsonSchema> JsonSchema for Secret<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Secret_{}", T::schema_name()).into()
    }

    fn schema_id() -> Cow<'static, str> {
        format!("mainstay_config::Secret<{}>", T::schema_id()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        schema.insert("writeOnly".to_owned(), true.into());
        schema.insert(SECRET.to_owned(), true.into());
        schema
    }
}

/// The type's schema in one piece, in words for people, without what TOML cannot say and without any secret.
fn described<T: JsonSchema>() -> Map<String, Value> {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = Value::from(settings.into_generator().into_root_schema_for::<T>());
    tidy(&mut schema);
    match schema {
        Value::Object(schema) => schema,
        other => Map::from_iter([("const".to_owned(), other)]),
    }
}

/// Tidies a schema and all schemas in it.
fn tidy(schema: &mut Value) {
    let Value::Object(schema) = schema else { return };
    drop_null(schema);
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = without_links(text);
    }
    let default = schema.remove("default").filter(|_| !schema.contains_key(SECRET)).and_then(shown_default);
    if let Some(default) = default {
        schema.insert("default".to_owned(), default);
    }
    for (name, inner) in schema.iter_mut() {
        match (name.as_str(), inner) {
            ("properties" | "patternProperties" | "definitions", Value::Object(schemas)) => {
                schemas.values_mut().for_each(tidy);
            }
            ("items" | "oneOf" | "anyOf" | "allOf", Value::Array(schemas)) => {
                schemas.iter_mut().for_each(tidy);
            }
            ("items" | "additionalProperties" | "additionalItems" | "not", schema) => tidy(schema),
            _ => {}
        }
    }
}

/// No file can say "nothing", so an option is its inner type.
fn drop_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = &kinds[..] {
            let only = only.clone();
            if only == "object" {
                schema.insert(OPTIONAL.to_owned(), true.into());
            }
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(forms)) = schema.get_mut("anyOf") {
        forms.retain(|form| form.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = &forms[..] {
            let only = only.clone();
            schema.remove("anyOf");
            schema.insert(OPTIONAL.to_owned(), true.into());
            for (name, value) in only {
                schema.entry(name).or_insert(value);
            }
        }
    }
}

/// A default without the secrets in it, which have redacted themselves, and without passwords in URLs.
fn shown_default(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) if text == REDACTED || masked(&text) != text => None,
        Value::Array(items) => items.into_iter().map(shown_default).collect(),
        Value::Object(entries) => {
            let entries = entries.into_iter().filter_map(|(key, value)| Some((key, shown_default(value)?)));
            Some(Value::Object(entries.collect()))
        }
        other => Some(other),
    }
}

/// Nothing is required of a file; but a list's item and an enum's form come whole from one.
fn as_part(schema: &mut Map<String, Value>) {
    schema.remove("required");
    schema.remove(OPTIONAL);
    for part in ["properties", "additionalProperties"] {
        match schema.get_mut(part) {
            Some(Value::Object(schemas)) if part == "properties" => {
                schemas.values_mut().filter_map(Value::as_object_mut).for_each(as_part);
            }
            Some(Value::Object(schema)) => as_part(schema),
            _ => {}
        }
    }
}

/// "The form, [`LogFormat::Json`](crate::LogFormat)" without what only rustdoc can follow.
fn without_links(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        let Some(length) = rest[start..].find(']') else { break };
        let (label, after) = (&rest[start + 1..start + length], &rest[start + length + 1..]);
        let target = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        shown.push_str(&rest[..start]);
        match target {
            Some((target, _)) if target.contains("://") => {
                shown.push_str(&rest[start..=start + length]);
                rest = after;
            }
            Some((_, after)) => {
                shown.push_str(label);
                rest = after;
            }
            None if label.starts_with('`') => {
                shown.push_str(label);
                rest = after;
            }
            None => {
                shown.push_str(&rest[start..=start + length]);
                rest = after;
            }
        }
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_left_to_rustdoc() {
        for (text, expected) in [
            ("at least [`default`](Self::default).", "at least `default`."),
            ("Default: [`LogFormat::Json`].", "Default: `LogFormat::Json`."),
            ("([all forms](a::B))", "(all forms)"),
            ("see [the page](https://example.org)", "see [the page](https://example.org)"),
            ("a list [1, 2] of [", "a list [1, 2] of ["),
        ] {
            assert_eq!(without_links(text), expected);
        }
    }
}
