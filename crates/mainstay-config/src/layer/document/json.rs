//! JSON as RFC 8259 has it, with the place of every value. `serde_json` knows places only of mistakes, and takes the
//! last of two equal keys without a word.

use figment::value::{Dict, Tag, Value};

use super::{DEPTH, Document, Lines, Path, Place, Places, SyntaxError};

struct Reader<'a> {
    text: &'a str,
    at: usize,
    lines: Lines<'a>,
    places: Vec<(Path, Place)>,
}

type Read<T> = Result<T, SyntaxError>;

pub(super) fn parse(text: &str) -> Read<Document> {
    let mut reader = Reader { text, at: 0, lines: Lines::new(text), places: Vec::new() };
    reader.skip_space();
    if reader.peek() != Some(b'{') {
        return Err(reader.wrong(reader.at, "expected `{`: the whole file is one table"));
    }
    let data = reader.table(Some(&Vec::new()), 1)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(Document { data, places: Places::sorted(reader.places) }),
        Some(_) => Err(reader.wrong(reader.at, "expected the end of the file")),
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// Without a `path` the table is part of a list, see the reader of TOML.
    fn table(&mut self, path: Option<&Path>, depth: usize) -> Read<Dict> {
        let mut data = Dict::new();
        self.items(b'}', "expected `,` or `}`", |reader| {
            let start = reader.at;
            if reader.peek() != Some(b'"') {
                return Err(reader.wrong(start, "expected a key in double quotes"));
            }
            let key = reader.string()?;
            if data.contains_key(&key) {
                return Err(reader.wrong(start, "duplicate key"));
            }
            reader.skip_space();
            reader.take(b':', "expected `:`")?;
            reader.skip_space();
            let path = path.map(|path| [path.as_slice(), std::slice::from_ref(&key)].concat());
            let place = reader.lines.place(reader.at);
            data.insert(key, reader.value(path.as_ref(), depth)?);
            if let Some(path) = path {
                reader.places.push((path, place));
            }
            Ok(())
        })?;
        Ok(data)
    }

    fn value(&mut self, path: Option<&Path>, depth: usize) -> Read<Value> {
        let start = self.at;
        match self.peek() {
            Some(b'{' | b'[') if depth == DEPTH => Err(SyntaxError::too_deep(self.lines.place(start))),
            Some(b'{') => Ok(Value::Dict(Tag::Default, self.table(path, depth + 1)?)),
            Some(b'[') => {
                let mut values = Vec::new();
                self.items(b']', "expected `,` or `]`", |reader| {
                    values.push(reader.value(None, depth + 1)?);
                    Ok(())
                })?;
                Ok(Value::Array(Tag::Default, values))
            }
            Some(b'"') => Ok(self.string()?.into()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'a'..=b'z') => {
                let length = self.rest().bytes().take_while(u8::is_ascii_lowercase).count();
                self.at += length;
                match &self.text[start..self.at] {
                    "true" => Ok(true.into()),
                    "false" => Ok(false.into()),
                    "null" => Ok(Value::Empty(Tag::Default, figment::value::Empty::None)),
                    _ => Err(self.wrong(start, "expected a value; texts stand in double quotes")),
                }
            }
            _ => Err(self.wrong(start, "expected a value")),
        }
    }

    /// Whatever stands between the bracket here and its end, separated by commas.
    fn items(&mut self, end: u8, expected: &str, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        let start = self.at;
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == end => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => return Err(self.wrong(self.at, expected)),
                None => return Err(self.wrong(start, "is not closed")),
            }
            self.skip_space();
        }
    }

    fn string(&mut self) -> Read<String> {
        let start = self.at;
        self.at += 1;
        let mut string = String::new();
        loop {
            let plain = self.rest().find(|c| matches!(c, '"' | '\\' | '\0'..='\u{1f}'));
            let Some(length) = plain else { return Err(self.wrong(start, "a text that is not closed")) };
            string.push_str(&self.rest()[..length]);
            self.at += length;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => string.push(self.escape()?),
                Some(b'\n') => return Err(self.wrong(start, "a text that is not closed on its line")),
                _ => return Err(self.wrong(self.at, "a control character, which has to be escaped")),
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let start = self.at;
        let wrong = |reader: &Self| reader.wrong(start, "an escape that JSON does not have");
        self.at += 2;
        Ok(match self.text.as_bytes().get(start + 1) {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let mut units = vec![self.unit().ok_or_else(|| wrong(self))?];
                if (0xd800..0xdc00).contains(&units[0]) && self.rest().starts_with("\\u") {
                    self.at += 2;
                    units.push(self.unit().ok_or_else(|| wrong(self))?);
                }
                // Half a pair is no character, and neither are two that do not belong together.
                match char::decode_utf16(units).collect::<Result<Vec<_>, _>>().as_deref() {
                    Ok([character]) => *character,
                    _ => return Err(wrong(self)),
                }
            }
            _ => return Err(wrong(self)),
        })
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let unit = u16::from_str_radix(digits, 16).ok()?;
        self.at += 4;
        Some(unit)
    }

    fn number(&mut self) -> Read<Value> {
        let start = self.at;
        let digits = |reader: &mut Self| {
            let count = reader.rest().bytes().take_while(u8::is_ascii_digit).count();
            reader.at += count;
            if count == 0 { Err(reader.wrong(start, "a number that JSON does not have")) } else { Ok(()) }
        };
        let skip = |reader: &mut Self, bytes: &[u8]| {
            let found = reader.peek().is_some_and(|byte| bytes.contains(&byte));
            reader.at += usize::from(found);
            found
        };
        skip(self, b"-");
        let leading = self.at;
        digits(self)?;
        if self.text[leading..self.at].len() > 1 && self.text[leading..].starts_with('0') {
            return Err(self.wrong(start, "a number that begins with 0"));
        }
        let mut is_integer = true;
        if skip(self, b".") {
            is_integer = false;
            digits(self)?;
        }
        if skip(self, b"eE") {
            is_integer = false;
            skip(self, b"+-");
            digits(self)?;
        }
        let number = &self.text[start..self.at];
        if is_integer {
            let narrow = number.parse::<i64>().map(Value::from);
            return narrow
                .or_else(|_| number.parse::<u64>().map(Value::from))
                .map_err(|_| self.wrong(start, "integer out of range"));
        }
        match number.parse::<f64>() {
            Ok(float) if float.is_finite() => Ok(float.into()),
            _ => Err(self.wrong(start, "float out of range")),
        }
    }

    fn skip_space(&mut self) {
        self.at += self.rest().bytes().take_while(|byte| b" \t\r\n".contains(byte)).count();
    }

    fn take(&mut self, wanted: u8, expected: &str) -> Read<()> {
        if self.peek() != Some(wanted) {
            return Err(self.wrong(self.at, expected));
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn wrong(&self, at: usize, message: &str) -> SyntaxError {
        SyntaxError::new(self.lines.place(at), message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Document {
        parse(text).unwrap_or_else(|error| panic!("{:?} {}", error.place, error.message))
    }

    #[test]
    fn every_kind_of_value_is_kept() {
        let document = parsed(
            r#" {"a": "x\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00", "b": -12, "c": 18446744073709551615, "d": -1.5e+2,
                "e": true, "f": null, "g": [1, {"h": []}, {}], "0": 0}
            "#,
        );
        let shown = format!("{:?}", Value::from(document.data));
        insta::assert_snapshot!(shown, @r#"Dict({"0": Num(I64(0)), "a": String("x\"\\/\u{8}\u{c}\n\r\té😀"), "b": Num(I64(-12)), "c": Num(U64(18446744073709551615)), "d": Num(F64(-150.0)), "e": Bool(true), "f": Empty(None), "g": Array([Num(I64(1)), Dict({"h": Array([])}), Dict({})])})"#);
    }

    #[test]
    fn values_know_their_line_and_column() {
        let document = parsed("{\r\n  \"server\": {\"ü\": 1, \"port\" :\n 80}}");
        assert_eq!(document.place(&["server"]), (2, 13));
        assert_eq!(document.place(&["server", "ü"]), (2, 19));
        assert_eq!(document.place(&["server", "port"]), (3, 2));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place_and_not_shown() {
        for (text, place, message) in [
            ("", (1, 1), "expected `{`: the whole file is one table"),
            ("[1]", (1, 1), "expected `{`: the whole file is one table"),
            ("{} hunter2", (1, 4), "expected the end of the file"),
            ("{\"a\": 1,\n \"a\": 2}", (2, 2), "duplicate key"),
            ("{\"a\": 1, \"\\u0061\": 2}", (1, 10), "duplicate key"),
            ("{\"a\": 1,}", (1, 9), "expected a key in double quotes"),
            ("{hunter2: 1}", (1, 2), "expected a key in double quotes"),
            ("{\"a\" 1}", (1, 6), "expected `:`"),
            ("{\"a\": hunter2}", (1, 7), "expected a value; texts stand in double quotes"),
            ("{\"a\": 'hunter2'}", (1, 7), "expected a value"),
            ("{\"a\": \"hunter2", (1, 7), "a text that is not closed"),
            ("{\"a\": \"hunter2\n\"}", (1, 7), "a text that is not closed on its line"),
            ("{\"a\": \"hunter2\t\"}", (1, 15), "a control character, which has to be escaped"),
            ("{\"a\": \"\\x\"}", (1, 8), "an escape that JSON does not have"),
            ("{\"a\": \"\\ud800\"}", (1, 8), "an escape that JSON does not have"),
            ("{\"a\": \"\\ud800\\u0041\"}", (1, 8), "an escape that JSON does not have"),
            ("{\"a\": \"\\u+123\"}", (1, 8), "an escape that JSON does not have"),
            ("{\"a\": 0123}", (1, 7), "a number that begins with 0"),
            ("{\"a\": -}", (1, 7), "a number that JSON does not have"),
            ("{\"a\": 1.}", (1, 7), "a number that JSON does not have"),
            ("{\"a\": 1e999}", (1, 7), "float out of range"),
            ("{\"a\": 18446744073709551616}", (1, 7), "integer out of range"),
            ("{\"a\": [1 2]}", (1, 10), "expected `,` or `]`"),
            ("{\"a\": {\"b\": 1", (1, 7), "is not closed"),
            ("{\"a\": // no\n1}", (1, 7), "expected a value"),
        ] {
            let error = parse(text).err().expect(text);
            assert_eq!((error.place, error.message.as_str()), (place, message), "{text}");
        }
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        let nested = |depth: usize| format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(DEPTH - 1)).is_ok());
        assert!(parse(&nested(DEPTH)).err().unwrap().message.contains("in one another"));
        assert!(parse(&nested(1_000_000)).is_err());
    }

    /// What `serde_json` made of it, as the values of a document.
    fn converted(value: serde_json::Value) -> Value {
        match value {
            serde_json::Value::Null => Value::Empty(Tag::Default, figment::value::Empty::None),
            serde_json::Value::Bool(boolean) => boolean.into(),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(number), _, _) => number.into(),
                (_, Some(number), _) => number.into(),
                (_, _, number) => number.unwrap().into(),
            },
            serde_json::Value::String(text) => text.into(),
            serde_json::Value::Array(items) => {
                Value::Array(Tag::Default, items.into_iter().map(converted).collect())
            }
            serde_json::Value::Object(table) => {
                table.into_iter().map(|(key, value)| (key, converted(value))).collect::<Dict>().into()
            }
        }
    }

    fn any_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<f64>().prop_filter("JSON has no others", |float| float.is_finite()).prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..5)
                    .prop_map(|table| table.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*|[\\[\\]{}\",:\\\\0-9eE+.a-z \n-]*") {
            // What is read, `serde_json` reads as well.
            if parse(&text).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }

        #[test]
        fn what_another_library_writes_is_read(value in any_value(), pretty in any::<bool>()) {
            let value = serde_json::json!({ "value": value });
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let data: Value = parsed(&text.unwrap()).data.into();
            prop_assert_eq!(format!("{data:?}"), format!("{:?}", converted(value)));
        }
    }
}
