//! What must hold of a throttle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use mainstay_core::Reason;
use mainstay_core::call::{CallError, CallFailure, Verdict};
use mainstay_testkit::alloc::count_allocations_of;
use mainstay_testkit::contract::{Laws, layer_contract};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::window::Accepts;
use super::{ThrottleConfig, ThrottleLayer};

type Failure = CallError<std::io::Error>;

fn overloaded(result: Result<&u32, &Failure>) -> Verdict {
    match result {
        Ok(_) => Verdict::Success,
        Err(error) if error.was_refused() => Verdict::Ignored,
        Err(_) => Verdict::Overloaded { retry_after: None },
    }
}

#[tokio::test(start_paused = true)]
async fn the_probability_is_that_of_the_book() {
    let (config, accepts) = (ThrottleConfig::default(), Accepts::new(Duration::from_secs(120)));
    let ask = |times: u32| (0..times).map(|_| accepts.requested(&config, Instant::now())).last().unwrap();
    assert_eq!(ask(20), 0.0, "too few calls");
    (0..10).for_each(|_| accepts.accepted(Instant::now()));
    assert_eq!(accepts.probability(&config, Instant::now()), 0.0, "half of them are accepted");
    assert_eq!(ask(21), (40.0 - 20.0) / 41.0);
    ask(9_000);
    assert_eq!(accepts.probability(&config, Instant::now()), 0.9, "never more than the highest");
    advance(Duration::from_secs(120)).await;
    assert_eq!(accepts.probability(&config, Instant::now()), 0.0, "all is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_refuses_everything_is_sent_a_tenth_and_one_that_recovers_all_again() {
    let (down, reached) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let (is_down, counted) = (Arc::clone(&down), Arc::clone(&reached));
    let layer = ThrottleLayer::new(&ThrottleConfig::default()).unwrap().judge(overloaded);
    let handle = layer.handle();
    let service = layer.layer(service_fn(move |_: u32| {
        counted.fetch_add(1, Ordering::SeqCst);
        let down = is_down.load(Ordering::SeqCst);
        std::future::ready(if down {
            Err::<u32, Failure>(CallError::service(std::io::Error::other("busy")))
        } else {
            Ok(1)
        })
    }));
    for _ in 0..10_000 {
        drop(service.clone().oneshot(1).await);
    }
    // A tenth, give or take four standard deviations.
    let sent = reached.swap(0, Ordering::SeqCst);
    assert!((880..=1_140).contains(&sent), "{sent} of 10 000");
    let refused = loop {
        if let Err(error) = service.clone().oneshot(1).await
            && let Some(rejection) = error.rejection()
        {
            break rejection.reason;
        }
    };
    assert_eq!(refused, Reason::Overloaded);

    down.store(false, Ordering::SeqCst);
    advance(Duration::from_secs(120)).await;
    assert_eq!(handle.rejection_probability(), 0.0);
    for _ in 0..1_000 {
        service.clone().oneshot(1).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn failures_and_abandoned_calls_count_as_accepted_unless_told_otherwise() {
    let fails =
        service_fn(async |_: u32| Err::<u32, Failure>(CallError::service(std::io::Error::other("broken"))));
    for (count_failures, expected) in [(false, false), (true, true)] {
        let layer =
            ThrottleLayer::new(&ThrottleConfig { count_failures, ..ThrottleConfig::default() }).unwrap();
        let service = layer.layer(fails);
        for _ in 0..40 {
            drop(service.clone().oneshot(1).await);
        }
        assert_eq!(layer.handle().rejection_probability() > 0.0, expected);
    }
    let layer = ThrottleLayer::new(&ThrottleConfig::default()).unwrap();
    let hangs = layer.layer(service_fn(|_: u32| std::future::pending::<Result<u32, Failure>>()));
    for _ in 0..40 {
        tokio::time::timeout(Duration::from_millis(1), hangs.clone().oneshot(1)).await.unwrap_err();
    }
    assert_eq!(layer.handle().rejection_probability(), 0.0);
}

#[tokio::test]
async fn a_call_allocates_nothing() {
    let mut service = ThrottleLayer::new(&ThrottleConfig::default())
        .unwrap()
        .layer(service_fn(async |n: u32| Ok::<_, Failure>(n)));
    let (_, allocated) =
        count_allocations_of(async { service.ready().await.unwrap().call(1).await.unwrap() }).await;
    assert_eq!(allocated.count, 0);
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers() {
    let layer =
        || ThrottleLayer::new(&ThrottleConfig { max_probability: 0.0, ..ThrottleConfig::default() }).unwrap();
    layer_contract(layer, || 7_u32, |number| number + 1, Laws::default()).await;
}

#[test]
fn settings_out_of_their_ranges_are_refused() {
    for (change, said) in [
        (r#"{"k":0.5}"#, "expected 1 to 10"),
        (r#"{"window":"1ms"}"#, "expected 1s to 1h"),
        (r#"{"max_probability":1}"#, "expected 0 to below 1"),
    ] {
        let config: ThrottleConfig = serde_json::from_str(change).unwrap();
        assert!(ThrottleLayer::new(&config).unwrap_err().to_string().contains(said), "{change}");
    }
}
