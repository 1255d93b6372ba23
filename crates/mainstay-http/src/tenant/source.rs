//! Where a request names its tenant: header, host and path, read without believing any of it.

use std::borrow::Cow;

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use super::config::InvalidTenantConfig;
use super::decide::Fault;

const TENANT: &str = "{tenant}";

/// What one source says: nothing, a text that may be a tenant's name, or nonsense.
pub(super) type Named<'a> = Result<Option<Cow<'a, str>>, Fault>;

/// A host's name with one label, or a part of one, left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPattern {
    before: Box<str>,
    after: Box<str>,
}

/// The beginning of a path with one segment left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathTemplate(Box<[Segment]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Any,
    Tenant,
}

/// What the header says, however often it says it.
pub(super) fn in_header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Named<'a> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|other| other != first) {
        return Err(Fault::Ambiguous);
    }
    first.to_str().map(|text| Some(Cow::Borrowed(text))).map_err(|_| Fault::Malformed)
}

/// The host that the request is for: `:authority` (or an absolute URI's), and `Host`; where both are there, or one several
/// times, they must agree. Without port and the root's dot; in whatever case.
pub(super) fn host_of<B>(request: &Request<B>) -> Result<Option<&str>, Fault> {
    let authority = request.uri().authority().map(|authority| Ok(authority.host()));
    let lines = request.headers().get_all(HOST).iter().map(host_in);
    let mut decided: Option<&str> = None;
    for host in authority.into_iter().chain(lines) {
        let host = host?;
        let host = host.strip_suffix('.').unwrap_or(host);
        if decided.is_some_and(|decided| !decided.eq_ignore_ascii_case(host)) {
            return Err(Fault::Ambiguous);
        }
        decided = Some(host);
    }
    Ok(decided)
}

fn host_in(value: &HeaderValue) -> Result<&str, Fault> {
    let text = value.to_str().map_err(|_| Fault::Malformed)?;
    // What stands in brackets is an IPv6 address, which is no pattern's and keeps its colons.
    let port = if text.starts_with('[') { text.find("]:").map(|at| at + 1) } else { text.find(':') };
    Ok(port.map_or(text, |at| &text[..at]))
}

// === impl HostPattern ===

impl HostPattern {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidTenantConfig> {
        let is_plain = |part: &str| {
            part.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
            })
        };
        match text.split_once(TENANT) {
            Some((before, after)) if is_plain(before) && is_plain(after) && !after.ends_with('.') => {
                Ok(Self { before: before.into(), after: after.into() })
            }
            _ => Err(InvalidTenantConfig::new(
                text,
                "no pattern for a host, expected a name in lower case with one {tenant} and no port, such as {tenant}.example.org",
            )),
        }
    }

    /// The part that was left open, in lower case, because hosts have none: not longer than one label, and not empty.
    pub(super) fn find<'a>(&self, host: &'a str) -> Option<Cow<'a, str>> {
        let open_until = host.len().checked_sub(self.after.len())?;
        let (before, open) = (host.get(..self.before.len())?, host.get(self.before.len()..open_until)?);
        let after = host.get(open_until..)?;
        let fits = before.eq_ignore_ascii_case(&self.before) && after.eq_ignore_ascii_case(&self.after);
        if !fits || open.is_empty() || open.contains('.') {
            return None;
        }
        Some(if open.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(open.to_ascii_lowercase())
        } else {
            Cow::Borrowed(open)
        })
    }
}

// === impl PathTemplate ===

impl PathTemplate {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidTenantConfig> {
        let segment = |segment: &str| match segment {
            TENANT => Some(Segment::Tenant),
            "*" => Some(Segment::Any),
            literal => {
                // As a URI's path has them (RFC 3986, section 3.3), so that the comparison is one of bytes.
                let is_plain =
                    |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@%".contains(&byte);
                let is_literal = !literal.is_empty() && literal.bytes().all(is_plain);
                is_literal.then(|| Segment::Literal(literal.into()))
            }
        };
        let segments: Option<Box<[Segment]>> = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/').unwrap_or(rest).split('/').map(segment).collect());
        match segments {
            Some(segments) if segments.iter().filter(|segment| **segment == Segment::Tenant).count() == 1 => {
                Ok(Self(segments))
            }
            _ => Err(InvalidTenantConfig::new(
                text,
                "no template for a path, expected segments one of which is {tenant}, such as /t/{tenant}",
            )),
        }
    }

