//! The same duties, composed from tower-http by somebody who has read its documentation.
//!
//! What is left out is in the peers' favour: no trust, no correlation id, no trace, no client address, no answers for
//! gRPC, no problems, and the log line is written at the headers, so it knows nothing of the body.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use http_body::Body;
use tower_http::catch_panic::{CatchPanic, CatchPanicLayer, DefaultResponseForPanic};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::{SetResponseHeader, SetResponseHeaderLayer};
use tower_http::timeout::{Timeout, TimeoutLayer};
use tower_http::trace::{DefaultOnResponse, TraceLayer};
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Level, Span};

use crate::exchange::{Hello, Request};

/// How many headers are set, each by a layer of its own.
pub(super) const HEADERS: usize = 11;

type One<S> = SetResponseHeader<S, HeaderValue>;
type Two<S> = One<One<S>>;
type Five<S> = Two<Two<One<S>>>;
type Eleven<S> = Five<Five<One<S>>>;

type Guarded = CatchPanic<Timeout<Hello>, DefaultResponseForPanic>;

/// The headers around the panic guard and the timeout.
///
/// A name for it costs nothing at run time and saves rustc, whose time doubles with each generic layer, from looking
/// through eleven of them again for each layer further out.
struct Headed(Eleven<Guarded>);

/// The whole stack, around [`Hello`].
pub(super) fn stack(
    headers: &[(HeaderName, HeaderValue); HEADERS],
) -> impl Service<
    Request,
    Response = http::Response<impl Body<Error: std::fmt::Debug> + use<>>,
    Error = Infallible,
> + use<> {
    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_response(DefaultOnResponse::new().level(Level::INFO));
    let service = PropagateRequestIdLayer::x_request_id().layer(Headed::new(headers));
    let service = trace.layer(service);
    SetRequestIdLayer::x_request_id(MakeRequestUuid).layer(service)
}

/// tower-http's own span does not know the request's id.
fn span(request: &Request) -> Span {
    tracing::info_span!(
        "request",
        method = %request.method(),
        path = request.uri().path(),
        version = ?request.version(),
        request_id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()),
    )
}

// === impl Headed ===

impl Headed {
    fn new(headers: &[(HeaderName, HeaderValue); HEADERS]) -> Self {
        let service =
            TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(10)).layer(Hello);
        let service = CatchPanicLayer::new().layer(service);
        let [a, b, c, d, e, f, g, h, i, j, k] = headers;
        let service = one(b, one(a, service));
        let service = one(d, one(c, service));
        let service = one(f, one(e, service));
        let service = one(h, one(g, service));
        Self(one(k, one(j, one(i, service))))
    }
}

/// The handler's own value wins, as it does in ours.
fn one<S>((name, value): &(HeaderName, HeaderValue), service: S) -> One<S> {
    SetResponseHeaderLayer::if_not_present(name.clone(), value.clone()).layer(service)
}

impl Service<Request> for Headed {
    type Response = <Guarded as Service<Request>>::Response;
    type Error = Infallible;
    type Future = <Eleven<Guarded> as Service<Request>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Eleven<Guarded> as Service<Request>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.0.call(request)
    }
}
