//! A request's headers after the decision: they say what was decided, where they say anything.

use http::{HeaderMap, HeaderName};
use mainstay_core::RequestContext;

use super::ForwardingHeader;
use super::decide::id_value;
use crate::headers::{TRACEPARENT, TRACESTATE, X_CORRELATION_ID, X_REQUEST_ID};

/// Leaves one id of each kind, no trace that was not continued, and no forwarding header but the one that was believed.
pub(super) fn settle_headers(
    headers: &mut HeaderMap,
    context: &RequestContext,
    forwarding: ForwardingHeader,
) {
    for (name, id) in
        [(X_REQUEST_ID, context.request_id().as_str()), (X_CORRELATION_ID, context.correlation_id().as_str())]
    {
        if headers.contains_key(&name) {
            headers.insert(name, id_value(id));
        }
    }
    if context.trace().parent_span_id().is_none() {
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
    }
    let believed = if context.trust().is_trusted() { forwarding } else { ForwardingHeader::None };
    // All names first, then each removed: looking for the next from the start would be quadratic in what was sent.
    let unbelieved: Vec<HeaderName> =
        headers.keys().filter(|name| is_unbelieved(name.as_str(), believed)).cloned().collect();
    for name in unbelieved {
        headers.remove(name);
    }
}

fn is_unbelieved(name: &str, believed: ForwardingHeader) -> bool {
    match name {
        "forwarded" => believed != ForwardingHeader::Forwarded,
        "x-real-ip" => believed != ForwardingHeader::XForwardedFor,
        _ => name.starts_with("x-forwarded-") && believed != ForwardingHeader::XForwardedFor,
    }
}
