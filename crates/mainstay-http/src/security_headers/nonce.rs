//! The number used once that lets a page's own scripts run.

use std::fmt::{self, Debug, Display, Formatter};

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};

/// The nonce of one answer, for templates to write into their `script` and `style` elements.
///
/// It is in the request's extensions wherever a policy asks for one ([`Source::NONCE`](super::Source::NONCE)) and the
/// caller might take HTML. It prints as it belongs into the attribute; `Debug` does not tell it, so that it does not get
/// into a log.
///
/// ```
/// use mainstay_http::security_headers::CspNonce;
///
/// let nonce = CspNonce::new([7; 18]);
/// assert_eq!(format!("<script nonce=\"{nonce}\">"), "<script nonce=\"BwcHBwcHBwcHBwcHBwcHBwcH\">");
/// assert_eq!(format!("{nonce:?}"), "CspNonce(..)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CspNonce([u8; 24]);

impl CspNonce {
    /// The nonce made of these bytes, which nobody may be able to guess: 144 bits, in base64 without padding.
    pub fn new(random: [u8; 18]) -> Self {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = [0; 24];
        for (three, four) in random.chunks_exact(3).zip(text.chunks_exact_mut(4)) {
            let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            for (place, shift) in four.iter_mut().zip([18, 12, 6, 0]) {
                *place = ALPHABET[(bits >> shift & 63) as usize];
            }
        }
        Self(text)
    }

    /// The nonce as it belongs into a `nonce` attribute.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64 is ASCII")
    }
}

impl Display for CspNonce {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Debug for CspNonce {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("CspNonce(..)")
    }
}

/// Whether a caller with these headers may be answered by HTML: it says so, takes anything, or says nothing.
pub(super) fn may_take_html(headers: &HeaderMap) -> bool {
    !headers.contains_key(ACCEPT) || headers.get_all(ACCEPT).iter().any(names_html)
}

fn names_html(accept: &HeaderValue) -> bool {
    const RANGES: [&[u8]; 4] = [b"text/html", b"application/xhtml+xml", b"text/*", b"*/*"];
    accept.as_bytes().split(|byte| *byte == b',').any(|range| {
        let range = range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        RANGES.iter().any(|html| html.eq_ignore_ascii_case(range))
    })
}
