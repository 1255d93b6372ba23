//! What must hold of the panic guard. Panics print to standard error here: that is the default hook, and wanted.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::panic::panic_any;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use mainstay_core::{Outcome, Phase};
use mainstay_testkit::body::{Adversary, Event, drain};
use mainstay_testkit::contract::{Laws, http_layer_contract};
use serde_json::json;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{PanicGuardConfig, PanicGuardLayer, install_hook};
use crate::answer::Ended;
use crate::context::ContextLayer;
use crate::test_log::TestLog;

type Answer = Result<Response<Empty<Bytes>>, Infallible>;

fn grpc() -> Request<()> {
    Request::builder().method("POST").header("content-type", "application/grpc").body(()).unwrap()
}

#[tokio::test]
async fn a_panic_in_the_future_is_a_plain_500_and_one_event_that_names_the_request() {
    let log = TestLog::start();
    let service = service_fn(async |_: Request<()>| -> Answer { panic!("password = hunter2\n{}", 1) });
    let service = ContextLayer::default().layer(PanicGuardLayer::default().layer(service));
    let answer = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.extensions().get(), Some(&Ended(Outcome::Panicked(Phase::Answer))));
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert!(!body.contains("hunter2"), "{body}");
    assert!(body.contains(&id), "{body}");

    let line = log.line();
    assert_eq!((&line["level"], &line["request_id"]), (&json!("ERROR"), &json!(id)));
    assert_eq!((&line["panic"], &line["outcome"]), (&json!("password = hunter2\n1"), &json!("panicked")));
}

#[tokio::test]
async fn the_settings_say_how_much_of_a_panic_is_logged() {
    install_hook();
    let line = async |config: PanicGuardConfig| {
        let log = TestLog::start();
        let service = service_fn(async |_: Request<()>| -> Answer { panic!("{}", "é".repeat(40_000)) });
        drop(PanicGuardLayer::new(&config).unwrap().layer(service).oneshot(Request::new(())).await);
        log.line()
    };
    let text = |line: &serde_json::Value| line["panic"].as_str().map(str::len);
    let whole = line(PanicGuardConfig::default()).await;
    assert_eq!(text(&whole), Some(4_096));
    let cut = line(PanicGuardConfig { max_text: 65, ..PanicGuardConfig::default() }).await;
    assert_eq!(text(&cut), Some(64), "no character is cut in half");
    let silent =
        line(PanicGuardConfig { log_text: false, log_backtrace: false, ..PanicGuardConfig::default() }).await;
    assert_eq!((silent.get("panic"), silent.get("backtrace")), (None, None));
    assert!(silent["location"].as_str().unwrap().contains("panic_guard/tests.rs"));
}

#[test]
fn settings_are_read_by_their_names_and_refused_out_of_their_ranges() {
    let config: PanicGuardConfig = serde_json::from_str(r#"{"log_text":false,"max_text":100}"#).unwrap();
    assert_eq!(config, PanicGuardConfig { log_text: false, max_text: 100, log_backtrace: true });
    for max_text in [63, 65_537] {
        assert!(PanicGuardLayer::new(&PanicGuardConfig { max_text, ..config }).is_err(), "{max_text}");
    }
    assert!(serde_json::from_str::<PanicGuardConfig>(r#"{"text":false}"#).is_err());
}

#[tokio::test]
async fn a_panic_in_the_call_itself_is_caught_and_the_service_goes_on() {
    let mut calls = 0;
    let service = service_fn(move |_: Request<()>| {
        calls += 1;
        assert!(calls > 1, "the first call panics");
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let mut service = PanicGuardLayer::default().layer(service);
    assert_eq!(service.ready().await.unwrap().call(Request::new(())).await.unwrap().status(), 500);
    assert_eq!(service.ready().await.unwrap().call(Request::new(())).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_grpc_caller_gets_internal_before_and_in_the_body() {
    let service = service_fn(async |_: Request<()>| -> Answer { panic!("before") });
    let answer = PanicGuardLayer::default().layer(service).oneshot(grpc()).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["grpc-status"]), (200, &"13".parse().unwrap()));

    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Adversary::PanicsInPoll.body())));
    let answer = PanicGuardLayer::default().layer(service).oneshot(grpc()).await.unwrap();
    let collected = answer.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "13");
    assert_eq!(collected.to_bytes(), "hello");
}

#[tokio::test]
async fn an_http_body_that_panics_ends_as_a_broken_transfer_and_is_not_polled_again() {
    let log = TestLog::start();
    let body = Adversary::PanicsInPoll.body();
    let handle = body.handle();
    let mut body = Some(body);
    let service = service_fn(move |_: Request<()>| {
        let body = body.take().unwrap();
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let answer = PanicGuardLayer::default().layer(service).oneshot(Request::new(())).await.unwrap();
    let transcript = drain(answer.into_body()).await;
    let events: Vec<_> = transcript.entries.iter().map(|observed| &observed.event).collect();
    assert!(matches!(events[..2], [Event::Data(_), Event::Error(_)]), "{events:?}");
    assert!(handle.is_dropped());
    assert_eq!(handle.polled_after_end(), 0);
    assert_eq!(log.line()["outcome"], "panicked_in_stream");
}

#[tokio::test]
async fn a_panic_in_the_drop_of_a_body_or_of_an_abandoned_call_does_not_reach_the_server() {
    struct PanicsInDrop;
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }

    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Adversary::PanicsInDrop.body())));
    drop(PanicGuardLayer::default().layer(service).oneshot(Request::new(())).await);
    assert_eq!(log.line()["outcome"], "panicked_in_stream");

    let log = TestLog::start();
    let service = service_fn(async |_: Request<()>| -> Answer {
        let held = PanicsInDrop;
        pending::<()>().await;
        drop(held);
        unreachable!("pending never ends")
    });
    {
        let mut call = pin!(PanicGuardLayer::default().layer(service).oneshot(Request::new(())));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(log.line()["panic"], "in drop");
}

