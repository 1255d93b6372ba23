//! Which content is taken, and whether what can be answered is.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use http_body::Body;
use mainstay_core::{Reason, Rejection};

use crate::media_type::{MediaRange, MediaType, accepts};

/// The types of one setting, read once.
#[derive(Clone, Debug)]
pub(super) struct Types {
    ranges: Vec<MediaRange>,
    stated: HeaderValue,
    text: String,
}

// === impl Types ===

impl Types {
    /// The types that settings list; the text of the first that is none. `None` where nothing is listed.
    pub(super) fn parse(texts: &[String], may_be: fn(&MediaRange) -> bool) -> Result<Option<Self>, &str> {
        let mut ranges = Vec::with_capacity(texts.len());
        for text in texts {
            // What is stated is what was configured, so it has to be a header's value too.
            let range =
                MediaRange::parse(text).filter(|_| HeaderValue::from_str(text).is_ok()).filter(may_be);
            ranges.push(range.ok_or(text.as_str())?);
        }
        let text = texts.iter().map(|text| text.trim()).collect::<Vec<_>>().join(", ");
        let stated = HeaderValue::from_str(&text).expect("checked one by one above");
        Ok((!ranges.is_empty()).then_some(Self { ranges, stated, text }))
    }

    /// What is listed, for `accept`.
    pub(super) fn stated(&self) -> &HeaderValue {
        &self.stated
    }

    /// Checks the type of a content that is there: stated, well formed, and listed. Every line counts.
    pub(super) fn check_content(&self, headers: &HeaderMap) -> Result<(), Rejection> {
        let is_taken = |line: &HeaderValue| {
            MediaType::parse(line.as_bytes())
                .is_some_and(|stated| self.ranges.iter().any(|range| range.includes(&stated)))
        };
        let mut lines = headers.get_all(CONTENT_TYPE).iter().peekable();
        if lines.peek().is_some() && lines.all(is_taken) {
            return Ok(());
        }
        let message = format!("the content's type is missing or not taken: expected one of {}", self.text);
        Err(Rejection::new(Reason::Unsupported, message))
    }

    /// Checks that the caller takes one of the types that answers have.
    pub(super) fn check_accept(&self, headers: &HeaderMap) -> Result<(), Rejection> {
        if accepts(headers, &self.ranges) {
            return Ok(());
        }
        let message = format!("none of the types that answers have is accepted: they are {}", self.text);
        Err(Rejection::new(Reason::NotAcceptable, message))
    }
}

/// Whether the request brings content. The body is asked and not read, so a client that waits for 100 Continue waits on.
pub(super) fn has_content<B: Body>(request: &Request<B>) -> bool {
    // What follows a CONNECT is a tunnel and not content (RFC 9110, section 9.3.6).
    if request.method() == Method::CONNECT || request.body().is_end_stream() {
        return false;
    }
    let size = request.body().size_hint();
    if size.lower() > 0 || size.exact() == Some(0) {
        return size.lower() > 0;
    }
    // A layer further out may have wrapped the body in one that does not know its size.
    match request.headers().get(CONTENT_LENGTH) {
        Some(length) => length.as_bytes() != b"0",
        None => request.version() >= Version::HTTP_2 || request.headers().contains_key(TRANSFER_ENCODING),
    }
}
