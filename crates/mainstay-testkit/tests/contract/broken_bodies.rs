//! One layer for each mistake that can be made around a response body; all break the same law.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Empty;
use mainstay_testkit::{
    body::{BodyError, ScriptedBody},
    contract::{Law, Laws, http_layer_contract},
    probe::{Probe, ProbeError, ProbeFuture},
};
use tower::{Layer, Service};

use crate::breach;

#[tokio::test]
async fn the_size_hint_is_lost() {
    check(Mistake::LosesTheSize, "AlreadyEnded: ", "size_hint is (0, None), and (0, Some(0))").await;
}

#[tokio::test]
async fn the_end_is_not_told() {
    check(Mistake::HidesTheEnd, "AlreadyEnded: ", "is_end_stream is false, and true").await;
}

#[tokio::test]
async fn trailers_are_dropped() {
    check(Mistake::DropsTrailers, "DataThenTrailers: ", "there is the end, and trailers").await;
}

#[tokio::test]
async fn an_empty_frame_is_taken_for_the_end() {
    check(Mistake::EndsAtAnEmptyFrame, "EmptyFrames: ", "there is the end, and data b\"\"").await;
}

#[tokio::test]
async fn an_error_is_taken_for_the_end() {
    check(Mistake::SwallowsErrors, "ErrorFirst: ", "there is the end, and the error").await;
}

#[tokio::test]
async fn a_body_is_polled_after_its_end() {
    check(Mistake::PollsAfterTheEnd, "AlreadyEnded: ", "polled after its end").await;
}

#[tokio::test]
async fn a_body_is_kept_when_the_outer_one_is_dropped() {
    check(Mistake::KeepsBodies, "AlreadyEnded: ", "not dropped").await;
}

#[tokio::test]
async fn a_swallowed_panic_breaks_the_law_only_if_that_is_asked_for() {
    http_layer_contract(layer(Mistake::CatchesPanics), request, Laws::default()).await;

    let laws = Laws { panicking_bodies: Law::Held, ..Laws::default() };
    let message = breach(http_layer_contract(layer(Mistake::CatchesPanics), request, laws)).await;
    assert!(message.contains("PanicsInPoll: the panic of its `poll_frame` is swallowed"), "{message}");
}

async fn check(mistake: Mistake, adversary: &str, seen: &str) {
    let message = breach(http_layer_contract(layer(mistake), request, Laws::default())).await;
    let law = format!("breaks the law \"a response body is passed on as it is\": {adversary}");
    assert!(message.contains(&law), "{message}");
    assert!(message.contains(seen), "{message}");
}

/// All layers that it makes keep bodies in one place, which lives as long as the contract runs.
fn layer(mistake: Mistake) -> impl Fn() -> Broken<()> + Send {
    let kept = Arc::default();
    move || Broken { mistake, inner: (), kept: Arc::clone(&kept) }
}

fn request() -> Request<Empty<Bytes>> {
    Request::new(Empty::new())
}

type Inner = Probe<Request<Empty<Bytes>>, Response<ScriptedBody>>;

#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    LosesTheSize,
    HidesTheEnd,
    DropsTrailers,
    EndsAtAnEmptyFrame,
    SwallowsErrors,
    PollsAfterTheEnd,
    KeepsBodies,
    CatchesPanics,
}

#[derive(Clone)]
struct Broken<S> {
    mistake: Mistake,
    inner: S,
    kept: Arc<Mutex<Vec<ScriptedBody>>>,
}

struct Answer {
    mistake: Mistake,
    inner: ProbeFuture<Request<Empty<Bytes>>, Response<ScriptedBody>>,
    kept: Arc<Mutex<Vec<ScriptedBody>>>,
}

struct BrokenBody {
    mistake: Mistake,
    inner: Option<ScriptedBody>,
    kept: Arc<Mutex<Vec<ScriptedBody>>>,
}

// === impl Broken ===

impl Layer<Inner> for Broken<()> {
    type Service = Broken<Inner>;

    fn layer(&self, inner: Inner) -> Broken<Inner> {
        Broken { mistake: self.mistake, inner, kept: Arc::clone(&self.kept) }
    }
}

impl Service<Request<Empty<Bytes>>> for Broken<Inner> {
    type Response = Response<BrokenBody>;
    type Error = ProbeError;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ProbeError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Empty<Bytes>>) -> Answer {
        Answer { mistake: self.mistake, inner: self.inner.call(request), kept: Arc::clone(&self.kept) }
    }
}

// === impl Answer ===

impl Future for Answer {
    type Output = Result<Response<BrokenBody>, ProbeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.inner).poll(context))?;
        let (mistake, kept) = (self.mistake, Arc::clone(&self.kept));
        Poll::Ready(Ok(response.map(|body| BrokenBody { mistake, inner: Some(body), kept })))
    }
}

// === impl BrokenBody ===

impl Body for BrokenBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mistake = self.mistake;
        let mut inner = Pin::new(self.inner.as_mut().unwrap());
        let polled = if mistake == Mistake::CatchesPanics {
            let caught = catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll_frame(context)));
            ready!(caught.unwrap_or(Poll::Ready(None)))
        } else {
            ready!(inner.as_mut().poll_frame(context))
        };
        Poll::Ready(match polled {
            Some(Ok(frame)) if frame.is_trailers() && mistake == Mistake::DropsTrailers => None,
            Some(Ok(frame)) if is_empty(&frame) && mistake == Mistake::EndsAtAnEmptyFrame => None,
            Some(Err(_)) if mistake == Mistake::SwallowsErrors => None,
            None if mistake == Mistake::PollsAfterTheEnd => ready!(inner.poll_frame(context)),
            polled => polled,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.mistake != Mistake::HidesTheEnd && self.inner.as_ref().unwrap().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.mistake {
            Mistake::LosesTheSize => SizeHint::default(),
            _ => self.inner.as_ref().unwrap().size_hint(),
        }
    }
}

impl Drop for BrokenBody {
    fn drop(&mut self) {
        if self.mistake == Mistake::KeepsBodies {
            self.kept.lock().unwrap().extend(self.inner.take());
        }
    }
}

fn is_empty(frame: &Frame<Bytes>) -> bool {
    frame.data_ref().is_some_and(Bytes::is_empty)
}
