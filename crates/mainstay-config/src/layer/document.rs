//! A TOML text as a tree of values, with the line and column of each.

use std::collections::HashMap;

use figment::value::{Dict, Tag, Value};
use toml::de::{DeTable, DeValue};

use super::{Path, Place};

pub(super) struct Document {
    pub(super) data: Dict,
    pub(super) places: HashMap<Path, Place>,
}

/// Where the text stops being TOML, and why. The message never quotes the text.
pub(super) struct SyntaxError {
    pub(super) place: Place,
    pub(super) message: String,
}

impl Document {
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let table = DeTable::parse(text).map_err(|error| SyntaxError {
            place: place(text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        let mut places = HashMap::new();
        let data = convert(text, table.get_ref(), &Vec::new(), &mut places)?;
        Ok(Self { data, places })
    }
}

fn convert(
    text: &str,
    table: &DeTable<'_>,
    path: &Path,
    places: &mut HashMap<Path, Place>,
) -> Result<Dict, SyntaxError> {
    let mut data = Dict::new();
    for (key, value) in table {
        let mut path = path.clone();
        path.push(key.get_ref().to_string());
        let place = place(text, value.span().start);
        let converted = match value.get_ref() {
            DeValue::Table(inner) => convert(text, inner, &path, places)?.into(),
            other => scalar(text, other, place)?,
        };
        places.insert(path, place);
        data.insert(key.get_ref().to_string(), converted);
    }
    Ok(data)
}

fn scalar(text: &str, value: &DeValue<'_>, at: Place) -> Result<Value, SyntaxError> {
    let out_of_range = |what| SyntaxError { place: at, message: format!("{what} out of range") };
    Ok(match value {
        DeValue::String(string) => Value::from(string.as_ref()),
        DeValue::Integer(integer) => {
            let digits = integer.as_str();
            i64::from_str_radix(digits, integer.radix())
                .map(Value::from)
                .or_else(|_| u64::from_str_radix(digits, integer.radix()).map(Value::from))
                .map_err(|_| out_of_range("integer"))?
        }
        DeValue::Float(float) => float.as_str().parse::<f64>().map_err(|_| out_of_range("float"))?.into(),
        DeValue::Boolean(boolean) => Value::from(*boolean),
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Array(items) => {
            let mut values = Vec::with_capacity(items.len());
            for item in items {
                let place = place(text, item.span().start);
                // Items have no place of their own in the report: a list comes from one source as a whole.
                values.push(match item.get_ref() {
                    DeValue::Table(inner) => convert(text, inner, &Vec::new(), &mut HashMap::new())?.into(),
                    other => scalar(text, other, place)?,
                });
            }
            Value::Array(Tag::Default, values)
        }
        DeValue::Table(inner) => convert(text, inner, &Vec::new(), &mut HashMap::new())?.into(),
    })
}

fn place(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Document {
        Document::parse(text).unwrap_or_else(|error| panic!("{:?} {}", error.place, error.message))
    }

    #[test]
    fn every_kind_of_value_is_kept() {
        let document = parsed(
            "a = 'x'\nb = 1_000\nc = 0xff\nd = -1.5\ne = true\nf = 2026-01-02T03:04:05Z\ng = [1, {h = 2}]\n\
             i = 18446744073709551615",
        );
        let shown = format!("{:?}", Value::from(document.data));
        insta::assert_snapshot!(shown, @r#"Dict({"a": String("x"), "b": Num(I64(1000)), "c": Num(I64(255)), "d": Num(F64(-1.5)), "e": Bool(true), "f": String("2026-01-02T03:04:05Z"), "g": Array([Num(I64(1)), Dict({"h": Num(I64(2))})]), "i": Num(U64(18446744073709551615))})"#);
    }

    #[test]
    fn values_know_their_line_and_column() {
        let document = parsed("# ümlaut\n[server]\nname = 'ü'\nport = 80\n");
        let path = ["server", "port"].map(str::to_owned).to_vec();
        assert_eq!(document.places[&path], (4, 8));
    }

    #[test]
    fn a_broken_text_gives_the_place_and_not_the_text() {
        for text in [
            "\npassword = hunter2",
            "\npassword = 'hunter2",
            "\npassword hunter2",
            "\n[hunter2",
            "\nhunter2 = 1\nhunter2 = 2",
        ] {
            let error = Document::parse(text).err().expect("broken");
            assert!(error.place.0 >= 2, "{:?}", error.place);
            assert!(!error.message.contains("hunter2"), "{}", error.message);
        }
    }
}
