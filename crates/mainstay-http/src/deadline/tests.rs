//! What must hold of deadlines.

mod bodies;
mod uploads;

use std::convert::Infallible;
use std::time::Duration;

use garde::Validate;
use http::{Request, Response};
use mainstay_core::{Deadline, Outcome, Parts, Phase, RequestContext, RequestId, TraceContext};
use mainstay_testkit::contract::{Laws, http_layer_contract};
use mainstay_testkit::probe::Probe;
use tokio::task::consume_budget;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{BodyLimits, Covers, DeadlineBody, DeadlineConfig, DeadlineLayer, RouteDeadline};
use crate::answer::Ended;
use crate::context::ContextLayer;

async fn answer_after(taken: Duration, request: Request<()>) -> Response<DeadlineBody<String>> {
    let service = service_fn(move |_: Request<()>| async move {
        sleep(taken).await;
        Ok::<_, Infallible>(Response::new("done".to_owned()))
    });
    DeadlineLayer::default().layer(service).oneshot(request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_is_ended_at_its_deadline_and_not_before() {
    let started = Instant::now();
    let late = answer_after(Duration::from_secs(11), Request::new(())).await;
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    assert_eq!(late.status(), 504);
    assert_eq!(late.extensions().get(), Some(&Ended(Outcome::TimedOut(Phase::Answer))));

    let in_time = answer_after(Duration::from_secs(9), Request::new(())).await;
    assert_eq!(in_time.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_ready_at_the_deadline_wins() {
    assert_eq!(answer_after(Duration::from_secs(10), Request::new(())).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_caller_gets_deadline_exceeded_at_its_own_deadline() {
    let service = service_fn(async |_: Request<()>| {
        sleep(Duration::from_secs(1)).await;
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let service = ContextLayer::default().layer(DeadlineLayer::default().layer(service));
    let grpc = |timeout| {
        let request = Request::builder().method("POST").header("content-type", "application/grpc");
        request.header("grpc-timeout", timeout).body(()).unwrap()
    };
    let started = Instant::now();
    let answer = service.clone().oneshot(grpc("50m")).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_millis(50));
    assert_eq!((answer.status().as_u16(), &answer.headers()["grpc-status"]), (200, &"4".parse().unwrap()));

    // Past when it comes in: refused without a call, so without a wait.
    let answer = service.oneshot(grpc("0n")).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "4");
    assert_eq!(started.elapsed(), Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn the_sooner_of_the_layers_own_limit_and_the_contexts_deadline_counts() {
    let limit = |secs| DeadlineConfig { default: Duration::from_secs(secs), ..DeadlineConfig::default() };
    let ended_after = async |outer: u64, inner: DeadlineLayer| {
        let service = service_fn(async |_: Request<()>| {
            sleep(Duration::from_secs(1_000)).await;
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let started = Instant::now();
        let service = ContextLayer::default().deadline(&limit(outer)).layer(inner.layer(service));
        service.oneshot(Request::new(())).await.unwrap();
        started.elapsed().as_secs()
    };
    assert_eq!(ended_after(10, DeadlineLayer::new(&limit(2))).await, 2);
    assert_eq!(ended_after(2, DeadlineLayer::new(&limit(10))).await, 2);
    assert_eq!(ended_after(3, DeadlineLayer::inherited()).await, 3);
    let unlimited = service_fn(async |_: Request<()>| {
        sleep(Duration::from_secs(1_000)).await;
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let answer = DeadlineLayer::inherited().layer(unlimited).oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_handler_that_is_always_busy_is_ended_too() {
    // Real time: a task that never waits would not let a paused clock move.
    let service = service_fn(async |_: Request<()>| {
        loop {
            consume_budget().await;
        }
        #[expect(unreachable_code, reason = "says the type of an answer that never comes")]
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let config = DeadlineConfig { default: Duration::from_millis(20), ..DeadlineConfig::default() };
    let answer = DeadlineLayer::new(&config).layer(service).oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), 504);
}

#[tokio::test]
async fn a_call_that_is_refused_gives_back_what_was_reserved_for_it() {
    let probe = Probe::new(|_: Request<()>| Ok(Response::new(String::new())));
    let handle = probe.handle();
    let mut service = DeadlineLayer::default().layer(probe);
    let trace = TraceContext::root([1; 16], [2; 8]);
    let now = Instant::now().into_std();
    let parts =
        Parts { deadline: Some(Deadline::at(now)), ..Parts::new(RequestId::v7(1, [0; 10]), trace, now) };
    let mut request = Request::new(());
    request.extensions_mut().insert(RequestContext::new(parts));
    let answer = service.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(answer.status(), 504);
    assert_eq!((handle.calls(), handle.reserved()), (0, 0));
}

#[test]
fn impossible_lengths_are_refused() {
    let config = |default, maximum| {
        let (default, maximum) = (Duration::from_millis(default), Duration::from_millis(maximum));
        DeadlineConfig { default, maximum, ..DeadlineConfig::default() }
            .validate()
            .map_err(|report| report.to_string())
    };
    assert_eq!(config(1, 1), Ok(()));
    assert_eq!(config(0, 1), Err("default: shorter than 1ms: no call could ever be answered\n".to_owned()));
    assert_eq!(config(2, 1), Err("maximum: shorter than the default deadline\n".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    http_layer_contract(DeadlineLayer::default, || Request::new(()), Laws::default()).await;
}

/// A handler that asks for so much time in all, and takes so much: in seconds, as is when its caller was answered.
async fn extended(asked: u64, taken: u64, layer: DeadlineLayer) -> (u16, u64) {
    let service = service_fn(move |request: Request<()>| async move {
        let context = request.extensions().get::<RequestContext>().unwrap().clone();
        sleep(Duration::from_secs(5)).await;
        context.extend_deadline(context.received_at() + Duration::from_secs(asked));
        sleep(Duration::from_secs(taken - 5)).await;
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let started = Instant::now();
    let service = ContextLayer::default().layer(layer.layer(service));
    let answer = service.oneshot(Request::new(())).await.unwrap();
    (answer.status().as_u16(), started.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_handler_gets_the_time_it_asks_for_up_to_the_maximum() {
    let config = DeadlineConfig::default();
    for layer in [DeadlineLayer::in_stack(&config), DeadlineLayer::new(&config)] {
        assert_eq!(extended(30, 29, layer.clone()).await, (200, 29));
        assert_eq!(extended(30, 31, layer.clone()).await, (504, 30));
        assert_eq!(extended(90, 70, layer.clone()).await, (504, 60), "the maximum is the end");
        assert_eq!(extended(1, 11, layer).await, (504, 10), "nobody asks for less");
    }
    let short = DeadlineConfig { maximum: Duration::from_secs(20), ..config };
    assert_eq!(extended(30, 29, DeadlineLayer::new(&short)).await, (504, 20), "the layer's own maximum");
}

#[tokio::test(start_paused = true)]
async fn a_route_of_the_settings_gets_its_own_limit_or_none() {
    let route = |path: &str| RouteDeadline::new(path.parse().unwrap());
    let config = DeadlineConfig {
        routes: vec![
            RouteDeadline { default: Some(Duration::from_secs(300)), ..route("/reports/{id}") },
            RouteDeadline { covers: Some(Covers::Nothing), ..route("/uploads/{*rest}") },
        ],
        ..DeadlineConfig::default()
    };
    let status = async |path: &str, taken: u64, layer: &DeadlineLayer| {
        let service = service_fn(move |_: Request<()>| async move {
            sleep(Duration::from_secs(taken)).await;
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let service = ContextLayer::default().deadline(&config).layer(layer.layer(service));
        let request = Request::builder().uri(path).body(()).unwrap();
        service.oneshot(request).await.unwrap().status().as_u16()
    };
    for layer in [DeadlineLayer::in_stack(&config), DeadlineLayer::new(&config)] {
        assert_eq!(status("/reports/7", 299, &layer).await, 200);
        assert_eq!(status("/reports/7", 301, &layer).await, 504);
        assert_eq!(status("/uploads/7", 100_000, &layer).await, 200);
        assert_eq!(status("/reports", 11, &layer).await, 504);
    }
}

#[test]
fn the_settings_are_written_as_they_are_read() {
    let text = r#"{"default":"5s","maximum":"1m","header":"connect-timeout-ms","covers":"body",
        "request_body":{"idle":"30s"},"response_body":{"total":"10m"},
        "routes":[{"path":"/files/{*rest}","methods":["PUT"],"covers":"nothing","request_body":{"idle":"1m"}}]}"#;
    let config: DeadlineConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.covers, Covers::Body);
    assert_eq!(config.header.as_ref().unwrap(), "connect-timeout-ms");
    assert_eq!(config.routes[0].methods, [http::Method::PUT]);
    let idle = Some(Duration::from_secs(60));
    assert_eq!(config.routes[0].request_body, Some(BodyLimits { idle, total: None }));
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<DeadlineConfig>(&written).unwrap(), config);
    for bad in
        [r#"{"header":"a b"}"#, r#"{"routes":[{"path":"files"}]}"#, r#"{"routes":[{}]}"#, r#"{"cover":1}"#]
    {
        assert!(serde_json::from_str::<DeadlineConfig>(bad).is_err(), "{bad} was read");
    }
}
