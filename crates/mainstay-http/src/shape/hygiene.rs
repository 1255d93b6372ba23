//! What an origin's edge does with headers that are meant for the connection, sent twice, or too many.

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use mainstay_core::{Reason, Rejection};

use super::rewrite::take_lines;
use super::{HeaderLimits, Underscores};

/// What one look at all lines has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    lines: usize,
    longest: usize,
    total: usize,
    for_the_connection: bool,
    with_underscore: bool,
    doubled: bool,
}

/// Headers that end at the connection (RFC 9110, section 7.6.1), or at a proxy. `proxy` itself is not a header at all, but
/// where it reaches an environment it redirects outbound calls (CVE-2016-5385).
const FOR_THE_CONNECTION: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers for everybody, which `connection` must not name (RFC 9110, section 7.6.1). Were they taken away where it does, a
/// caller could hide from the handler what a proxy has added or checked.
const FOR_EVERYBODY: [&str; 18] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "idempotency-key",
    "origin",
    "traceparent",
    "tracestate",
    "x-correlation-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
    "x-tenant-id",
];

/// Headers of which a message has one: with two different ones, two readers may understand two different messages.
const ONCE: [HeaderName; 3] = [CONTENT_LENGTH, CONTENT_TYPE, HOST];

// === impl Survey ===

impl Survey {
    /// Looks at every line once.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut survey = Self::default();
        let mut previous: Option<&HeaderName> = None;
        for (name, value) in headers {
            let length = name.as_str().len() + value.len();
            survey.lines += 1;
            survey.longest = survey.longest.max(length);
            survey.total += length;
            survey.for_the_connection |= FOR_THE_CONNECTION.contains(&name.as_str());
            survey.with_underscore |= name.as_str().contains('_');
            // Lines of one name come one after the other.
            survey.doubled |= previous == Some(name) && ONCE.contains(name);
            previous = Some(name);
        }
        survey
    }

    pub(super) fn check(&self, limits: &HeaderLimits) -> Result<(), Rejection> {
        let limit = [
            (self.lines, limits.lines, "the request has more than {} header lines"),
            (self.longest, limits.line_bytes, "a header line of the request is longer than {} bytes"),
            (self.total, limits.total_bytes, "the request's headers are longer than {} bytes together"),
        ];
        let over =
            limit.iter().find(|(found, most, _)| u32::try_from(*found).map_or(true, |found| found > *most));
        over.map_or(Ok(()), |(_, most, text)| {
            Err(Rejection::new(Reason::HeadersTooLarge, text.replace("{}", &most.to_string())))
        })
    }

    /// Refuses what can be understood in two ways, and takes away what is not the handler's. Headers that `is_named` in a
    /// rule are left to that rule.
    pub(super) fn clean(
        &self,
        headers: &mut HeaderMap,
        version: Version,
        is_named: impl Fn(&str) -> bool,
    ) -> Result<(), Rejection> {
        if self.doubled
            && let Some(name) = ONCE.iter().find(|name| differ(headers, name))
        {
            return Err(Rejection::new(
                Reason::Invalid,
                format!("{name} was sent several times, and not the same"),
            ));
        }
        if self.for_the_connection {
            end_connection(headers, version, is_named);
        }
        Ok(())
    }

    pub(super) fn treat_underscores(
        &self,
        headers: &mut HeaderMap,
        treatment: Underscores,
        is_named: impl Fn(&str) -> bool,
    ) -> Result<(), Rejection> {
        if treatment == Underscores::Keep || !self.with_underscore {
            return Ok(());
        }
        let names = headers.keys().filter(|name| name.as_str().contains('_') && !is_named(name.as_str()));
        let names: Vec<HeaderName> = names.cloned().collect();
        if treatment == Underscores::Refuse && !names.is_empty() {
            return Err(Rejection::new(
                Reason::Invalid,
                "a header's name holds an underscore, which is not taken",
            ));
        }
        for name in names {
            headers.remove(name);
        }
        Ok(())
    }
}

fn differ(headers: &HeaderMap, name: &HeaderName) -> bool {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next();
    lines.any(|line| Some(line) != first)
}

/// Takes away what is meant for the connection. An upgrade that HTTP/1.1 asks for stays, as does `te: trailers`, without
/// which gRPC is not spoken.
fn end_connection(headers: &mut HeaderMap, version: Version, is_named: impl Fn(&str) -> bool) {
    let mut upgrades = false;
    for line in take_lines(headers, &CONNECTION) {
        for option in list(&line) {
            upgrades |= option.eq_ignore_ascii_case(b"upgrade");
            remove_named(headers, option, &is_named);
        }
    }
    let upgrade = take_lines(headers, &UPGRADE).next();
    let wants_trailers = headers
        .get_all(TE)
        .iter()
        .any(|line| list(line).any(|coding| coding.eq_ignore_ascii_case(b"trailers")));
    for name in FOR_THE_CONNECTION {
        if !is_named(name) {
            headers.remove(name);
        }
    }
    // As many lines were taken out before.
    if let Some(upgrade) = upgrade.filter(|_| upgrades && version == Version::HTTP_11) {
        drop(headers.try_insert(CONNECTION, HeaderValue::from_static("upgrade")));
        drop(headers.try_insert(UPGRADE, upgrade));
    }
    if wants_trailers {
        drop(headers.try_insert(TE, HeaderValue::from_static("trailers")));
    }
}

/// Takes away the header that this option of `connection` names, unless it is for everybody or a rule's.
fn remove_named(headers: &mut HeaderMap, option: &[u8], is_named: impl Fn(&str) -> bool) {
    // `upgrade` and `te` are looked at on their own.
    let kept = FOR_EVERYBODY
        .iter()
        .chain(&FOR_THE_CONNECTION)
        .any(|kept| option.eq_ignore_ascii_case(kept.as_bytes()));
    let Some(option) = std::str::from_utf8(option).ok().filter(|_| !kept) else {
        return;
    };
    if !is_named(option) {
        headers.remove(option);
    }
}

fn list(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}
