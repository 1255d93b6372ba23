//! What must hold of the events of outbound calls.

use std::time::Duration;

use http::{Request, Response};
use mainstay_core::call::{AtAnswer, Attempts, CallError, ErrorsFail, Verdict};
use mainstay_core::{Parts, Reason, Rejection, RequestContext, RequestId, TraceContext, ambient};
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, layer_contract};
use mainstay_testkit::probe::Probe;
use serde_json::Value;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use super::{AttemptLogLayer, AttemptNumber, CallLogLayer};
use crate::test_log::TestLog;

type Failure = CallError<std::io::Error>;

fn context(id: &str) -> RequestContext {
    let trace = TraceContext::root([0x11; 16], [0x22; 8]);
    let now = Instant::now().into_std();
    RequestContext::new(Parts::new(RequestId::parse(id.as_bytes()).unwrap(), trace, now))
}

fn request() -> Request<()> {
    Request::builder().method("POST").uri("http://pay.example:8443/charges?token=secret").body(()).unwrap()
}

fn calls() -> CallLogLayer<AtAnswer<ErrorsFail>> {
    CallLogLayer::new("payments", AtAnswer(ErrorsFail))
}

fn attempts() -> AttemptLogLayer<AtAnswer<ErrorsFail>> {
    AttemptLogLayer::new("payments", AtAnswer(ErrorsFail))
}

/// The event of the one call whose service ends so, with everything that is the same for all left out.
async fn event_of(result: Result<Response<()>, Failure>) -> Value {
    let log = TestLog::start_at(tracing::Level::DEBUG);
    let mut result = Some(result);
    let service = service_fn(move |_: Request<()>| {
        let result = result.take().unwrap();
        async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            result
        }
    });
    drop(calls().layer(service).oneshot(request()).await);
    log.line()
}

