//! What must hold of the rate limit as a layer.

use std::convert::Infallible;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use garde::Validate;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use mainstay_core::{Outcome, Parts, Reason, RequestContext, RequestId, TenantId, TraceContext};
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, http_layer_contract};
use mainstay_testkit::probe::Probe;
use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt, service_fn};

use super::key::Caller;
use super::{KeyPart, Limiter, RateLimitConfig, RateLimitLayer, RatePolicy};
use crate::answer::Ended;
use crate::body::AnswerBody;

fn policy(name: &str, key: &[KeyPart], quota: u32, seconds: u64) -> RatePolicy {
    RatePolicy {
        name: name.to_owned(),
        key: key.to_vec(),
        quota: NonZeroU32::new(quota).unwrap(),
        window: Duration::from_secs(seconds),
    }
}

fn config(policies: &[RatePolicy]) -> RateLimitConfig {
    RateLimitConfig {
        policies: policies.to_vec(),
        exempt: vec!["/health".to_owned()],
        ..RateLimitConfig::default()
    }
}

fn limited(policies: &[RatePolicy]) -> RateLimitLayer {
    RateLimitLayer::new(&config(policies)).unwrap()
}

fn from(client: &str, tenant: &str) -> Request<()> {
    let trace = TraceContext::root([1; 16], [2; 8]);
    let mut parts = Parts::new(RequestId::v7(1_000, [0; 10]), trace, Instant::now().into_std());
    parts.client_address = Some(client.parse::<IpAddr>().unwrap());
    let context = RequestContext::new(parts);
    context.set_tenant(TenantId::parse(tenant).unwrap()).unwrap();
    let mut request = Request::new(());
    request.extensions_mut().insert(context);
    request
}

async fn answer(layer: &RateLimitLayer, request: Request<()>) -> Response<AnswerBody<Full<Bytes>>> {
    let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::from("hello"))));
    layer.layer(service).oneshot(request).await.unwrap()
}

async fn status(layer: &RateLimitLayer, request: Request<()>) -> u16 {
    answer(layer, request).await.status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn each_client_has_its_quota_over_all_services_and_gets_it_back_with_time() {
    let layer = limited(&[policy("per-client", &[KeyPart::Client], 2, 10)]);
    let first = answer(&layer, from("192.0.2.1", "a")).await;
    assert_eq!(first.headers()["ratelimit-policy"], "\"per-client\";q=2;w=10");
    assert_eq!(first.headers()["ratelimit"], "\"per-client\";r=1;t=5");
    assert_eq!(status(&layer, from("192.0.2.1", "b")).await, 200);

    let refused = answer(&layer, from("192.0.2.1", "a")).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"5".parse().unwrap()));
    assert_eq!(refused.headers()["ratelimit"], "\"per-client\";r=0;t=5");
    assert_eq!(refused.extensions().get(), Some(&Ended(Outcome::Rejected(Reason::RateLimited))));
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert!(std::str::from_utf8(&body).unwrap().contains("rate_limited"), "{body:?}");

    assert_eq!(status(&layer, from("192.0.2.2", "a")).await, 200, "another client");
    advance(Duration::from_millis(4_999)).await;
    assert_eq!(status(&layer, from("192.0.2.1", "a")).await, 429);
    advance(Duration::from_millis(1)).await;
    assert_eq!(status(&layer, from("192.0.2.1", "a")).await, 200);
}

#[tokio::test(start_paused = true)]
async fn every_policy_must_have_room_and_a_refused_call_costs_nothing() {
    let layer =
        limited(&[policy("tenant", &[KeyPart::Tenant], 3, 60), policy("burst", &[KeyPart::Client], 1, 2)]);
    assert_eq!(
        answer(&layer, from("192.0.2.1", "a")).await.headers()["ratelimit"],
        "\"tenant\";r=2;t=20, \"burst\";r=0;t=2"
    );
    for _ in 0..10 {
        let refused = answer(&layer, from("192.0.2.1", "a")).await;
        assert_eq!(refused.headers()["ratelimit"], "\"tenant\";r=2;t=20, \"burst\";r=0;t=2");
    }
    for client in ["192.0.2.2", "192.0.2.3"] {
        assert_eq!(status(&layer, from(client, "a")).await, 200);
    }
    assert_eq!(status(&layer, from("192.0.2.4", "a")).await, 429, "the tenant's quota is used up");
    assert_eq!(
        status(&layer, from("192.0.2.4", "b")).await,
        200,
        "and the refused call has not used the client's"
    );
}