    /// The segment that was left open, as it stands: not percent-decoded, and not empty.
    pub(super) fn find<'a>(&self, path: &'a str) -> Option<Cow<'a, str>> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let mut found = None;
        for expected in &self.0 {
            let segment = segments.next()?;
            match expected {
                Segment::Tenant => found = Some(segment),
                Segment::Literal(literal) if **literal != *segment => return None,
                Segment::Literal(_) | Segment::Any => {}
            }
        }
        found.filter(|segment| !segment.is_empty()).map(Cow::Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Request};

    use super::{HostPattern, PathTemplate, host_of, in_header};
    use crate::headers::X_TENANT_ID;
    use crate::tenant::decide::Fault;

    #[test]
    fn a_header_may_repeat_itself_and_not_contradict_itself() {
        let named = |values: &[&'static [u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(X_TENANT_ID, HeaderValue::from_bytes(value).unwrap());
            }
            in_header(&headers, &X_TENANT_ID).map(|named| named.map(String::from))
        };
        assert_eq!(named(&[]), Ok(None));
        assert_eq!(named(&[b"acme", b"acme"]), Ok(Some("acme".to_owned())));
        assert_eq!(named(&[b"acme", b"acme", b"globex"]), Err(Fault::Ambiguous));
        assert_eq!(named(&[b"acm\xe9"]), Err(Fault::Malformed));
        assert_eq!(named(&[b""]), Ok(Some(String::new())), "for the parser to refuse");
    }

    #[test]
    fn a_host_names_a_tenant_in_one_label_in_any_case() {
        let found =
            |pattern: &str, host: &str| HostPattern::parse(pattern).unwrap().find(host).map(String::from);
        let whole = "{tenant}.example.org";
        assert_eq!(found(whole, "acme.example.org"), Some("acme".to_owned()));
        assert_eq!(found(whole, "ACME.Example.ORG"), Some("acme".to_owned()));
        assert_eq!(found("api-{tenant}.example.org", "api-acme.example.org"), Some("acme".to_owned()));
        assert_eq!(found("{tenant}", "acme"), Some("acme".to_owned()));
        for other in
            ["example.org", ".example.org", "a.b.example.org", "acme.example.com", "acmeexample.org", ""]
        {
            assert_eq!(found(whole, other), None, "{other}");
        }
        // Prefix and suffix may not share bytes.
        assert_eq!(found("ab{tenant}ba", "aba"), None);
        assert_eq!(found("é{tenant}".trim_start_matches('é'), "é.example.org"), None);
        for wrong in
            ["", "example.org", "{tenant}.{tenant}.org", "{tenant}.Example.org", "{tenant}:80", "{tenant}."]
        {
            assert!(HostPattern::parse(wrong).is_err(), "{wrong} was taken for a pattern");
        }
    }

    #[test]
    fn every_word_on_the_host_must_agree() {
        let host = |uri: &str, lines: &[&[u8]]| {
            let mut request = Request::builder().uri(uri).body(()).unwrap();
            for line in lines {
                request.headers_mut().append("host", HeaderValue::from_bytes(line).unwrap());
            }
            host_of(&request).map(|host| host.map(str::to_owned))
        };
        let acme = || Ok(Some("acme.test".to_owned()));
        assert_eq!(host("/", &[]), Ok(None));
        assert_eq!(host("/", &[b"acme.test"]), acme());
        assert_eq!(host("/", &[b"acme.test:8080"]), acme());
        assert_eq!(host("http://acme.test:80/", &[]), acme());
        assert_eq!(host("http://globex.test/", &[b"acme.test"]), Err(Fault::Ambiguous));
        assert_eq!(host("/", &[b"acme.test", b"globex.test"]), Err(Fault::Ambiguous));
        assert_eq!(host("http://ACME.test/", &[b"acme.test.:80"]), acme());
        assert_eq!(host("/", &[b"[::1]:80"]), Ok(Some("[::1]".to_owned())));
        assert_eq!(host("/", &[b"\xff"]), Err(Fault::Malformed));
    }

    #[test]
    fn a_path_names_a_tenant_in_one_segment_as_it_stands() {
        let found =
            |template: &str, path: &str| PathTemplate::parse(template).unwrap().find(path).map(String::from);
        for path in ["/t/acme", "/t/acme/", "/t/acme/orders/7"] {
            assert_eq!(found("/t/{tenant}", path), Some("acme".to_owned()), "{path}");
        }
        assert_eq!(found("/*/{tenant}/", "/v2/acme/orders"), Some("acme".to_owned()));
        assert_eq!(found("/{tenant}/orders", "/acme/orders"), Some("acme".to_owned()));
        assert_eq!(found("/t/{tenant}", "/t/a%63me"), Some("a%63me".to_owned()), "for the parser to refuse");
        for other in ["/", "", "*", "/t", "/t/", "/T/acme", "//t/acme", "/x/acme", "t/acme"] {
            assert_eq!(found("/t/{tenant}", other), None, "{other}");
        }
        for wrong in [
            "",
            "/",
            "t/{tenant}",
            "/t",
            "/{tenant}/{tenant}",
            "/t//{tenant}",
            "/t/{tenant}x",
            "/t?/{tenant}",
        ] {
            assert!(PathTemplate::parse(wrong).is_err(), "{wrong} was taken for a template");
        }
    }
}
