//! TOML, by the `toml` crate.

use figment::value::{Dict, Tag, Value};
use toml::de::{DeTable, DeValue};

use super::{DEPTH, Document, Lines, Place, Places, SyntaxError};

/// What is known on the way down: the places of what was passed, and how deep that is.
struct Reader<'a> {
    lines: Lines<'a>,
    places: Places,
}

pub(super) fn parse(text: &str) -> Result<Document, SyntaxError> {
    let lines = Lines::new(text);
    let table = DeTable::parse(text).map_err(|error| {
        SyntaxError::new(lines.place(error.span().map_or(0, |span| span.start)), error.message())
    })?;
    let mut reader = Reader { lines, places: Places::default() };
    let data = reader.table(table.get_ref(), false, 1)?;
    Ok(Document { data, places: reader.places })
}

// === impl Reader ===

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, in_list: bool, depth: usize) -> Result<Dict, SyntaxError> {
        let mut entries: Vec<_> = table.iter().collect();
        // They are sorted already, unless somebody switched on the crate's feature `preserve_order`.
        entries.sort_by_key(|(key, _)| key.get_ref());
        let mut data = Dict::new();
        for (key, value) in entries {
            let place = self.lines.place(value.span().start);
            if !in_list {
                self.places.push(place);
            }
            data.insert(key.get_ref().to_string(), self.value(value.get_ref(), in_list, place, depth)?);
        }
        Ok(data)
    }

    fn value(
        &mut self,
        value: &DeValue<'_>,
        in_list: bool,
        at: Place,
        depth: usize,
    ) -> Result<Value, SyntaxError> {
        let out_of_range = |what| SyntaxError::new(at, format!("{what} out of range"));
        if depth > DEPTH {
            return Err(SyntaxError::too_deep(at));
        }
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
                let item = |item: &toml::Spanned<DeValue<'_>>| {
                    let place = self.lines.place(item.span().start);
                    self.value(item.get_ref(), true, place, depth + 1)
                };
                Value::Array(Tag::Default, items.iter().map(item).collect::<Result<_, _>>()?)
            }
            // Not `into`, which makes a new table of it.
            DeValue::Table(inner) => Value::Dict(Tag::Default, self.table(inner, in_list, depth + 1)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Document {
        parse(text).unwrap_or_else(|error| panic!("{:?} {}", error.place, error.message))
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
        assert_eq!(document.place(&["server", "port"]), (4, 8));
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        let (list, keys) =
            (format!("a = {}{}", "[".repeat(70), "]".repeat(70)), format!("{}a = 1", "a.".repeat(70)));
        for text in [list, keys.clone(), format!("{}a = 1", "a.".repeat(50_000)), format!("[{keys}]")] {
            assert!(parse(&text).is_err());
        }
        assert!(parse(&format!("{}a = 1", "a.".repeat(30))).is_ok());
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
            let error = parse(text).err().expect("broken");
            assert!(error.place.0 >= 2, "{:?}", error.place);
            assert!(!error.message.contains("hunter2"), "{}", error.message);
        }
    }
}
