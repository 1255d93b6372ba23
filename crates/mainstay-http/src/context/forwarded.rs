//! Which hop of a forwarded request is the client's: the walk from our peer outwards, over proxies that are ours.
//!
//! Each proxy adds what it saw at the right, so the rightmost hop was written by our peer, the next by the proxy before
//! it, and so on. Whoever is the first that is not ours may have written everything left of its own hop: the walk never
//! gets there, not even to look for a quote or a comma.

mod element;
mod elements;
mod node;

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use mainstay_core::Scheme;

use self::elements::Elements;
use super::ForwardingHeader;
use super::decide::{HTTP, HTTPS, is_within};
use crate::headers::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};

/// What a trusted proxy says about the client that it served: all of one and the same hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hop<'a> {
    /// `None` where it is not told (`unknown`, `_hidden`), or cannot be read.
    pub(super) address: Option<IpAddr>,
    pub(super) scheme: Option<Scheme>,
    /// As it was written; `None` where nothing was.
    pub(super) host: Option<&'a [u8]>,
}

/// The client's hop as a trusted peer tells it in the believed header, or `None` where the peer forwards for nobody.
///
/// It is the first hop, from the right, whose address is in none of the networks or is not told; where all of them are
/// ours, the leftmost.
pub(super) fn client<'a>(
    headers: &'a HeaderMap,
    believed: ForwardingHeader,
    networks: &[IpNet],
) -> Option<Hop<'a>> {
    match believed {
        ForwardingHeader::None => None,
        ForwardingHeader::Forwarded => {
            let hops = Elements::of(headers, &http::header::FORWARDED).map(element::hop);
            walk(hops, networks).map(|(_, hop)| hop)
        }
        ForwardingHeader::XForwardedFor => {
            let hops = Elements::of(headers, &X_FORWARDED_FOR)
                .map(|node| Hop { address: node.and_then(node::address), ..Hop::default() });
            let named = walk(hops, networks);
            let (depth, hop) = named.unwrap_or_default();
            let scheme = beside(headers, &X_FORWARDED_PROTO, depth);
            let host = beside(headers, &X_FORWARDED_HOST, depth);
            // A peer that tells a scheme or a host serves somebody, even if it does not say whom.
            let forwards = named.is_some() || scheme.is_some() || host.is_some();
            forwards.then(|| Hop { scheme: scheme.and_then(scheme_of), host, ..hop })
        }
    }
}

fn walk<'a>(hops: impl Iterator<Item = Hop<'a>>, networks: &[IpNet]) -> Option<(usize, Hop<'a>)> {
    let mut client = None;
    for (depth, hop) in hops.enumerate() {
        client = Some((depth, hop));
        if !hop.address.is_some_and(|address| is_within(address, networks)) {
            break;
        }
    }
    client
}

/// What another header says about the same hop: its element at the same depth. A sole element is what the proxies kept
/// or replaced as one, and stands for every hop; of several, too few for this one, none does.
fn beside<'a>(headers: &'a HeaderMap, name: &HeaderName, depth: usize) -> Option<&'a [u8]> {
    let mut elements = Elements::of(headers, name).map(Option::unwrap_or_default);
    let nearest = elements.next()?;
    match (depth, elements.next()) {
        (0, _) | (_, None) => Some(nearest),
        (1, second) => second,
        (_, Some(_)) => elements.nth(depth - 2),
    }
}

/// HTTP's two schemes; some proxies name those of WebSocket, which open with the same HTTP request.
fn scheme_of(name: &[u8]) -> Option<Scheme> {
    let is = |known: [&str; 2]| known.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    if is(["https", "wss"]) {
        Some(HTTPS)
    } else if is(["http", "ws"]) {
        Some(HTTP)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
