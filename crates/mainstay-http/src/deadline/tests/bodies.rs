//! What must hold of answers' bodies.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use mainstay_core::{Outcome, Phase, RequestContext};
use mainstay_testkit::body::{Adversary, BodyHandle, Event, Observed, ScriptedBody, Step, drain};
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, http_layer_contract};
use tokio::time::{Instant, Sleep, sleep};
use tower::{Layer, ServiceExt, service_fn};

use super::super::{BodyLimits, Covers, DeadlineConfig, DeadlineLayer};
use crate::context::ContextLayer;

/// How a body ended, after how many seconds, and what was noted in the context.
struct Ended {
    last: Event,
    frames: usize,
    after: u64,
    noted: Option<Outcome>,
}

fn secs(secs: u64) -> Option<Duration> {
    Some(Duration::from_secs(secs))
}

/// Reads an answer that is a frame at once, and one more after each of the pauses, in seconds.
async fn read(config: &DeadlineConfig, request: Request<()>, kind: &'static str, pauses: &[u64]) -> Ended {
    let pauses = pauses.to_vec();
    let service = service_fn(move |request: Request<()>| {
        let pauses = pauses.clone();
        async move {
            let mut answer = Response::new(Paced::new(pauses));
            answer.headers_mut().insert("content-type", kind.parse().unwrap());
            let context = request.extensions().get::<RequestContext>().unwrap().clone();
            answer.extensions_mut().insert(context);
            Ok::<_, Infallible>(answer)
        }
    });
    let service =
        ContextLayer::default().deadline(config).layer(DeadlineLayer::in_stack(config).layer(service));
    let started = Instant::now();
    let answer = service.oneshot(request).await.unwrap();
    let context = answer.extensions().get::<RequestContext>().unwrap().clone();
    let mut entries = drain(answer.into_body()).await.entries;
    let frames = entries.iter().filter(|entry| matches!(entry.event, Event::Data(_))).count();
    if matches!(entries[..], [.., Observed { event: Event::Trailers(_), .. }, _]) {
        assert_eq!(entries.pop().unwrap().event, Event::End, "something follows the trailers");
    }
    Ended {
        last: entries.pop().unwrap().event,
        frames,
        after: started.elapsed().as_secs(),
        noted: context.noted_outcome(),
    }
}

/// One frame at once, and one after each pause. Frames are made when they are asked for, as a stream's are.
struct Paced {
    pauses: VecDeque<u64>,
    resting: Pin<Box<Sleep>>,
}

