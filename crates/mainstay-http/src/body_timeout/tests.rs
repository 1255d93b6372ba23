//! What must hold of bodies that a client reads.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use mainstay_core::{Deadline, Parts, RequestContext, RequestId, TraceContext, ambient};
use mainstay_testkit::contract::{Laws, http_layer_contract};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

use super::{BodyTimedOut, BodyTimeoutConfig, BodyTimeoutLayer};

const SECOND: Duration = Duration::from_secs(1);

fn config(idle: Option<u64>) -> BodyTimeoutConfig {
    BodyTimeoutConfig { idle: idle.map(Duration::from_secs), ..BodyTimeoutConfig::default() }
}

/// How many pieces of a body that sends one a second, `pauses` of them, come through, how it ends, and after how long.
async fn read(config: BodyTimeoutConfig, pauses: &'static [u32]) -> (usize, bool, Duration) {
    let service = service_fn(async |_: Request<()>| {
        let frames = futures_util::stream::iter(pauses).then(async |pause| {
            sleep(*pause * SECOND).await;
            Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(b"piece")))
        });
        Ok::<_, Infallible>(Response::new(StreamBody::new(Box::pin(frames))))
    });
    let started = Instant::now();
    let answer = BodyTimeoutLayer::new(&config).unwrap().layer(service).oneshot(Request::new(())).await;
    let mut body = answer.unwrap().into_body();
    let mut pieces = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(_) => pieces += 1,
            Err(error) => {
                assert!(error.is::<BodyTimedOut>());
                assert!(body.frame().await.is_none(), "it has ended");
                return (pieces, false, started.elapsed());
            }
        }
    }
    (pieces, true, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_moves_takes_as_long_as_it_likes_and_one_that_stops_is_ended() {
    assert_eq!(read(config(Some(3)), &[2, 2, 2, 2]).await, (4, true, 8 * SECOND));
    assert_eq!(read(config(Some(3)), &[2, 9, 1]).await, (1, false, 5 * SECOND));
    assert_eq!(read(config(None), &[2, 9]).await, (2, true, 11 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_call_ends_its_body_unless_told_otherwise() {
    let call = || {
        let now = Instant::now().into_std();
        let trace = TraceContext::root([1; 16], [2; 8]);
        let parts = Parts::new(RequestId::parse(b"r").unwrap(), trace, now);
        RequestContext::new(Parts { deadline: Some(Deadline::after(now, 3 * SECOND)), ..parts })
    };
    let read_in_call = |config| ambient::scope(call(), read(config, &[2, 2, 2]));
    assert_eq!(read_in_call(config(None)).await, (1, false, 3 * SECOND));
    let stream = BodyTimeoutConfig { follow_deadline: false, ..config(None) };
    assert_eq!(read_in_call(stream).await, (3, true, 6 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_time_between_two_reads_is_the_readers_own() {
    let service = service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(http_body_util::Full::new(Bytes::from_static(b"piece"))))
    });
    let layer = BodyTimeoutLayer::new(&config(Some(1))).unwrap();
    let mut body = layer.layer(service).oneshot(Request::new(())).await.unwrap().into_body();
    sleep(60 * SECOND).await;
    assert!(body.frame().await.unwrap().is_ok());
}

#[test]
fn the_settings_are_read_by_their_names_and_refused_when_they_make_no_sense() {
    let config: BodyTimeoutConfig = serde_json::from_str(r#"{"idle":"5s","follow_deadline":false}"#).unwrap();
    assert_eq!(config, BodyTimeoutConfig { idle: Some(5 * SECOND), follow_deadline: false });
    let zero = BodyTimeoutConfig { idle: Some(Duration::ZERO), ..config };
    assert!(BodyTimeoutLayer::new(&zero).unwrap_err().to_string().contains("0ns is too short"));
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    http_layer_contract(BodyTimeoutLayer::default, || Request::new(()), Laws::default()).await;
}
