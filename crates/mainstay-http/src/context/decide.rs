//! What the edge decides about a request: plain functions of its headers, its peer, the time and some random bytes.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use ipnet::{IpNet, Ipv4Net};
use mainstay_core::{
    CorrelationId, Host, Parts, Peer, RefusedId, RequestContext, RequestId, Scheme, TraceContext, Trust,
};
use rand::RngExt as _;
use tokio::time::Instant;

use super::{Shared, TrustedTrace, forwarded, host};
use crate::headers::{TRACEPARENT, TRACESTATE, X_CORRELATION_ID, X_REQUEST_ID};
use crate::outbound::repeat::inbound_repetition;

pub(super) const HTTP: Scheme = Scheme::plain("http");
pub(super) const HTTPS: Scheme = Scheme::encrypted("https");

/// Fresh bytes for one request: ten for its id, eight for its span, sixteen for its trace.
type Random = [u8; 34];

impl Shared {
    /// Reads both clocks and the thread's random generator once, and decides.
    pub(super) fn decide<B>(&self, request: &Request<B>) -> RequestContext {
        let received_at = Instant::now().into_std();
        let unix_millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let unix_millis = u64::try_from(unix_millis).unwrap_or_default();
        // The thread's generator is a buffered ChaCha: no system call but at its first use and each 64 KiB.
        let random: Random = rand::rng().random();

        let peer = (self.peer_of)(request.extensions());
        let peer_address = peer.map(|peer| peer.address.ip().to_canonical());
        let trust = trust(peer_address, &self.trusted_networks);
        let headers = request.headers();
        let forwarded = if trust.is_trusted() {
            forwarded::client(headers, self.forwarding_header, &self.trusted_networks)
        } else {
            None
        };
        let host = match forwarded.and_then(|hop| hop.host) {
            // Our own name in front of a proxy's eyes is no answer where it says what the client wrote.
            Some(said) => Host::parse(said).ok(),
            None => host::own(request),
        };
        let (deadline, latest_deadline) = self.deadline.decide(request, trust, received_at);
        let (request_id, refused_request_id) = request_id(headers, trust, unix_millis, &random);
        RequestContext::new(Parts {
            request_id,
            refused_request_id,
            correlation_id: correlation_id(headers, trust).unwrap_or_else(|| request_id.into()),
            trace: trace(headers, trust, self.trace, &random),
            // What the hop does not tell is not known: the peer is the proxy, not the client.
            client_address: forwarded.map_or(peer_address, |hop| hop.address),
            scheme: forwarded.map_or(peer.map(scheme), |hop| hop.scheme),
            host,
            trust,
            received_at,
            deadline,
            latest_deadline,
            is_repetition: inbound_repetition(headers),
        })
    }
}

/// Whether the peer is in one of the networks. An IPv4 address in IPv6's clothes counts as the IPv4 address.
fn trust(address: Option<IpAddr>, networks: &[IpNet]) -> Trust {
    match address {
        Some(address) if is_within(address, networks) => Trust::Trusted,
        _ => Trust::Untrusted,
    }
}

pub(super) fn is_within(address: IpAddr, networks: &[IpNet]) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

fn scheme(peer: Peer) -> Scheme {
    if peer.encrypted { HTTPS } else { HTTP }
}

/// The trusted peer's id, or one of our own and what was sent in vain.
fn request_id(
    headers: &HeaderMap,
    trust: Trust,
    unix_millis: u64,
    random: &Random,
) -> (RequestId, Option<RefusedId>) {
    let adopted = if trust.is_trusted() { only(headers, &X_REQUEST_ID) } else { None };
    if let Some(id) = adopted.and_then(|value| RequestId::parse(value.as_bytes()).ok()) {
        return (id, None);
    }
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&random[..10]);
    let refused = joined(headers, &X_REQUEST_ID).map(|sent| RefusedId::escape(&sent));
    (RequestId::v7(unix_millis, bytes), refused)
}

fn correlation_id(headers: &HeaderMap, trust: Trust) -> Option<CorrelationId> {
    let value = if trust.is_trusted() { only(headers, &X_CORRELATION_ID) } else { None };
    value.and_then(|value| CorrelationId::parse(value.as_bytes()).ok())
}

/// Continues the trusted peer's trace, or begins one that is linked to what was sent; a malformed or repeated
/// `traceparent` begins a new one, as the standard asks.
fn trace(headers: &HeaderMap, trust: Trust, trusted: TrustedTrace, random: &Random) -> TraceContext {
    let (mut span_id, mut trace_id) = ([0; 8], [0; 16]);
    span_id.copy_from_slice(&random[10..18]);
    trace_id.copy_from_slice(&random[18..]);
    let read = only(headers, &TRACEPARENT).and_then(|parent| match (trust, trusted) {
        (Trust::Trusted, TrustedTrace::Continue) => {
            let state = joined(headers, &TRACESTATE);
            TraceContext::continued(parent.as_bytes(), state.as_deref(), span_id).ok()
        }
        (Trust::Trusted, TrustedTrace::Restart) | (Trust::Untrusted, _) => {
            TraceContext::restarted(parent.as_bytes(), trace_id, span_id).ok()
        }
    });
    read.unwrap_or_else(|| TraceContext::root(trace_id, span_id))
}

/// The networks in the form that addresses are compared in: IPv4 in IPv6's clothes becomes IPv4.
pub(super) fn canonical(networks: &[IpNet]) -> Vec<IpNet> {
    let plain = |network: &IpNet| match network {
        IpNet::V6(mapped) if mapped.prefix_len() >= 96 => {
            let address = mapped.addr().to_ipv4_mapped()?;
            Some(IpNet::V4(Ipv4Net::new(address, mapped.prefix_len() - 96).ok()?))
        }
        _ => None,
    };
    networks.iter().map(|network| plain(network).unwrap_or(*network)).collect()
}

/// An id as a header's value. One allocation.
pub(super) fn id_value(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).expect("an id holds only characters that a header may hold")
}

/// The header's value if it was sent exactly once.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// All the header's lines as one list (RFC 9110, section 5.3), of which lines past the first 4 KiB are left out. No
/// allocation where there is one line.
fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    const ENOUGH: usize = 4_096;
    let mut lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let mut list = Cow::Borrowed(lines.next()?);
    for line in lines {
        if list.len() + line.len() >= ENOUGH {
            break;
        }
        let list = list.to_mut();
        list.push(b',');
        list.extend_from_slice(line);
    }
    Some(list)
}
