//! What must hold of the access log: one event for each request, with what became of it.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use garde::Validate;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use mainstay_core::{Peer, RequestContext, TenantId};
use mainstay_testkit::body::{Adversary, ScriptedBody, Step, drain, drain_at_most};
use mainstay_testkit::cancel::drop_at_await;
use mainstay_testkit::contract::{Law, Laws, http_layer_contract};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};

use super::{AccessLogConfig, AccessLogLayer, QueryLog, ReceivedBody, ReceivedLayer};
use crate::context::ContextLayer;
use crate::deadline::DeadlineLayer;
use crate::panic_guard::PanicGuardLayer;
use crate::test_log::TestLog;

fn request(method: Method, uri: &str) -> Request<()> {
    let mut request =
        Request::builder().method(method).uri(uri).header("user-agent", "curl/8").body(()).unwrap();
    let address = SocketAddr::from(([203, 0, 113, 9], 1));
    request.extensions_mut().insert(Peer { address, encrypted: false });
    request
}

/// Sends one request to a service that answers with this body, and reads it to its end.
async fn line_for(method: Method, status: u16, body: ScriptedBody) -> Value {
    let log = TestLog::start();
    let mut answer = Some(Response::builder().status(status).body(body).unwrap());
    let service = service_fn(move |_: Request<()>| {
        let answer = answer.take().unwrap();
        async { Ok::<_, Infallible>(answer) }
    });
    let answer =
        AccessLogLayer::default().layer(service).oneshot(request(method.clone(), "/a")).await.unwrap();
    if method == Method::HEAD {
        drop(answer); // as a server does
    } else {
        drain(answer.into_body()).await;
    }
    log.line()
}

#[tokio::test(start_paused = true)]
async fn the_line_says_who_asked_for_what_and_what_became_of_it() {
    let log = TestLog::start();
    let service = service_fn(async |request: Request<()>| {
        let context = request.extensions().get::<RequestContext>().unwrap();
        context.set_tenant(TenantId::parse("acme").unwrap()).unwrap();
        sleep(Duration::from_millis(20)).await;
        Ok::<_, Infallible>(Response::builder().status(201).body(Adversary::ExactSize.body()).unwrap())
    });
    let service = ContextLayer::default().layer(AccessLogLayer::default().layer(service));
    let answer = service.oneshot(request(Method::POST, "/orders?token=secret")).await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(log.lines().is_empty(), "the answer has not ended yet");
    drain(answer.into_body()).await;

    let mut line = log.line();
    let line = line.as_object_mut().unwrap();
    for varying in ["timestamp", "trace_id", "span_id"] {
        assert!(line.remove(varying).is_some(), "{varying} is missing");
    }
    assert_eq!(
        Value::Object(line.clone()),
        json!({
            "level": "INFO",
            "target": "mainstay::access",
            "message": "request",
            "http.request.method": "POST",
            "url.path": "/orders",
            "http.response.status_code": 201,
            "http.response.body.size": 11,
            "network.protocol.version": "1.1",
            "client.address": "203.0.113.9",
            "user_agent.original": "curl/8",
            "request_id": id,
            "correlation_id": id,
            "tenant": "acme",
            "outcome": "complete",
            "time_to_first_byte_ms": 20.0,
            "duration_ms": 20.0,
        })
    );
}

