//! What must hold of the decisions at the edge.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::Full;
use mainstay_core::{Peer, RequestContext, ambient};
use mainstay_testkit::contract::{Laws, http_layer_contract};
use proptest::prelude::*;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use super::{ContextConfig, ContextLayer, ForwardingHeader, TrustedTrace, host};
use crate::access_log::AccessLogLayer;
use crate::deadline::{DeadlineConfig, DeadlineLayer};
use crate::panic_guard::PanicGuardLayer;
use crate::test_log::TestLog;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What the handler saw, and what the caller got back.
struct Seen {
    context: RequestContext,
    request: HeaderMap,
    response: HeaderMap,
}

async fn send(peer: &str, headers: &[(&str, &str)]) -> Seen {
    send_with(ContextConfig::default(), peer, headers).await
}

async fn send_with(mut config: ContextConfig, peer: &str, headers: &[(&str, &str)]) -> Seen {
    config.trusted_networks = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
    let limits = DeadlineConfig::default();
    let mut request = Request::builder().method("POST").body(()).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    if let Ok(address) = peer.parse::<SocketAddr>() {
        request.extensions_mut().insert(Peer { address, encrypted: false });
    }
    let service = service_fn(async |request: Request<()>| {
        let mut answer = Response::new(());
        answer.extensions_mut().insert(request.extensions().get::<RequestContext>().unwrap().clone());
        answer.extensions_mut().insert(request.headers().clone());
        Ok::<_, Infallible>(answer)
    });
    let layer = ContextLayer::new(&config).deadline(&limits);
    let answer = layer.layer(service).oneshot(request).await.unwrap();
    Seen {
        context: answer.extensions().get::<RequestContext>().unwrap().clone(),
        request: answer.extensions().get::<HeaderMap>().unwrap().clone(),
        response: answer.headers().clone(),
    }
}

fn allowed(seen: &Seen) -> Duration {
    seen.context.deadline().unwrap().remaining(seen.context.received_at())
}

#[tokio::test]
async fn a_request_of_a_stranger_gets_new_ids_whatever_it_says() {
    let seen = send(
        "203.0.113.9:1",
        &[("x-request-id", "mine"), ("x-correlation-id", "chain"), ("traceparent", PARENT)],
    )
    .await;
    let id = seen.context.request_id().as_str();
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 7);
    assert_eq!(seen.context.correlation_id().as_str(), id);
    assert_eq!(seen.context.trace().parent_span_id(), None);
    assert!(!seen.request.contains_key("traceparent"), "an inner tracer would continue a stranger's trace");
    assert_eq!(seen.request["x-request-id"], id, "the handler must not see the refused id");
    assert_eq!(seen.request["x-correlation-id"], id);
    assert_eq!(
        (&seen.response["x-request-id"], &seen.response["x-correlation-id"]),
        (&id.parse().unwrap(), &id.parse().unwrap())
    );
}

#[tokio::test]
async fn a_trusted_peers_ids_and_trace_are_adopted_and_kept_apart() {
    for peer in ["10.1.2.3:4", "[::ffff:10.1.2.3]:4", "[fd00::1]:4"] {
        let seen =
            send(peer, &[("x-request-id", "step-7"), ("x-correlation-id", "chain"), ("traceparent", PARENT)])
                .await;
        assert_eq!(seen.context.request_id().as_str(), "step-7");
        assert_eq!(seen.context.correlation_id().as_str(), "chain");
        assert_eq!(seen.context.trace().parent_span_id().unwrap().to_string(), "b7ad6b7169203331");
        assert_eq!(seen.response["x-request-id"], "step-7");
        assert_eq!(seen.response["x-correlation-id"], "chain");
    }
}

#[tokio::test]
async fn insane_and_repeated_ids_are_replaced_even_from_a_trusted_peer() {
    let long = "a".repeat(16 * 1024);
    for id in ["", "two words", "tab\there", long.as_str()] {
        let seen = send("10.1.2.3:4", &[("x-request-id", id)]).await;
        assert_ne!(seen.context.request_id().as_str(), id);
        assert_eq!(seen.request["x-request-id"], seen.context.request_id().as_str());
    }
    let seen = send("10.1.2.3:4", &[("x-request-id", "one"), ("x-request-id", "two")]).await;
    assert_eq!(seen.request.get_all("x-request-id").iter().count(), 1);
    assert_eq!(seen.context.request_id().as_str().len(), 36);

    let twice = send("10.1.2.3:4", &[("traceparent", PARENT), ("traceparent", PARENT)]).await;
    assert_eq!(twice.context.trace().parent_span_id(), None);
}

