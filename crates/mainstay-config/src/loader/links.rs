//! Variables that Kubernetes injects for every Service of a namespace, and that are nobody's settings.

use std::ffi::OsString;

use crate::code::Code;
use crate::layer::{Layer, Origin};
use crate::problem::Problem;

/// A warning for each variable of a Service whose name begins like the application's.
pub(super) fn warnings(prefix: &str, environment: &[(OsString, OsString)]) -> Vec<Problem> {
    let start = format!("{prefix}_");
    let mut problems: Vec<_> = environment
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
        .filter(|(name, value)| {
            name.strip_prefix(&start).is_some_and(|rest| may_be_link(rest) && is_link(rest, value))
        })
        .map(|(name, _)| {
            Problem::of(Code::ServiceLink, "injected by Kubernetes for a Service, and not read")
                .at(&Origin::Variable(name.to_owned()))
                .help("set `enableServiceLinks: false` in the pod's specification".to_owned())
        })
        .collect();
    problems.sort_by_key(Problem::order);
    problems
}

/// Whether the layer is such a variable, which happens when the Service's name has `--` in it.
pub(super) fn is_link_layer(prefix: &str, layer: &Layer) -> bool {
    let Origin::Variable(name) = &layer.origin else { return false };
    name.strip_prefix(prefix).is_some_and(|rest| {
        let value = || layer.leaves().into_iter().find_map(|(_, value)| value.as_str().map(str::to_owned));
        may_be_link(rest) && is_link(rest, &value().unwrap_or_default())
    })
}

/// Whether the name alone speaks for it.
fn may_be_link(name: &str) -> bool {
    name.contains("PORT") || name.ends_with("SERVICE_HOST")
}

/// `PORT=tcp://10.0.0.1:80`, `DB_SERVICE_HOST`, `PORT_80_TCP_ADDR`.
fn is_link(name: &str, value: &str) -> bool {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_address = value.parse::<std::net::IpAddr>().is_ok();
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let ends = |end: &str| name == end || name.ends_with(&format!("_{end}"));
    let of_port = ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| name.contains(protocol));
    ends("SERVICE_HOST") && is_address
        || (ends("SERVICE_PORT") || name.contains("SERVICE_PORT_")) && is_port(value)
        || ends("PORT") && is_url
        || of_port
            && (is_url || ends("ADDR") && is_address || ends("PORT") && is_port(value) || ends("PROTO"))
}
