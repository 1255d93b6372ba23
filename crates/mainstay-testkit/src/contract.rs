//! The laws that every tower layer keeps, proven with a [`Probe`] inside the layer.
//!
//! ```
//! use mainstay_testkit::contract::{Laws, layer_contract};
//! use tower::limit::ConcurrencyLimitLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! layer_contract(|| ConcurrencyLimitLayer::new(8), || "request", |_| "answer", Laws::default()).await;
//! # }
//! ```
//!
//! | function | error of the layered service | inside |
//! |---|---|---|
//! | [`layer_contract`] | the inner one, unchanged | any service |
//! | [`client_layer_contract`] | a type of the layer's own that may hold the inner one | any service |
//! | [`http_layer_contract`] | the inner one, unchanged | an HTTP service with each [`Adversary`] as its response body |
//! | [`http_client_layer_contract`] | a type of the layer's own | the same |
//!
//! The laws, in the order in which they are checked, and by the names that a failure gives them:
//!
//! 1. *the instance polled ready is the one called*: several times in a row, and when the service was cloned between
//!    `poll_ready` and `call`; the call spends the readiness, so that none stays reserved for nobody.
//! 2. *back-pressure of the inner service is passed on*: no readiness while the inner has none, a wake when it has.
//! 3. *a readiness error of the inner service comes out*.
//! 4. *an error of the inner service comes out*.
//! 5. *a dropped response leaves nothing running*: at every await, at once, and the service still works after.
//! 6. *a service polled ready and dropped leaves nothing reserved*: neither inside nor in the layer's own permits, and
//!    neither when it was ready nor when it still waited.
//! 7. *services of one layer and their clones work interleaved*.
//! 8. *a response body is passed on as it is* (HTTP): frames, `size_hint`, `is_end_stream`, trailers, the place of an
//!    error; nothing polled after the end; dropped inside when dropped outside.
//!
//! By bounds: the layered service is `Clone + Send + Sync + 'static` and its future is `Send`.
//!
//! What the layer under test needs: the `layer` function is called once for each law and may return a clone (state
//! lives on) or a new layer. The request must be one that it lets pass. Its limits must allow three calls at once, and
//! all laws together make well below a thousand. The contract runs inside the runtime of the test; with a paused clock,
//! timers of the layer fire as soon as nothing else is to do.

use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    body::{Adversary, ScriptedBody},
    probe::{Probe, ProbeError},
};

mod bodies;
mod drive;
mod laws;
mod subject;
mod verdict;

use self::subject::Suite;

/// Which of the laws a layer is held to, and how patiently; all but `panicking_bodies` by default.
///
/// ```
/// use mainstay_testkit::contract::{Law, Laws};
/// let sheds_load = Laws { back_pressure: Law::Waived, ..Laws::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Laws {
    /// Waive it for a layer that queues or sheds: always ready, and waits or refuses in `call`.
    ///
    /// It still must not call an inner service that is not ready, and a readiness error may come out of the call.
    pub back_pressure: Law,
    /// Waive it for a layer that turns the errors of the inner service into answers.
    pub inner_errors: Law,
    /// Waive it for a layer that on purpose lets a call run on when its caller is gone.
    pub cancellation: Law,
    /// Waive it for a layer that keeps a spare instance ready, such as for a second attempt.
    pub readiness_is_spent: Law,
    /// Waived by default, as a panic guard changes such bodies; hold a layer to it that should not notice panics.
    pub panicking_bodies: Law,
    /// How long, by the wall clock, one law may take before it counts as broken; 30 seconds by default.
    pub patience: Duration,
}

/// Whether a layer is held to a law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// The law is checked.
    Held,
    /// The law is not checked.
    Waived,
}

