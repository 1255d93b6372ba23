//! The stack itself.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use garde::Validate as _;
use mainstay_http::body_timeout::{BodyTimeout, BodyTimeoutLayer};
use mainstay_http::call_log::{AttemptLog, AttemptLogLayer, CallLog, CallLogLayer};
use mainstay_http::outbound::judge::HttpJudge;
use mainstay_http::outbound::peek::{Peek, PeekLayer};
use mainstay_http::outbound::repeat::HttpRepeat;
use mainstay_http::outbound::replay::{Replay, ReplayLayer};
use mainstay_http::outbound::settle::BodyEnd;
use mainstay_http::propagate::{Propagate, PropagateLayer};
use mainstay_resilience::breaker::{
    BreakerEvent, BreakerHandle, BreakerLayer, KeyedBreaker, KeyedBreakerHandle, KeyedBreakerLayer,
};
use mainstay_resilience::budget::Budget;
use mainstay_resilience::bulkhead::{Bulkhead, BulkheadHandle, BulkheadLayer};
use mainstay_resilience::hedge::{Hedge, HedgeHandle, HedgeLayer};
use mainstay_resilience::optional::{Optional, OptionalLayer};
use mainstay_resilience::rate_limit::{RateLimit, RateLimitLayer};
use mainstay_resilience::retry::{Retry, RetryEvent, RetryHandle, RetryLayer};
use mainstay_resilience::throttle::{Throttle, ThrottleConfig, ThrottleHandle, ThrottleLayer};
use mainstay_resilience::timeout::{Timeout, TimeoutLayer};
use mainstay_resilience::typed::{Typed, TypedLayer};
use tower_layer::Layer;

use super::config::{ClientConfig, StackError};
use super::describe::describe;
use super::origin::{ByOrigin, Origin};
use super::reached;

/// All layers of a client, as one.
///
/// Cloning is cheap, and everything that it makes shares one state: circuits, budget, places, limits. Make one stack for each
/// service that is called.
#[derive(Clone, Debug)]
pub struct ClientStack {
    name: Arc<str>,
    config: Arc<ClientConfig>,
    call_log: CallLogLayer<BodyEnd>,
    replay: ReplayLayer,
    timeout: TimeoutLayer,
    rate_limit: OptionalLayer<RateLimitLayer>,
    throttle: ThrottleLayer<BodyEnd>,
    retry: RetryLayer<HttpRepeat>,
    hedge: OptionalLayer<HedgeLayer<HttpRepeat>>,
    attempt_log: AttemptLogLayer<BodyEnd>,
    propagate: PropagateLayer,
    breaker: KeyedBreakerLayer<BodyEnd, ByOrigin, Origin>,
    bulkhead: BulkheadLayer<BodyEnd>,
    attempt_timeout: TimeoutLayer,
    body_timeout: BodyTimeoutLayer,
}

/// A client inside the whole [`ClientStack`].
pub type Client<S> = Called<Repeated<Hedged<Attempted<S>>>>;

/// The outermost part: what belongs to a call, however often it is sent.
type Called<S> = CallLog<Replay<Timeout<Optional<RateLimitLayer, RateLimit<S>, S>>>, BodyEnd>;

/// What decides how often it is sent.
type Repeated<S> = Throttle<Retry<S, HttpRepeat>, BodyEnd>;

/// An attempt that may be made twice at once.
type Hedged<S> = Optional<HedgeLayer<HttpRepeat>, Hedge<S, HttpRepeat>, S>;

/// What belongs to one attempt.
type Attempted<S> = AttemptLog<Propagate<Guarded<Timeout<Peek<BodyTimeout<Typed<S>>>>>>, BodyEnd>;

/// What an attempt must pass.
type Guarded<S> = KeyedBreaker<Bulkhead<S, BodyEnd>, BodyEnd, ByOrigin, Origin>;

/// A live view of a stack's circuits, and control over them.
#[derive(Clone, Debug)]
pub struct Breakers {
    client: Arc<str>,
    circuits: KeyedBreakerHandle<Origin>,
}

/// Builds the stack around the client of a service with this name, which its log lines and its description show.
///
/// # Errors
///
/// A setting is out of its range. Settings that [`config`](crate::config) loaded and checked do not fail here.
pub fn stack(name: &str, config: &ClientConfig) -> Result<ClientStack, StackError> {
    config.validate().map_err(StackError)?;
    let checked = "the settings were checked above";
    let name: Arc<str> = name.into();
    let judge = HttpJudge::new(&config.judge).expect(checked);
    let end = BodyEnd::new(judge);
    // Without the setting nothing is refused.
    let off = ThrottleConfig { max_probability: 0.0, ..ThrottleConfig::default() };
    let rules = HttpRepeat::new(&config.repeat).expect(checked).reached(reached);
    let retry = RetryLayer::new(&config.retry).expect(checked).rules(rules.clone());
    let hedge = config.hedge.as_ref().map(|hedge| {
        // The retry deposits the calls, and both pay from what they share.
        let budget = retry.handle().budget().clone();
        HedgeLayer::new(hedge).expect(checked).rules(rules).shared_budget(budget)
    });
    Ok(ClientStack {
        call_log: CallLogLayer::new(Arc::clone(&name), end),
        replay: ReplayLayer::new(&config.replay).expect(checked),
        timeout: TimeoutLayer::new(&config.timeout).expect(checked),
        rate_limit: OptionalLayer(
            config.rate_limit.as_ref().map(|limit| RateLimitLayer::new(limit).expect(checked)),
        ),
        throttle: ThrottleLayer::new(config.throttle.as_ref().unwrap_or(&off)).expect(checked).settle(end),
        retry,
        hedge: OptionalLayer(hedge),
        attempt_log: AttemptLogLayer::new(Arc::clone(&name), end),
        propagate: PropagateLayer::new(&config.propagate),
        breaker: BreakerLayer::new(&config.breaker)
            .expect(checked)
            .settle(end)
            .keyed(config.most_origins, ByOrigin(())),
        bulkhead: BulkheadLayer::new(&config.bulkhead).expect(checked).settle(end),
        attempt_timeout: TimeoutLayer::new(&config.attempt_timeout.timeout()).expect(checked),
        body_timeout: BodyTimeoutLayer::new(&config.body_timeout).expect(checked),
        config: Arc::new(config.clone()),
        name,
    })
}

