//! A node of a forwarding header: an address in one of the forms that proxies write.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str;

/// The address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`, with or without a zone
/// (`fe80::1%eth0`), IPv4 in IPv6's clothes as IPv4. `None` for `unknown`, `_hidden` and anything else.
pub(super) fn address(node: &[u8]) -> Option<IpAddr> {
    let node = str::from_utf8(node).ok()?;
    if let Some(bracketed) = node.strip_prefix('[') {
        let (inside, port) = bracketed.split_once(']')?;
        let ends_well = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return ipv6(inside).filter(|_| ends_well);
    }
    match node.split_once(':') {
        Some((host, port)) if !port.contains(':') => {
            host.parse::<Ipv4Addr>().ok().filter(|_| is_port(port)).map(IpAddr::V4)
        }
        Some(_) => ipv6(node),
        None => node.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

fn ipv6(text: &str) -> Option<IpAddr> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
}

/// A number, or a name that hides it (RFC 7239, section 6.3); either way it decides nothing.
fn is_port(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}
