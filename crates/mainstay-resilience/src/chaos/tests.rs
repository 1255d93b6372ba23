//! What must hold of harm that is done on purpose.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_core::call::{CallError, CallFailure};
use mainstay_core::{Reason, Rejection};
use mainstay_testkit::alloc::count_allocations_of;
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, layer_contract};
use mainstay_testkit::probe::Probe;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{Abort, ChaosConfig, ChaosEvent, ChaosLayer};

type Failure = CallError<std::io::Error>;

const SECOND: Duration = Duration::from_secs(1);

fn on() -> ChaosConfig {
    ChaosConfig { enabled: true, ..ChaosConfig::default() }
}

async fn echo(number: u32) -> Result<u32, Failure> {
    Ok(number)
}

#[tokio::test(start_paused = true)]
async fn a_delayed_call_takes_as_long_as_the_settings_say_and_is_answered() {
    let config = ChaosConfig { latency_rate: 1.0, latency_min: SECOND, latency_max: 2 * SECOND, ..on() };
    let service = ChaosLayer::new(&config).unwrap().layer(service_fn(echo));
    for _ in 0..50 {
        let started = Instant::now();
        assert_eq!(service.clone().oneshot(7).await.unwrap(), 7);
        assert!((SECOND..=2 * SECOND + Duration::from_millis(1)).contains(&started.elapsed()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_rates_are_kept_and_a_seed_does_the_same_each_time() {
    let run = async || {
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let config = ChaosConfig { error_rate: 0.3, latency_rate: 0.1, ..on() };
        let layer = ChaosLayer::new(&config)
            .unwrap()
            .seed(7)
            .on_event(move |event| heard.lock().unwrap().push(*event));
        let service = layer.layer(service_fn(echo));
        let mut failed = 0;
        for _ in 0..2_000 {
            failed += u32::from(service.clone().oneshot(1).await.is_err());
        }
        let told = told.lock().unwrap().clone();
        (failed, told)
    };
    let (failed, told) = run().await;
    // Four standard deviations of 2000 draws.
    assert!((518..=682).contains(&failed), "{failed}");
    let delayed = told.iter().filter(|event| matches!(event, ChaosEvent::Delayed(_))).count();
    assert!((147..=253).contains(&delayed), "{delayed}");
    assert_eq!(run().await, (failed, told));
}

#[tokio::test(start_paused = true)]
async fn an_aborted_call_hangs_until_it_is_dropped_or_panics() {
    let hangs = ChaosLayer::new(&ChaosConfig { abort_rate: 1.0, ..on() }).unwrap().layer(service_fn(echo));
    tokio::time::timeout(1_000 * SECOND, hangs.oneshot(1)).await.unwrap_err();
    let panics = ChaosConfig { abort_rate: 1.0, abort: Abort::Panic, ..on() };
    let panics = ChaosLayer::new(&panics).unwrap().layer(service_fn(echo));
    assert!(tokio::spawn(panics.oneshot(1)).await.unwrap_err().is_panic());
}

#[tokio::test]
async fn it_is_switched_while_it_runs_and_what_it_fails_with_may_be_chosen() {
    let layer = ChaosLayer::new(&ChaosConfig::default()).unwrap();
    let layer = layer.rejection(Rejection::new(Reason::Unavailable, "away"));
    let (handle, service) = (layer.handle(), layer.layer(service_fn(echo)));
    assert!(service.clone().oneshot(1).await.is_ok());
    handle.set(&ChaosConfig { error_rate: 1.0, ..on() }).unwrap();
    let error = service.clone().oneshot(1).await.unwrap_err();
    assert_eq!(error.rejection().unwrap().reason, Reason::Unavailable);
    let wrong = ChaosConfig { error_rate: 1.5, ..on() };
    assert!(handle.set(&wrong).unwrap_err().to_string().contains("expected 0 to 1"));
    assert_eq!(handle.config().error_rate, 1.0);
    handle.set(&ChaosConfig::default()).unwrap();
    assert!(service.oneshot(1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_await_nothing_runs_on() {
    let probe = Probe::new(|number: u32| Ok(number)).pending_before_ready(1).pending_before_answer(1);
    let handle = probe.handle();
    let config = ChaosConfig { latency_rate: 1.0, ..on() };
    let service = ChaosLayer::new(&config).unwrap().layer(probe);
    let awaits = drop_at_every_await(|| service.clone().oneshot(1), |_| handle.assert_idle());
    assert_eq!(awaits.await, 3);
}

#[tokio::test]
async fn while_it_is_off_it_allocates_nothing_and_keeps_the_laws_of_layers() {
    let off = || ChaosLayer::new(&ChaosConfig { error_rate: 1.0, ..ChaosConfig::default() }).unwrap();
    let mut service = off().layer(service_fn(echo));
    let (_, allocated) =
        count_allocations_of(async { service.ready().await.unwrap().call(1).await.unwrap() }).await;
    assert_eq!(allocated.count, 0);
    layer_contract(off, || 7_u32, |number| number + 1, Laws::default()).await;
}
