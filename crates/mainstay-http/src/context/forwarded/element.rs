//! One element of `Forwarded` (RFC 7239, section 4).

use super::{Hop, node, scheme_of};

/// What the element says; of a malformed one nothing is believed.
pub(super) fn hop(element: Option<&[u8]>) -> Hop<'_> {
    element.and_then(read).unwrap_or_default()
}

/// Reads `name=value` pairs between semicolons. White space around them, which the grammar does not have, is common.
fn read(element: &[u8]) -> Option<Hop<'_>> {
    let (mut node, mut proto, mut host) = (None, None, None);
    let mut rest = element;
    while !rest.is_empty() {
        let pair;
        (pair, rest) = first_pair(rest);
        let pair = pair.trim_ascii();
        if pair.is_empty() {
            continue;
        }
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        let place = if name.eq_ignore_ascii_case(b"for") {
            &mut node
        } else if name.eq_ignore_ascii_case(b"proto") {
            &mut proto
        } else if name.eq_ignore_ascii_case(b"host") {
            &mut host
        } else {
            continue; // `by`, and what is to come.
        };
        if place.replace(unquoted(value)?).is_some() {
            return None; // "Each parameter MUST NOT occur more than once."
        }
    }
    Some(Hop { address: node.and_then(node::address), scheme: proto.and_then(scheme_of), host })
}

fn first_pair(text: &[u8]) -> (&[u8], &[u8]) {
    let (mut quoted, mut escaped) = (false, false);
    for (position, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => return (&text[..position], &text[position + 1..]),
            _ => {}
        }
    }
    (text, &[])
}

/// The value without its quotes. No address, scheme or host needs an escape, so one makes it malformed.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let inner = match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    };
    (!inner.iter().any(|byte| matches!(byte, b'"' | b'\\'))).then_some(inner)
}
