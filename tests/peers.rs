//! What tower-http 0.7.1 gets wrong and ours gets right, each side by side, so that a change on either side is noticed.
//!
//! helmet's and morgan's own cases stand with the layers they belong to, and tonic's timeout in `deadlines.rs`.

use std::convert::Infallible;
use std::io::{self, Write};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty, Full};
use mainstay_http::access_log::AccessLogLayer;
use mainstay_http::context::ContextLayer;
use mainstay_http::deadline::{BodyLimits, DeadlineConfig, DeadlineLayer};
use mainstay_http::panic_guard::PanicGuardLayer;
use mainstay_http::shape::{ShapeConfig, ShapeLayer};
use mainstay_testkit::body::{ScriptedBody, Step};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::classify::ServerErrorsFailureClass;
use tower_http::on_early_drop::{OnBodyDropFn, OnEarlyDropLayer};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::{ResponseBodyTimeoutLayer, TimeoutLayer};
use tower_http::trace::TraceLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};

fn hello() -> impl tower::Service<
    Request<Empty<Bytes>>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Full<Bytes>>, Infallible>>,
> + Clone {
    service_fn(async |_| Ok(Response::new(Full::from("hello"))))
}

fn request() -> Request<Empty<Bytes>> {
    Request::new(Empty::new())
}

#[tokio::test]
async fn a_limited_body_keeps_its_size_which_theirs_loses() {
    let theirs = ResponseBodyTimeoutLayer::new(Duration::from_secs(1)).layer(hello());
    let theirs = theirs.oneshot(request()).await.unwrap().into_body();
    assert_eq!(theirs.size_hint().exact(), None, "it has learnt to: take this test and the docs back");

    let limits = BodyLimits { idle: Some(Duration::from_secs(1)), total: None };
    let config = DeadlineConfig { response_body: limits, ..DeadlineConfig::default() };
    let ours = DeadlineLayer::new(&config).layer(hello()).oneshot(request()).await.unwrap().into_body();
    assert_eq!(ours.size_hint().exact(), Some(5));
}

