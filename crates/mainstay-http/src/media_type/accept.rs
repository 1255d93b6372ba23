//! Which of the types that can be made a caller takes: `Accept` (RFC 9110, section 12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

use super::{MediaRange, MediaType, Part};

/// How much a caller wants a type, in thousandths; 0 means that it does not.
type Quality = u16;

/// Whether `Accept` takes at least one of these types.
///
/// For each type the most specific range that includes it decides, wherever it stands. Lines that say nothing well formed
/// count as absent, as does an empty one: everything is taken. A `charset` in a range is not looked at, since it says how
/// an answer is written and not which type it has; clients send it with types that know none.
pub(crate) fn accepts(headers: &HeaderMap, types: &[MediaRange]) -> bool {
    let ranges =
        || headers.get_all(ACCEPT).iter().flat_map(|line| Elements(line.as_bytes())).filter_map(range);
    // What matches best says how much the type is wanted.
    let quality = |made| {
        let matching = ranges().filter_map(|(range, quality)| Some((specificity(&range, made)?, quality)));
        matching.max().map_or(0, |(_, quality)| quality)
    };
    ranges().next().is_none() || types.iter().any(|made| quality(made) > 0)
}

/// How narrowly a range includes a type: `*/*` 0, `type/*` 1, `type/subtype` 2, and one more for each parameter.
fn specificity(range: &MediaType<'_>, made: &MediaRange) -> Option<usize> {
    let (Part::Exactly(kind), Part::Exactly(subtype)) = (&made.kind, &made.subtype) else {
        return None;
    };
    match (range.kind, range.subtype) {
        (b"*", b"*") => Some(0),
        (its, b"*") if its.eq_ignore_ascii_case(kind) => Some(1),
        (its, sub) if its.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => {
            let mut asked = range
                .parameters()
                .take_while(|(name, _)| !is_weight(name))
                .filter(|(name, _)| !name.eq_ignore_ascii_case(b"charset"));
            asked.try_fold(2, |count, (name, value)| made.has_parameter(name, &value).then_some(count + 1))
        }
        _ => None,
    }
}

/// One element of the list. What is malformed is passed over, and so is a range whose weight is.
fn range(element: &[u8]) -> Option<(MediaType<'_>, Quality)> {
    let range = MediaType::parse(element)?;
    let quality = match range.parameters().find(|(name, _)| is_weight(name)) {
        Some((_, value)) => weight(value.token()?)?,
        None => 1_000,
    };
    Some((range, quality))
}

fn is_weight(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"q")
}

/// `0`, `1`, or either with up to three digits behind a point, and never above 1.
fn weight(text: &[u8]) -> Option<Quality> {
    let (whole, digits) = match text {
        [whole] | [whole, b'.'] => (whole, &b""[..]),
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let scales = [100, 10, 1];
    let mut quality = match whole {
        b'0' => 0,
        b'1' => 1_000,
        _ => return None,
    };
    for (digit, scale) in digits.iter().zip(scales) {
        quality += Quality::from(digit.is_ascii_digit().then(|| digit - b'0')?) * scale;
    }
    (quality <= 1_000).then_some(quality)
}

/// The elements of a list: commas between quotes do not part them.
#[derive(Clone, Copy, Debug)]
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (mut quoted, mut escaped) = (false, false);
        let end = self.0.iter().position(|byte| {
            match byte {
                b',' if !quoted => return true,
                b'"' if !escaped => quoted = !quoted,
                _ => {}
            }
            escaped = quoted && *byte == b'\\' && !escaped;
            false
        });
        let (element, rest) = match end {
            Some(end) => (&self.0[..end], &self.0[end + 1..]),
            None => (self.0, &b""[..]),
        };
        self.0 = rest;
        Some(element.trim_ascii())
    }
}
