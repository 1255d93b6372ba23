//! The laws of any layer, one function for each.

use std::{
    fmt::Debug,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

use super::{
    Law,
    drive::{Flag, join_all, poll_once, poll_ready_once, ready, ready_soon, settle},
    subject::Subject,
    verdict::{Verdict, ensure, ensure_error, ensure_lawful, ensure_reached, uphold},
};
use crate::{
    cancel::drop_at_await,
    probe::{ProbeError, ProbeHandle},
};

pub(super) async fn check_all<S: Subject>(subject: &S) {
    uphold(subject, "the instance polled ready is the one called", ready_instance_is_called(subject)).await;
    uphold(subject, "back-pressure of the inner service is passed on", back_pressure_is_passed_on(subject))
        .await;
    uphold(subject, "a readiness error of the inner service comes out", readiness_error_comes_out(subject))
        .await;
    uphold(subject, "an error of the inner service comes out", error_comes_out(subject)).await;
    uphold(subject, "a dropped response leaves nothing running", dropped_response_ends_the_call(subject))
        .await;
    let dropped = dropped_service_gives_back(subject);
    uphold(subject, "a service polled ready and dropped leaves nothing reserved", dropped).await;
    uphold(subject, "services of one layer and their clones work interleaved", interleaved(subject)).await;
}

async fn ready_instance_is_called<S: Subject>(subject: &S) -> Verdict {
    let probe = subject.probe().pending_before_ready(turns_before_ready(subject)).pending_before_answer(1);
    let handle = probe.handle();
    let mut service = subject.layer().layer(probe);
    for _ in 0..3 {
        become_ready(&mut service).await?;
        call_ready(subject, &mut service, &handle).await?;
    }

    become_ready(&mut service).await?;
    let mut clone = service.clone();
    call_ready(subject, &mut service, &handle).await?;
    become_ready(&mut clone).await?;
    drop(service);
    call_ready(subject, &mut clone, &handle).await
}

async fn back_pressure_is_passed_on<S: Subject>(subject: &S) -> Verdict {
    let probe = subject.probe();
    let handle = probe.handle();
    let mut service = subject.layer().layer(probe);
    handle.hold_readiness();

    if subject.laws().back_pressure == Law::Waived {
        if let Poll::Ready(Ok(())) = poll_ready_once(&mut service).await {
            let mut response = pin!(service.call(subject.request()));
            for _ in 0..3 {
                if poll_once(response.as_mut()).await.is_ready() {
                    break;
                }
                settle(|| true).await;
            }
        }
        ensure(handle.calls() == 0, || "the inner service was called while it was not ready".to_owned())?;
        return ensure_lawful(&handle);
    }

    let woken = Arc::new(Flag::default());
    for _ in 0..3 {
        let waker = woken.waker();
        match service.poll_ready(&mut Context::from_waker(&waker)) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => return Err("it says ready while the inner service does not".to_owned()),
            Poll::Ready(Err(error)) => {
                return Err(format!("it fails with {error:?} while the inner service is not ready yet"));
            }
        }
        settle(|| true).await;
    }
    handle.release_readiness();
    ensure(settle(|| woken.is_raised()).await, || {
        "the task that waits for it was not woken when the inner service became ready".to_owned()
    })?;
    become_ready(&mut service).await?;
    call_ready(subject, &mut service, &handle).await
}

async fn readiness_error_comes_out<S: Subject>(subject: &S) -> Verdict {
    let expected = ProbeError::new("the inner service does not become ready any more");
    let failure = expected.clone();
    let probe = subject
        .probe()
        .pending_before_ready(turns_before_ready(subject))
        .fail_readiness(move || failure.clone());
    let handle = probe.handle();
    let mut service = subject.layer().layer(probe);

    let laws = subject.laws();
    let came_out = match ready(&mut service).await {
        Ok(()) if laws.back_pressure == Law::Held && laws.inner_errors == Law::Held => {
            return Err(format!("it says ready where `poll_ready` of the inner service failed: {expected}"));
        }
        Ok(()) => service.call(subject.request()).await.map(drop),
        Err(error) => Err(error),
    };
    ensure_lawful(&handle)?;
    ensure_error(subject, came_out, &expected)
}

async fn error_comes_out<S: Subject>(subject: &S) -> Verdict {
    let expected = ProbeError::new("the inner service failed");
    let probe = subject.failing_probe(expected.clone()).pending_before_answer(1);
    let handle = probe.handle();
    let mut service = subject.layer().layer(probe);

    become_ready(&mut service).await?;
    let came_out = service.call(subject.request()).await.map(drop);
    ensure_reached(&handle, 0)?;
    ensure_lawful(&handle)?;
    ensure_error(subject, came_out, &expected)
}

