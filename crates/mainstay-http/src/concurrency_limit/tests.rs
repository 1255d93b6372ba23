//! What must hold of the limit on calls at once.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use mainstay_core::{Outcome, Reason};
use mainstay_testkit::body::{Adversary, ScriptedBody, Step};
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, http_layer_contract};
use mainstay_testkit::probe::Probe;
use tower::{Layer, ServiceExt, service_fn};

use super::{ConcurrencyLimitConfig, ConcurrencyLimitLayer};
use crate::answer::Ended;

fn limited(most: u32) -> ConcurrencyLimitLayer {
    let config = ConcurrencyLimitConfig {
        max_in_flight: NonZeroU32::new(most),
        exempt: vec!["/health".to_owned()],
        ..ConcurrencyLimitConfig::default()
    };
    ConcurrencyLimitLayer::new(&config).unwrap()
}

fn grpc() -> Request<()> {
    Request::builder().method("POST").header("content-type", "application/grpc").body(()).unwrap()
}

#[tokio::test]
async fn a_call_too_many_is_refused_at_once_over_all_services_until_a_body_ends() {
    let layer = limited(1);
    let service = |_: Request<()>| async { Ok::<_, Infallible>(Response::new(Adversary::ExactSize.body())) };
    let (one, other) = (layer.layer(service_fn(service)), layer.layer(service_fn(service)));
    let first = one.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!((first.status().as_u16(), layer.handle().in_flight()), (200, 1));

    let refused = other.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(refused.extensions().get(), Some(&Ended(Outcome::Rejected(Reason::Overloaded))));
    let grpc = other.clone().oneshot(grpc()).await.unwrap();
    assert_eq!((grpc.status().as_u16(), &grpc.headers()["grpc-status"]), (200, &"14".parse().unwrap()));
    let health = Request::builder().uri("/health").body(()).unwrap();
    assert_eq!(other.clone().oneshot(health).await.unwrap().status(), 200);
    assert_eq!(layer.handle().in_flight(), 1, "an exempt call is not counted");

    let mut body = first.into_body();
    while body.frame().await.is_some() {}
    assert_eq!(layer.handle().in_flight(), 0, "the body has ended, though it is not dropped");
    assert_eq!(other.oneshot(Request::new(())).await.unwrap().status(), 200);
    drop(body);
    assert_eq!(layer.handle().in_flight(), 0, "given back once");
}

#[tokio::test]
async fn the_place_comes_back_from_every_kind_of_body_and_from_a_panic() {
    let layer = limited(1);
    for adversary in Adversary::ALL {
        let service =
            service_fn(
                move |_: Request<()>| async move { Ok::<_, Infallible>(Response::new(adversary.body())) },
            );
        let answer = layer.layer(service).oneshot(Request::new(())).await.unwrap();
        assert_eq!(answer.status(), 200, "{adversary:?}");
        drop(std::panic::catch_unwind(AssertUnwindSafe(|| drop(answer))));
        assert_eq!(layer.handle().in_flight(), 0, "{adversary:?}");
    }
    let service =
        service_fn(|_: Request<()>| -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>> {
            panic!("in call")
        });
    let service = layer.layer(service);
    let task = tokio::spawn(async move { service.oneshot(Request::new(())).await.map(drop) });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test]
async fn a_caller_that_leaves_at_any_await_gives_its_place_back() {
    let layer = limited(1);
    let handle = layer.handle();
    let probe = Probe::new(|_: Request<()>| {
        let data = Step::Data(Bytes::from_static(b"hello"));
        Ok(Response::new(ScriptedBody::new(vec![Step::Pending, data, Step::Pending])))
    });
    let probe = probe.pending_before_ready(1).pending_before_answer(2);
    let call = || {
        let service = layer.layer(probe.clone());
        async move { service.oneshot(Request::new(())).await.unwrap().into_body().collect().await.unwrap() }
    };
    let awaits = drop_at_every_await(call, |at| assert_eq!(handle.in_flight(), 0, "at {at}")).await;
    assert_eq!((awaits, handle.in_flight()), (5, 0));
}

#[tokio::test]
async fn an_error_gives_the_place_back_and_no_limit_counts_nothing() {
    let layer = limited(1);
    let failing = service_fn(async |_: Request<()>| Err::<Response<Full<Bytes>>, _>("no"));
    assert_eq!(layer.layer(failing).oneshot(Request::new(())).await.map(drop), Err("no"));
    assert_eq!(layer.handle().in_flight(), 0);

    let layer = ConcurrencyLimitLayer::default();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let _answer = layer.layer(service).oneshot(Request::new(())).await.unwrap();
    assert_eq!((layer.handle().in_flight(), layer.handle().limit()), (0, None));
}

#[test]
fn two_threads_never_hold_more_than_the_limit_and_leave_nothing() {
    let layer = limited(3);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    let held: Vec<_> = (0..3)
                        .map(|_| super::Permit::acquire(&layer.shared, NonZeroU32::new(3).unwrap()))
                        .collect();
                    assert!(layer.handle().in_flight() <= 3);
                    drop(held);
                }
            });
        }
    });
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    http_layer_contract(|| limited(8), || Request::new(()), Laws::default()).await;
    http_layer_contract(ConcurrencyLimitLayer::default, || Request::new(()), Laws::default()).await;
}
