//! The schema as a tree of tables and keys, in the order of a template.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{OPTIONAL, SECRET};
use crate::layer::Path;

/// A table with known keys.
pub(super) struct Table {
    pub(super) path: Path,
    pub(super) doc: String,
    /// Whether it may be absent, and is then not the same as if it were empty.
    pub(super) is_optional: bool,
    pub(super) keys: Vec<Key>,
    pub(super) tables: Vec<Table>,
}

/// One value.
pub(super) struct Key {
    pub(super) path: Path,
    pub(super) doc: String,
    /// Its type and range, in words.
    pub(super) kind: String,
    pub(super) is_required: bool,
    pub(super) is_secret: bool,
    pub(super) is_map: bool,
    pub(super) default: Option<Value>,
    /// Whether the default is that of the table around it, which is lost when the table is written down without it.
    pub(super) is_only_tables: bool,
}

impl Table {
    pub(super) fn root(schema: &Map<String, Value>) -> Self {
        Self::new(schema, Path::new(), false, None)
    }

    fn new(schema: &Map<String, Value>, path: Path, is_optional: bool, default: Option<&Value>) -> Self {
        let mut table = Self {
            path,
            doc: text(schema, "description"),
            is_optional,
            keys: Vec::new(),
            tables: Vec::new(),
        };
        let required = |name: &str| {
            schema
                .get("required")
                .and_then(Value::as_array)
                .is_some_and(|names| names.iter().any(|n| n == name))
        };
        // Sorted here: serde_json keeps another order when some crate of the build asks it to.
        let properties: BTreeMap<_, _> =
            schema.get("properties").and_then(Value::as_object).into_iter().flatten().collect();
        for (name, property) in properties {
            let nothing = Map::new();
            let property = property.as_object().unwrap_or(&nothing);
            let path = [table.path.as_slice(), std::slice::from_ref(name)].concat();
            let own = property.get("default");
            let inherited = default.and_then(|default| default.get(name));
            if is_table(property) {
                let is_optional = property.contains_key(OPTIONAL) && own.or(inherited).is_none();
                table.tables.push(Self::new(property, path, is_optional, inherited.or(own)));
            } else {
                let default = inherited.or(own).cloned();
                let is_secret = property.contains_key(SECRET);
                table.keys.push(Key {
                    path,
                    doc: text(property, "description"),
                    kind: kind(property),
                    is_required: required(name) && default.is_none(),
                    is_secret,
                    is_map: property.get("type").is_some_and(|kind| kind == "object"),
                    is_only_tables: inherited.is_some() && inherited != own,
                    default: default.filter(|_| !is_secret),
                });
            }
        }
        table
    }

    /// All keys of the table and those in it.
    pub(super) fn all(&self) -> Vec<&Key> {
        self.keys.iter().chain(self.tables.iter().flat_map(Self::all)).collect()
    }
}

fn is_table(schema: &Map<String, Value>) -> bool {
    let is_one_form = ["oneOf", "anyOf", "allOf"].iter().all(|forms| !schema.contains_key(*forms));
    schema.contains_key("properties") && is_one_form && !schema.contains_key(SECRET)
}

fn text(schema: &Map<String, Value>, name: &str) -> String {
    schema.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// "integer, 1 to 65535", "one of json, pretty", "list of text, at least 1"
fn kind(schema: &Map<String, Value>) -> String {
    if let Some(values) = constants(schema) {
        return format!("one of {}", values.join(", "));
    }
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    let inner = |name: &str| schema.get(name).and_then(Value::as_object);
    let (name, range) = match kind {
        "boolean" => ("true or false".to_owned(), String::new()),
        "integer" => ("integer".to_owned(), range(schema, "minimum", "maximum")),
        "number" => ("number".to_owned(), range(schema, "minimum", "maximum")),
        "string" => ("text".to_owned(), of(range(schema, "minLength", "maxLength"), "characters")),
        "array" => {
            let items = inner("items").map_or_else(|| "anything".to_owned(), kind_of_item);
            (format!("list of {items}"), of(range(schema, "minItems", "maxItems"), "items"))
        }
        "object" => {
            let values = inner("additionalProperties").map_or_else(|| "anything".to_owned(), kind_of_item);
            (format!("table of {values}"), String::new())
        }
        _ => ("one of several forms, see the schema".to_owned(), String::new()),
    };
    let pattern = text(schema, "pattern");
    let pattern = if pattern.is_empty() { pattern } else { format!("matching {pattern}") };
    [name, range, pattern].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn kind_of_item(schema: &Map<String, Value>) -> String {
    if is_table(schema) { "tables".to_owned() } else { kind(schema) }
}

/// The texts of an enum without data.
fn constants(schema: &Map<String, Value>) -> Option<Vec<String>> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(Value::Array(values)) = schema.get("enum") {
        return Some(values.iter().map(word).collect());
    }
    if let Some(value) = schema.get("const") {
        return Some(vec![word(value)]);
    }
    let Some(Value::Array(forms)) = schema.get("oneOf") else { return None };
    let of_form = |form: &Value| constants(form.as_object()?);
    Some(forms.iter().map(of_form).collect::<Option<Vec<_>>>()?.concat())
}

fn range(schema: &Map<String, Value>, least: &str, most: &str) -> String {
    let number = |name: &str| schema.get(name).map(ToString::to_string);
    match (number(least), number(most)) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => String::new(),
    }
}

fn of(range: String, unit: &str) -> String {
    match range.as_str() {
        "" => range,
        "at least 1" | "at most 1" => format!("{range} {}", unit.trim_end_matches('s')),
        _ => format!("{range} {unit}"),
    }
}
