//! What must hold of bodies that are sent again: every attempt is given the whole, once, or fails.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use mainstay_testkit::alloc::count_allocations;
use mainstay_testkit::body::{Adversary, Event, ScriptedBody, Size, Step, Transcript, drain, drain_at_most};
use mainstay_testkit::contract::{Laws, http_layer_contract};
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};

use super::{Kind, ReplayBody, ReplayConfig, ReplayError, ReplayLayer};

const ROOM: usize = 64 * 1024;

/// How far the transcript of a body goes that has no end, or none that can be waited for.
fn entries(adversary: Adversary) -> usize {
    match adversary {
        Adversary::Hangs | Adversary::PanicsInPoll => 1,
        Adversary::Endless => 8,
        _ => usize::MAX,
    }
}

/// A body that panics when it is dropped does so in the drop of its last attempt, or at its end.
fn quietly<T>(value: T) {
    drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(value))));
}

async fn read(body: &mut ReplayBody<ScriptedBody>, entries: usize) -> Transcript {
    drain_at_most(Pin::new(body), entries).await
}

fn text(length: usize) -> Bytes {
    Bytes::from("x".repeat(length))
}

#[tokio::test]
async fn one_attempt_reads_every_body_as_it_is() {
    for adversary in Adversary::ALL {
        if adversary == Adversary::PanicsInDrop {
            continue;
        }
        for max_bytes in [0, 4, ROOM] {
            let expected = drain_at_most(std::pin::pin!(adversary.body()), entries(adversary)).await;
            let mut body = ReplayBody::new(adversary.body(), max_bytes);
            let seen = read(&mut body, entries(adversary)).await;
            assert_eq!(seen.difference(&expected), None, "{adversary:?} with room for {max_bytes}");
        }
    }
}

/// Two and three attempts, those before the last dropped after any number of frames, or kept by a connection.
#[tokio::test]
async fn the_last_attempt_reads_every_body_as_it_is_wherever_those_before_it_were_dropped() {
    for adversary in Adversary::ALL.into_iter().filter(|adversary| !adversary.panics()) {
        let expected = drain_at_most(std::pin::pin!(adversary.body()), entries(adversary)).await;
        let most = expected.entries.len().min(6);
        for (first_reads, second_reads) in
            (0..=most).flat_map(|first| (0..=most).map(move |second| (first, second)))
        {
            for drops in [true, false] {
                let source = adversary.body();
                let handle = source.handle();
                let mut first = ReplayBody::new(source, ROOM);
                let mut second = first.again().unwrap();
                let mut third = second.again().unwrap();
                let mut left = Vec::new();

                let seen_first = read(&mut first, first_reads).await;
                left.push(first);
                if drops {
                    left.clear();
                }
                let seen_second = read(&mut second, second_reads).await;
                left.push(second);
                if drops {
                    left.clear();
                }
                let failed = |seen: &Transcript| matches!(last(seen), Some(Event::Error(_)));
                let fails = failed(&seen_first) || failed(&seen_second);

                let case =
                    format!("{adversary:?}, {first_reads} and {second_reads} read before, drops: {drops}");
                assert_eq!(third.can_repeat(), !fails, "{case}");
                let seen = read(&mut third, entries(adversary)).await;
                if fails {
                    assert_eq!(seen.data(), b"", "{case}");
                    assert!(matches!(last(&seen), Some(Event::Error(_))), "{case}: {seen:?}");
                } else {
                    assert_eq!(seen.difference(&expected), None, "{case}");
                }
                drop((left, third));
                assert!(handle.is_dropped(), "{case}");
                assert_eq!(handle.polled_after_end(), 0, "{case}");
            }
        }
    }
}

fn last(transcript: &Transcript) -> Option<&Event> {
    transcript.entries.last().map(|entry| &entry.event)
}

#[tokio::test]
async fn a_panic_of_the_source_stays_with_its_attempt_and_the_others_fail() {
    let mut first = ReplayBody::new(Adversary::PanicsInPoll.body(), ROOM);
    let mut second = first.again().unwrap();
    read(&mut first, 1).await;
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut first)));
    assert!(panic.is_err());
    assert!(!second.can_repeat());
    assert_eq!(second.frame().await.unwrap().unwrap_err(), ReplayError::Broken);
    drop((first, second));

    let first = ReplayBody::new(Adversary::PanicsInDrop.body(), ROOM);
    let second = first.again().unwrap();
    quietly(first);
    quietly(second);
}

