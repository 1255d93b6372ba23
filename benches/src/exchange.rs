//! One exchange as a server sees it: a request with ten headers, the smallest service, an answer read to its end.
//!
//! The request's header map is built as hyper builds one: room for all, then one append after another, values sharing one
//! buffer. The runtime has one thread, and every variant of a case runs this same code.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Ready, poll_fn, ready};
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, Uri};
use http_body::Body;
use http_body_util::{Empty, Full};
use mainstay::Peer;
use tokio::runtime;
use tower_service::Service;

/// What every service here is called with.
pub(crate) type Request = http::Request<Empty<Bytes>>;

/// Sends so many requests, one after another, and hands back the last answer with the length of its body.
pub(crate) type Send = Box<dyn FnMut(u64) -> Response<usize>>;

/// What the bare service answers.
pub(crate) const TEXT: &str = "hello";

/// What the listener puts into a request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extensions {
    /// Nothing.
    None,
    /// The [`Peer`], as [`Runtime`](mainstay::Runtime) does.
    Peer,
}

/// The smallest service that answers something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hello;

struct Prototype {
    uri: Uri,
    headers: [(HeaderName, HeaderValue); 10],
    extensions: Extensions,
}

/// Puts a service behind a runtime of its own. The one dynamic call is for a whole batch of requests.
pub(crate) fn sender<S, B>(mut service: S, extensions: Extensions) -> Send
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + 'static,
    B: Body<Error: Debug>,
{
    let runtime =
        runtime::Builder::new_current_thread().enable_time().build().expect("a runtime of one thread starts");
    let prototype = Prototype::new(extensions);
    Box::new(move |requests| {
        runtime.block_on(async {
            for _ in 1..requests {
                black_box(exchange(&mut service, prototype.request()).await);
            }
            exchange(&mut service, prototype.request()).await
        })
    })
}

async fn exchange<S, B>(service: &mut S, request: Request) -> Response<usize>
where
    S: Service<Request, Response = Response<B>, Error = Infallible>,
    B: Body<Error: Debug>,
{
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
    let Ok(answer) = service.call(request).await;
    let (parts, body) = answer.into_parts();
    let mut body = pin!(body);
    let mut length = 0;
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if let Ok(data) = frame.expect("no body here fails").into_data() {
            length += data.remaining();
        }
    }
    Response::from_parts(parts, length)
}

// === impl Hello ===

impl<B> Service<http::Request<B>> for Hello {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        drop(request);
        let mut answer = Response::new(Full::new(Bytes::from_static(TEXT.as_bytes())));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        ready(Ok(answer))
    }
}

// === impl Prototype ===

impl Prototype {
    fn new(extensions: Extensions) -> Self {
        let headers = [
            (HOST, "orders.example.com"),
            (USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            (ACCEPT, "application/json, text/plain;q=0.9, */*;q=0.8"),
            (ACCEPT_ENCODING, "gzip, deflate, br, zstd"),
            (ACCEPT_LANGUAGE, "en-GB,en;q=0.8,de;q=0.5"),
            (AUTHORIZATION, "Bearer c2VjcmV0LXRva2VuLW9mLWEtY2FsbGVyLWluLWEtYmVuY2g"),
            (COOKIE, "session=5f1d0a0e-3f4b-4b7a-9a54-6f8f5a1b2c3d; theme=dark"),
            (
                HeaderName::from_static("traceparent"),
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            (HeaderName::from_static("x-forwarded-for"), "203.0.113.7"),
            (HeaderName::from_static("x-tenant-id"), "acme"),
        ];
        let received = Bytes::from(headers.iter().map(|(_, value)| *value).collect::<String>());
        let mut begin = 0;
        let headers = headers.map(|(name, value)| {
            let place = begin..begin + value.len();
            begin = place.end;
            let value =
                HeaderValue::from_maybe_shared(received.slice(place)).expect("the text is a header's value");
            (name, value)
        });
        Self { uri: Uri::from_static("/orders/1042?expand=lines"), headers, extensions }
    }

    fn request(&self) -> Request {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.uri.clone();
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        *request.headers_mut() = headers;
        if self.extensions == Extensions::Peer {
            let address = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 44), 51_200));
            request.extensions_mut().insert(Peer { address, encrypted: false });
        }
        request
    }
}