/// Proves that a layer keeps the laws and leaves the error type as it is; see the [module](self).
///
/// `answer` makes the inner service's answer out of the request that reached it.
///
/// # Panics
///
/// When a law is broken, with its name, the layer's type and what was seen.
pub async fn layer_contract<L, Req, Inner, Res>(
    layer: impl Fn() -> L,
    request: impl Fn() -> Req,
    answer: impl Fn(Inner) -> Res + Send + Sync + 'static,
    laws: Laws,
) where
    L: Layer<Probe<Inner, Res>>,
    L::Service: Service<Req, Error = ProbeError, Future: Send> + Clone + Send + Sync + 'static,
{
    client_layer_contract(layer, request, answer, unchanged, laws).await;
}

/// Proves that a layer with an error type of its own keeps the laws.
///
/// `inner_error` finds the inner service's error in the layer's: `|error| error.downcast_ref()` for a boxed one.
///
/// # Panics
///
/// When a law is broken, with its name, the layer's type and what was seen.
pub async fn client_layer_contract<L, Req, Inner, Res, Err>(
    layer: impl Fn() -> L,
    request: impl Fn() -> Req,
    answer: impl Fn(Inner) -> Res + Send + Sync + 'static,
    inner_error: impl Fn(&Err) -> Option<&ProbeError>,
    laws: Laws,
) where
    L: Layer<Probe<Inner, Res>>,
    L::Service: Service<Req, Error = Err, Future: Send> + Clone + Send + Sync + 'static,
    Err: fmt::Debug,
{
    laws::check_all(&Suite::new(&layer, &request, &inner_error, answer, laws)).await;
}

/// Proves that an HTTP layer keeps the laws, leaves the error type as it is, and passes response bodies on.
///
/// The request body may be wrapped on its way in, the response body on its way out.
///
/// # Panics
///
/// When a law is broken, with its name, the layer's type and what was seen.
pub async fn http_layer_contract<L, ReqBody, InnerBody, ResBody>(
    layer: impl Fn() -> L,
    request: impl Fn() -> http::Request<ReqBody>,
    laws: Laws,
) where
    L: Layer<Probe<http::Request<InnerBody>, http::Response<ScriptedBody>>>,
    L::Service: Service<http::Request<ReqBody>, Response = http::Response<ResBody>, Error = ProbeError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    ResBody: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    http_client_layer_contract(layer, request, unchanged, laws).await;
}

/// Proves that an HTTP layer with an error type of its own keeps the laws and passes response bodies on.
///
/// `inner_error` finds the inner service's error in the layer's, as in [`client_layer_contract`].
///
/// # Panics
///
/// When a law is broken, with its name, the layer's type and what was seen.
pub async fn http_client_layer_contract<L, ReqBody, InnerBody, ResBody, Err>(
    layer: impl Fn() -> L,
    request: impl Fn() -> http::Request<ReqBody>,
    inner_error: impl Fn(&Err) -> Option<&ProbeError>,
    laws: Laws,
) where
    L: Layer<Probe<http::Request<InnerBody>, http::Response<ScriptedBody>>>,
    L::Service: Service<http::Request<ReqBody>, Response = http::Response<ResBody>, Error = Err, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    ResBody: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    Err: fmt::Debug,
{
    let plain = |_| http::Response::new(Adversary::ExactSize.body());
    laws::check_all(&Suite::new(&layer, &request, &inner_error, plain, laws)).await;

    for adversary in Adversary::ALL {
        if adversary.panics() && laws.panicking_bodies == Law::Waived {
            continue;
        }
        let bodies = bodies::Bodies::of(adversary);
        let answer = bodies.answer();
        bodies::check(&Suite::new(&layer, &request, &inner_error, answer, laws), &bodies).await;
    }
}

fn unchanged(error: &ProbeError) -> Option<&ProbeError> {
    Some(error)
}

// === impl Laws ===

impl Default for Laws {
    fn default() -> Self {
        Self {
            back_pressure: Law::Held,
            inner_errors: Law::Held,
            cancellation: Law::Held,
            readiness_is_spent: Law::Held,
            panicking_bodies: Law::Waived,
            patience: Duration::from_secs(30),
        }
    }
}