#[tokio::test]
async fn beyond_the_bound_the_attempt_goes_on_unharmed_and_no_other_one_is_given_half() {
    let source = ScriptedBody::new([Step::Data(text(100)), Step::Data(text(101)), Step::Data(text(102))]);
    let handle = source.handle();
    let mut first = ReplayBody::new(source, 200);
    let mut second = first.again().unwrap();
    read(&mut first, 1).await;
    assert!(second.can_repeat() && kept(&second) == 100);
    let rest = read(&mut first, usize::MAX).await;
    assert_eq!((rest.data().len(), last(&rest)), (203, Some(&Event::End)));

    assert_eq!((second.can_repeat(), kept(&second)), (false, 0));
    assert!(second.again().is_none());
    assert_eq!(second.frame().await.unwrap().unwrap_err(), ReplayError::NotKept { max_bytes: 200 });
    assert!(handle.is_dropped(), "nobody reads it any more");
}

#[tokio::test]
async fn a_body_that_is_known_to_be_larger_than_the_bound_is_not_kept_at_all() {
    let source = ScriptedBody::new([Step::Data(text(201))]).size(Size::UpTo { more: 9 });
    let body = ReplayBody::new(source, 200);
    assert!(matches!(body.kind, Kind::Once(_)));
    assert!(!body.can_repeat() && body.again().is_none());
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 201);
}

#[tokio::test]
async fn many_small_frames_and_large_trailers_are_bounded_too() {
    let mut first = ReplayBody::new(Adversary::EmptyFrames.body(), 5 * 64);
    let second = first.again().unwrap();
    read(&mut first, 5).await;
    assert!(second.can_repeat());
    read(&mut first, 1).await;
    assert!(!second.can_repeat(), "the sixth frame");

    let trailers =
        HeaderMap::from_iter([("x-large".parse().unwrap(), HeaderValue::try_from("x".repeat(900)).unwrap())]);
    let mut first = ReplayBody::new(ScriptedBody::new([Step::Trailers(trailers)]), 900);
    let second = first.again().unwrap();
    assert_eq!(read(&mut first, usize::MAX).await.entries.len(), 2);
    assert!(!second.can_repeat());
}

#[tokio::test]
async fn what_no_other_attempt_can_want_is_not_kept() {
    let mut only = ReplayBody::new(Adversary::Stutters.body(), ROOM);
    read(&mut only, 1).await;
    assert_eq!(kept(&only), 0);
    assert!(only.again().is_none(), "its beginning is gone");

    let mut first = ReplayBody::new(Adversary::Stutters.body(), ROOM);
    let second = first.again().unwrap();
    read(&mut first, 1).await;
    drop(second);
    assert!(kept(&first) > 0);
    read(&mut first, 1).await;
    assert_eq!(kept(&first), 0, "the answer came, and the other was dropped");
}

/// All of its data in one frame is not yet all of a body.
#[tokio::test]
async fn trailers_after_a_frame_of_exactly_the_size_are_sent_again_too() {
    let body = || {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("1"))]);
        ScriptedBody::new([Step::Data(text(5)), Step::Trailers(trailers)]).size(Size::Exact)
    };
    let expected = drain(body()).await;
    let first = ReplayBody::new(body(), ROOM);
    let second = first.again().unwrap();
    assert_eq!(drain(first).await, expected);
    assert_eq!(drain(second).await, expected);
}

#[tokio::test]
async fn a_body_that_is_expected_to_be_waited_for_is_not_asked_for_its_content() {
    for (expects, frames) in [(false, 1), (true, 0)] {
        let body = Adversary::ExactSize.body();
        let handle = body.handle();
        let mut request = Request::new(body);
        if expects {
            request.headers_mut().insert("expect", HeaderValue::from_static("100-continue"));
        }
        let seen = service_fn(async |request: Request<ReplayBody<ScriptedBody>>| {
            assert_eq!(handle.frames(), frames);
            Ok::<_, Infallible>(request.into_body())
        });
        let body = ReplayLayer::default().layer(seen).oneshot(request).await.unwrap();
        assert_eq!(drain(body).await, drain(Adversary::ExactSize.body()).await);
    }
}

