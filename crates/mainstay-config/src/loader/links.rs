//! Variables that Kubernetes injects for every Service of a namespace, and that are nobody's settings.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;

use crate::code::Code;
use crate::layer::{Layer, Origin};
use crate::problem::Problem;

/// The names of the variables of Services whose names begin like the application's. `prefix` is `ORDERS_`.
pub(super) fn among<'e>(environment: &'e [(OsString, OsString)], prefix: &str) -> Vec<&'e str> {
    let ours = environment.iter().filter(|(name, _)| begins(name, prefix));
    let links = ours.filter_map(|(name, value)| {
        let name = name.to_str()?;
        is_link(&name[prefix.len()..], value.to_str()?).then_some(name)
    });
    links.collect()
}

/// Whether the name begins with the prefix, whatever else is in it.
pub(super) fn begins(name: &OsStr, prefix: &str) -> bool {
    name.as_encoded_bytes().starts_with(prefix.as_bytes())
}

/// A warning for each link.
pub(super) fn warnings(links: &[&str]) -> Vec<Problem> {
    let warning = |name: &&str| {
        Problem::of(Code::ServiceLink, "injected by Kubernetes for a Service, and not read")
            .at(&Origin::Variable((*name).to_owned()))
            .help("set `enableServiceLinks: false` in the pod's specification".to_owned())
    };
    let mut problems: Vec<_> = links.iter().map(warning).collect();
    problems.sort_by_key(Problem::order);
    problems
}

/// Whether the layer is one of the links, which happens when the Service's name has `--` in it.
pub(super) fn is_one(links: &[&str], layer: &Layer) -> bool {
    matches!(&layer.origin, Origin::Variable(name) if links.contains(&name.as_str()))
}

/// `PORT=tcp://10.0.0.1:80`, `DB_SERVICE_HOST`, `PORT_80_TCP_ADDR`.
fn is_link(name: &str, value: &str) -> bool {
    const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];
    let ends = |end: &str| name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    let is_of_port = || ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| name.contains(protocol));

    // Hardly any setting has such a value: that is looked at first.
    if let Some(rest) = PROTOCOLS.iter().find_map(|protocol| value.strip_prefix(protocol)) {
        let is_url = rest.starts_with("://");
        is_url && (ends("PORT") || is_of_port()) || rest.is_empty() && ends("PROTO") && is_of_port()
    } else if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        ends("SERVICE_PORT") || name.contains("SERVICE_PORT_") || ends("PORT") && is_of_port()
    } else {
        (ends("SERVICE_HOST") || ends("ADDR") && is_of_port()) && value.parse::<IpAddr>().is_ok()
    }
}