#[tokio::test]
async fn a_payload_that_panics_in_its_own_drop_does_not_reach_the_server() {
    struct Payload(u8);
    impl Drop for Payload {
        fn drop(&mut self) {
            if self.0 > 0 {
                panic_any(Payload(self.0 - 1));
            }
        }
    }

    let service = service_fn(async |_: Request<()>| -> Answer { panic_any(Payload(2)) });
    assert_eq!(
        PanicGuardLayer::default().layer(service).oneshot(Request::new(())).await.unwrap().status(),
        500
    );
}

#[tokio::test]
async fn a_body_that_panics_when_it_is_asked_about_itself_is_caught_and_noted() {
    struct Talkative;
    impl Body for Talkative {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(None)
        }

        fn is_end_stream(&self) -> bool {
            panic!("in is_end_stream")
        }

        fn size_hint(&self) -> SizeHint {
            panic!("in size_hint")
        }
    }

    let log = TestLog::start();
    let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Talkative)));
    let answer = PanicGuardLayer::default().layer(service).oneshot(Request::new(())).await.unwrap();
    assert!(!answer.body().is_end_stream());
    assert_eq!(answer.body().size_hint().exact(), None);
    let said: Vec<_> = log.lines().iter().map(|line| line["panic"].clone()).collect();
    assert_eq!(said, ["in is_end_stream", "in size_hint"]);
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    http_layer_contract(PanicGuardLayer::default, || Request::new(()), Laws::default()).await;
}

#[tokio::test]
async fn with_the_hook_the_event_says_where_and_the_text_is_bounded_and_clean() {
    install_hook();
    install_hook();
    let log = TestLog::start();
    let service = service_fn(async |_: Request<()>| -> Answer { panic!("\u{1b}[31m{}", "é".repeat(4_000)) });
    let line = line!() - 1;
    drop(PanicGuardLayer::default().layer(service).oneshot(Request::new(())).await);
    let event = log.line();
    let location = event["location"].as_str().unwrap();
    assert!(location.contains(&format!("tests.rs:{line}:")), "{location}");
    let text = event["panic"].as_str().unwrap();
    assert!(text.len() <= 4_096 + 2 && text.starts_with("\u{FFFD}[31mé"), "{}", text.len());
}

#[tokio::test]
async fn a_panic_from_another_thread_does_not_get_the_place_of_an_earlier_one() {
    install_hook();
    let log = TestLog::start();
    assert!(std::panic::catch_unwind(|| panic!("an earlier one, which somebody else caught")).is_err());
    let service = service_fn(async |_: Request<()>| -> Answer {
        std::panic::resume_unwind(Box::new("carried over"));
    });
    drop(PanicGuardLayer::default().layer(service).oneshot(Request::new(())).await);
    let event = log.line();
    assert_eq!((&event["panic"], event.get("location")), (&json!("carried over"), None));
}

#[test]
fn a_panic_in_a_drop_while_the_thread_unwinds_from_another_does_not_abort() {
    let unwound = std::thread::spawn(|| {
        let service = service_fn(|_: Request<()>| {
            let held = AlwaysPanicsInDrop;
            async move {
                pending::<()>().await;
                drop(held);
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let mut call = Box::pin(PanicGuardLayer::default().layer(service).oneshot(Request::new(())));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        panic!("the server's own");
    });
    assert_eq!(unwound.join().unwrap_err().downcast_ref(), Some(&"the server's own"));
}

struct AlwaysPanicsInDrop;

impl Drop for AlwaysPanicsInDrop {
    fn drop(&mut self) {
        panic!("in drop, while another panic unwinds");
    }
}