/// A connection may go on sending what was answered already, before the next attempt begins and after.
#[tokio::test]
async fn an_attempt_that_was_answered_early_cannot_take_what_the_next_one_needs() {
    let steps =
        || [Step::Data(text(100)), Step::Data(text(50)), Step::Data(text(100)), Step::Data(text(100))];
    let whole = |seen: &Transcript| (seen.data().len(), last(seen) == Some(&Event::End)) == (350, true);

    let mut first = ReplayBody::new(ScriptedBody::new(steps()), 164);
    let mut second = first.again().unwrap();
    read(&mut first, 1).await;
    assert!(second.claim());
    assert!(poll(&mut first).is_ready(), "that can be kept");
    assert_eq!(first.frame().await.unwrap().unwrap_err(), ReplayError::NotKept { max_bytes: 164 });
    assert!(second.can_repeat());
    assert!(whole(&read(&mut second, usize::MAX).await));

    let mut first = ReplayBody::new(ScriptedBody::new(steps()), 164);
    let mut second = first.again().unwrap();
    read(&mut first, 2).await;
    read(&mut second, 1).await;
    assert!(poll(&mut first).is_pending(), "the second reads on");
    assert_eq!(read(&mut second, usize::MAX).await.data().len(), 250);
    assert_eq!(first.frame().await.unwrap().unwrap_err(), ReplayError::NotKept { max_bytes: 164 });

    let mut first = ReplayBody::new(ScriptedBody::new(steps()), 164);
    let second = first.again().unwrap();
    assert!(second.claim());
    drop(second);
    assert!(whole(&read(&mut first, usize::MAX).await), "it was given up: the first goes on");
}

/// Of three, the middle one fails for the last one's sake, and the first must not wait for it.
#[tokio::test]
async fn who_fails_for_a_newer_attempt_keeps_no_older_one_waiting() {
    let mut first = ReplayBody::new(ScriptedBody::new([Step::Data(text(100)), Step::Data(text(100))]), 150);
    let mut second = first.again().unwrap();
    let mut third = second.again().unwrap();
    read(&mut second, 1).await;
    read(&mut first, 1).await;
    assert!(poll(&mut first).is_pending());
    assert!(third.claim());
    assert!(second.frame().await.unwrap().is_err());
    assert!(first.frame().await.unwrap().is_err());
    assert_eq!(read(&mut third, usize::MAX).await.data().len(), 200);
}

#[tokio::test]
async fn two_attempts_at_once_each_read_the_whole_and_wake_each_other() {
    for adversary in Adversary::ALL.into_iter().filter(|adversary| adversary.ends() && !adversary.panics()) {
        let expected = drain(adversary.body()).await;
        if matches!(last(&expected), Some(Event::Error(_))) {
            continue;
        }
        let first = ReplayBody::new(adversary.body(), ROOM);
        let second = first.again().unwrap();
        let (first, second) = tokio::join!(tokio::spawn(drain(first)), tokio::spawn(drain(second)));
        assert_eq!(first.unwrap().difference(&expected), None, "{adversary:?}");
        assert_eq!(second.unwrap().difference(&expected), None, "{adversary:?}");
    }
}

#[test]
fn two_threads_at_once_lose_no_frame_and_no_wake() {
    let run = |body: ReplayBody<ScriptedBody>| {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(drain(body)).data()
    };
    for round in 0..300 {
        let steps = (0..20).flat_map(|_| [Step::Pending, Step::Data(text(7))]);
        let first = ReplayBody::new(ScriptedBody::new(steps), ROOM);
        let second = first.again().unwrap();
        let (first, second) = std::thread::scope(|scope| {
            let first = scope.spawn(|| run(first));
            (run(second), first.join().unwrap())
        });
        assert_eq!((first.len(), second.len()), (140, 140), "round {round}");
    }
}

