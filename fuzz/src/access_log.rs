//! The access log: one request is one line of bounded length, whatever its format and its bytes.

use std::convert::Infallible;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use arbitrary::Arbitrary;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use mainstay_http::access_log::{AccessLogConfig, AccessLogLayer, QueryLog};
use tower::{Layer, ServiceExt, service_fn};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A format, and what a stranger sends.
#[derive(Arbitrary, Debug)]
pub struct Exchange {
    format: Vec<Piece>,
    method: Vec<u8>,
    path: String,
    headers: Vec<(Name, Vec<u8>)>,
    status: u16,
}

#[derive(Arbitrary, Debug)]
enum Piece {
    Text(String),
    Token(u8),
    Header(Name),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Name {
    Authorization,
    UserAgent,
    Referer,
    Cookie,
    Other,
}

/// Panics when one request makes none or several lines, or one that holds a line's end.
pub fn check_access_log(exchange: &Exchange) {
    let mut text = String::new();
    for piece in &exchange.format {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Token(at) => text.push_str(TOKENS[usize::from(*at) % TOKENS.len()]),
            Piece::Header(name) => {
                write!(text, ":req[{}]", name.as_str()).expect("a string takes everything")
            }
        }
    }
    let configs = ["structured", &text].into_iter().filter_map(|format| {
        let format = format.parse().ok()?;
        Some(AccessLogConfig { format, query: QueryLog::Redacted, ..AccessLogConfig::default() })
    });
    for config in configs {
        let request = exchange.request();
        let lines = Lines::default();
        let written = Arc::clone(&lines.0);
        let status = 100 + exchange.status % 900;
        let service = service_fn(move |_: Request<()>| async move {
            let answer = Response::builder().status(status).body(Empty::<&[u8]>::new());
            Ok::<_, Infallible>(answer.expect("the status is in range"))
        });
        let service = AccessLogLayer::new(&config).layer(service);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        tracing::subscriber::with_default(lines, || {
            runtime.block_on(async {
                let Ok(answer) = service.oneshot(request).await;
                drop(answer.into_body().collect().await);
            });
        });
        let written = written.lock().expect("nobody panics in there");
        assert_eq!(written.len(), 1, "{exchange:?}");
        if config.format != "structured".parse().expect("a format") {
            let ends = |at: char| {
                (at.is_control() && !matches!(at, '\t' | '\x1b')) || matches!(at, '\u{2028}' | '\u{2029}')
            };
            assert!(!written[0].contains(ends), "{:?} of {exchange:?}", written[0]);
        }
    }
}

const TOKENS: [&str; 20] = [
    ":url",
    ":method",
    ":response-time",
    ":total-time[9]",
    ":date",
    ":date[clf]",
    ":date[iso]",
    ":status",
    ":referrer",
    ":remote-addr",
    ":remote-user",
    ":pid",
    ":http-version",
    ":user-agent",
    ":res[x-a]",
    ":total-time[0]",
    ":",
    "[",
    "]",
    ":req[",
];

impl Name {
    fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::UserAgent => "user-agent",
            Self::Referer => "referer",
            Self::Cookie => "cookie",
            Self::Other => "x-other",
        }
    }
}

impl Exchange {
    fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(&self.method).unwrap_or_default();
        // What a URI may not hold never gets past the server.
        let path: String = self.path.chars().filter(|at| !at.is_control() && !at.is_whitespace()).collect();
        *request.uri_mut() = format!("/{path}").parse().unwrap_or_default();
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                request.headers_mut().append(HeaderName::from_static(name.as_str()), value);
            }
        }
        request
    }
}

/// Every event's message.
#[derive(Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write!(self.0, "{value:?}").expect("a string takes everything");
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == "mainstay::access" {
            let mut line = String::new();
            event.record(&mut Message(&mut line));
            self.0.lock().expect("nobody panics in there").push(line);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
