//! What must hold of requests' bodies.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use mainstay_core::{Outcome, Phase};
use mainstay_testkit::body::{Adversary, BodyHandle, ScriptedBody, Step};
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, http_layer_contract};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

use super::super::{BodyLimits, DeadlineConfig, UploadBody, UploadDeadlineLayer, UploadTimedOut};
use crate::answer::Ended;
use crate::body::AnswerBody;

fn layer(idle: Option<u64>, total: Option<u64>) -> UploadDeadlineLayer {
    let limits = BodyLimits { idle: idle.map(Duration::from_secs), total: total.map(Duration::from_secs) };
    UploadDeadlineLayer::new(&DeadlineConfig { request_body: limits, ..DeadlineConfig::default() })
}

/// A handler that reads everything, working so long on each frame, and answers a failed read with this status.
async fn upload(
    layer: UploadDeadlineLayer,
    body: ScriptedBody,
    work: Duration,
    status: u16,
) -> Response<AnswerBody<String>> {
    let service = service_fn(move |request: Request<UploadBody<ScriptedBody>>| async move {
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            if let Err(error) = frame {
                assert!(error.is::<UploadTimedOut>(), "{error}");
                assert!(body.frame().await.is_none(), "an error is the end");
                return Ok::<_, Infallible>(
                    Response::builder().status(status).body("mine".to_owned()).unwrap(),
                );
            }
            sleep(work).await;
        }
        Ok(Response::new("read".to_owned()))
    });
    layer.layer(service).oneshot(Request::new(body)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stalls_is_the_callers_fault() {
    for (idle, total) in [(Some(3), None), (None, Some(3)), (Some(3), Some(9))] {
        for status in [400, 500] {
            let started = Instant::now();
            let answer = upload(layer(idle, total), Adversary::Hangs.body(), Duration::ZERO, status).await;
            assert_eq!(started.elapsed(), Duration::from_secs(3));
            assert_eq!(answer.status(), 408);
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            assert_eq!(answer.extensions().get(), Some(&Ended(Outcome::TimedOut(Phase::Request))));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handlers_better_answer_stays() {
    for status in [200, 206, 409, 503] {
        let answer = upload(layer(Some(3), None), Adversary::Hangs.body(), Duration::ZERO, status).await;
        assert_eq!((answer.status().as_u16(), answer.extensions().get::<Ended>()), (status, None));
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_is_told_that_the_time_is_over() {
    for (code, expected) in [("2", "4"), ("13", "4"), ("9", "9")] {
        let service = service_fn(move |request: Request<UploadBody<ScriptedBody>>| async move {
            assert!(request.into_body().collect().await.is_err());
            let answer = Response::builder().header("grpc-status", code);
            Ok::<_, Infallible>(answer.body(String::new()).unwrap())
        });
        let request = Request::post("/").header("content-type", "application/grpc");
        let request = request.body(Adversary::Hangs.body()).unwrap();
        let answer = layer(Some(1), None).layer(service).oneshot(request).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["grpc-status"]),
            (200, &expected.parse().unwrap())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_handlers_own_time_does_not_count_as_the_callers() {
    let frames = || Step::Data("x".into());
    let body = ScriptedBody::new([frames(), Step::Pending, frames(), Step::Pending, frames()]);
    let answer = upload(layer(Some(3), None), body, Duration::from_secs(100), 400).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn without_limits_a_body_may_stall_for_ever() {
    let answer = upload(UploadDeadlineLayer::default(), Adversary::Hangs.body(), Duration::ZERO, 400);
    assert!(tokio::time::timeout(Duration::from_secs(100_000), answer).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_limited_body_still_says_what_it_is() {
    let service = service_fn(async |request: Request<UploadBody<ScriptedBody>>| {
        let hint = http_body::Body::size_hint(request.body()).exact();
        assert_eq!(hint, Some(11));
        let trailers = request.into_body().collect().await.unwrap().trailers().is_some();
        Ok::<_, Infallible>(Response::new(trailers.to_string()))
    });
    let request = Request::new(Adversary::ExactSize.body());
    layer(Some(1), Some(1)).layer(service).oneshot(request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_leaves_nothing() {
    let handles = std::sync::Mutex::new(Vec::new());
    let call = || {
        let body = Adversary::Stutters.body();
        handles.lock().unwrap().push(body.handle());
        upload(layer(Some(1), Some(9)), body, Duration::from_millis(1), 400)
    };
    let all_gone = |at| {
        assert!(
            handles.lock().unwrap().iter().all(BodyHandle::is_dropped),
            "a body lives on after await {at}"
        );
    };
    assert!(drop_at_every_await(call, all_gone).await >= 3);
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    let request = || Request::new(Adversary::ExactSize.body());
    http_layer_contract(UploadDeadlineLayer::default, request, Laws::default()).await;
    http_layer_contract(|| layer(Some(1), Some(1)), request, Laws::default()).await;
}
