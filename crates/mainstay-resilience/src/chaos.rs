//! Latency, errors and aborts at a rate, to find out what the layers around do with them.
//!
//! ```
//! use std::time::Duration;
//! use mainstay_core::call::CallError;
//! use mainstay_resilience::{chaos::{ChaosConfig, ChaosLayer}, typed::TypedLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let config = ChaosConfig { enabled: true, error_rate: 1.0, ..ChaosConfig::default() };
//! let answers = service_fn(async |_: String| Ok::<u32, std::io::Error>(1));
//! let client = ServiceBuilder::new().layer(ChaosLayer::new(&config)?).layer(TypedLayer::new()).service(answers);
//! let error: CallError<std::io::Error> = client.oneshot("call".to_owned()).await.unwrap_err();
//! assert_eq!(error.to_string(), "chaos: an error on purpose");
//! # Ok::<(), garde::Report>(())
//! # }).unwrap();
//! ```
//!
//! Off unless it is switched on. Innermost, just outside of the service: what it does looks like the service's own doing. A call may be hit
//! by several: first the latency, then an abort or an error instead of the answer. Dropping the future drops the inner one.
//!
//! While it is off, or all rates are 0, no number is drawn and nothing is allocated.

mod future;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use garde::Validate;
use mainstay_core::call::CallFailure;
use mainstay_core::{Reason, Rejection};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

pub use future::ChaosFuture;

use crate::events::Listener;

/// Settings of [`ChaosLayer`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ChaosConfig {
    /// Whether anything happens at all. `false` by default.
    #[garde(skip)]
    pub enabled: bool,
    /// The part of calls that are delayed: 0 to 1. 0 by default.
    #[garde(custom(is_rate))]
    pub latency_rate: f64,
    /// The shortest delay. 100 ms by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(skip)]
    pub latency_min: Duration,
    /// The longest delay, at least the shortest; each between is as likely. 1 s by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(not_below(self.latency_min)))]
    pub latency_max: Duration,
    /// The part of calls that fail instead of being sent: 0 to 1. 0 by default.
    #[garde(custom(is_rate))]
    pub error_rate: f64,
    /// The part of calls that are [aborted](Abort) instead of being sent: 0 to 1. 0 by default.
    #[garde(custom(is_rate))]
    pub abort_rate: f64,
    /// How calls are aborted. `hang` by default.
    #[garde(skip)]
    pub abort: Abort,
}

/// How a call is aborted.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Abort {
    /// It never ends by itself.
    #[default]
    Hang,
    /// It panics.
    Panic,
}

/// What a [`ChaosLayer`] did to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChaosEvent {
    /// It was delayed by so much.
    Delayed(Duration),
    /// It failed.
    Failed,
    /// It was aborted.
    Aborted(Abort),
}

/// Does harm at a rate. See the [module](self).
#[derive(Clone)]
pub struct ChaosLayer {
    shared: Arc<Shared>,
}

/// The service of [`ChaosLayer`].
#[derive(Clone)]
pub struct Chaos<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// Control over a [`ChaosLayer`].
#[derive(Clone)]
pub struct ChaosHandle {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    config: Arc<ArcSwap<ChaosConfig>>,
    // None: the thread's own generator.
    seeded: Option<Arc<Mutex<SmallRng>>>,
    rejection: Rejection,
    listener: Listener<ChaosEvent>,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Harm {
    delay: Option<Duration>,
    instead: Option<Instead>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instead {
    Fail,
    Abort(Abort),
}

// === impl ChaosConfig ===

impl Default for ChaosConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            latency_rate: 0.0,
            latency_min: Duration::from_millis(100),
            latency_max: Duration::from_secs(1),
            error_rate: 0.0,
            abort_rate: 0.0,
            abort: Abort::Hang,
        }
    }
}

