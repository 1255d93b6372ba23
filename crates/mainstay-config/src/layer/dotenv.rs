//! `.env` files, read by a grammar of our own and without ever changing the process environment.
//!
//! Every tool reads these files a little differently; here is what counts:
//!
//! ```text
//! file       = lines that end with LF or CRLF; a byte order mark at the beginning is skipped
//! line       = empty, or a comment, or an assignment, each with white space (spaces and tabs) around it
//! comment    = "#" and the rest of the line
//! assignment = [ "export" ] name "=" value [ white space, comment ]
//! name       = a letter of ASCII or "_", then those and digits
//! value      = unquoted | 'single' | "double"
//! unquoted   = the rest of the line as it is, up to a "#" with white space before it, without white space around it
//! single     = everything up to the next ', over several lines if need be, as it is
//! double     = everything up to the next ", over several lines if need be, with \n \t \" \\ and \$ for a line's end,
//!              a tab, a quote, a backslash and a dollar; no other escape
//! ```
//!
//! Nothing is expanded: `$HOME`, `${HOME}` and `` `date` `` are the text that they are, in every form of value. Quotes
//! and `#` inside an unquoted value are text too, so `a#b` and `it's` need no quotes. A CRLF inside quotes is read as LF.
//!
//! A line that is none of these is an error with its place, and never shown. The lines after it are read all the
//! same; a quote that is not closed ends the reading at the place where it was opened.

use super::Place;
use super::document::{Lines, SyntaxError};

/// One assignment, with the place of its value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) value: String,
    pub(super) place: Place,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    lines: Lines<'a>,
}

const ESCAPES: &str = "an escape other than \\n, \\t, \\\", \\\\ and \\$";