impl Paced {
    fn new(pauses: Vec<u64>) -> Self {
        Self { pauses: [0].into_iter().chain(pauses).collect(), resting: Box::pin(sleep(Duration::ZERO)) }
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.resting.as_mut().poll(cx));
        if self.pauses.pop_front().is_none() {
            return Poll::Ready(None);
        }
        if let Some(next) = self.pauses.front() {
            let until = self.resting.deadline() + Duration::from_secs(*next);
            self.resting.as_mut().reset(until);
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

fn grpc() -> Request<()> {
    let request = Request::post("/").header("content-type", "application/grpc");
    request.header("grpc-timeout", "8S").body(()).unwrap()
}

const TIMED_OUT: Option<Outcome> = Some(Outcome::TimedOut(Phase::Stream));

#[tokio::test(start_paused = true)]
async fn a_body_may_rest_for_the_idle_time_after_each_frame_and_no_longer() {
    let limits = BodyLimits { idle: secs(3), total: None };
    let config = DeadlineConfig { response_body: limits, ..DeadlineConfig::default() };
    let well = read(&config, Request::new(()), "text/plain", &[2, 3, 2, 2, 2, 2]).await;
    assert_eq!((well.last, well.frames, well.after, well.noted), (Event::End, 7, 13, None));

    let cut = read(&config, Request::new(()), "text/plain", &[2, 2, 4]).await;
    let error = Event::Error("the response's body was not complete in time".to_owned());
    assert_eq!((cut.last, cut.frames, cut.after, cut.noted), (error, 3, 7, TIMED_OUT));
}

#[tokio::test(start_paused = true)]
async fn a_body_ends_at_its_total_and_one_that_covers_it_at_the_calls_deadline() {
    let limits = BodyLimits { idle: None, total: secs(4) };
    let total = DeadlineConfig { response_body: limits, ..DeadlineConfig::default() };
    let cut = read(&total, Request::new(()), "text/plain", &[3, 3]).await;
    assert_eq!((cut.frames, cut.after, cut.noted), (2, 4, TIMED_OUT));

    let covered = DeadlineConfig { covers: Covers::Body, ..DeadlineConfig::default() };
    let cut = read(&covered, Request::new(()), "text/plain", &[6, 6]).await;
    assert_eq!((cut.frames, cut.after, cut.noted), (2, 10, TIMED_OUT));

    let not = read(&DeadlineConfig::default(), Request::new(()), "text/plain", &[6, 600]).await;
    assert_eq!((not.last, not.frames, not.noted), (Event::End, 3, None));
}

#[tokio::test(start_paused = true)]
async fn events_and_grpc_streams_have_no_total_but_the_deadline_that_a_grpc_caller_named() {
    let limits = BodyLimits { idle: secs(7), total: secs(4) };
    let config = DeadlineConfig { covers: Covers::Body, response_body: limits, ..DeadlineConfig::default() };
    for events in ["text/event-stream", "Text/Event-Stream; charset=utf-8"] {
        let well = read(&config, Request::new(()), events, &[6, 6]).await;
        assert_eq!((well.last, well.frames), (Event::End, 3), "{events}");
        assert_eq!(read(&config, Request::new(()), events, &[6, 8]).await.noted, TIMED_OUT);
    }
    let mut unnamed = grpc();
    unnamed.headers_mut().remove("grpc-timeout");
    assert_eq!(read(&config, unnamed, "application/grpc", &[6, 6]).await.last, Event::End);

    let named = read(&config, grpc(), "application/grpc", &[6, 6]).await;
    let Event::Trailers(trailers) = named.last else { panic!("{:?}", named.last) };
    assert_eq!((trailers["grpc-status"].as_bytes(), named.after, named.noted), (&b"4"[..], 8, TIMED_OUT));
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_is_left_alone() {
    let limits = BodyLimits { idle: secs(1), total: secs(1) };
    let config = DeadlineConfig { covers: Covers::Body, response_body: limits, ..DeadlineConfig::default() };
    for (method, status) in [("GET", 101), ("CONNECT", 200)] {
        let service = service_fn(move |_: Request<()>| async move {
            let body = ScriptedBody::new([Step::Hang]);
            Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
        });
        let request = Request::builder().method(method).body(()).unwrap();
        let answer = DeadlineLayer::new(&config).layer(service).oneshot(request).await.unwrap();
        let waited = tokio::time::timeout(Duration::from_secs(1_000), drain(answer.into_body())).await;
        assert!(waited.is_err(), "{method} {status} was ended");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_waits_ends_at_its_total_too() {
    let limits = BodyLimits { idle: None, total: secs(4) };
    let config = DeadlineConfig { response_body: limits, ..DeadlineConfig::default() };
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Adversary::Endless.body())));
    let answer = DeadlineLayer::new(&config).layer(service).oneshot(Request::new(())).await.unwrap();
    let mut body = answer.into_body();
    for _ in 0..4 {
        assert!(body.frame().await.unwrap().is_ok());
        sleep(Duration::from_secs(1)).await;
    }
    assert!(body.frame().await.unwrap().is_ok(), "the instant itself is in time");
    sleep(Duration::from_millis(1)).await;
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_limited_body_still_says_its_size() {
    // tower-http 0.7.1's `TimeoutBody` does not, so that its answers lose their content-length.
    let limits = BodyLimits { idle: secs(1), total: secs(1) };
    let config = DeadlineConfig { response_body: limits, ..DeadlineConfig::default() };
    let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::from("x"))));
    let answer = DeadlineLayer::new(&config).layer(service).oneshot(Request::new(())).await.unwrap();
    assert_eq!(http_body::Body::size_hint(answer.body()).exact(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn what_is_slow_is_dropped_at_once_and_so_is_what_nobody_reads() {
    let limits = BodyLimits { idle: secs(1), total: secs(9) };
    let config = DeadlineConfig { response_body: limits, ..DeadlineConfig::default() };
    let handles = Arc::new(Mutex::new(Vec::new()));
    let made = Arc::clone(&handles);
    let service = service_fn(move |_: Request<()>| {
        let body = Adversary::Hangs.body();
        made.lock().unwrap().push(body.handle());
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    let service = DeadlineLayer::new(&config).layer(service);
    let mut body = service.clone().oneshot(Request::new(())).await.unwrap().into_body();
    while let Some(Ok(_)) = body.frame().await {}
    assert!(handles.lock().unwrap().pop().unwrap().is_dropped(), "it is kept as long as its wrapper");

    let read = || async { drain(service.clone().oneshot(Request::new(())).await.unwrap().into_body()).await };
    let all_gone = |at| {
        assert!(
            handles.lock().unwrap().iter().all(BodyHandle::is_dropped),
            "a body lives on after await {at}"
        );
    };
    assert!(drop_at_every_await(read, all_gone).await >= 1);
}

#[tokio::test(start_paused = true)]
async fn limits_change_nothing_about_bodies_that_keep_them() {
    let limits = BodyLimits { idle: secs(3_600), total: secs(3_600) };
    let config = DeadlineConfig { covers: Covers::Body, response_body: limits, ..DeadlineConfig::default() };
    // The awkward body that hangs is watched for less than any limit.
    let config =
        DeadlineConfig { default: Duration::from_secs(3_600), maximum: Duration::from_secs(3_600), ..config };
    http_layer_contract(|| DeadlineLayer::new(&config), || Request::new(()), Laws::default()).await;
}
