//! What must hold of the decisions at the edge.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use mainstay_core::{Peer, RequestContext};
use mainstay_testkit::contract::{Laws, http_layer_contract};
use tower::{Layer, ServiceExt, service_fn};

use super::{ContextConfig, ContextLayer};
use crate::deadline::DeadlineConfig;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What the handler saw, and what the caller got back.
struct Seen {
    context: RequestContext,
    request: HeaderMap,
    response: HeaderMap,
}

async fn send(peer: &str, headers: &[(&str, &str)]) -> Seen {
    let config =
        ContextConfig { trusted_networks: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()] };
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

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    http_layer_contract(ContextLayer::default, || Request::new(()), Laws::default()).await;
}