/// All assignments, in their order, and all mistakes.
pub(super) fn parse(text: &str) -> (Vec<Entry<'_>>, Vec<SyntaxError>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, at: 0, lines: Lines::new(text) };
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    while reader.at < text.len() {
        match reader.line() {
            Ok(entry) => entries.extend(entry),
            Err(error) => errors.push(error),
        }
        // What is left of a line is left because of a mistake in it, which was kept.
        reader.at += reader.rest().find('\n').map_or(reader.rest().len(), |end| end + 1);
    }
    (entries, errors)
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// Reads up to the line's end, not over it.
    fn line(&mut self) -> Result<Option<Entry<'a>>, SyntaxError> {
        self.skip_space();
        if self.ends() {
            return Ok(None);
        }
        let mut name = self.name()?;
        let after_name = self.at;
        self.skip_space();
        if name == "export" && self.at > after_name && !self.rest().starts_with('=') {
            name = self.name()?;
            self.skip_space();
        }
        if !self.rest().starts_with('=') {
            return Err(self.wrong(self.at, "expected `=` after the variable's name"));
        }
        self.at += 1;
        let spaces = self.skip_space();
        let start = self.at;
        let value = match self.rest().chars().next() {
            Some('\'') => self.single()?,
            Some('"') => self.double()?,
            // A value that is a comment is none.
            Some('#') if spaces > 0 => String::new(),
            _ => return self.unquoted().map(|value| Some(self.entry(name, value, start))),
        };
        let spaces = self.skip_space();
        if !self.ends() || spaces == 0 && self.rest().starts_with('#') && self.at > start {
            return Err(self.wrong(self.at, "expected the line's end after the closing quote"));
        }
        Ok(Some(self.entry(name, value, start)))
    }

    fn entry(&self, name: &'a str, value: String, start: usize) -> Entry<'a> {
        Entry { name, value, place: self.lines.place(start) }
    }

    fn name(&mut self) -> Result<&'a str, SyntaxError> {
        let rest = self.rest();
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        if length == 0 || rest.as_bytes()[0].is_ascii_digit() {
            return Err(self.wrong(self.at, "expected a variable's name: letters, digits and `_`"));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn unquoted(&mut self) -> Result<String, SyntaxError> {
        let line = self.rest().split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let comment = [" #", "\t#"].iter().filter_map(|mark| line.find(mark)).min();
        let value = line[..comment.unwrap_or(line.len())].trim_end_matches([' ', '\t']);
        if let Some(control) = value.find(|c: char| c.is_control() && c != '\t') {
            return Err(self.wrong(self.at + control, "a control character outside quotes"));
        }
        self.at += line.len();
        Ok(value.to_owned())
    }

    fn single(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        let Some(length) = self.rest()[1..].find('\'') else { return Err(self.unclosed(start)) };
        let value = self.rest()[1..=length].replace("\r\n", "\n");
        self.at += length + 2;
        Ok(value)
    }

    fn double(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        let (mut value, mut wrong) = (String::new(), None);
        let mut characters = self.rest()[1..].char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += at + 2;
                    return wrong.map_or(Ok(value), |at| Err(self.wrong(at, ESCAPES)));
                }
                '\\' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, literal @ ('"' | '\\' | '$'))) => value.push(literal),
                    // The end of the value is still looked for, so that its lines are not taken for others.
                    _ => wrong = wrong.or(Some(start + 1 + at)),
                },
                '\r' if characters.peek().is_some_and(|(_, next)| *next == '\n') => {}
                other => value.push(other),
            }
        }
        Err(self.unclosed(start))
    }

    /// Ends the reading: nothing says where the value was meant to end.
    fn unclosed(&mut self, start: usize) -> SyntaxError {
        self.at = self.text.len();
        self.wrong(start, "a quote that is not closed")
    }

    fn skip_space(&mut self) -> usize {
        let count = self.rest().bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        self.at += count;
        count
    }

    /// Whether nothing but a comment is left of the line.
    fn ends(&self) -> bool {
        let rest = self.rest();
        rest.is_empty() || rest.starts_with(['\n', '#']) || rest.starts_with("\r\n")
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn wrong(&self, at: usize, message: &str) -> SyntaxError {
        SyntaxError { place: self.lines.place(at), message: message.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(line: &str) -> String {
        let text = format!("KEY={line}");
        let (entries, errors) = parse(&text);
        assert!(errors.is_empty(), "{line}: {errors:?}");
        assert_eq!(entries.len(), 1, "{line}");
        entries.into_iter().next().unwrap().value
    }

    #[test]
    fn a_value_is_what_the_grammar_says() {
        for (line, expected) in [
            ("", ""),
            ("  ", ""),
            ("abc", "abc"),
            ("  a b\t ", "a b"),
            ("abc#def", "abc#def"),
            ("abc #def", "abc"),
            ("abc\t# def # ghi", "abc"),
            ("#abc", "#abc"),
            (" # abc", ""),
            ("it's", "it's"),
            ("a\"b", "a\"b"),
            ("pa$word", "pa$word"),
            ("${HOME}-`date`-$(id)", "${HOME}-`date`-$(id)"),
            ("{\"a\": 1}", "{\"a\": 1}"),
            ("a=b==", "a=b=="),
            ("a\\nb", "a\\nb"),
            ("''", ""),
            ("' a # b '", " a # b "),
            ("'$a\\n\"' # comment", "$a\\n\""),
            ("'two\nlines'", "two\nlines"),
            ("'two\r\nlines'", "two\nlines"),
            ("\"\"", ""),
            ("\"a\\nb\\tc\\\"d\\\\e\\$f\"", "a\nb\tc\"d\\e$f"),
            ("\"p$a$$w0rd ${NOPE:-d}\"", "p$a$$w0rd ${NOPE:-d}"),
            ("\"two\r\nlines' # no comment\"\t# comment", "two\nlines' # no comment"),
            ("ü €", "ü €"),
        ] {
            assert_eq!(value(line), expected, "{line:?}");
            assert_eq!(value(&format!("{line}\r\n")), expected, "{line:?} with CRLF");
        }
    }

    #[test]
    fn names_comments_and_export_are_told_apart() {
        let text =
            "\u{feff}# comment\r\n\n \t\nA=1\n\texport B = 2\r\nexport=3\nexport =4\nexport\tC=5\n_d9=6";
        let (entries, errors) = parse(text);
        assert!(errors.is_empty(), "{errors:?}");
        let shown: Vec<_> =
            entries.iter().map(|entry| (entry.name, entry.value.as_str(), entry.place)).collect();
        assert_eq!(
            shown,
            [
                ("A", "1", (4, 3)),
                ("B", "2", (5, 13)),
                ("export", "3", (6, 8)),
                ("export", "4", (7, 9)),
                ("C", "5", (8, 10)),
                ("_d9", "6", (9, 5)),
            ]
        );
    }

    #[test]
    fn every_malformed_line_is_an_error_with_its_place_and_not_its_text() {
        for (line, place, message) in [
            ("hunter2", (2, 8), "expected `=` after the variable's name"),
            ("export hunter2", (2, 15), "expected `=` after the variable's name"),
            ("A.hunter2=1", (2, 2), "expected `=` after the variable's name"),
            ("A hunter2", (2, 3), "expected `=` after the variable's name"),
            ("=hunter2", (2, 1), "expected a variable's name: letters, digits and `_`"),
            ("1A=hunter2", (2, 1), "expected a variable's name: letters, digits and `_`"),
            ("export 1=hunter2", (2, 8), "expected a variable's name: letters, digits and `_`"),
            ("ü=hunter2", (2, 1), "expected a variable's name: letters, digits and `_`"),
            ("A='hunter2'x", (2, 12), "expected the line's end after the closing quote"),
            ("A='hunter2'#x", (2, 12), "expected the line's end after the closing quote"),
            ("A=\"hunter2\" \"x\"", (2, 13), "expected the line's end after the closing quote"),
            ("A=\"hunter2\\x\"", (2, 11), ESCAPES),
            ("A=hunter2\u{1b}[2J", (2, 10), "a control character outside quotes"),
            ("A=hunter\r2", (2, 9), "a control character outside quotes"),
        ] {
            let text = format!("BEFORE=1\n{line}\nAFTER=2");
            let (entries, errors) = parse(&text);
            let names: Vec<_> = entries.iter().map(|entry| entry.name).collect();
            assert_eq!(names, ["BEFORE", "AFTER"], "{line}");
            let [SyntaxError { place: found, message: said }] = &errors[..] else {
                panic!("{line}: {errors:?}")
            };
            assert_eq!((*found, said.as_str()), (place, message), "{line}");
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_is_an_error_where_it_was_opened() {
        for quote in ["'", "\""] {
            let text = format!("A=1\nB={quote}hunter2\nC=3\n");
            let (entries, errors) = parse(&text);
            assert_eq!(entries.len(), 1);
            assert_eq!(errors.len(), 1);
            assert_eq!((errors[0].place, errors[0].message.as_str()), ((2, 3), "a quote that is not closed"));
        }
    }

    /// How a value is written so that it is read back.
    fn quoted(value: &str) -> String {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
        format!("\"{}\"", escaped.replace('\n', "\\n").replace('\t', "\\t"))
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            let _result = parse(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_lines_are_read_or_refused(text in "([A-Z_=\"'#\\\\$ \t\r\n]|export |é)*") {
            let (entries, errors) = parse(&text);
            prop_assert!(entries.len() + errors.len() <= text.lines().count().max(1));
            for entry in entries {
                prop_assert!(text.contains(entry.name));
            }
        }

        #[test]
        fn what_is_quoted_is_read_back(values in prop::collection::vec(".*|[\"'\\\\$#\n\t a]*", 0..5)) {
            let text: String = values.iter().map(|value| format!("KEY={} # {value:?}\n", quoted(value))).collect();
            let (entries, errors) = parse(&text);
            prop_assert!(errors.is_empty());
            let read: Vec<_> = entries.into_iter().map(|entry| entry.value).collect();
            prop_assert_eq!(read, values);
        }
    }
}