#[test]
fn a_network_in_ipv6s_clothes_is_the_ipv4_network() {
    let networks =
        ["::ffff:10.0.0.0/104", "fd00::/8", "192.0.2.0/24"].map(|network| network.parse().unwrap());
    let canonical = super::decide::canonical(&networks).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(canonical, ["10.0.0.0/8", "fd00::/8", "192.0.2.0/24"]);
}

#[tokio::test]
async fn without_a_peer_nobody_is_trusted_and_nothing_panics() {
    let seen = send("a unix socket", &[("x-request-id", "mine")]).await;
    assert_eq!(seen.context.client_address(), None);
    assert!(!seen.context.trust().is_trusted());
    assert_eq!(seen.context.scheme(), None);

    let seen = send("[::ffff:203.0.113.9]:1", &[]).await;
    assert_eq!(seen.context.client_address(), Some(IpAddr::from([203, 0, 113, 9])));
    assert_eq!(seen.context.scheme().unwrap().as_str(), "http");
}

#[tokio::test]
async fn a_grpc_caller_may_ask_for_less_time_and_a_trusted_one_for_more() {
    let grpc = |timeout| [("content-type", "application/grpc"), ("grpc-timeout", timeout)];
    let (stranger, ours) = ("203.0.113.9:1", "10.1.2.3:4");
    for (peer, timeout, expected) in [
        (stranger, "3S", 3),
        (stranger, "30S", 10),
        (stranger, "+3S", 10),
        (ours, "3S", 3),
        (ours, "30S", 30),
        (ours, "1H", 60),
        (ours, "nonsense", 10),
    ] {
        assert_eq!(
            allowed(&send(peer, &grpc(timeout)).await),
            Duration::from_secs(expected),
            "{peer} {timeout}"
        );
    }
    assert_eq!(
        allowed(&send(ours, &[("grpc-timeout", "3S")]).await),
        Duration::from_secs(10),
        "only gRPC speaks it"
    );
}

#[tokio::test]
async fn a_context_that_is_there_already_is_kept() {
    let service = service_fn(async |request: Request<()>| {
        let mut answer = Response::new(());
        answer.extensions_mut().insert(request.extensions().get::<RequestContext>().unwrap().clone());
        Ok::<_, Infallible>(answer)
    });
    let twice = ContextLayer::default().layer(ContextLayer::default().layer(service));
    let answer = twice.oneshot(Request::new(())).await.unwrap();
    let seen = answer.extensions().get::<RequestContext>().unwrap();
    assert_eq!(answer.headers()["x-request-id"], seen.request_id().as_str());
    assert_eq!(answer.headers().get_all("x-request-id").iter().count(), 1);
}

const STRANGER: &str = "203.0.113.9:1";
const OURS: &str = "10.1.2.3:4";

