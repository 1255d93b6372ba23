//! Where a call stands in its distributed trace: W3C Trace Context, for any carrier.
//!
//! The text form (`traceparent`, `tracestate`) is the one of <https://www.w3.org/TR/trace-context/>, which HTTP headers,
//! gRPC metadata and the headers of message brokers all use.

mod state;

use std::error::Error;
use std::fmt::{self, Debug, Display, Formatter};
use std::str;
use std::sync::Arc;

/// How long a `traceparent` of version 00 is.
const TRACEPARENT_LENGTH: usize = 55;

/// The trace that a call belongs to, and the call's own span in it.
///
/// A call with a trusted caller [continues](Self::continued) the caller's trace; any other begins one of its own.
///
/// ```
/// use mainstay_core::TraceContext;
///
/// let header = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let here = TraceContext::continued(header, None, [0x11; 8])?;
/// assert_eq!(here.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert_eq!(here.parent_span_id().unwrap().to_string(), "00f067aa0ba902b7");
///
/// // What goes to the next hop names our own span as the parent.
/// assert_eq!(here.traceparent().as_str(), "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01");
/// # Ok::<(), mainstay_core::InvalidTraceparent>(())
/// ```
///
/// Allocates only for a `tracestate` that was passed in, once; clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    origin: Origin,
    flags: u8,
    state: Option<Arc<str>>,
}

/// A span of another trace that this one has to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// The other trace.
    pub trace_id: TraceId,
    /// The span in it.
    pub span_id: SpanId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Nobody sent us a trace that we could read.
    Begun,
    /// The trace is the caller's, and this is the caller's span.
    Continued(SpanId),
    /// The trace is ours; the caller's is only remembered.
    Restarted(Link),
}

/// The id of a whole trace: 16 bytes, not all zero, shown as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// The id of one span: 8 bytes, not all zero, shown as 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// The text of a `traceparent`, in place.
#[derive(Clone, Copy)]
pub struct Traceparent([u8; TRACEPARENT_LENGTH]);

/// The text is no `traceparent`; the specification then asks to begin a new trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTraceparent(());

// === impl TraceContext ===

impl TraceContext {
    /// The flag that says that the caller may have recorded the trace.
    const SAMPLED: u8 = 0b01;

    /// Begins a trace. Random bytes that are all zero, which stand for "none", have their last bit set.
    ///
    /// It is marked as not sampled, which a sampler changes with [`with_sampled`](Self::with_sampled).
    pub fn root(trace_id: [u8; 16], span_id: [u8; 8]) -> Self {
        Self {
            trace_id: TraceId(not_zero(trace_id)),
            span_id: SpanId(not_zero(span_id)),
            origin: Origin::Begun,
            flags: 0,
            state: None,
        }
    }

    /// Begins a trace at a boundary of trust: the caller's is not continued, but kept as a [link](Self::link).
    ///
    /// The caller's wish to be recorded is not heard: the new trace is not sampled, like [`root`](Self::root).
    ///
    /// ```
    /// use mainstay_core::TraceContext;
    ///
    /// let header = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let here = TraceContext::restarted(header, [0x22; 16], [0x11; 8])?;
    /// assert_eq!(here.traceparent().as_str(), "00-22222222222222222222222222222222-1111111111111111-00");
    /// assert_eq!(here.link().unwrap().span_id.to_string(), "00f067aa0ba902b7");
    /// # Ok::<(), mainstay_core::InvalidTraceparent>(())
    /// ```
    pub fn restarted(
        traceparent: &[u8],
        trace_id: [u8; 16],
        span_id: [u8; 8],
    ) -> Result<Self, InvalidTraceparent> {
        let (linked_trace, linked_span, _) = parse_traceparent(traceparent).ok_or(InvalidTraceparent(()))?;
        let link = Link { trace_id: linked_trace, span_id: linked_span };
        Ok(Self { origin: Origin::Restarted(link), ..Self::root(trace_id, span_id) })
    }