#[tokio::test]
async fn every_way_in_which_an_answer_can_end_is_one_line() {
    for adversary in Adversary::ALL {
        if !adversary.ends() || adversary.panics() {
            continue;
        }
        let line = line_for(Method::GET, 200, adversary.body()).await;
        let failed = matches!(adversary, Adversary::ErrorFirst | Adversary::ErrorAfterFrame);
        let (outcome, level) = if failed { ("failed_in_stream", "ERROR") } else { ("complete", "INFO") };
        assert_eq!((&line["outcome"], &line["level"]), (&json!(outcome), &json!(level)), "{adversary:?}");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_is_no_disconnect() {
    for (method, status, outcome) in [
        (Method::HEAD, 200, "complete"),
        (Method::GET, 204, "complete"),
        (Method::GET, 304, "complete"),
        (Method::GET, 100, "complete"),
        (Method::GET, 101, "upgraded"),
        (Method::CONNECT, 200, "upgraded"),
    ] {
        let log = TestLog::start();
        let service = service_fn(move |_: Request<()>| async move {
            Ok::<_, Infallible>(Response::builder().status(status).body(Adversary::ExactSize.body()).unwrap())
        });
        let uri = if method == Method::CONNECT { "example.org:443" } else { "/a" };
        drop(AccessLogLayer::default().layer(service).oneshot(request(method.clone(), uri)).await);
        assert_eq!(log.line()["outcome"], outcome, "{method} {status}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_is_noticed_before_and_in_the_body() {
    let log = TestLog::start();
    let service = service_fn(async |_: Request<()>| {
        pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    {
        let mut call = pin!(AccessLogLayer::default().layer(service).oneshot(request(Method::GET, "/slow")));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        assert!(log.lines().is_empty());
    }
    let line = log.line();
    assert_eq!((&line["outcome"], &line["level"]), (&json!("abandoned"), &json!("INFO")));
    assert_eq!(line.get("http.response.status_code"), None);

    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Adversary::Hangs.body())));
    let mut answer =
        AccessLogLayer::default().layer(service).oneshot(request(Method::GET, "/")).await.unwrap();
    answer.body_mut().frame().await.unwrap().unwrap();
    drop(answer);
    let line = log.line();
    assert_eq!(
        (&line["outcome"], &line["http.response.body.size"]),
        (&json!("abandoned_in_stream"), &json!(5))
    );
}

#[tokio::test]
async fn an_error_of_the_service_is_logged_and_passed_on() {
    let log = TestLog::start();
    let service = service_fn(async |_: Request<()>| Err::<Response<Empty<Bytes>>, _>("broken"));
    let result = AccessLogLayer::default().layer(service).oneshot(request(Method::GET, "/")).await;
    assert_eq!(result.map(drop), Err("broken"));
    let line = log.line();
    assert_eq!((&line["outcome"], &line["level"]), (&json!("failed"), &json!("ERROR")));
}

#[tokio::test(start_paused = true)]
async fn what_an_inner_layer_answered_keeps_its_outcome() {
    let log = TestLog::start();
    let service = service_fn(async |_: Request<()>| {
        pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let service = AccessLogLayer::default().layer(DeadlineLayer::default().layer(service));
    service.oneshot(request(Method::GET, "/")).await.unwrap().into_body().collect().await.unwrap();
    let line = log.line();
    assert_eq!((&line["outcome"], &line["reason"]), (&json!("timed_out"), &json!("deadline_exceeded")));
    assert_eq!((&line["http.response.status_code"], &line["level"]), (&json!(504), &json!("WARN")));
}

#[tokio::test]
async fn a_panic_in_the_body_is_told_apart_from_an_error() {
    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Adversary::PanicsInPoll.body())));
    let service = AccessLogLayer::default().layer(PanicGuardLayer::default().layer(service));
    let answer = ContextLayer::default().layer(service).oneshot(request(Method::GET, "/")).await.unwrap();
    assert!(answer.into_body().collect().await.is_err());
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "one for the panic, one for the request: {lines:#?}");
    assert_eq!(lines[1]["outcome"], "panicked_in_stream");
}

#[tokio::test]
async fn grpcs_status_is_read_from_the_trailers_and_its_faults_are_errors() {
    let trailers =
        Step::Trailers([("grpc-status".parse().unwrap(), "13".parse().unwrap())].into_iter().collect());
    let line = line_for(Method::POST, 200, ScriptedBody::new([trailers])).await;
    assert_eq!((&line["rpc.grpc.status_code"], &line["level"]), (&json!(13), &json!("ERROR")));
}

#[tokio::test]
async fn standing_outside_the_context_layer_is_said_once() {
    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let service = AccessLogLayer::default().layer(ContextLayer::default().layer(service));
    for _ in 0..2 {
        drop(service.clone().oneshot(request(Method::GET, "/")).await);
    }
    let warnings = log.lines().into_iter().filter(|line| line["level"] == "WARN").count();
    assert_eq!((warnings, log.lines().len()), (1, 3));
}

#[tokio::test]
async fn a_server_that_stops_reading_at_the_announced_length_has_delivered_everything() {
    // What hyper does over HTTP/1.1: it writes the length that it was told, and drops the body.
    for (announced, adversary) in [(None, Adversary::ExactSize), (Some("5"), Adversary::Hangs)] {
        let log = TestLog::start();
        let service = service_fn(move |_: Request<()>| async move {
            let mut answer = Response::new(adversary.body());
            if let Some(length) = announced {
                answer.headers_mut().insert("content-length", length.parse().unwrap());
            }
            Ok::<_, Infallible>(answer)
        });
        let answer =
            AccessLogLayer::default().layer(service).oneshot(request(Method::GET, "/")).await.unwrap();
        let frames = if announced.is_some() { 1 } else { 2 };
        drain_at_most(pin!(answer.into_body()), frames).await;
        assert_eq!(log.line()["outcome"], "complete", "{adversary:?}");
    }
}

#[tokio::test]
async fn a_panic_that_passes_by_is_no_disconnect() {
    let log = TestLog::start();
    let service = service_fn(async |_: Request<()>| -> Result<Response<Empty<Bytes>>, Infallible> {
        panic!("unguarded")
    });
    let call = AccessLogLayer::default().layer(service).oneshot(request(Method::GET, "/"));
    assert!(tokio::spawn(call).await.is_err());
    let line = log.line();
    assert_eq!((&line["outcome"], &line["level"]), (&json!("panicked"), &json!("ERROR")));
}

#[tokio::test]
async fn a_grpc_answer_without_a_status_is_logged_as_its_caller_sees_it() {
    let grpc =
        || Request::builder().method("POST").header("content-type", "application/grpc").body(()).unwrap();
    for (adversary, reads, status) in [(Adversary::Empty, usize::MAX, 2), (Adversary::Hangs, 1, 1)] {
        let log = TestLog::start();
        let service =
            service_fn(
                move |_: Request<()>| async move { Ok::<_, Infallible>(Response::new(adversary.body())) },
            );
        let answer = AccessLogLayer::default().layer(service).oneshot(grpc()).await.unwrap();
        drain_at_most(pin!(answer.into_body()), reads).await;
        assert_eq!(log.line()["rpc.grpc.status_code"], status, "{adversary:?}");
    }
}

#[tokio::test]
async fn a_grpc_body_that_panics_is_not_complete() {
    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Adversary::PanicsInPoll.body())));
    let service = AccessLogLayer::default().layer(PanicGuardLayer::default().layer(service));
    let grpc = Request::builder().method("POST").header("content-type", "application/grpc").body(()).unwrap();
    let answer = ContextLayer::default().layer(service).oneshot(grpc).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let lines = log.lines();
    assert_eq!(
        (&lines[1]["outcome"], &lines[1]["rpc.grpc.status_code"]),
        (&json!("panicked_in_stream"), &json!(13))
    );
}