#[test]
fn who_waits_is_woken_by_progress_by_the_end_and_by_a_drop() {
    let steps = [Step::Data(text(1)), Step::Data(text(1)), Step::Hang];
    let mut first = ReplayBody::new(ScriptedBody::new(steps), ROOM);
    let mut second = first.again().unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);

    assert!(poll(&mut second).is_ready());
    assert!(Pin::new(&mut first).poll_frame(&mut cx).is_ready());
    assert!(Pin::new(&mut first).poll_frame(&mut cx).is_pending());
    assert!(poll(&mut second).is_ready());
    assert_eq!(woken.0.load(Ordering::SeqCst), 1, "the second has read something");
    assert!(Pin::new(&mut first).poll_frame(&mut cx).is_ready());
    assert!(Pin::new(&mut first).poll_frame(&mut cx).is_pending());
    assert!(poll(&mut second).is_pending());
    drop(second);
    assert_eq!(woken.0.load(Ordering::SeqCst), 2, "the first reads the source again");
}

/// The first waits at the source itself when a newer attempt puts its waker there.
#[test]
fn who_waits_at_the_source_is_woken_though_a_newer_attempt_has_taken_its_place_there() {
    let mut first =
        ReplayBody::new(ScriptedBody::new([Step::Pending, Step::Pending, Step::Data(text(1))]), ROOM);
    let mut second = first.again().unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(Pin::new(&mut first).poll_frame(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(woken.0.load(Ordering::SeqCst), 1, "by the script, at once");
    assert!(poll(&mut second).is_pending());
    assert!(poll(&mut second).is_ready());
    assert_eq!(woken.0.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_body_in_memory_costs_no_allocation_and_a_stream_two() {
    let whole = Full::<Bytes>::from("an order");
    let counted = count_allocations(|| {
        let first = ReplayBody::new(whole, ROOM);
        let second = first.again().unwrap();
        assert!(matches!(second.kind, Kind::Whole { data: Some(_), .. }));
        let mut second = second;
        assert!(poll(&mut second).is_ready());
    });
    assert_eq!(counted.count, 0);

    let data = || Step::Data(Bytes::from_static(b"a part of an order"));
    let source = ScriptedBody::new([data(), data()]);
    let counted = count_allocations(|| {
        let mut first = ReplayBody::new(source, ROOM);
        let second = first.again().unwrap();
        while !matches!(poll(&mut first), Poll::Ready(None)) {}
        drop((first, second));
    });
    assert_eq!(counted.count, 2, "what is shared, and the list of frames");
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    http_layer_contract(ReplayLayer::default, || Request::new(Full::<Bytes>::from("x")), Laws::default())
        .await;
    assert!(ReplayLayer::new(&ReplayConfig { max_bytes: usize::MAX }).is_err());
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

type Polled<B> = Poll<Option<Result<http_body::Frame<Bytes>, ReplayError<<B as Body>::Error>>>>;

fn poll<B: Body<Data = Bytes> + Unpin>(body: &mut ReplayBody<B>) -> Polled<B> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

fn kept<B: Body<Data = Bytes>>(body: &ReplayBody<B>) -> usize {
    match &body.kind {
        Kind::Kept(handle) => handle.kept_bytes(),
        Kind::Whole { .. } | Kind::Once(_) => 0,
    }
}

// === The model: any number of attempts, in any order of polls and drops ===

#[derive(Clone, Copy, Debug)]
enum Action {
    Again(usize),
    Poll(usize),
    Drop(usize),
    Claim(usize),
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Data(Bytes),
    Trailers,
}

#[derive(Debug, Default)]
struct Given {
    pieces: Vec<Piece>,
    ended: bool,
    failed: Option<bool>,
}

fn scripts() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_u8..200).prop_map(|length| Step::Data(text(length.into()))),
        2 => Just(Step::Pending),
        1 => Just(Step::Trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("1"))]))),
        1 => Just(Step::Error("broken".to_owned())),
    ];
    prop::collection::vec(step, 0..8)
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        2 => (0_usize..4).prop_map(Action::Again),
        8 => (0_usize..4).prop_map(Action::Poll),
        1 => (0_usize..4).prop_map(Action::Drop),
        1 => (0_usize..4).prop_map(Action::Claim),
    ];
    prop::collection::vec(action, 0..60)
}

