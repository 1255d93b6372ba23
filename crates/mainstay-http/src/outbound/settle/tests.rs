//! What must hold of the end of a call: it comes once, with the verdict that the whole answer deserves.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use mainstay_core::call::{CallError, Done, Settle, Verdict};
use mainstay_core::{Reason, Rejection};
use mainstay_testkit::alloc::count_allocations;
use mainstay_testkit::body::{Adversary, ScriptedBody, Size, Step, drain};
use mainstay_testkit::contract::{Law, Laws, http_layer_contract};
use mainstay_testkit::probe::{Probe, ProbeError};
use proptest::prelude::*;
use tower::ServiceExt;
use tower::layer::layer_fn;

use super::{BodyEnd, SettledBody};
use crate::outbound::judge::HttpJudge;

type Failure = CallError<std::io::Error>;

/// How calls ended: with a verdict, or dropped.
type Ends = Arc<Mutex<Vec<Option<Verdict>>>>;

struct Held {
    ends: Ends,
    is_done: bool,
}

impl Done for Held {
    fn done(mut self, verdict: Verdict) {
        self.is_done = true;
        self.ends.lock().unwrap().push(Some(verdict));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_done {
            self.ends.lock().unwrap().push(None);
        }
    }
}

fn answer(status: u16, grpc: bool, body: ScriptedBody) -> Response<ScriptedBody> {
    let answer = Response::builder().status(status);
    let answer = if grpc { answer.header("content-type", "application/grpc") } else { answer };
    answer.body(body).unwrap()
}

fn settled(answer: Response<ScriptedBody>) -> (SettledBody<ScriptedBody, Held>, Ends) {
    let ends = Ends::default();
    let held = Held { ends: Arc::clone(&ends), is_done: false };
    let answer = BodyEnd::new(HttpJudge::default()).settle(Ok::<_, Failure>(answer), held).unwrap();
    (answer.into_body(), ends)
}

fn ended(ends: &Ends) -> Vec<Option<Verdict>> {
    ends.lock().unwrap().clone()
}

/// The ends after the body was read to its end, which come before it is dropped.
async fn read(status: u16, grpc: bool, body: ScriptedBody) -> Vec<Option<Verdict>> {
    let (body, ends) = settled(answer(status, grpc, body));
    let mut body = pin!(body);
    mainstay_testkit::body::drain_at_most(body.as_mut(), usize::MAX).await;
    ended(&ends)
}

fn data() -> Step {
    Step::Data(Bytes::from_static(b"hello"))
}

fn trailers(status: &'static str) -> Step {
    Step::Trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(status))]))
}

const SUCCESS: [Option<Verdict>; 1] = [Some(Verdict::Success)];
const FAILURE: [Option<Verdict>; 1] = [Some(Verdict::Failure)];

#[tokio::test]
async fn an_answer_is_judged_by_its_head_and_ends_with_its_body() {
    for adversary in Adversary::ALL.into_iter().filter(|adversary| adversary.ends() && !adversary.panics()) {
        let fails = matches!(adversary, Adversary::ErrorFirst | Adversary::ErrorAfterFrame);
        assert_eq!(
            read(200, false, adversary.body()).await,
            if fails { FAILURE } else { SUCCESS },
            "{adversary:?}"
        );
        assert_eq!(read(500, false, adversary.body()).await, FAILURE, "{adversary:?}");
    }
}

#[tokio::test]
async fn grpc_is_judged_by_its_trailers_and_without_any_has_failed() {
    let judged = async |steps: Vec<Step>| read(200, true, ScriptedBody::new(steps)).await;
    assert_eq!(judged(vec![data(), trailers("0")]).await, SUCCESS);
    assert_eq!(judged(vec![data(), trailers("14")]).await, FAILURE);
    assert_eq!(judged(vec![data(), trailers("5")]).await, SUCCESS);
    assert_eq!(judged(vec![data(), trailers("8")]).await, [Some(Verdict::Overloaded { retry_after: None })]);
    assert_eq!(judged(vec![trailers("14")]).await, FAILURE);
    assert_eq!(judged(vec![data()]).await, FAILURE);
    assert_eq!(judged(vec![Step::Trailers(HeaderMap::new())]).await, FAILURE);
    assert_eq!(judged(vec![data(), Step::Error("reset".to_owned())]).await, FAILURE);
    let whole = ScriptedBody::new([data(), trailers("0")]).size(Size::Exact);
    assert_eq!(read(200, true, whole).await, SUCCESS, "the status comes after the last byte");

    let mut trailers_only = answer(200, true, Adversary::AlreadyEnded.body());
    trailers_only.headers_mut().insert("grpc-status", HeaderValue::from_static("0"));
    assert_eq!(ended(&settled(trailers_only).1), SUCCESS);
    assert_eq!(ended(&settled(answer(200, true, Adversary::AlreadyEnded.body())).1), FAILURE);
    assert_eq!(read(502, true, Adversary::ExactSize.body()).await, FAILURE);
}

#[tokio::test]
async fn a_call_without_a_body_of_its_own_is_over_with_its_answer() {
    for (status, body) in [
        (200, Adversary::AlreadyEnded.body()),
        (200, ScriptedBody::new([]).size(Size::Exact)),
        (101, Adversary::Hangs.body()),
        (204, Adversary::Hangs.body()),
        (304, Adversary::Hangs.body()),
    ] {
        let (body, ends) = settled(answer(status, false, body));
        assert_eq!(ended(&ends), SUCCESS, "{status}");
        drop(body);
        assert_eq!(ended(&ends), SUCCESS, "{status}: once");
    }
    assert_eq!(ended(&settled(answer(503, false, Adversary::AlreadyEnded.body())).1), FAILURE);
}