    /// Continues the caller's trace with a span of our own, whose id is `span_id`.
    ///
    /// A `traceparent` of a later version is read as far as version 00 goes, and sent on as version 00. Of its flags only
    /// "sampled" is kept.
    ///
    /// A malformed `tracestate`, or one of more than 32 members, is dropped without touching the rest. From one of more than
    /// 512 characters whole members are left out until it fits, as the specification asks: first those of more than 128,
    /// then from the end.
    pub fn continued(
        traceparent: &[u8],
        tracestate: Option<&[u8]>,
        span_id: [u8; 8],
    ) -> Result<Self, InvalidTraceparent> {
        let (trace_id, parent, flags) = parse_traceparent(traceparent).ok_or(InvalidTraceparent(()))?;
        Ok(Self {
            trace_id,
            span_id: SpanId(not_zero(span_id)),
            origin: Origin::Continued(parent),
            // The only flag of level 1. Level 2 (a draft) adds "random", but peers in use take the sum of both for malformed:
            // OpenTelemetry's Rust SDK would begin a new trace.
            flags: flags & Self::SAMPLED,
            state: tracestate.and_then(state::clean),
        })
    }

    /// The same trace one span further in: the call that this call makes, whose parent is this call's span.
    ///
    /// ```
    /// # use mainstay_core::TraceContext;
    /// let here = TraceContext::root([0x22; 16], [0x11; 8]);
    /// let call = here.child([0x33; 8]);
    /// assert_eq!(call.trace_id(), here.trace_id());
    /// assert_eq!((call.parent_span_id(), call.span_id().to_string().as_str()), (Some(here.span_id()), "3333333333333333"));
    /// ```
    #[must_use]
    pub fn child(&self, span_id: [u8; 8]) -> Self {
        Self {
            span_id: SpanId(not_zero(span_id)),
            origin: Origin::Continued(self.span_id),
            state: self.state.clone(),
            ..*self
        }
    }

    /// Says whether the trace is recorded: what a sampler decided.
    #[must_use]
    pub const fn with_sampled(mut self, sampled: bool) -> Self {
        self.flags = if sampled { Self::SAMPLED } else { 0 };
        self
    }

    /// The id of the whole trace.
    pub const fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The id of the span that stands for this call at this hop.
    pub const fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// The caller's span, if the trace was continued.
    pub const fn parent_span_id(&self) -> Option<SpanId> {
        match self.origin {
            Origin::Continued(parent) => Some(parent),
            Origin::Begun | Origin::Restarted(_) => None,
        }
    }

    /// The caller's span, if the trace was [restarted](Self::restarted): for a tracer to link to, never to be sent on.
    pub const fn link(&self) -> Option<Link> {
        match self.origin {
            Origin::Restarted(link) => Some(link),
            Origin::Begun | Origin::Continued(_) => None,
        }
    }

    /// Whether the trace is recorded by those before us.
    pub const fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// The vendors' `tracestate`, to be passed on unchanged.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The `traceparent` for the next hop: this call's span is the parent there.
    pub fn traceparent(&self) -> Traceparent {
        let mut text = [b'-'; TRACEPARENT_LENGTH];
        text[..2].copy_from_slice(b"00");
        write_hex(&self.trace_id.0, &mut text[3..35]);
        write_hex(&self.span_id.0, &mut text[36..52]);
        write_hex(&[self.flags], &mut text[53..]);
        Traceparent(text)
    }
}

// === impl TraceId, SpanId, Traceparent ===

impl TraceId {
    /// The id's bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// The id's bytes.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl Traceparent {
    /// The header's value, 55 bytes.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("hexadecimal digits and hyphens are ASCII")
    }
}

impl Display for TraceId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut text = [0; 32];
        write_hex(&self.0, &mut text);
        f.pad(str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
    }
}

impl Debug for TraceId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl Display for SpanId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut text = [0; 16];
        write_hex(&self.0, &mut text);
        f.pad(str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
    }
}

impl Debug for SpanId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}

impl Debug for Traceparent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Traceparent({})", self.as_str())
    }
}

impl Display for InvalidTraceparent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a traceparent: expected 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, ids not all zero",
        )
    }
}

impl Error for InvalidTraceparent {}

// === the text form ===