#[tokio::test]
async fn a_method_of_a_strangers_invention_does_not_fill_the_log() {
    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let invented = Method::from_bytes(&[b'M'; 60_000]).unwrap();
    drop(AccessLogLayer::default().layer(service).oneshot(request(invented, "/")).await);
    let line = log.line();
    assert_eq!(line["http.request.method"], "_OTHER");
    assert_eq!(line["http.request.method_original"].as_str().unwrap().len(), 1_024);
}

/// The lines for one request to `/a?sig=x` of a trusting world: answered with this status after ten milliseconds.
async fn lines_with(layer: AccessLogLayer, status: u16) -> Vec<Value> {
    let log = TestLog::start();
    let service = service_fn(move |request: Request<()>| async move {
        sleep(Duration::from_millis(10)).await;
        if let Some(context) = request.extensions().get::<RequestContext>() {
            context.add_field("order.items", 3);
            context.add_field("order.\"name\"", "a\nb");
        }
        let answer = Response::builder().status(status).header("x-pool", "b").header("set-cookie", "s=1");
        Ok::<_, Infallible>(answer.body(Adversary::ExactSize.body()).unwrap())
    });
    let mut request = request(Method::GET, "/a?sig=x&q=1");
    for (name, value) in
        [("x-many", "1"), ("x-many", "2"), ("authorization", "Basic am9lOng="), ("x-else", "no")]
    {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let answer = ContextLayer::default().layer(layer.layer(service)).oneshot(request).await.unwrap();
    drain(answer.into_body()).await;
    log.lines()
}

fn layer(change: impl FnOnce(&mut AccessLogConfig)) -> AccessLogLayer {
    let mut config = AccessLogConfig::default();
    change(&mut config);
    AccessLogLayer::new(&config)
}

#[tokio::test(start_paused = true)]
async fn headers_are_logged_if_they_are_listed_and_credentials_not_even_then() {
    let listed = layer(|config| {
        config.request_headers =
            ["X-Many", "authorization", "x-absent"].map(|name| name.parse().unwrap()).into();
        config.response_headers = ["x-pool", "set-cookie"].map(|name| name.parse().unwrap()).into();
    });
    let line = &lines_with(listed, 200).await[0];
    let object = |name: &str| serde_json::from_str::<Value>(line[name].as_str().unwrap()).unwrap();
    assert_eq!(
        object("http.request.headers"),
        json!({
            "http.request.header.x-many": ["1", "2"],
            "http.request.header.authorization": ["[redacted]"],
        })
    );
    assert_eq!(
        object("http.response.headers"),
        json!({
            "http.response.header.x-pool": ["b"],
            "http.response.header.set-cookie": ["[redacted]"],
        })
    );
}

#[tokio::test(start_paused = true)]
async fn handlers_add_fields_and_the_query_is_shown_without_its_secrets_where_asked_for() {
    let line = &lines_with(AccessLogLayer::default(), 200).await[0];
    assert_eq!(line["fields"], r#"{"order.\"name\"":"a\nb","order.items":3}"#);
    assert_eq!(line.get("url.query"), None);
    let line = &lines_with(layer(|config| config.query = QueryLog::Redacted), 200).await[0];
    assert_eq!(line["url.query"], "sig=REDACTED&q=1");
}

#[tokio::test(start_paused = true)]
async fn slow_calls_are_warned_of() {
    let slow = |millis| layer(|config| config.slow = Some(Duration::from_millis(millis)));
    let line = &lines_with(slow(10), 200).await[0];
    assert_eq!((&line["slow"], &line["level"]), (&json!(true), &json!("WARN")));
    let line = &lines_with(slow(11), 200).await[0];
    assert_eq!((line.get("slow"), &line["level"]), (None, &json!("INFO")));
}

#[tokio::test(start_paused = true)]
async fn what_is_skipped_or_not_sampled_has_no_line_unless_it_was_our_fault() {
    let skipped = [
        layer(|config| config.skip.paths = vec!["/a".to_owned()]),
        layer(|config| config.skip.path_prefixes = vec!["/".to_owned()]),
        layer(|config| config.skip.user_agents = vec!["curl/".to_owned()]),
        layer(|config| config.skip.methods = vec!["GET".to_owned()]),
        layer(|config| config.skip.status_classes = vec![2]),
        AccessLogLayer::default().skip_if(|seen| seen.status == Some(200)),
        AccessLogLayer::default().skip_if(|_| true).skip_if(|_| false),
        layer(|config| config.sample = 0.0),
    ];
    for layer in skipped {
        assert_eq!(lines_with(layer.clone(), 200).await.len(), 0, "{layer:?}");
        assert_eq!(lines_with(layer.clone(), 500).await.len(), 1, "{layer:?}");
    }
    let kept = [
        layer(|config| config.skip.paths = vec!["/".to_owned(), "/a/".to_owned()]),
        layer(|config| config.skip.path_prefixes = vec!["/b".to_owned()]),
        layer(|config| config.skip.status_classes = vec![3]),
        layer(|config| (config.sample, config.slow) = (0.0, Some(Duration::from_millis(1)))),
    ];
    for layer in kept {
        assert_eq!(lines_with(layer.clone(), 200).await.len(), 1, "{layer:?}");
    }
    let line = &lines_with(layer(|config| config.sample = 0.5), 503).await[0];
    assert_eq!(line["sampling.weight"], 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_line_of_morgans_is_the_whole_event() {
    let text = ":method :url :status :res[content-length] :remote-user :total-time[0] :res[set-cookie]";
    let line = &lines_with(layer(|config| config.format = text.parse().unwrap()), 200).await[0];
    assert_eq!(line["message"], "GET /a?sig=REDACTED&q=1 200 11 joe 10 [redacted]");
    assert_eq!(line.as_object().unwrap().len(), 4, "time, level, target, message: {line}");
}

#[tokio::test]
async fn what_came_in_is_counted_and_a_request_that_breaks_off_is_the_callers() {
    for (adversary, read, announced, outcome, size) in [
        (Adversary::ExactSize, usize::MAX, None, "complete", 11),
        (Adversary::ExactSize, 0, None, "complete", 0),
        (Adversary::ErrorAfterFrame, usize::MAX, None, "failed_in_request", 5),
        (Adversary::Hangs, 1, Some("9"), "abandoned_in_request", 5),
        (Adversary::Hangs, 1, Some("5"), "abandoned", 5),
    ] {
        let log = TestLog::start();
        let service = service_fn(move |request: Request<ReceivedBody<ScriptedBody>>| async move {
            drain_at_most(pin!(request.into_body()), read).await;
            if announced.is_some() {
                pending::<()>().await;
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        let service = AccessLogLayer::default().layer(ReceivedLayer::new().layer(service));
        let mut request = Request::post("/").body(adversary.body()).unwrap();
        if let Some(length) = announced {
            request.headers_mut().insert("content-length", length.parse().unwrap());
        }
        let call = ContextLayer::default().layer(service).oneshot(request);
        drop(drop_at_await(call, 1).await);
        let line = log.line();
        assert_eq!(
            (&line["outcome"], &line["http.request.body.size"], &line["level"]),
            (&json!(outcome), &json!(size), &json!("INFO")),
            "{adversary:?}"
        );
    }
}

#[tokio::test]
async fn dropped_at_any_await_of_the_answer_or_of_its_body_it_is_logged_once_with_where_and_how_far() {
    let call = || async {
        let service = service_fn(async |_: Request<()>| {
            tokio::task::yield_now().await;
            let data = |text: &'static str| Step::Data(Bytes::from(text));
            let body =
                ScriptedBody::new([Step::Pending, data("one"), Step::Pending, data("two"), Step::Pending]);
            Ok::<_, Infallible>(Response::new(body))
        });
        let layer = AccessLogLayer::default();
        let answer = layer.layer(service).oneshot(request(Method::GET, "/a")).await.unwrap();
        drain(answer.into_body()).await;
    };
    let mut logged = Vec::new();
    for pending in 0.. {
        let log = TestLog::start();
        let ended = drop_at_await(call(), pending).await;
        let lines = log.lines().into_iter();
        logged.push(
            lines.map(|line| json!([line["outcome"], line["http.response.body.size"]])).collect::<Vec<_>>(),
        );
        if ended.is_some() {
            break;
        }
    }
    let expected = json!([
        [], // It was never polled.
        [["abandoned", 0]],
        [["abandoned_in_stream", 0]],
        [["abandoned_in_stream", 3]],
        [["abandoned_in_stream", 6]],
        [["complete", 6]],
    ]);
    assert_eq!(json!(logged), expected);
}

#[tokio::test]
async fn a_grpc_method_is_named_only_if_the_service_knows_it() {
    for (status, named) in [("0", true), ("5", true), ("12", false)] {
        let log = TestLog::start();
        let service = service_fn(move |_: Request<()>| async move {
            Ok::<_, Infallible>(
                Response::builder().header("grpc-status", status).body(Empty::<Bytes>::new()).unwrap(),
            )
        });
        let request = Request::post("/orders.Orders/Place").header("content-type", "application/grpc");
        let call = AccessLogLayer::default().layer(service).oneshot(request.body(()).unwrap());
        drain(call.await.unwrap().into_body()).await;
        let line = log.line();
        let rpc = (line.get("rpc.service"), line.get("rpc.method"));
        let expected = (json!("orders.Orders"), json!("Place"));
        assert_eq!(rpc, if named { (Some(&expected.0), Some(&expected.1)) } else { (None, None) });
    }
}

#[tokio::test]
async fn counting_what_comes_in_keeps_the_laws_of_layers_and_bodies() {
    let laws = Laws { panicking_bodies: Law::Held, ..Laws::default() };
    http_layer_contract::<_, (), ReceivedBody<()>, _>(ReceivedLayer::new, || Request::new(()), laws).await;
}

#[test]
fn settings_out_of_range_are_refused() {
    let check = |json: Value| {
        let config: AccessLogConfig = serde_json::from_value(json).map_err(|error| error.to_string())?;
        config.validate().map_err(|report| report.to_string())
    };
    assert_eq!(check(json!({})), Ok(()));
    assert_eq!(
        check(json!({"format": "dev", "slow": "2s", "sample": 0.25, "request_headers": ["X-Y"]})),
        Ok(())
    );
    assert!(
        check(json!({"format": ":nope"})).unwrap_err().starts_with("`:nope` is no token of a log format")
    );
    assert!(
        check(json!({"request_headers": ["a b"]}))
            .unwrap_err()
            .starts_with("`a b` is not the name of a header")
    );
    assert_eq!(check(json!({"sample": 1.5})), Err("sample: not between 0 and 1\n".to_owned()));
    assert!(check(json!({"skip": {"status_classes": [5]}})).is_err());
    let written =
        serde_json::to_value(AccessLogConfig { format: "dev".parse().unwrap(), ..Default::default() });
    assert_eq!(written.unwrap()["format"], "dev");
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn under_axum_the_route_and_the_whole_path_are_logged_also_in_a_nested_router() {
    use axum::Router;
    use axum::routing::get;

    let log = TestLog::start();
    let orders = Router::new().route("/orders/{id}", get(async || "one")).layer(AccessLogLayer::default());
    let app = Router::new().nest("/api", orders);
    let request = Request::builder().uri("/api/orders/7").body(axum::body::Body::empty()).unwrap();
    app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let line = log.line();
    assert_eq!(
        (&line["url.path"], &line["http.route"]),
        (&json!("/api/orders/7"), &json!("/api/orders/{id}"))
    );
}

#[tokio::test]
async fn nothing_is_logged_when_it_is_switched_off() {
    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let layer = AccessLogLayer::new(&AccessLogConfig { enabled: false, ..AccessLogConfig::default() });
    drop(layer.layer(service).oneshot(request(Method::GET, "/")).await);
    assert!(log.lines().is_empty());
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    let laws = Laws { panicking_bodies: Law::Held, ..Laws::default() };
    http_layer_contract(AccessLogLayer::default, || Request::new(()), laws).await;
}

proptest! {
    #[test]
    fn one_request_is_one_line_whatever_its_bytes(
        agent in prop::collection::vec(prop_oneof![Just(b'\t'), 0x20_u8..=0x7e, 0x80_u8..=0xff], 0..2_000),
        path in prop::collection::vec(any::<u8>(), 0..2_000),
    ) {
        let path: String = path.iter().map(|byte| format!("%{byte:02x}")).collect();
        let mut request = Request::builder().uri(format!("/{path}")).body(()).unwrap();
        request.headers_mut().insert("user-agent", http::HeaderValue::from_bytes(&agent).unwrap());
        let log = TestLog::start();
        let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { drop(AccessLogLayer::default().layer(service).oneshot(request).await) });
        let line = log.line();
        prop_assert!(line["url.path"].as_str().unwrap().len() <= 1_024);
        prop_assert!(line["user_agent.original"].as_str().unwrap().len() <= 1_024);
    }
}
