//! The edge: headers of any kind decide nothing that they may not.
//!
//! The parsers are private, so they are reached as a request reaches them: through the layer.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use mainstay_core::{Peer, RequestContext, TraceContext};
use mainstay_http::context::{ContextConfig, ContextLayer, ForwardingHeader};
use mainstay_http::grpc_timeout;
use tower_layer::Layer;
use tower_service::Service;

/// What a proxy of ours adds for its client, and what stood there before.
#[derive(Arbitrary, Debug)]
pub struct Forwarded {
    left: Vec<Text>,
    proxies: u8,
    rfc7239: bool,
}

/// A trace as a trusted peer might send it.
#[derive(Arbitrary, Debug)]
pub struct Trace {
    /// Changes to a sound `traceparent`, else random bytes would never come near one.
    changes: Vec<(u8, u8)>,
    ending: Vec<u8>,
    states: Vec<Text>,
}

/// A header's value out of what means something to a parser, and of any bytes that a header may hold.
#[derive(Arbitrary, Debug)]
struct Text(Vec<u8>);

/// Panics when anything left of the client's own hop, which its proxy wrote, changes who the client is, or when a
/// stranger's headers do.
pub fn check_forwarded(input: &Forwarded) {
    const NAMES: [&str; 3] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
    let proxies = usize::from(input.proxies % 8);
    let ours = |first: &str, other: &str| format!("{first}{}", format!(", {other}").repeat(proxies));
    let lines = if input.rfc7239 {
        vec![(
            "forwarded",
            ours("for=\"203.0.113.9:80\";proto=https;host=\"shop.example\"", "for=10.0.0.1;proto=http"),
        )]
    } else {
        let values =
            [ours("203.0.113.9", "10.0.0.1"), ours("https", "http"), ours("shop.example", "internal")];
        NAMES.into_iter().zip(values).collect()
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_static(name);
        for left in &input.left {
            append(&mut headers, &name, &left.bytes());
        }
        // The first proxy continues the stranger's last line or begins its own.
        let mut line = input.left.last().map(Text::bytes).unwrap_or_default();
        line.extend_from_slice(b", ");
        line.extend_from_slice(value.as_bytes());
        if !append(&mut headers, &name, &line) {
            append(&mut headers, &name, value.as_bytes());
        }
    }
    let believed = if input.rfc7239 { ForwardingHeader::Forwarded } else { ForwardingHeader::XForwardedFor };
    let context = decide(believed, [10, 0, 0, 1], headers.clone());
    assert_eq!(context.client_address(), Some(IpAddr::from([203, 0, 113, 9])), "{headers:?}");
    assert_eq!(context.scheme().map(|scheme| scheme.as_str()), Some("https"), "{headers:?}");
    assert_eq!(context.host(), Some("shop.example"), "{headers:?}");

    let strangers = decide(believed, [198, 51, 100, 7], headers.clone());
    assert_eq!(strangers.client_address(), Some(IpAddr::from([198, 51, 100, 7])), "{headers:?}");
    assert_eq!((strangers.scheme().map(|scheme| scheme.as_str()), strangers.host()), (Some("http"), None));

    // Nobody vouches for these: whatever they say, it ends, and the host is clean.
    let mut raw = HeaderMap::new();
    for name in NAMES.into_iter().chain(["forwarded"]).map(HeaderName::from_static) {
        for left in &input.left {
            append(&mut raw, &name, &left.bytes());
        }
    }
    let context = decide(believed, [10, 0, 0, 1], raw);
    assert!(
        context
            .host()
            .is_none_or(|host| host.bytes().all(|byte| byte.is_ascii_graphic()) && host.len() <= 253)
    );
}

/// Panics when a trace is continued that the next hop would not read as the same, or its state is none to send on.
pub fn check_trace(input: &Trace) {
    let mut parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_vec();
    for (place, byte) in &input.changes {
        let place = usize::from(*place) % parent.len();
        parent[place] = *byte;
    }
    parent.extend_from_slice(&input.ending);
    let mut headers = HeaderMap::new();
    append(&mut headers, &HeaderName::from_static("traceparent"), &parent);
    for state in &input.states {
        append(&mut headers, &HeaderName::from_static("tracestate"), &state.bytes());
    }
    let context = decide(ForwardingHeader::None, [10, 0, 0, 1], headers.clone());
    let here = context.trace();
    let next = TraceContext::continued(
        here.traceparent().as_str().as_bytes(),
        here.state().map(str::as_bytes),
        [1; 8],
    )
    .expect("what we send is well-formed");
    assert_eq!((next.trace_id(), next.parent_span_id()), (here.trace_id(), Some(here.span_id())));
    assert_eq!((next.state(), next.is_sampled()), (here.state(), here.is_sampled()));
    assert!(here.state().is_none_or(|state| state.len() <= 512 && state.split(',').count() <= 600));

    let strangers = decide(ForwardingHeader::None, [198, 51, 100, 7], headers);
    let trace = strangers.trace();
    assert_eq!((trace.parent_span_id(), trace.state(), trace.is_sampled()), (None, None, false));
    assert_eq!(trace.link().map(|link| link.span_id), here.parent_span_id(), "both read the same header");
}

/// Panics when a time is read that its text does not say, or written otherwise than it is read.
pub fn check_grpc_timeout(text: &[u8]) {
    let Some(read) = grpc_timeout::parse(text) else { return };
    let digits = &text[..text.len() - 1];
    assert!((1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit), "{text:?}");
    let written = grpc_timeout::format(read);
    let again = grpc_timeout::parse(written.as_bytes()).expect("what we write is well-formed");
    assert!(again <= read.max(Duration::from_nanos(1)), "{written} is longer than {text:?}");
}

impl Text {
    fn bytes(&self) -> Vec<u8> {
        const PIECES: [&str; 20] = [
            "\"",
            ",",
            ";",
            "\\",
            "=",
            " ",
            "\t",
            "for=",
            "proto=https",
            "host=shop",
            "10.0.0.1",
            "203.0.113.9",
            "unknown",
            "[::1]",
            ":80",
            "a=1",
            "b@c=2,",
            "%",
            "congo=t61rcWkgMzE",
            "_",
        ];
        let piece = |byte: &u8| match PIECES.get(usize::from(*byte) % 32) {
            Some(piece) => piece.as_bytes().to_vec(),
            None => vec![*byte],
        };
        self.0
            .iter()
            .flat_map(piece)
            .filter(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t')
            .collect()
    }
}

fn append(headers: &mut HeaderMap, name: &HeaderName, value: &[u8]) -> bool {
    // What is no header value never gets past the server.
    HeaderValue::from_bytes(value).map(|value| headers.append(name, value)).is_ok()
}

fn decide(forwarding_header: ForwardingHeader, peer: [u8; 4], headers: HeaderMap) -> RequestContext {
    let trusted_networks = vec!["10.0.0.0/8".parse().expect("a network")];
    let config = ContextConfig { trusted_networks, forwarding_header, ..ContextConfig::default() };
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    request.extensions_mut().insert(Peer { address: SocketAddr::from((peer, 1)), encrypted: false });
    let future = pin!(ContextLayer::new(&config).layer(Inside).call(request));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => answer.into_body(),
        Poll::Pending => unreachable!("the service inside answers at once"),
    }
}

/// Answers with the context that it was given.
struct Inside;

impl Service<Request<()>> for Inside {
    type Response = Response<RequestContext>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let context = request.extensions().get::<RequestContext>().expect("the layer put it there");
        ready(Ok(Response::new(context.clone())))
    }
}