async fn dropped_response_ends_the_call<S: Subject>(subject: &S) -> Verdict {
    if subject.laws().cancellation == Law::Waived {
        return Ok(());
    }
    let probe = subject.probe().pending_before_ready(turns_before_ready(subject)).pending_before_answer(3);
    let handle = probe.handle();
    // The service lives on while its responses are dropped, so that it cannot hide in its own drop what it keeps.
    let mut service = subject.layer().layer(probe);
    for pending in 0..=MOST_AWAITS {
        become_ready(&mut service).await?;
        let response = service.call(subject.request());
        if let Some(result) = drop_at_await(response, pending).await {
            result.map_err(|error| format!("after {pending} dropped responses a call fails: {error:?}"))?;
            return ensure_lawful(&handle);
        }
        let completed = handle.completed();
        let gone = settle(|| handle.in_flight() == 0).await;
        ensure(gone, || {
            let left = handle.in_flight();
            format!("{left} calls are in flight in the inner service after a drop at await point {pending}")
        })?;
        ensure(handle.completed() == completed, || {
            format!("the inner call ran on to its end after a drop at await point {pending}")
        })?;
    }
    Err(format!("a response has not come after {MOST_AWAITS} await points"))
}

async fn dropped_service_gives_back<S: Subject>(subject: &S) -> Verdict {
    let probe = subject.probe();
    let handle = probe.handle();
    let layer = subject.layer();
    let first = layer.layer(probe.clone());

    handle.hold_readiness();
    for _ in 0..MANY_SERVICES {
        let _not_ready = poll_ready_once(&mut first.clone()).await;
    }
    handle.release_readiness();

    for dropped in 0..MANY_SERVICES {
        let mut service = if dropped % 2 == 0 { first.clone() } else { layer.layer(probe.clone()) };
        let ready = ready_soon(&mut service).await;
        let ready = ready.ok_or_else(|| {
            format!(
                "no further one becomes ready after {MANY_SERVICES} were dropped while they waited, and {dropped} when \
                 they were ready"
            )
        })?;
        ready.map_err(|error| format!("`poll_ready` fails after {dropped} were dropped: {error:?}"))?;
        drop(service);
    }
    ensure(settle(|| handle.reserved() == 0).await, || {
        let left = handle.reserved();
        format!("{left} instances of the inner service are still reserved after {MANY_SERVICES} were dropped")
    })?;

    let mut service = first;
    become_ready(&mut service).await?;
    call_ready(subject, &mut service, &handle).await
}

async fn interleaved<S: Subject>(subject: &S) -> Verdict {
    let probe = subject.probe().pending_before_ready(turns_before_ready(subject)).pending_before_answer(2);
    let handle = probe.handle();
    let layer = subject.layer();
    let (mut one, mut other) = (layer.layer(probe.clone()), layer.layer(probe));
    for _ in 0..3 {
        become_ready(&mut one).await?;
        let mut clone = one.clone();
        become_ready(&mut other).await?;
        let of_other = other.call(subject.request());
        become_ready(&mut clone).await?;
        let of_one = one.call(subject.request());
        let of_clone = clone.call(subject.request());
        for result in join_all(vec![of_other, of_one, of_clone]).await {
            result.map_err(|error| format!("a call fails: {error:?}"))?;
        }
        ensure(settle(|| handle.in_flight() == 0).await, || "a call is left in flight".to_owned())?;
        ensure_lawful(&handle)?;
    }
    Ok(())
}

/// A layer that sheds load refuses when the inner service takes a turn to become ready.
fn turns_before_ready<S: Subject>(subject: &S) -> usize {
    match subject.laws().back_pressure {
        Law::Held => 1,
        Law::Waived => 0,
    }
}

async fn become_ready<S, Req>(service: &mut S) -> Verdict
where
    S: Service<Req>,
    S::Error: Debug,
{
    ready(service)
        .await
        .map_err(|error| format!("`poll_ready` fails though the inner service is well: {error:?}"))
}

/// Calls a service that is ready: the call reaches the inner service, is answered, and leaves nothing behind.
async fn call_ready<S: Subject>(subject: &S, service: &mut S::Service, handle: &ProbeHandle) -> Verdict {
    let calls = handle.calls();
    let result = service.call(subject.request()).await.map(drop);
    ensure_lawful(handle)?;
    result.map_err(|error| format!("the call fails though the inner service answers: {error:?}"))?;
    ensure_reached(handle, calls)?;
    ensure(settle(|| handle.in_flight() == 0).await, || {
        format!("{} calls are in flight in the inner service after the answer", handle.in_flight())
    })?;
    if subject.laws().readiness_is_spent == Law::Held {
        ensure(settle(|| handle.reserved() == 0).await, || {
            "after the call an instance of the inner service is still reserved: it was polled ready and another one \
             was called"
                .to_owned()
        })?;
    }
    Ok(())
}

const MOST_AWAITS: usize = 1_000;
const MANY_SERVICES: usize = 100;