proptest! {
    #[test]
    fn each_attempt_is_given_all_of_the_body_once_or_fails(
        script in scripts(), size in 0_u8..3, ends_early: bool, max_bytes in prop_oneof![Just(0_usize), Just(150), Just(400), Just(ROOM)],
        actions in actions(),
    ) {
        let mut source = ScriptedBody::new(script.clone());
        source = match size { 0 => source, 1 => source.size(Size::Exact), _ => source.size(Size::UpTo { more: 5 }) };
        if ends_early {
            source = source.ends_with_last_step();
        }
        let whole: Vec<Piece> = script.iter().take_while(|step| !matches!(step, Step::Error(_))).filter_map(|step| match step {
            Step::Data(data) => Some(Piece::Data(data.clone())),
            Step::Trailers(_) => Some(Piece::Trailers),
            _ => None,
        }).collect();
        let breaks = script.iter().any(|step| matches!(step, Step::Error(_)));

        let handle = source.handle();
        let mut attempts = vec![(ReplayBody::new(source, max_bytes), Given::default())];
        for action in actions {
            let living = attempts.len();
            if living == 0 {
                break;
            }
            match action {
                Action::Again(at) => {
                    let again = attempts[at % living].0.again();
                    prop_assert_eq!(again.is_some(), attempts[at % living].0.can_repeat());
                    attempts.extend(again.map(|body| (body, Given::default())));
                }
                Action::Poll(at) => {
                    let (body, given) = &mut attempts[at % living];
                    step(body, given, &whole, breaks)?;
                }
                Action::Drop(at) => drop(attempts.swap_remove(at % living)),
                Action::Claim(at) => {
                    let body = &attempts[at % living].0;
                    prop_assert_eq!(body.claim(), body.can_repeat());
                }
            }
            prop_assert!(attempts.iter().all(|(body, _)| kept(body) <= max_bytes));
        }
        // Whatever happened, those that are left come to an end: polled in turn until all have one.
        for _ in 0..100 {
            for (body, given) in &mut attempts {
                step(body, given, &whole, breaks)?;
            }
        }
        for (_, given) in &attempts {
            prop_assert!(given.ended || given.failed.is_some(), "waits for ever: {:?}", given);
            prop_assert!(given.failed != Some(true) || breaks || max_bytes < ROOM, "failed without a reason");
        }
        // As long as nothing is lost, one at least gets through.
        if !breaks && !attempts.is_empty() && max_bytes == ROOM {
            prop_assert!(attempts.iter().all(|(_, given)| given.ended));
        }
        drop(attempts);
        prop_assert!(handle.is_dropped());
        prop_assert_eq!(handle.polled_after_end(), 0);
    }
}

/// One poll; what came so far must be what the body begins with, the end only after all of it, and what the body said must be true.
fn step(
    body: &mut ReplayBody<ScriptedBody>,
    given: &mut Given,
    whole: &[Piece],
    breaks: bool,
) -> Result<(), TestCaseError> {
    if given.ended || given.failed.is_some() {
        return Ok(());
    }
    let rest = |given: &Given| -> u64 {
        let rest = whole[given.pieces.len()..].iter();
        rest.map(|piece| if let Piece::Data(data) = piece { data.len() as u64 } else { 0 }).sum()
    };
    let hint = body.size_hint();
    prop_assert!(hint.lower() <= rest(given) || breaks, "{:?} of {}", hint, rest(given));
    prop_assert!(hint.upper().is_none_or(|upper| upper >= rest(given)), "{:?} of {}", hint, rest(given));
    prop_assert!(!body.is_end_stream() || given.pieces.len() == whole.len(), "says it has ended");
    match poll(body) {
        Poll::Pending => {}
        Poll::Ready(None) => {
            given.ended = true;
            prop_assert!(!breaks, "ends where the source fails");
            prop_assert_eq!(&given.pieces[..], whole);
            prop_assert!(body.is_end_stream());
        }
        Poll::Ready(Some(Err(error))) => given.failed = Some(!matches!(error, ReplayError::Body(_))),
        Poll::Ready(Some(Ok(frame))) => {
            let piece = frame.into_data().map_or(Piece::Trailers, Piece::Data);
            prop_assert!(given.pieces.len() < whole.len(), "more than there is");
            prop_assert_eq!(&piece, &whole[given.pieces.len()]);
            given.pieces.push(piece);
        }
    }
    Ok(())
}
