//! What must hold of the walk over a chain of proxies.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use proptest::prelude::*;

use super::{Hop, client, node};
use crate::context::ForwardingHeader;

fn networks() -> [IpNet; 2] {
    ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap())
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    headers
}

/// Address, scheme and host of the client's hop; `-` for what is not told.
fn told(hop: Option<Hop<'_>>) -> String {
    let Some(hop) = hop else { return "the peer".to_owned() };
    let address = hop.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let scheme = hop.scheme.map_or("-", |scheme| scheme.as_str());
    let host = hop.host.map_or("-".into(), String::from_utf8_lossy);
    format!("{address} {scheme} {host}")
}

fn x_forwarded(lines: &[(&str, &str)]) -> String {
    told(client(&headers(lines), ForwardingHeader::XForwardedFor, &networks()))
}

fn forwarded(lines: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
    told(client(&headers(&lines), ForwardingHeader::Forwarded, &networks()))
}

#[test]
fn the_client_is_the_first_from_the_right_that_is_not_ours() {
    for (chain, expected) in [
        ("203.0.113.9", "203.0.113.9 - -"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9 - -"),
        ("198.51.100.1, 203.0.113.9,10.0.0.2 ,10.0.0.1", "203.0.113.9 - -"),
        ("198.51.100.1,, 203.0.113.9, , 10.0.0.1,", "203.0.113.9 - -"),
        ("203.0.113.9, ::ffff:10.0.0.1, fd00::1", "203.0.113.9 - -"),
        // All are ours: the one furthest out.
        ("10.0.0.3, 10.0.0.2", "10.0.0.3 - -"),
        // Who is not told is not known, and what stands left of it may be anybody's word.
        ("203.0.113.9, unknown", "- - -"),
        ("203.0.113.9, _hidden, 10.0.0.1", "- - -"),
        ("203.0.113.9, <script>, 10.0.0.1", "- - -"),
        ("", "the peer"),
    ] {
        assert_eq!(x_forwarded(&[("x-forwarded-for", chain)]), expected, "{chain}");
    }
    let lines = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.9, 10.0.0.1")];
    assert_eq!(x_forwarded(&lines), "203.0.113.9 - -");
}

#[test]
fn scheme_and_host_are_those_of_the_same_hop() {
    let chain = ("x-forwarded-for", "198.51.100.1, 203.0.113.9, 10.0.0.2");
    let lines =
        [chain, ("x-forwarded-proto", "ftp, https, http"), ("x-forwarded-host", "evil, shop, internal")];
    assert_eq!(x_forwarded(&lines), "203.0.113.9 https shop");
    let deeper = [("x-forwarded-for", "203.0.113.9, 10.0.0.3, 10.0.0.2"), lines[1], lines[2]];
    assert_eq!(x_forwarded(&deeper), "203.0.113.9 - evil");

    let sole = [chain, ("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "shop")];
    assert_eq!(x_forwarded(&sole), "203.0.113.9 https shop");

    let too_few = [deeper[0], ("x-forwarded-proto", "https, http")];
    assert_eq!(x_forwarded(&too_few), "203.0.113.9 - -");

    assert_eq!(
        x_forwarded(&[("x-forwarded-proto", "wss")]),
        "- https -",
        "it serves somebody, and hides whom"
    );
    assert_eq!(
        forwarded(&[
            "for=evil;proto=ftp;host=evil, for=203.0.113.9;host=shop;proto=https, for=10.0.0.1;proto=http"
        ]),
        "203.0.113.9 https shop"
    );
    assert_eq!(forwarded(&["for=198.51.100.1;proto=https, for=203.0.113.9"]), "203.0.113.9 - -");
}

#[test]
fn the_elements_of_forwarded_are_read_in_all_their_forms() {
    for (element, expected) in [
        ("for=203.0.113.9", "203.0.113.9 - -"),
        (
            "For=\"[2001:db8::9]:4711\"; Proto=HTTPS ;by=10.0.0.1;host=\"a.example:80\"",
            "2001:db8::9 https a.example:80",
        ),
        ("for=\"203.0.113.9:_port\"", "203.0.113.9 - -"),
        ("for=unknown;proto=https", "- https -"),
        ("for=\"_hidden\"", "- - -"),
        ("proto=http", "- http -"),
        ("for=203.0.113.9;secret=\"a\\\",;\\\\\";proto=https", "203.0.113.9 https -"),
        (";;for=203.0.113.9;", "203.0.113.9 - -"),
        // Of a malformed element nothing is believed.
        ("for=203.0.113.9;for=198.51.100.1", "- - -"),
        ("for=203.0.113.9;proto", "- - -"),
        ("for=\"203.0.113.9;proto=https", "- - -"),
        ("for=\"203.0.113.\\9\";proto=https", "- - -"),
    ] {
        assert_eq!(forwarded(&[element]), expected, "{element}");
    }
}

#[test]
fn a_strangers_open_quote_cannot_swallow_a_proxys_hop() {
    for stranger in ["for=\"", "for=\"\\", "host=\"a,b", "\"", "for=198.51.100.1;x=\"\\\""] {
        let line = format!("{stranger}, for=203.0.113.9;proto=https, for=10.0.0.1");
        assert_eq!(forwarded(&[&line]), "203.0.113.9 https -", "{line}");
        assert_eq!(forwarded(&[stranger, "for=203.0.113.9", "for=10.0.0.1"]), "203.0.113.9 - -");
    }
    assert_eq!(forwarded(&["for=198.51.100.1, for=203.0.113.9;host=\"a,b\""]), "203.0.113.9 - a,b");
}

#[test]
fn only_so_many_hops_of_such_a_length_are_looked_at() {
    let chain = |ours: usize| format!("203.0.113.9{}", ", 10.0.0.1".repeat(ours));
    assert_eq!(x_forwarded(&[("x-forwarded-for", &chain(31))]), "203.0.113.9 - -");
    assert_eq!(x_forwarded(&[("x-forwarded-for", &chain(32))]), "- - -");
    assert_eq!(x_forwarded(&[("x-forwarded-for", &format!("203.0.113.9{}", ",".repeat(40_000)))]), "- - -");
    let long = "9".repeat(40_000);
    assert_eq!(x_forwarded(&[("x-forwarded-for", &long)]), "- - -");
    assert_eq!(x_forwarded(&[("x-forwarded-for", &format!("{long}, 203.0.113.9"))]), "203.0.113.9 - -");
}

#[test]
fn addresses_are_read_in_the_forms_that_proxies_write() {
    for (text, expected) in [
        ("203.0.113.9:4711", "203.0.113.9"),
        ("2001:DB8::9", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("[2001:db8::9]:443", "2001:db8::9"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:1", "fe80::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:1", "203.0.113.9"),
    ] {
        assert_eq!(node::address(text.as_bytes()), Some(expected.parse::<IpAddr>().unwrap()), "{text}");
    }
    for bad in [
        "",
        "unknown",
        "_a",
        "203.0.113.9:",
        "203.0.113.9:a b",
        "203.0.113",
        "[::1",
        "[::1]1",
        "::1]",
        "[203.0.113.9]",
        "1.2.3.4.5",
        "0x7f.0.0.1",
        "\"::1\"",
    ] {
        assert_eq!(node::address(bad.as_bytes()), None, "{bad:?} was taken for an address");
    }
}

#[test]
fn only_the_configured_header_is_believed() {
    let both = headers(&[("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=198.51.100.1;proto=https")]);
    assert_eq!(told(client(&both, ForwardingHeader::XForwardedFor, &networks())), "203.0.113.9 - -");
    assert_eq!(told(client(&both, ForwardingHeader::Forwarded, &networks())), "198.51.100.1 https -");
    assert_eq!(told(client(&both, ForwardingHeader::None, &networks())), "the peer");
}

/// Hops that our own proxies wrote, the client's first: an address that is not ours, or none.
fn chain() -> impl Strategy<Value = Vec<&'static str>> {
    let client = prop::sample::select(vec!["203.0.113.9", "unknown", "_hidden"]);
    let ours = prop::collection::vec(prop::sample::select(vec!["10.0.0.1", "10.9.9.9"]), 0..6);
    (client, ours).prop_map(|(client, ours)| [vec![client], ours].concat())
}

fn strangers() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~\\t]{0,80}", "([\",;\\\\= ]|for=|host=|10\\.0\\.0\\.1|proto=https){0,12}"]
}

proptest! {
    #[test]
    fn nothing_left_of_the_clients_hop_changes_who_it_is(chain in chain(), left in strangers(), same_line in any::<bool>()) {
        let with_left = |name: &'static str, ours: String| {
            if same_line { vec![(name, format!("{left},{ours}"))] } else { vec![(name, left.clone()), (name, ours)] }
        };
        let decide = |lines: &[(&str, String)], believed| {
            let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
            told(client(&headers(&lines), believed, &networks()))
        };
        let (nodes, protos) = (chain.join(", "), vec!["https"; chain.len()].join(","));
        let hosts = (0..chain.len()).map(|hop| format!("host-{hop}")).collect::<Vec<_>>().join(",");
        let lists = [("x-forwarded-for", nodes), ("x-forwarded-proto", protos), ("x-forwarded-host", hosts)];
        let longer: Vec<_> = lists.iter().flat_map(|(name, list)| with_left(name, list.clone())).collect();
        let believed = ForwardingHeader::XForwardedFor;
        prop_assert_eq!(decide(&longer, believed), decide(&lists, believed));

        let elements = chain.iter().map(|node| format!("for=\"{node}\";proto=https;host=\"a\"")).collect::<Vec<_>>().join(", ");
        let believed = ForwardingHeader::Forwarded;
        prop_assert_eq!(
            decide(&with_left("forwarded", elements.clone()), believed),
            decide(&[("forwarded", elements)], believed)
        );
    }
}