/// Reads `version-traceid-parentid-flags`, strictly: lower-case digits only, exact length for version 00.
fn parse_traceparent(text: &[u8]) -> Option<(TraceId, SpanId, u8)> {
    let (head, rest) = text.split_at_checked(TRACEPARENT_LENGTH)?;
    let [version] = read_hex(&head[..2])?;
    let well_ended = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.first().is_none_or(|byte| *byte == b'-'),
    };
    let hyphens = [2, 35, 52].iter().all(|position| head[*position] == b'-');
    if !well_ended || !hyphens {
        return None;
    }
    let trace_id = read_hex(&head[3..35]).filter(|bytes| *bytes != [0; 16])?;
    let parent = read_hex(&head[36..52]).filter(|bytes| *bytes != [0; 8])?;
    let [flags] = read_hex(&head[53..])?;
    Some((TraceId(trace_id), SpanId(parent), flags))
}

fn not_zero<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    if bytes == [0; N] {
        bytes[N - 1] = 1;
    }
    bytes
}

fn read_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_digit(digits[0])? << 4 | hex_digit(digits[1])?;
    }
    Some(bytes)
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn write_hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, digits) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 0xf)];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::TraceContext;

    const SPAN: [u8; 8] = [0xab; 8];

    fn continued(traceparent: &str) -> Option<TraceContext> {
        TraceContext::continued(traceparent.as_bytes(), None, SPAN).ok()
    }

    #[test]
    fn a_trace_is_continued_with_our_own_span_and_the_known_flags_only() {
        let here = continued("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff").unwrap();
        assert_eq!(here.traceparent().as_str(), "00-0af7651916cd43dd8448eb211c80319c-abababababababab-01");
        assert_eq!(here.parent_span_id().unwrap().to_string(), "b7ad6b7169203331");
        assert!(here.is_sampled());
    }

    #[test]
    fn malformed_parents_are_refused() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(continued(good).is_some());
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        ] {
            assert!(continued(bad).is_none(), "{bad:?} was taken for a traceparent");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_ours_goes() {
        let here = continued("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes").unwrap();
        assert_eq!(here.traceparent().as_str(), "00-0af7651916cd43dd8448eb211c80319c-abababababababab-01");
    }

    #[test]
    fn a_bad_tracestate_is_dropped_and_the_trace_goes_on() {
        let parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let state = |state: &[u8]| {
            let here = TraceContext::continued(parent, Some(state), SPAN).unwrap();
            assert!(here.parent_span_id().is_some());
            here.state().map(str::to_owned)
        };
        assert_eq!(state(b" congo=t61rcWkgMzE,rojo=00f0 "), Some("congo=t61rcWkgMzE,rojo=00f0".to_owned()));
        assert_eq!(state(b"a=\x1b[31m"), None);
    }

    #[test]
    fn a_restarted_trace_keeps_nothing_of_the_callers_but_a_link() {
        let sent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let here = TraceContext::restarted(sent, [1; 16], SPAN).unwrap();
        assert_eq!(here.trace_id(), TraceContext::root([1; 16], SPAN).trace_id());
        assert_eq!((here.parent_span_id(), here.state(), here.is_sampled()), (None, None, false));
        let link = here.link().unwrap();
        assert_eq!(link.trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(link.span_id.to_string(), "b7ad6b7169203331");
        assert_eq!(
            continued("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap().link(),
            None
        );
        assert!(TraceContext::restarted(b"nonsense", [1; 16], SPAN).is_err());
    }

    #[test]
    fn a_new_trace_is_never_the_zero_trace_and_not_sampled() {
        let root = TraceContext::root([0; 16], [0; 8]);
        assert_eq!(root.traceparent().as_str(), "00-00000000000000000000000000000001-0000000000000001-00");
        assert!(!root.is_sampled());
        assert!(root.with_sampled(true).traceparent().as_str().ends_with("-01"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..120), state in prop::collection::vec(any::<u8>(), 0..600)) {
            drop(TraceContext::continued(&text, Some(&state), SPAN));
        }

        #[test]
        fn what_we_send_is_what_the_next_hop_reads(trace in any::<[u8; 16]>(), span in any::<[u8; 8]>()) {
            let root = TraceContext::root(trace, span);
            let next = continued(root.traceparent().as_str()).unwrap();
            prop_assert_eq!(next.trace_id(), root.trace_id());
            prop_assert_eq!(next.parent_span_id(), Some(root.span_id()));
        }
    }
}