#[tokio::test]
async fn a_body_that_fails_is_one_event_and_none_of_theirs() {
    let failing = || {
        service_fn(async |_: Request<Empty<Bytes>>| {
            let steps = [Step::Data("begun".into()), Step::Error("cut".to_owned())];
            Ok::<_, Infallible>(Response::new(ScriptedBody::new(steps)))
        })
    };
    let failures = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    let trace = TraceLayer::new_for_http().on_failure(
        move |_: ServerErrorsFailureClass, _: Duration, _: &tracing::Span| {
            counted.fetch_add(1, Ordering::Relaxed);
        },
    );
    let answer = trace.layer(failing()).oneshot(request()).await.unwrap();
    assert!(answer.into_body().collect().await.is_err());
    assert_eq!(failures.load(Ordering::Relaxed), 0, "it has learnt to: take this test back");

    let log = Log::start();
    let answer = AccessLogLayer::default().layer(failing()).oneshot(request()).await.unwrap();
    assert!(answer.into_body().collect().await.is_err());
    assert_eq!(log.lines().matches(r#""outcome":"failed_in_stream""#).count(), 1, "{}", log.lines());
}

#[tokio::test]
async fn head_is_no_disconnect_which_theirs_takes_it_for() {
    let drops = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&drops);
    let theirs = OnEarlyDropLayer::builder().on_body_drop(OnBodyDropFn::new(move |_: &Request<Body>| {
        let counted = Arc::clone(&counted);
        move |_: &http::response::Parts| {
            move || {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }));
    let head = || Request::head("/").body(Body::empty()).unwrap();
    let app = Router::new().route("/", get(async || "hello"));
    drop(app.clone().layer(theirs).oneshot(head()).await.unwrap().into_body().collect().await);
    assert_eq!(drops.load(Ordering::Relaxed), 1, "it has learnt to: take this test back");

    let log = Log::start();
    drop(app.layer(AccessLogLayer::default()).oneshot(head()).await.unwrap().into_body().collect().await);
    assert!(log.lines().contains(r#""outcome":"complete""#), "{}", log.lines());
}

#[tokio::test]
async fn a_panic_in_the_body_is_caught_and_told_which_theirs_lets_through() {
    let panicking = || {
        service_fn(async |_: Request<Empty<Bytes>>| {
            let steps = [Step::Data("begun".into()), Step::Panic("in the body")];
            Ok::<_, Infallible>(Response::new(ScriptedBody::new(steps)))
        })
    };
    let theirs = CatchPanicLayer::new().layer(panicking()).oneshot(request()).await.unwrap();
    let read = AssertUnwindSafe(theirs.into_body().collect());
    assert!(tokio::spawn(async { drop(read.0.await) }).await.unwrap_err().is_panic());

    let log = Log::start();
    let ours = PanicGuardLayer::default().layer(panicking()).oneshot(request()).await.unwrap();
    assert!(ours.into_body().collect().await.is_err(), "the body is cut off, not completed");
    assert_eq!(log.lines().matches("in the body").count(), 1, "{}", log.lines());
}

#[tokio::test]
async fn an_insane_request_id_is_replaced_where_theirs_gives_it_back() {
    let long = "x".repeat(16 * 1024);
    for id in [long.as_str(), "tab\there"] {
        let sent = || {
            let mut request = request();
            request.headers_mut().insert("x-request-id", id.parse().unwrap());
            request
        };
        let theirs =
            (SetRequestIdLayer::x_request_id(MakeRequestUuid), PropagateRequestIdLayer::x_request_id());
        let answer = theirs.layer(hello()).oneshot(sent()).await.unwrap();
        assert_eq!(answer.headers()["x-request-id"], id);
        let answer = ContextLayer::default().layer(hello()).oneshot(sent()).await.unwrap();
        assert_eq!(answer.headers()["x-request-id"].len(), 36);
    }
}

#[tokio::test]
async fn a_content_type_with_parameters_is_the_type_that_theirs_refuses() {
    let json = |content_type: Option<&str>| {
        let mut request = Request::post("/").body(Full::<Bytes>::from("{}")).unwrap();
        if let Some(content_type) = content_type {
            request.headers_mut().insert("content-type", content_type.parse().unwrap());
        }
        request
    };
    let service =
        || service_fn(async |_: Request<Full<Bytes>>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let theirs = ValidateRequestHeaderLayer::has_header_value("content-type", "application/json").unwrap();
    let config = ShapeConfig { content_types: vec!["application/json".to_owned()], ..ShapeConfig::default() };
    let ours = ShapeLayer::new(&config).unwrap();
    let utf8 = Some("application/json; charset=utf-8");

    assert_eq!(theirs.layer(service()).oneshot(json(utf8)).await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(ours.layer(service()).oneshot(json(utf8)).await.unwrap().status(), StatusCode::OK);
    let missing = ours.layer(service()).oneshot(json(None)).await.unwrap();
    assert_eq!(missing.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_ready_at_the_deadline_wins_where_theirs_loses_it() {
    let second = Duration::from_secs(1);
    let ready_at = Instant::now() + second;
    let punctual = service_fn(move |_: Request<Empty<Bytes>>| async move {
        tokio::time::sleep_until(ready_at).await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
    });
    // Both timers fire at the same turn of the wheel; what counts is which is looked at first.
    let theirs = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, second).layer(punctual);
    let theirs = tokio::spawn(theirs.oneshot(request()));
    let config = DeadlineConfig { default: second, ..DeadlineConfig::default() };
    let ours = tokio::spawn(DeadlineLayer::new(&config).layer(punctual).oneshot(request()));
    sleep(second * 2).await;
    assert_eq!(theirs.await.unwrap().unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(ours.await.unwrap().unwrap().status(), StatusCode::OK);
}

/// What this thread logs while it lives, as JSON lines.
struct Log {
    written: Written,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> Self {
        several_subscribers_are_registered();
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        Self { written, _guard: set_default(subscriber) }
    }

    fn lines(&self) -> String {
        String::from_utf8(self.written.0.lock().unwrap().clone()).unwrap()
    }
}

/// Keeps tracing from remembering "nobody listens" of an event that another thread met first: where only one subscriber is
/// registered, it asks that thread's own, which has none. With several it asks them all, and looks again each time.
fn several_subscribers_are_registered() {
    static KEPT: OnceLock<[Dispatch; 2]> = OnceLock::new();
    KEPT.get_or_init(|| [Dispatch::new(NoSubscriber::default()), Dispatch::new(NoSubscriber::default())]);
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