impl ChaosConfig {
    /// `draw` gives a number of 0 to 1, a new one each time.
    fn harm(&self, mut draw: impl FnMut() -> f64) -> Harm {
        if !self.enabled {
            return Harm::default();
        }
        let mut hits = |rate: f64| rate > 0.0 && draw() < rate;
        let is_delayed = hits(self.latency_rate);
        let instead = if hits(self.abort_rate) {
            Some(Instead::Abort(self.abort))
        } else {
            hits(self.error_rate).then_some(Instead::Fail)
        };
        let range = self.latency_max.saturating_sub(self.latency_min);
        Harm { delay: is_delayed.then(|| self.latency_min + range.mul_f64(draw())), instead }
    }
}

fn is_rate(rate: &f64, (): &()) -> garde::Result {
    if (0.0..=1.0).contains(rate) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{rate} as a part of calls: expected 0 to 1")))
    }
}

fn not_below(least: Duration) -> impl FnOnce(&Duration, &()) -> garde::Result {
    move |most, ()| {
        if *most >= least {
            Ok(())
        } else {
            Err(garde::Error::new(format!("{most:?} is below the shortest delay of {least:?}")))
        }
    }
}

// === impl ChaosLayer ===

impl ChaosLayer {
    /// The layer with these settings.
    ///
    /// # Errors
    ///
    /// A setting is out of its range.
    pub fn new(config: &ChaosConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        let shared = Shared {
            config: Arc::new(ArcSwap::from_pointee(config.clone())),
            seeded: None,
            rejection: Rejection::new(Reason::Internal, "chaos: an error on purpose"),
            listener: Listener::none(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Draws from a generator that begins like this, so that a test does the same each time. Calls then share a lock.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        Arc::make_mut(&mut self.shared).seeded = Some(Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))));
        self
    }

    /// What calls fail with, instead of [`Reason::Internal`].
    #[must_use]
    pub fn rejection(mut self, rejection: Rejection) -> Self {
        Arc::make_mut(&mut self.shared).rejection = rejection;
        self
    }

    /// Tells of everything that is done to a call. Runs inside the call, on its task.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&ChaosEvent) + Send + Sync + 'static) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.listener = shared.listener.clone().and(listener);
        self
    }

    /// Control while it runs.
    pub fn handle(&self) -> ChaosHandle {
        ChaosHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S> Layer<S> for ChaosLayer {
    type Service = Chaos<S>;

    fn layer(&self, inner: S) -> Chaos<S> {
        Chaos { inner, shared: Arc::clone(&self.shared) }
    }
}

// === impl Chaos ===

impl<S, Req> Service<Req> for Chaos<S>
where
    S: Service<Req, Error: CallFailure> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ChaosFuture<S, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let harm = self.shared.harm();
        if harm == Harm::default() {
            return ChaosFuture::unharmed(self.inner.call(request));
        }
        // The ready instance waits with the call.
        let service = mainstay_core::take_ready(&mut self.inner);
        ChaosFuture::harmed(service, request, harm, Arc::clone(&self.shared))
    }
}

// === impl ChaosHandle ===

impl ChaosHandle {
    /// What is in force.
    pub fn config(&self) -> Arc<ChaosConfig> {
        self.shared.config.load_full()
    }

    /// Puts other settings in force, from the next call on.
    ///
    /// # Errors
    ///
    /// A setting is out of its range; what was in force stays.
    pub fn set(&self, config: &ChaosConfig) -> Result<(), garde::Report> {
        config.validate()?;
        self.shared.config.store(Arc::new(config.clone()));
        Ok(())
    }
}

// === impl Shared ===

impl Shared {
    fn harm(&self) -> Harm {
        let config = self.config.load();
        match &self.seeded {
            None => config.harm(|| rand::rng().random()),
            Some(seeded) => config.harm(|| seeded.lock().unwrap_or_else(PoisonError::into_inner).random()),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config.load()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ChaosLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosLayer").field("shared", &self.shared).finish()
    }
}

impl<S: fmt::Debug> fmt::Debug for Chaos<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chaos").field("inner", &self.inner).field("shared", &self.shared).finish()
    }
}

impl fmt::Debug for ChaosHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosHandle").field("shared", &self.shared).finish()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