// === impl ClientStack ===

impl ClientStack {
    /// Pays for extra attempts from this budget, which the clients of one service may share, instead of the stack's own.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.hedge.0 = self.hedge.0.map(|hedge| hedge.shared_budget(budget.clone()));
        self.retry = self.retry.budget(budget);
        self
    }

    /// Tells of every call that is sent again or given up. Runs inside the call, on its task.
    #[must_use]
    pub fn on_retry(mut self, listener: impl Fn(&RetryEvent) + Send + Sync + 'static) -> Self {
        self.retry = self.retry.on_event(listener);
        self
    }

    /// Tells of everything that any of the circuits does. Runs inside the call, on its task. Begins new circuits: give listeners before
    /// handles are taken.
    #[must_use]
    pub fn on_breaker(mut self, listener: impl Fn(&BreakerEvent) + Send + Sync + 'static) -> Self {
        let end = BodyEnd::new(HttpJudge::new(&self.config.judge).expect("the settings were checked"));
        let breaker = BreakerLayer::new(&self.config.breaker).expect("the settings were checked");
        self.breaker = breaker.on_event(listener).settle(end).keyed(self.config.most_origins, ByOrigin(()));
        self
    }

    /// Asks before each call how long it may take, instead of [`ClientConfig::timeout`], such as settings that follow their file.
    #[must_use]
    pub fn timeout_from(mut self, limit: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.timeout = self.timeout.limit_from(limit);
        self
    }

    /// Asks whether an error proves that its call never reached the service, instead of [`reached`](super::reached).
    #[must_use]
    pub fn reached(mut self, reached: fn(&(dyn Error + 'static)) -> bool) -> Self {
        let rules = HttpRepeat::new(&self.config.repeat).expect("the settings were checked").reached(reached);
        self.hedge.0 = self.hedge.0.map(|hedge| hedge.rules(rules.clone()));
        self.retry = self.retry.rules(rules);
        self
    }

    /// The circuits, one for each origin that was called.
    pub fn breakers(&self) -> Breakers {
        Breakers { client: Arc::clone(&self.name), circuits: self.breaker.handle() }
    }

    /// The attempts that are under way, and the most that may be.
    pub fn bulkhead(&self) -> BulkheadHandle {
        self.bulkhead.handle()
    }

    /// How often calls were sent again or given up, and what is left of the budget.
    pub fn retries(&self) -> RetryHandle {
        self.retry.handle()
    }

    /// How often slow calls were sent again, and after how long; `None` where [`ClientConfig::hedge`] is.
    pub fn hedges(&self) -> Option<HedgeHandle> {
        self.hedge.0.as_ref().map(HedgeLayer::handle)
    }

    /// With which probability calls are refused because the service would refuse them.
    pub fn throttle(&self) -> ThrottleHandle {
        self.throttle.handle()
    }

    /// The layers in their order, outermost first, each with its effective settings.
    pub fn describe(&self) -> String {
        describe(&self.name, &self.config)
    }
}

impl<S> Layer<S> for ClientStack {
    type Service = Client<S>;

    fn layer(&self, inner: S) -> Client<S> {
        let attempt = self.body_timeout.layer(TypedLayer::new().layer(inner));
        let attempt = self.attempt_timeout.layer(PeekLayer::new().layer(attempt));
        let attempt = self.propagate.layer(self.breaker.layer(self.bulkhead.layer(attempt)));
        let repeated = self.retry.layer(self.hedge.layer(self.attempt_log.layer(attempt)));
        let repeated = self.throttle.layer(repeated);
        let called = self.timeout.layer(self.rate_limit.layer(repeated));
        self.call_log.layer(self.replay.layer(called))
    }
}

// === impl Breakers ===

impl Breakers {
    /// Each origin's circuit, ordered by the origin's text.
    pub fn all(&self) -> Vec<(Origin, BreakerHandle)> {
        let mut all = self.circuits.all();
        all.sort_by_cached_key(|(origin, _)| origin.to_string());
        all
    }

    /// One line for each circuit, for people who look: client, origin, state, what its window has seen.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (origin, breaker) in self.all() {
            let metrics = breaker.metrics();
            writeln!(
                text,
                "{} {origin} {}: {} of {} calls failed, opened {} times, {} calls refused",
                self.client,
                metrics.state,
                metrics.failed,
                metrics.calls,
                metrics.opened,
                metrics.not_permitted
            )
            .expect("writing to a string does not fail");
        }
        if text.is_empty() { format!("{} has called nobody yet\n", self.client) } else { text }
    }
}
