//! The elements of a list that is spread over header lines, from the right.

use std::iter::Rev;

use http::header::ValueIter;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The longest element that is read, in bytes: a host of 253 bytes, an address, and as much again.
const MAX_LENGTH: usize = 512;
/// How many are looked at, empty ones too. With their length this bounds the work for whatever was sent.
const MAX_ELEMENTS: u8 = 32;

/// Yields the elements that are not empty, and `None` once for what is too long, too many or has an open quote.
///
/// Read from the right also within quotes: what a proxy adds is well-formed, so an open quote of a stranger further left
/// cannot swallow it.
pub(super) struct Elements<'a> {
    lines: Rev<ValueIter<'a, HeaderValue>>,
    rest: Option<&'a [u8]>,
    left: u8,
}

impl<'a> Elements<'a> {
    pub(super) fn of(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        Self { lines: headers.get_all(name).iter().rev(), rest: None, left: MAX_ELEMENTS }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.rest.take() {
                Some(rest) => rest,
                None => self.lines.next()?.as_bytes(),
            };
            let cut = self.left.checked_sub(1).and_then(|left| Some((left, cut(line)?)));
            let Some((left, (rest, element))) = cut else {
                self.left = 0;
                return Some(None);
            };
            (self.left, self.rest) = (left, rest);
            if !element.is_empty() {
                return Some(Some(element));
            }
        }
    }
}

/// The last element, and what is left of its comma, if there is one.
fn cut(line: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let mut quoted = false;
    for (position, byte) in line.iter().enumerate().rev().take(MAX_LENGTH + 1) {
        match byte {
            b'"' => quoted = !quoted || is_escaped(&line[..position]),
            b',' if !quoted => return Some((Some(&line[..position]), line[position + 1..].trim_ascii())),
            _ => {}
        }
    }
    (!quoted && line.len() <= MAX_LENGTH).then(|| (None, line.trim_ascii()))
}

/// Whether what follows is escaped: by an odd number of backslashes.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take(MAX_LENGTH).take_while(|byte| **byte == b'\\').count() % 2 == 1
}
