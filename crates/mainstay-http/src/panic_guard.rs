//! A panic becomes an answer and one event, wherever it happens: in the call, in its future, or in the body.
//!
//! ```
//! use mainstay_http::panic_guard::PanicGuardLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use std::convert::Infallible;
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let service = ServiceBuilder::new().layer(PanicGuardLayer::default()).service(service_fn(handler));
//! let answer = service.oneshot(http::Request::new(())).await.unwrap();
//! assert_eq!(answer.status(), 500);
//!
//! async fn handler(_: http::Request<()>) -> Result<http::Response<String>, Infallible> {
//!     panic!("the stock is negative")
//! }
//! # });
//! ```
//!
//! Before the headers the caller gets 500 or INTERNAL, with nothing of the panic's text. In the body the answer has begun:
//! gRPC gets trailers that say INTERNAL, HTTP's connection (or HTTP/2 stream) is ended with [`BodyPanicked`], so that
//! the client sees a broken transfer and not a complete one. What panicked is dropped and never polled again; a panic
//! while it is dropped, while a call is dropped because its client went away, or in the drop of a panic's own payload, is
//! caught too, and so is one in a body's `size_hint` or `is_end_stream`.
//!
//! One event for each panic (target `mainstay::panic`, level error) has the panic's text as a field, cut and without control
//! characters, the request id and the phase; the [settings](PanicGuardConfig) say how much of it. Its place in the code is in the event if
//! the application has called [`install_hook`]: the layer installs nothing global by itself. A drop that panics while its thread unwinds from another
//! panic is caught too. With `panic = "abort"` nothing of this works.
//!
//! A panic in the answer's phase is the call's [`Outcome`], in the answer's extensions; one in the body is noted in the
//! context. One in a drop changes neither: the call had ended, or was abandoned, before.
//!
//! Allocates nothing unless there is a panic or a body's error, which is boxed.

mod body;
mod hook;

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use garde::Validate;
use http::{Request, Response};
use mainstay_core::{Outcome, Phase, Reason, Rejection, RequestContext};
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

use crate::answer::{Ended, refuse};
use crate::form::Form;
use crate::problem::steering::without_steering;
pub use body::{BodyPanicked, GuardedBody};
pub use hook::install_hook;
use hook::{place_of, shortened, text_of};

/// Settings of [`PanicGuardLayer`]: what of a panic is logged. That it becomes an answer is no setting.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PanicGuardConfig {
    /// Whether the event has the panic's text. `true` by default; `false` where texts may hold what customers sent.
    #[garde(skip)]
    pub log_text: bool,
    /// How much of the text, in bytes: 64 to 65 536. 4096 by default.
    #[garde(range(min = 64, max = 65_536))]
    pub max_text: u32,
    /// Whether the event has the backtrace, where the process captures any (`RUST_BACKTRACE`). `true` by default.
    #[garde(skip)]
    pub log_backtrace: bool,
}

/// Turns panics into answers. See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct PanicGuardLayer {
    config: PanicGuardConfig,
}

/// The service of [`PanicGuardLayer`].
#[derive(Clone, Debug)]
pub struct PanicGuard<S> {
    inner: S,
    config: PanicGuardConfig,
}

pin_project! {
    /// The future of [`PanicGuard`].
    #[derive(Debug)]
    pub struct PanicGuardFuture<F> {
        // None: `call` panicked, or the future did and is gone.
        #[pin]
        inner: Option<F>,
        about: About,
    }

    impl<F> PinnedDrop for PanicGuardFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            drop_guarded(&mut this.inner, this.about, Phase::Answer);
        }
    }
}

/// What the guard must know of a request to answer and to report.
#[derive(Clone, Debug)]
struct About {
    form: Form,
    context: Option<RequestContext>,
    config: PanicGuardConfig,
}

// === impl PanicGuardConfig ===

impl Default for PanicGuardConfig {
    fn default() -> Self {
        Self { log_text: true, max_text: 4_096, log_backtrace: true }
    }
}

// === impl PanicGuardLayer ===

impl PanicGuardLayer {
    /// The layer with these settings.
    ///
    /// # Errors
    ///
    /// The length of the text is out of its range.
    pub fn new(config: &PanicGuardConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        Ok(Self { config: *config })
    }
}

impl<S> Layer<S> for PanicGuardLayer {
    type Service = PanicGuard<S>;

    fn layer(&self, inner: S) -> PanicGuard<S> {
        PanicGuard { inner, config: self.config }
    }
}

// === impl PanicGuard ===

impl<S, B, ResB> Service<Request<B>> for PanicGuard<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
{
    type Response = Response<GuardedBody<ResB>>;
    type Error = S::Error;
    type Future = PanicGuardFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let about = About {
            form: Form::of(&request),
            context: request.extensions().get::<RequestContext>().cloned(),
            config: self.config,
        };
        let called = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        let inner = called.map_err(|panic| about.report(panic, Phase::Answer)).ok();
        PanicGuardFuture { inner, about }
    }
}

// === impl PanicGuardFuture ===

impl<F, ResB, E> Future for PanicGuardFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<GuardedBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(inner) = this.inner.as_mut().as_pin_mut() {
            match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(result)) => {
                    let about = this.about.clone();
                    return Poll::Ready(
                        result.map(|response| response.map(|body| GuardedBody::new(body, about))),
                    );
                }
                Err(panic) => {
                    this.about.report(panic, Phase::Answer);
                    drop_guarded(&mut this.inner, this.about, Phase::Answer);
                }
            }
        }
        Poll::Ready(Ok(this.about.answer()))
    }
}

// === impl About ===

impl About {
    fn answer<B>(&self) -> Response<GuardedBody<B>> {
        let rejection =
            Rejection::new(Reason::Internal, "the service failed while it worked on this request");
        let mut answer = refuse(&rejection, self.form, self.context.as_ref()).map(GuardedBody::written);
        answer.extensions_mut().insert(Ended(Outcome::Panicked(Phase::Answer)));
        answer
    }

    /// One event for one panic; the text is a field, so that the log's writer escapes it.
    fn report(&self, panic: Box<dyn Any + Send>, phase: Phase) {
        let text = text_of(&*panic);
        let place = place_of(text);
        let most = usize::try_from(self.config.max_text).unwrap_or(usize::MAX);
        let shown = self.config.log_text.then(|| without_steering(shortened(text, most)));
        tracing::error!(
            target: "mainstay::panic",
            request_id = self.context.as_ref().map(|context| context.request_id().as_str()),
            outcome = Outcome::Panicked(phase).as_str(),
            panic = shown.as_deref(),
            location = place.as_ref().map(|place| place.location.as_str()),
            backtrace = place.as_ref().and_then(|place| place.backtrace.as_deref()).filter(|_| self.config.log_backtrace),
            "the service panicked"
        );
        drop_payload(panic);
    }

    /// The same for a panic in the body, of which those further out learn only from the context.
    fn report_in_body(&self, panic: Box<dyn Any + Send>) {
        if let Some(context) = &self.context {
            context.note_outcome(Outcome::Panicked(Phase::Stream));
        }
        self.report(panic, Phase::Stream);
    }
}

/// Drops what may panic in its own `drop`, and reports that too.
fn drop_guarded<T>(slot: &mut Pin<&mut Option<T>>, about: &About, phase: Phase) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| slot.set(None))) {
        about.report(panic, phase);
    }
}

/// A payload is any value, with a `drop` of its own.
#[expect(
    clippy::mem_forget,
    reason = "a payload whose drop panics with another such payload must end somewhere"
)]
fn drop_payload(panic: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(second);
    }
}

#[cfg(test)]
mod tests;
