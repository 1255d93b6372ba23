//! What must hold of looking at an answer's first frame.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Full;
use mainstay_testkit::alloc::count_allocations;
use mainstay_testkit::body::{Adversary, BodyHandle, ScriptedBody, Step, drain, drain_at_most};
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, http_layer_contract};
use mainstay_testkit::probe::{Probe, ProbeError};
use tower::layer::layer_fn;
use tower::{Layer, ServiceExt, service_fn};

use super::{PeekBody, PeekLayer, PeekedTrailers};
use crate::outbound::replay::ReplayBody;

type Sent = Request<ReplayBody<Full<Bytes>>>;

fn sent() -> Sent {
    Request::new(ReplayBody::new(Full::from("x"), 64))
}

fn grpc(mut answer: Response<ScriptedBody>) -> Response<ScriptedBody> {
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc+proto"));
    answer
}

fn trailers(status: &'static str) -> Step {
    Step::Trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(status))]))
}

fn data() -> Step {
    Step::Data(Bytes::from_static(b"hello"))
}

async fn answer_to(answer: Response<ScriptedBody>) -> Response<PeekBody<ScriptedBody>> {
    let answer = std::sync::Mutex::new(Some(answer));
    let service = service_fn(move |_: Sent| {
        let answer = answer.lock().unwrap().take().unwrap();
        async { Ok::<_, ProbeError>(answer) }
    });
    PeekLayer::new().layer(service).oneshot(sent()).await.unwrap()
}

async fn peeked(steps: impl IntoIterator<Item = Step>) -> (Option<PeekedTrailers>, BodyHandle) {
    let body = ScriptedBody::new(steps);
    let handle = body.handle();
    let answer = answer_to(grpc(Response::new(body))).await;
    (answer.extensions().get().cloned(), handle)
}

#[tokio::test]
async fn a_failure_in_trailers_before_any_data_is_known_with_the_answer() {
    let (found, _) = peeked([Step::Pending, trailers("14")]).await;
    let found = found.unwrap();
    assert_eq!((&found.trailers["grpc-status"], found.after_data), (&HeaderValue::from_static("14"), false));
}

#[tokio::test]
async fn after_data_nothing_is_waited_for_and_trailers_that_are_there_are_known_as_late() {
    let (found, _) = peeked([Step::Pending, data(), trailers("14")]).await;
    assert!(found.unwrap().after_data);

    let (found, handle) = peeked([data(), Step::Hang]).await;
    assert!(found.is_none());
    assert_eq!(handle.frames(), 1);
    let (found, handle) = peeked([data(), data(), trailers("14")]).await;
    assert!(found.is_none());
    assert_eq!(handle.frames(), 2, "a second frame, and not a third");
}

#[tokio::test]
async fn a_success_is_not_copied() {
    assert!(peeked([trailers("0")]).await.0.is_none());
    assert!(peeked([data(), trailers("0")]).await.0.is_none());
}

#[tokio::test]
async fn looking_costs_no_allocation_unless_a_failure_is_found() {
    for (steps, expected) in [(vec![data(), trailers("0")], false), (vec![trailers("14")], true)] {
        let mut answer = PeekBody::new(ScriptedBody::new(steps));
        let counted = count_allocations(|| {
            assert!(answer.poll_peek(&mut Context::from_waker(Waker::noop())).is_ready());
        });
        assert_eq!((counted.count, answer.failure().is_some()), (0, expected));
    }
}

#[tokio::test]
async fn other_answers_pass_untouched_and_at_once() {
    let hangs = || Response::new(ScriptedBody::new([Step::Hang]));
    let mut with_status = grpc(hangs());
    with_status.headers_mut().insert("grpc-status", HeaderValue::from_static("14"));
    let mut failed = grpc(hangs());
    *failed.status_mut() = http::StatusCode::BAD_GATEWAY;
    for answer in [hangs(), with_status, failed, grpc(Response::new(Adversary::AlreadyEnded.body()))] {
        let answer = answer_to(answer).await;
        assert!(answer.extensions().get::<PeekedTrailers>().is_none());
    }
}

/// Both sides of a conversation may begin with the headers: the caller has to see them before it says anything.
#[tokio::test]
async fn a_caller_who_has_something_left_to_send_is_not_kept_waiting() {
    for (left, waits) in [(vec![data(), Step::Hang], false), (vec![data()], true)] {
        let service = service_fn(async |mut request: Request<ReplayBody<ScriptedBody>>| {
            let mut body = pin!(request.body_mut());
            let mut cx = Context::from_waker(Waker::noop());
            while matches!(Body::poll_frame(body.as_mut(), &mut cx), Poll::Ready(Some(_))) {}
            Ok::<_, ProbeError>(grpc(Response::new(ScriptedBody::new([Step::Hang]))))
        });
        let body = ReplayBody::new(ScriptedBody::new(left), 1_024);
        let again = body.again();
        let mut answer = pin!(PeekLayer::new().layer(service).oneshot(Request::new(body)));
        let polled = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled.is_pending(), waits);
        drop(again);
    }
}

#[tokio::test]
async fn every_body_that_was_looked_at_is_given_on_as_it_is() {
    for adversary in Adversary::ALL.into_iter().filter(|adversary| adversary.ends() && !adversary.panics()) {
        let expected = drain(adversary.body()).await;
        let body = adversary.body();
        let handle = body.handle();
        let mut body = answer_to(grpc(Response::new(body))).await.into_body();
        assert_eq!(
            drain_at_most(pin!(&mut body), usize::MAX).await.difference(&expected),
            None,
            "{adversary:?}"
        );
        let after = Body::poll_frame(pin!(&mut body), &mut Context::from_waker(Waker::noop()));
        assert!(matches!(after, Poll::Ready(None)), "{adversary:?}");
        let was_seen = matches!(adversary, Adversary::Empty | Adversary::ErrorFirst | Adversary::BoundedSize);
        assert!(
            handle.polled_after_end() == 0 || !was_seen,
            "{adversary:?}: an end that was seen is not asked for again"
        );
    }
    let looks = || {
        layer_fn(|probe: Probe<Sent, Response<ScriptedBody>>| {
            PeekLayer::new().layer(probe.map_response(grpc))
        })
    };
    http_layer_contract(looks, sent, Laws::default()).await;
    http_layer_contract(PeekLayer::new, sent, Laws::default()).await;
}

#[tokio::test]
async fn a_caller_that_leaves_while_the_answer_is_looked_at_leaves_nothing() {
    let mut handles = Vec::new();
    let awaits = drop_at_every_await(
        || {
            let body = ScriptedBody::new([Step::Pending, Step::Pending, trailers("14")]);
            handles.push(body.handle());
            answer_to(grpc(Response::new(body)))
        },
        |_| {},
    );
    assert_eq!(awaits.await, 2);
    assert!(handles.iter().all(BodyHandle::is_dropped));
}
