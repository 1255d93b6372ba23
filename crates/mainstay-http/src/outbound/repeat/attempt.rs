//! Which attempt a call is, in its headers and in its answer.

use http::{HeaderMap, HeaderName};

use crate::headers::GRPC_PREVIOUS_RPC_ATTEMPTS;

/// What [`HttpRepeat`](super::HttpRepeat) writes by default.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-attempt");

/// What the Envoys of a mesh write.
const ENVOY: HeaderName = HeaderName::from_static("x-envoy-attempt-count");

/// In the extensions of an outbound request: the call that it serves is a repetition itself, so it is sent once and not
/// multiplied further. Three tiers that try three times each would try 27 times.
///
/// Needed only where no [`RequestContext`](mainstay_core::RequestContext) reaches the call, which knows it by itself. Whoever makes the request
/// puts it there, if [`inbound_repetition`] says so of the inbound one.
///
/// ```
/// use mainstay_http::outbound::repeat::{InboundRepetition, inbound_repetition};
/// # let inbound = http::Request::builder().header("x-request-attempt", "2").body(())?;
/// # let mut outbound = http::Request::new(());
/// if inbound_repetition(inbound.headers()) {
///     outbound.extensions_mut().insert(InboundRepetition);
/// }
/// # assert!(outbound.extensions().get::<InboundRepetition>().is_some());
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundRepetition;

/// Whether the headers of an inbound call say that it is a repetition: `grpc-previous-rpc-attempts` of 1 and more,
/// `x-request-attempt` or Envoy's `x-envoy-attempt-count` of 2 and more. What is no number says nothing.
///
/// A stranger who writes them gets fewer attempts, and nothing else.
pub fn inbound_repetition(headers: &HeaderMap) -> bool {
    let says = |name: HeaderName, least: u32| {
        headers
            .get_all(name)
            .iter()
            .any(|value| number(value.as_bytes()).is_some_and(|number| number >= least))
    };
    says(GRPC_PREVIOUS_RPC_ATTEMPTS, 1) || says(HEADER, 2) || says(ENVOY, 2)
}

/// Digits and nothing else; as many as one likes.
fn number(text: &[u8]) -> Option<u32> {
    let add = |number: u32, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, add) }
}