#[tokio::test(start_paused = true)]
async fn calls_of_unknown_origin_share_a_quota_and_exempt_ones_need_none() {
    let layer = limited(&[policy("per-client", &[KeyPart::Client, KeyPart::Route], 1, 60)]);
    assert_eq!(status(&layer, Request::new(())).await, 200);
    let grpc = Request::builder().method("POST").uri("/a").header("content-type", "application/grpc");
    let refused = answer(&layer, grpc.body(()).unwrap()).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["grpc-status"]), (200, &"8".parse().unwrap()));
    assert_eq!(refused.headers()["grpc-retry-pushback-ms"], "60000");
    assert!(!refused.headers().contains_key("ratelimit"), "gRPC has a field of its own");
    let health = || Request::builder().uri("/health").body(()).unwrap();
    let answered = answer(&layer, health()).await;
    assert_eq!(answered.status(), 200);
    assert!(!answered.headers().contains_key("ratelimit"));
}

#[tokio::test]
async fn fields_can_be_left_out_and_a_limit_further_in_keeps_its_own() {
    let silent = RateLimitConfig { headers: false, ..config(&[policy("a", &[], 9, 60)]) };
    let silent = answer(&RateLimitLayer::new(&silent).unwrap(), Request::new(())).await;
    assert!(
        !silent.headers().contains_key("ratelimit") && !silent.headers().contains_key("ratelimit-policy")
    );

    let inner =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let service = limited(&[policy("inner", &[], 9, 60)]).layer(inner);
    let service = limited(&[policy("outer", &[], 9, 60)]).layer(service);
    let answer = service.oneshot(Request::new(())).await.unwrap();
    let names: Vec<_> =
        answer.headers().get_all("ratelimit").iter().map(|line| &line.as_bytes()[1..6]).collect();
    assert_eq!(names, [&b"inner"[..], b"outer"]);
}

#[test]
fn two_threads_together_get_exactly_the_quota_of_the_tightest_policy() {
    let limiter = Limiter::new(&config(&[policy("wide", &[], 5_000, 60), policy("tight", &[], 1_000, 60)]));
    let admitted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    let passed = limiter.admit(&Caller::default(), 0).refused.is_none();
                    admitted.fetch_add(usize::from(passed), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 1_000);
    let left = limiter.admit(&Caller::default(), 0).standings;
    assert_eq!((left[0].remaining, left[1].remaining), (4_000, 0), "a refused call was counted");
}

#[test]
fn settings_are_data_and_wrong_ones_are_named_at_construction() {
    let data =
        r#"{"policies": [{"name": "per-route", "key": ["client", "route"], "quota": 5, "window": "1m"}]}"#;
    let read: RateLimitConfig = serde_json::from_str(data).unwrap();
    assert_eq!(read.policies, [policy("per-route", &[KeyPart::Client, KeyPart::Route], 5, 60)]);
    assert!(read.validate().is_ok());

    for (wrong, part) in [
        (config(&[policy("", &[], 1, 1)]), "policies[0].name"),
        (config(&[policy("a\"b", &[], 1, 1)]), "policies[0].name"),
        (config(&[policy("a", &[], 1, 0)]), "policies[0].window"),
        (config(&[policy("a", &[], 1, 1), policy("a", &[], 1, 1)]), "two policies are named \"a\""),
        (config(&vec![RatePolicy::default(); 5]), "5 policies: expected at most 4"),
        (RateLimitConfig { max_keys: 1, ..config(&[]) }, "max_keys"),
        (RateLimitConfig { exempt: vec!["*".to_owned()], ..config(&[]) }, "\"*\" is no path"),
    ] {
        let error = RateLimitLayer::new(&wrong).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let fraction = RatePolicy { window: Duration::from_millis(1_500), ..RatePolicy::default() };
    assert!(RateLimitLayer::new(&config(&[fraction])).is_err());
}

#[tokio::test]
async fn a_caller_that_leaves_leaves_nothing_running() {
    let probe: Probe<Request<()>, Response<Full<Bytes>>> = Probe::new(|_| Ok(Response::new(Full::default())));
    let probe = probe.pending_before_ready(1).pending_before_answer(2);
    let handle = probe.handle();
    let service = limited(&[policy("a", &[], 100, 1)]).layer(probe);
    let call = || service.clone().oneshot(Request::new(()));
    assert_eq!(drop_at_every_await(call, |_| handle.assert_idle()).await, 3);
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    let wide = || limited(&[policy("wide", &[KeyPart::Client], 1_000, 1)]);
    http_layer_contract(wide, || Request::new(()), Laws::default()).await;
    http_layer_contract(RateLimitLayer::default, || Request::new(()), Laws::default()).await;
}