#[tokio::test]
async fn a_success_that_nobody_reads_to_its_end_is_abandoned_and_a_failure_stays_one() {
    for adversary in [Adversary::Hangs, Adversary::Endless, Adversary::BoundedSize] {
        for (status, expected) in [
            (200, None),
            (503, Some(Verdict::Failure)),
            (429, Some(Verdict::Overloaded { retry_after: None })),
        ] {
            let (mut body, ends) = settled(answer(status, false, adversary.body()));
            assert!(poll(&mut body).is_ready());
            assert_eq!(ended(&ends), [], "it is not over yet");
            drop(body);
            assert_eq!(ended(&ends), [expected], "{adversary:?}");
        }
    }
}

#[tokio::test]
async fn a_panic_of_the_body_leaves_no_verdict_behind() {
    let (body, ends) = settled(answer(200, false, Adversary::PanicsInPoll.body()));
    let panicked = tokio::spawn(drain(body)).await;
    assert!(panicked.is_err());
    assert_eq!(ended(&ends), [None]);
}

#[test]
fn an_error_ends_the_call_at_once_and_a_refusal_of_ours_says_nothing() {
    for (error, expected) in [
        (Failure::service(std::io::Error::other("reset")), Verdict::Failure),
        (Rejection::new(Reason::Unavailable, "the circuit is open").into(), Verdict::Ignored),
    ] {
        let ends = Ends::default();
        let held = Held { ends: Arc::clone(&ends), is_done: false };
        let settled = BodyEnd::default().settle(Err::<Response<ScriptedBody>, _>(error), held);
        assert!(settled.is_err());
        assert_eq!(ended(&ends), [Some(expected)]);
    }
}

#[test]
fn it_costs_no_allocation() {
    struct Nothing;
    impl Done for Nothing {
        fn done(self, _: Verdict) {}
    }
    let answer = answer(200, false, ScriptedBody::new([data()]));
    let settle = BodyEnd::default();
    let counted = count_allocations(|| {
        let mut body = settle.settle(Ok::<_, Failure>(answer), Nothing).unwrap().into_body();
        while !matches!(
            Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())),
            Poll::Ready(None)
        ) {}
    });
    assert_eq!(counted.count, 0);
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    fn judge(_: Result<&Response<ScriptedBody>, &ProbeError>) -> Verdict {
        Verdict::Success
    }
    fn settle(
        result: Result<Response<ScriptedBody>, ProbeError>,
    ) -> Result<Response<SettledBody<ScriptedBody, Held>>, ProbeError> {
        BodyEnd::default().with_judge(judge).settle(result, Held { ends: Ends::default(), is_done: false })
    }
    let layer = || layer_fn(|probe: Probe<Request<()>, Response<ScriptedBody>>| probe.map_result(settle));
    let laws = Laws { panicking_bodies: Law::Held, ..Laws::default() };
    http_layer_contract(layer, || Request::new(()), laws).await;
}

fn poll(
    body: &mut SettledBody<ScriptedBody, Held>,
) -> Poll<Option<Result<http_body::Frame<Bytes>, mainstay_testkit::body::BodyError>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(data()),
        1 => Just(Step::Data(Bytes::new())),
        1 => Just(Step::Pending),
        1 => Just(trailers("0")),
        1 => Just(trailers("14")),
        1 => Just(Step::Error("broken".to_owned())),
    ];
    prop::collection::vec(step, 0..6)
}

proptest! {
    /// However a body goes on, and wherever it is dropped.
    #[test]
    fn the_call_ends_exactly_once(
        steps in steps(), exact: bool, ends_early: bool, grpc: bool,
        status in prop_oneof![Just(200_u16), Just(204), Just(404), Just(500), Just(503)],
        polls in 0_usize..10,
    ) {
        let mut script = ScriptedBody::new(steps.clone());
        if exact { script = script.size(Size::Exact); }
        if ends_early { script = script.ends_with_last_step(); }
        let awaits = grpc && status == 200;
        let (mut body, ends) = settled(answer(status, grpc, script));

        // What was seen of the body decides, by a model that looks at the script.
        let head = if status >= 500 { Verdict::Failure } else { Verdict::Success };
        let at_end = |status: Option<&str>| match (head, awaits, status) {
            (Verdict::Failure, ..) => head,
            (_, false, _) | (_, true, Some("0")) => Verdict::Success,
            _ => Verdict::Failure,
        };
        let nothing_left = |taken: usize| {
            let left = &steps[taken.min(steps.len())..];
            let no_data = left.iter().all(|step| !matches!(step, Step::Data(data) if !data.is_empty()));
            (ends_early && left.is_empty()) || (exact && no_data && !awaits)
        };
        let mut expected = (status == 204 || nothing_left(0)).then(|| at_end(None));
        for taken in 0..polls {
            let seen = poll(&mut body);
            let over = match (steps.get(taken), &seen) {
                (None, Poll::Ready(None)) => Some(at_end(None)),
                (Some(Step::Error(_)), _) => Some(Verdict::Failure),
                (Some(Step::Trailers(trailers)), _) => Some(at_end(Some(trailers["grpc-status"].to_str().unwrap()))),
                (Some(Step::Data(_)), _) => nothing_left(taken + 1).then(|| at_end(None)),
                _ => None,
            };
            expected = expected.or(over);
            prop_assert_eq!(ended(&ends), expected.map(Some).into_iter().collect::<Vec<_>>());
            if matches!(seen, Poll::Ready(None | Some(Err(_)))) {
                break;
            }
        }
        drop(body);
        let abandoned = (head == Verdict::Failure).then_some(head);
        prop_assert_eq!(ended(&ends), [expected.or(abandoned)]);
    }
}
