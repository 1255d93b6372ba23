//! The host that a caller asked for.

use std::error::Error;
use std::fmt::{self, Debug, Display, Formatter};
use std::net::Ipv6Addr;
use std::str;
use std::sync::Arc;

/// The longest name that the domain name system can hold, in bytes.
const MAX_LENGTH: usize = 253;
/// Names up to here are kept in place: nearly all are.
const SHORT: usize = 62;

/// The host that a caller asked for, in lower case: a name, an IPv4 address, or an IPv6 address in brackets.
///
/// Compared as text, `a.example` and `A.Example.` are the same host. Anything that is parsed is safe in a log line, a
/// header and a URL; that such a host exists, or is ours, is not said. Kept in place up to 62 bytes, else allocated once.
///
/// ```
/// use mainstay_core::Host;
///
/// assert_eq!(Host::parse(b"Acme.Example.org:8443")?.as_str(), "acme.example.org");
/// assert_eq!(Host::parse(b"[2001:DB8::1]:443")?.as_str(), "[2001:db8::1]");
/// assert!(Host::parse(b"acme.example.org/admin").is_err());
/// # Ok::<(), mainstay_core::InvalidHost>(())
/// ```
#[derive(Clone)]
pub struct Host(Text);

/// The text names no host; the message says what one looks like, and never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHost(());

/// Only ever lower-case ASCII, because nothing else gets past [`Host::parse`].
#[derive(Clone)]
enum Text {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Arc<str>),
}

// === impl Host ===

impl Host {
    /// Reads `host` or `host:port` (RFC 3986, section 3.2, without user information); the port is not kept, and neither is
    /// the dot of the root.
    pub fn parse(authority: &[u8]) -> Result<Self, InvalidHost> {
        let host = without_port(authority).ok_or(InvalidHost(()))?;
        let host = host.strip_suffix(b".").unwrap_or(host);
        if host.len() <= MAX_LENGTH && (is_name(host) || is_ipv6(host)) {
            Ok(Self(Text::lower_case(host)))
        } else {
            Err(InvalidHost(()))
        }
    }

    /// The host's name or address.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Short { length, bytes } => {
                str::from_utf8(&bytes[..usize::from(*length)]).expect("only ASCII is ever stored")
            }
            Text::Long(text) => text,
        }
    }
}

impl Text {
    fn lower_case(host: &[u8]) -> Self {
        match u8::try_from(host.len()) {
            Ok(length) if host.len() <= SHORT => {
                let mut bytes = [0; SHORT];
                bytes[..host.len()].copy_from_slice(host);
                bytes.make_ascii_lowercase();
                Self::Short { length, bytes }
            }
            _ => {
                let mut text: Arc<str> = str::from_utf8(host).expect("a host is ASCII").into();
                Arc::make_mut(&mut text).make_ascii_lowercase();
                Self::Long(text)
            }
        }
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Host {}

/// The host's part, if what follows it is nothing or a port.
fn without_port(authority: &[u8]) -> Option<&[u8]> {
    let end = match authority {
        [b'[', ..] => authority.iter().position(|byte| *byte == b']')? + 1,
        _ => authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    match port {
        [] | [b':'] => Some(host),
        [b':', port @ ..] => {
            let is_port = port.iter().all(u8::is_ascii_digit);
            (is_port && str::from_utf8(port).ok()?.parse::<u16>().is_ok()).then_some(host)
        }
        _ => None,
    }
}

fn is_name(host: &[u8]) -> bool {
    let is_label = |label: &[u8]| {
        !label.is_empty()
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.split(|byte| *byte == b'.').all(is_label)
}

fn is_ipv6(host: &[u8]) -> bool {
    let inner = host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    inner.and_then(|text| str::from_utf8(text).ok()).is_some_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

// === how they print ===

impl Display for Host {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Debug for Host {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Host({:?})", self.as_str())
    }
}

impl Display for InvalidHost {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a host is a name of up to {MAX_LENGTH} letters, digits, '-', '_' and single dots, or an address, with or without a port"
        )
    }
}

impl Error for InvalidHost {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Host;

    fn host(authority: &str) -> Option<String> {
        Host::parse(authority.as_bytes()).ok().map(|host| host.as_str().to_owned())
    }

    #[test]
    fn the_same_host_is_the_same_text_however_it_was_written() {
        for authority in
            ["a.example", "A.Example", "a.example.", "a.example:80", "A.EXAMPLE.:65535", "a.example:"]
        {
            assert_eq!(host(authority).as_deref(), Some("a.example"), "{authority}");
        }
        for authority in ["[2001:db8::1]", "[2001:DB8::1]:443"] {
            assert_eq!(host(authority).as_deref(), Some("[2001:db8::1]"));
        }
        assert_eq!(host("127.0.0.1:8080").as_deref(), Some("127.0.0.1"));
        let long = format!("{}.Example", "a".repeat(100));
        assert_eq!(host(&long), Some(long.to_lowercase()));
        assert_eq!(Host::parse(b"a.example."), Host::parse(b"A.example:1"));
    }

    #[test]
    fn what_names_no_host_is_refused() {
        let long = format!("{}b", "a.".repeat(127));
        for bad in [
            "",
            ".",
            "..",
            ":80",
            "a..b",
            ".a",
            "a..",
            "user@a",
            "a/b",
            "a b",
            "a,b",
            "a\tb",
            "é.example",
            "a%41",
            "a:80:80",
            "a:port",
            "a:+80",
            "a:65536",
            "[::1",
            "::1",
            "[::1]x",
            "[nonsense]",
            "[::1].",
            "[]",
            "a]",
            long.as_str(),
        ] {
            assert_eq!(host(bad), None, "{bad:?} was taken for a host");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_lower_case_and_read_back_as_itself(text in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(host) = Host::parse(&text) {
                prop_assert!(host.as_str().bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
                prop_assert_eq!(Host::parse(host.as_str().as_bytes()), Ok(host));
            }
        }

        #[test]
        fn names_of_any_case_are_read(text in "[A-Za-z0-9_-]{1,40}(\\.[A-Za-z0-9_-]{1,40}){0,5}") {
            let host = Host::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(host.as_str(), text.to_ascii_lowercase());
        }
    }
}
