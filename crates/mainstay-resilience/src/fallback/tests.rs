//! What must hold of other answers.

use std::sync::{Arc, Mutex};

use mainstay_core::call::{CallError, Verdict};
use mainstay_core::{Reason, Rejection};
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Law, Laws, layer_contract};
use mainstay_testkit::probe::{Probe, ProbeError};
use tower::{Layer, ServiceExt, service_fn};

use super::{FallbackConfig, FallbackLayer, FellBack};

type Failure = CallError<std::io::Error>;

async fn obey(request: &'static str) -> Result<u32, Failure> {
    match request {
        "fail" => Err(CallError::service(std::io::Error::other("broken"))),
        "refuse" => Err(Rejection::new(Reason::Unavailable, "open").into()),
        _ => Ok(1),
    }
}

#[tokio::test]
async fn failures_and_refusals_get_the_other_answer_and_successes_keep_theirs() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let layer = FallbackLayer::value(7).on_event(move |event| heard.lock().unwrap().push(*event));
    let service = layer.layer(service_fn(obey));
    for (request, answer) in [("succeed", 1), ("fail", 7), ("refuse", 7)] {
        assert_eq!(service.clone().oneshot(request).await.unwrap(), answer);
    }
    let said = [Verdict::Failure, Verdict::Ignored].map(|verdict| FellBack { verdict });
    assert_eq!(*told.lock().unwrap(), said);
}

#[tokio::test]
async fn a_function_sees_what_failed_and_may_fail_itself() {
    let layer = FallbackLayer::function(|result: Result<u32, Failure>| async move {
        let error = result.unwrap_err();
        if error.to_string() == "open" { Ok(8) } else { Err(error) }
    });
    let service = layer.layer(service_fn(obey));
    assert_eq!(service.clone().oneshot("refuse").await.unwrap(), 8);
    assert_eq!(service.oneshot("fail").await.unwrap_err().to_string(), "broken");
}

#[tokio::test]
async fn another_service_is_asked_with_the_same_request_when_it_is_ready() {
    let other = Probe::new(|request: u32| Ok(request + 1)).pending_before_ready(2);
    let handle = other.handle();
    let fails = service_fn(async |_: u32| Err::<u32, _>(ProbeError::new("broken")));
    let service = FallbackLayer::service(other).layer(fails);
    assert_eq!(service.oneshot(4).await.unwrap(), 5);
    handle.assert_idle();
}

#[tokio::test]
async fn a_judge_says_what_failed_and_the_settings_turn_it_off() {
    let judge = |result: Result<&u32, &Failure>| match result {
        Ok(1) => Verdict::Failure,
        _ => Verdict::Success,
    };
    let layer = FallbackLayer::value(7).judge(judge);
    assert_eq!(layer.layer(service_fn(obey)).oneshot("succeed").await.unwrap(), 7);
    let off: FallbackConfig = serde_json::from_str(r#"{"enabled":false}"#).unwrap();
    assert_eq!(layer.config(&off).layer(service_fn(obey)).oneshot("succeed").await.unwrap(), 1);
}

#[tokio::test]
async fn dropped_at_any_await_neither_the_call_nor_the_other_runs_on() {
    let fails = Probe::new(|_: u32| Err::<u32, _>(ProbeError::new("broken"))).pending_before_answer(2);
    let other = Probe::new(|number: u32| Ok(number)).pending_before_ready(1).pending_before_answer(2);
    let (first, second) = (fails.handle(), other.handle());
    let service = FallbackLayer::service(other).layer(fails);
    let awaits = drop_at_every_await(
        || service.clone().oneshot(1),
        |_| {
            first.assert_idle();
            second.assert_idle();
        },
    );
    assert_eq!(awaits.await, 5);
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers() {
    let laws = Laws { inner_errors: Law::Waived, ..Laws::default() };
    layer_contract(|| FallbackLayer::value(9), || 7_u32, |number| number + 1, laws).await;
}
