//! What is said of a law, and how a broken one is reported.

use std::any::type_name;

use super::{
    Law,
    drive::{catch_panic, within},
    subject::Subject,
};
use crate::probe::{ProbeError, ProbeHandle};

/// Fine, or how the law was broken.
pub(super) type Verdict = Result<(), String>;

/// Panics with the name of the law when it was broken: by the verdict, by a panic on the way, or by no end.
#[allow(clippy::panic, reason = "a broken law has to fail the test that runs the contract")]
pub(super) async fn uphold<S: Subject>(subject: &S, law: &str, check: impl Future<Output = Verdict>) {
    let patience = subject.laws().patience;
    let verdict = within(patience, catch_panic(check)).await.unwrap_or_else(|| {
        Err(format!("no end came within {patience:?}: a wake was lost, or three calls at once are too many"))
    });
    if let Err(breach) = verdict.unwrap_or_else(Err) {
        let layer = type_name::<S::Layer>();
        panic!("`{layer}` breaks the law \"{law}\": {breach}");
    }
}

pub(super) fn ensure(holds: bool, breach: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(breach()) }
}

pub(super) fn ensure_lawful(handle: &ProbeHandle) -> Verdict {
    handle.violations().into_iter().next().map_or(Ok(()), Err)
}

pub(super) fn ensure_reached(handle: &ProbeHandle, calls_before: usize) -> Verdict {
    ensure(handle.calls() > calls_before, || {
        "the request did not reach the inner service: test with one that the layer lets pass".to_owned()
    })
}

pub(super) fn ensure_error<S: Subject>(
    subject: &S,
    came_out: Result<(), S::Error>,
    expected: &ProbeError,
) -> Verdict {
    match came_out {
        _ if subject.laws().inner_errors == Law::Waived => Ok(()),
        Err(error) if subject.inner_error(&error) == Some(expected) => Ok(()),
        Err(error) => Err(format!("out came {error:?}, without the inner {expected:?}")),
        Ok(()) => Err(format!("out came an answer, and not the inner {expected:?}")),
    }
}