#[tokio::test]
async fn a_trusted_proxy_says_whom_it_serves_and_a_stranger_does_not() {
    let headers = [
        ("host", "internal:8080"),
        ("x-forwarded-for", "198.51.100.7, 10.0.0.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "Shop.Example:443"),
        ("forwarded", "for=192.0.2.66;host=evil"),
        ("x-real-ip", "198.51.100.7"),
    ];
    let seen = send(OURS, &headers).await;
    assert_eq!(seen.context.client_address(), Some(IpAddr::from([198, 51, 100, 7])));
    assert_eq!(seen.context.scheme().unwrap().as_str(), "https");
    assert_eq!(seen.context.host(), Some("shop.example"));
    assert!(!seen.request.contains_key("forwarded"), "not the header that is believed");
    assert_eq!(seen.request["x-forwarded-for"], "198.51.100.7, 10.0.0.9");

    let seen = send(STRANGER, &headers).await;
    assert_eq!(seen.context.client_address(), Some(IpAddr::from([203, 0, 113, 9])));
    assert_eq!(seen.context.scheme().unwrap().as_str(), "http");
    assert_eq!(seen.context.host(), Some("internal"));
    assert_eq!(seen.request.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["host"]);

    let config = ContextConfig { forwarding_header: ForwardingHeader::Forwarded, ..ContextConfig::default() };
    let seen = send_with(config, OURS, &headers).await;
    assert_eq!(seen.context.client_address(), Some(IpAddr::from([192, 0, 2, 66])));
    assert_eq!((seen.context.scheme(), seen.context.host()), (None, Some("evil")));
    assert!(seen.request.contains_key("forwarded") && !seen.request.contains_key("x-forwarded-for"));
    assert!(!seen.request.contains_key("x-real-ip"));
}

#[tokio::test]
async fn a_host_that_the_proxy_garbles_is_none_and_not_our_own_name() {
    let seen = send(OURS, &[("host", "internal"), ("x-forwarded-host", "a b")]).await;
    assert_eq!(seen.context.host(), None);
    let seen = send(OURS, &[("host", "shop.example"), ("x-forwarded-for", "198.51.100.7")]).await;
    assert_eq!(seen.context.host(), Some("shop.example"));
}

#[test]
fn the_host_is_what_target_and_header_agree_on() {
    let own = |version, uri: &str, hosts: &[&str]| {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        host::own(&request.body(()).unwrap()).map(|host| host.as_str().to_owned())
    };
    let (http1, http2, a) = (Version::HTTP_11, Version::HTTP_2, Some("a.example".to_owned()));
    assert_eq!(own(http1, "/", &["A.example:80"]), a);
    assert_eq!(own(http1, "http://a.example/", &["b.example"]), a);
    assert_eq!(own(http2, "https://a.example/", &[]), a);
    assert_eq!(own(http2, "https://a.example/", &["a.example:443"]), a);
    assert_eq!(own(http2, "https://a.example/", &["b.example"]), None);
    assert_eq!(own(http2, "https://a.example/", &["a.example", "a.example"]), None);
    assert_eq!(own(http1, "/", &["a.example", "b.example"]), None);
    assert_eq!(own(http1, "/", &["a.example/x"]), None);
    assert_eq!(own(http1, "/", &[]), None);
}

#[tokio::test]
async fn a_trace_that_is_not_continued_is_linked_to() {
    let restart = ContextConfig { trace: TrustedTrace::Restart, ..ContextConfig::default() };
    for (config, peer) in [(ContextConfig::default(), STRANGER), (restart, OURS)] {
        let seen = send_with(config, peer, &[("traceparent", PARENT), ("tracestate", "a=1")]).await;
        let (trace, link) = (seen.context.trace(), seen.context.trace().link().unwrap());
        assert_eq!(link.trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(link.span_id.to_string(), "b7ad6b7169203331");
        assert_ne!(trace.trace_id(), link.trace_id);
        assert_eq!((trace.parent_span_id(), trace.state(), trace.is_sampled()), (None, None, false));
        assert!(!seen.request.contains_key("traceparent") && !seen.request.contains_key("tracestate"));
    }
}

#[tokio::test]
async fn a_tracestate_in_several_lines_is_one_list() {
    let lines = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")];
    assert_eq!(send(OURS, &lines).await.context.trace().state(), Some("a=1,b=2"));
    let malformed = [("traceparent", PARENT), ("tracestate", "A=1")];
    let seen = send(OURS, &malformed).await;
    assert_eq!(seen.context.trace().state(), None);
    assert!(seen.context.trace().parent_span_id().is_some());
}

#[tokio::test]
async fn a_refused_id_is_kept_for_the_log_alone() {
    let refused = |seen: &Seen| seen.context.refused_request_id().map(ToString::to_string);
    assert_eq!(refused(&send(STRANGER, &[("x-request-id", "mine")]).await).as_deref(), Some("mine"));
    assert_eq!(refused(&send(OURS, &[("x-request-id", "two\twords")]).await).as_deref(), Some("two\\twords"));
    let twice = [("x-request-id", "one"), ("x-request-id", "two")];
    assert_eq!(refused(&send(OURS, &twice).await).as_deref(), Some("one,two"));
    assert_eq!(refused(&send(OURS, &[("x-request-id", "mine")]).await), None);
    assert_eq!(refused(&send(STRANGER, &[]).await), None);

    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let layers = ServiceBuilder::new().layer(ContextLayer::default()).layer(AccessLogLayer::default());
    let request = Request::builder().header("x-request-id", "a\t\"b\"").body(()).unwrap();
    drop(layers.service(service).oneshot(request).await.unwrap());
    assert_eq!(log.line()["request_id.refused"], r#"a\t\"b\""#);
}

#[tokio::test]
async fn what_runs_deep_inside_a_handler_finds_the_calls_context_and_nothing_after_it_does() {
    async fn deep() -> Option<String> {
        tokio::task::yield_now().await;
        ambient::current().map(|context| context.request_id().to_string())
    }
    let service = service_fn(|request: Request<()>| {
        let at_once = ambient::current().map(|context| context.request_id().to_string());
        async move {
            let own = request.extensions().get::<RequestContext>().unwrap().request_id().to_string();
            assert_eq!((at_once.as_ref(), deep().await.as_ref()), (Some(&own), Some(&own)));
            Ok::<_, Infallible>(Response::new(()))
        }
    });
    let service = ContextLayer::default().layer(service);
    let (first, second) =
        tokio::join!(service.clone().oneshot(Request::new(())), service.oneshot(Request::new(())));
    assert!(first.is_ok() && second.is_ok());
    assert!(ambient::current().is_none());
}

#[tokio::test(start_paused = true)]
async fn both_ids_are_on_rejections_and_on_answers_to_panics() {
    async fn answer(request: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
        if request.uri().path() == "/panic" {
            panic!("as a handler does");
        }
        std::future::pending().await
    }
    for (path, status) in [("/panic", 500), ("/late", 504)] {
        let layers = ServiceBuilder::new()
            .layer(ContextLayer::default())
            .layer(PanicGuardLayer::default())
            .layer(DeadlineLayer::default());
        let request = Request::builder().uri(path).body(()).unwrap();
        let answer = layers.service(service_fn(answer)).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["x-request-id"], answer.headers()["x-correlation-id"]);
    }
}

#[test]
fn the_settings_are_read_by_their_names() {
    let config: ContextConfig =
        serde_json::from_str(r#"{"forwarding_header": "x-forwarded-for", "trace": "restart"}"#).unwrap();
    assert_eq!(config.forwarding_header, ForwardingHeader::XForwardedFor);
    assert_eq!(config.trace, TrustedTrace::Restart);
    assert_eq!(serde_json::from_str::<ContextConfig>("{}").unwrap(), ContextConfig::default());
    assert!(serde_json::from_str::<ContextConfig>(r#"{"forwarding_header": "x-real-ip"}"#).is_err());
}

proptest! {
    #[test]
    fn nothing_that_a_stranger_sends_decides_anything(
        lines in prop::collection::vec((
            prop::sample::select(vec![
                "x-request-id", "x-correlation-id", "traceparent", "tracestate", "forwarded", "x-forwarded-for",
                "x-forwarded-proto", "x-forwarded-host", "x-real-ip",
            ]),
            prop_oneof!["[ -~]{0,60}", Just(PARENT.to_owned()), Just("for=10.0.0.1;proto=https".to_owned()), Just("10.0.0.1".to_owned())],
        ), 0..12),
    ) {
        let mut headers: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("host", "shop.example"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let seen = runtime.block_on(send(STRANGER, &headers));
        let context = &seen.context;
        prop_assert_eq!(context.client_address(), Some(IpAddr::from([203, 0, 113, 9])));
        prop_assert_eq!(context.scheme().map(mainstay_core::Scheme::as_str), Some("http"));
        prop_assert_eq!(context.host(), Some("shop.example"));
        prop_assert!(!context.trust().is_trusted());
        prop_assert_eq!(context.request_id().as_str(), context.correlation_id().as_str());
        prop_assert!(uuid::Uuid::parse_str(context.request_id().as_str()).is_ok());
        prop_assert_eq!(context.trace().parent_span_id(), None);
        prop_assert_eq!(context.trace().state(), None);
        prop_assert_eq!(allowed(&seen), Duration::from_secs(10));
        for name in seen.request.keys() {
            prop_assert!(["x-request-id", "x-correlation-id", "host"].contains(&name.as_str()), "{} was left", name);
        }
    }
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    http_layer_contract(ContextLayer::default, || Request::new(()), Laws::default()).await;
}