#[tokio::test(start_paused = true)]
async fn an_event_says_who_was_called_and_what_came_of_it_and_no_secret() {
    let event = event_of(Ok(Response::builder().status(201).body(()).unwrap())).await;
    for (name, value) in [
        ("client", "payments".into()),
        ("level", "DEBUG".into()),
        ("http.request.method", "POST".into()),
        ("server.address", "pay.example".into()),
        ("server.port", Value::from(8443)),
        ("url.path", "/charges".into()),
        ("http.response.status_code", 201.into()),
        ("outcome", "complete".into()),
        ("verdict", "success".into()),
        ("attempts", 1.into()),
        ("duration_ms", 30.0.into()),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    assert!(!event.to_string().contains("secret"), "{event}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_warns_with_its_whole_cause_and_a_refused_one_with_its_reason() {
    let inner = std::io::Error::other("connection refused\nfaked line");
    let failed = event_of(Err(CallError::service(inner))).await;
    assert_eq!((&failed["level"], &failed["outcome"]), (&"WARN".into(), &"failed".into()));
    assert_eq!(failed["error"], "connection refused\nfaked line");

    let refused = Rejection::new(Reason::Unavailable, "the circuit is open");
    let refused = event_of(Err(refused.into())).await;
    assert_eq!((&refused["outcome"], &refused["reason"]), (&"rejected".into(), &"unavailable".into()));
    assert_eq!((&refused["verdict"], &refused["error"]), (&"ignored".into(), &"the circuit is open".into()));

    let late = Rejection::new(Reason::DeadlineExceeded, "no answer within 30 ms");
    let mut late = Failure::from(late);
    late.attempts.count = 3;
    let late = event_of(Err(late)).await;
    assert_eq!((&late["outcome"], &late["attempts"]), (&"timed_out".into(), &3.into()));
}

#[tokio::test(start_paused = true)]
async fn success_after_several_attempts_is_worth_an_info() {
    let mut response = Response::new(());
    response.extensions_mut().insert(Attempts { count: 2, ..Attempts::ONE });
    let event = event_of(Ok(response)).await;
    assert_eq!((&event["level"], &event["attempts"]), (&"INFO".into(), &2.into()));
}

#[tokio::test(start_paused = true)]
async fn the_call_is_made_for_the_current_context_unless_the_request_has_its_own() {
    let seen = service_fn(async |request: Request<()>| {
        let explicit = request.extensions().get::<RequestContext>().unwrap().request_id().to_string();
        let current = ambient::current().unwrap().request_id().to_string();
        assert_eq!(explicit, current, "further in both are the same");
        Ok::<_, Failure>(Response::new(explicit))
    });
    let client = calls().layer(seen);
    let of_current = ambient::scope(context("current"), client.clone().oneshot(request())).await.unwrap();
    assert_eq!(of_current.body(), "current");

    let mut own = request();
    own.extensions_mut().insert(context("own"));
    let of_own = ambient::scope(context("current"), client.oneshot(own)).await.unwrap();
    assert_eq!(of_own.body(), "own");
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_a_span_of_its_own_under_the_calls_and_its_number() {
    let log = TestLog::start_at(tracing::Level::DEBUG);
    let seen = service_fn(async |request: Request<()>| {
        Ok::<_, Failure>(Response::new(request.extensions().get::<RequestContext>().unwrap().clone()))
    });
    let client = attempts().layer(seen);
    let call = context("call");
    let mut spans = Vec::new();
    for number in 1..=2 {
        let mut request = request();
        request.extensions_mut().insert(call.clone());
        request.extensions_mut().insert(AttemptNumber(number));
        let attempt = client.clone().oneshot(request).await.unwrap().into_body();
        assert_eq!(attempt.trace().parent_span_id(), Some(call.trace().span_id()));
        spans.push(attempt.trace().span_id().to_string());
    }
    assert_ne!(spans[0], spans[1]);
    let lines = log.lines();
    assert_eq!(lines.iter().map(|line| &line["attempt"]).collect::<Vec<_>>(), [&Value::from(1), &2.into()]);
    assert_eq!(lines[1]["span_id"], spans[1]);
    assert_eq!(lines[1]["span"]["http.request.resend_count"], 1, "{}", lines[1]);
}

#[tokio::test]
async fn a_call_that_is_dropped_at_any_await_is_logged_once_as_abandoned() {
    let probe = Probe::new(|_: Request<()>| Ok(Response::new(()))).pending_before_answer(3);
    let client = calls().layer(probe);
    let log = TestLog::start_at(tracing::Level::DEBUG);
    let mut logged = 0;
    let awaits = drop_at_every_await(
        || client.clone().oneshot(request()),
        |at| {
            let lines = log.lines();
            // Before its first poll nothing was called.
            assert_eq!(lines.len() - logged, usize::from(at > 0), "at await {at}");
            logged = lines.len();
            assert!(lines.last().is_none_or(|line| line["outcome"] == "abandoned"));
        },
    );
    assert_eq!(awaits.await, 3);
    assert_eq!(log.lines().last().unwrap()["outcome"], "complete");
}

#[tokio::test]
async fn a_panic_of_the_service_is_a_logged_call_too() {
    let log = TestLog::start_at(tracing::Level::DEBUG);
    let panics = service_fn(|_: Request<()>| -> std::future::Pending<Result<Response<()>, Failure>> {
        std::panic::panic_any("on purpose")
    });
    let call = tokio::spawn(calls().layer(panics).oneshot(request()));
    assert!(call.await.unwrap_err().is_panic());
    assert_eq!(log.line()["outcome"], "abandoned");
}

#[tokio::test]
async fn a_verdict_of_the_judge_decides_the_level() {
    let log = TestLog::start_at(tracing::Level::INFO);
    let judge = |result: Result<&Response<()>, &Failure>| match result {
        Ok(response) if response.status().is_server_error() => Verdict::Failure,
        _ => Verdict::Success,
    };
    let layer = CallLogLayer::new("payments", AtAnswer(judge));
    let service = service_fn(async |_: Request<()>| {
        Ok::<_, Failure>(Response::builder().status(500).body(()).unwrap())
    });
    layer.layer(service).oneshot(request()).await.unwrap();
    assert_eq!((&log.line()["level"], &log.line()["verdict"]), (&"WARN".into(), &"failure".into()));
}

#[tokio::test]
async fn both_keep_the_laws_of_layers() {
    layer_contract(calls, request, |_| Response::new(()), Laws::default()).await;
    layer_contract(attempts, request, |_| Response::new(()), Laws::default()).await;
}
