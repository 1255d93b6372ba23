//! So many calls in a time for each client, tenant or route; what is more gets 429, and every answer says what is left.
//!
//! ```
//! # use std::num::NonZeroU32;
//! # use std::time::Duration;
//! use mainstay_http::rate_limit::{KeyPart, RateLimitConfig, RateLimitLayer, RatePolicy};
//!
//! let policy = RatePolicy {
//!     name: "per-client".to_owned(),
//!     key: vec![KeyPart::Client],
//!     quota: NonZeroU32::new(100).expect("100 is not 0"),
//!     window: Duration::from_secs(60),
//! };
//! let layer = RateLimitLayer::new(&RateLimitConfig { policies: vec![policy], ..RateLimitConfig::default() })?;
//! # let _: RateLimitLayer = layer;
//! # Ok::<(), garde::Report>(())
//! ```
//!
//! A policy is a bucket of `quota` calls for each key, which refills evenly over `window` (the generic cell rate
//! algorithm): the whole quota may be used at once, and then comes back call by call. Of several policies each must have
//! room; a call that one of them refuses costs none of them anything.
//!
//! The key comes from the [`RequestContext`] alone: the client's address as the trust boundary decided it (an IPv6 client is
//! its /64 network), the tenant, and axum's matched route. A part that is not known (no context, a Unix socket, no tenant
//! yet, no route) is a value of its own that all such calls share, so that nobody escapes by lacking it. For the tenant the
//! layer must stand inside what decides it.
//!
//! Refuses with 429 and `retry-after`, or RESOURCE_EXHAUSTED for gRPC ([`Reason::RateLimited`]). Every HTTP answer, refused or not,
//! gets `ratelimit-policy` and `ratelimit` of the [IETF draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/10/)
//! (revision 10), unless [`headers`](RateLimitConfig::headers) is off. Dropping the future drops the inner one; what the call
//! took is not given back.
//!
//! # Memory
//!
//! A table of fixed size, made with the layer: 16 bytes a key, in sets of eight, each under a lock of its own that is held
//! for a few nanoseconds. A key is a keyed hash of 64 bits, so nobody can aim at another's place. Where a set is full, a new
//! key takes the place of the one that has used least of its quota, **and inherits what that one has used**. So forgetting
//! never grants: however many addresses somebody has, no key ever gets more than its policy allows, and a hot key is the
//! last to be forgotten. The price: in a table that is far too small, newcomers begin with less than the whole quota.
//!
//! Allocates nothing to decide; the `ratelimit` field is one allocation, and both fields may grow the answer's header map.
//! Without a policy, as by default, the layer passes everything on and keeps no table.

mod config;
mod fields;
mod future;
mod gcra;
mod key;
mod table;

use std::hash::RandomState;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use garde::Validate;
use http::{HeaderValue, Request, Response};
use mainstay_core::{Reason, Rejection, RequestContext, take_ready};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::AnswerBody;
use crate::form::Form;
use crate::load::{Exempt, Gated};
pub use config::{KeyPart, RateLimitConfig, RatePolicy};
pub use future::RateLimitFuture;

use self::fields::Fields;
use self::gcra::{Quota, Standing};
use self::key::Caller;
use self::table::{Held, Table};

/// The most policies of one layer.
const MOST_POLICIES: usize = 4;

/// Limits how often each key may call. See the [module](self).
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    // None: no policy.
    limiter: Option<Arc<Limiter>>,
}

/// The service of [`RateLimitLayer`].
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    limiter: Option<Arc<Limiter>>,
}

#[derive(Debug)]
struct Limiter {
    policies: Box<[Policy]>,
    // What times are counted from.
    epoch: std::time::Instant,
    keys: RandomState,
    exempt: Exempt,
    // `ratelimit-policy`; None: no fields are wanted.
    advertised: Option<HeaderValue>,
}

#[derive(Debug)]
struct Policy {
    name: String,
    key: Vec<KeyPart>,
    quota: Quota,
    table: Table,
}

/// What the policies say to one call.
#[derive(Debug)]
struct Decision {
    // Of the policies in their order; what is beyond them is unused.
    standings: [Standing; MOST_POLICIES],
    refused: Option<Wait>,
}

/// The policy that keeps a call waiting longest, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wait {
    policy: usize,
    nanos: u64,
}

// === impl RateLimitLayer ===

impl RateLimitLayer {
    /// The layer with these settings; all its services, and those of its clones, share one count.
    ///
    /// # Errors
    ///
    /// A setting is wrong, for example a window of zero.
    pub fn new(config: &RateLimitConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        let limiter = (!config.policies.is_empty()).then(|| Arc::new(Limiter::new(config)));
        Ok(Self { limiter })
    }
}

impl Default for RateLimitLayer {
    /// Without a policy: everything passes.
    fn default() -> Self {
        Self { limiter: None }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit { inner, limiter: self.limiter.clone() }
    }
}

// === impl RateLimit ===

impl<S, B, ResB> Service<Request<B>> for RateLimit<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
{
    type Response = Response<AnswerBody<ResB>>;
    type Error = S::Error;
    type Future = RateLimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(limiter) = self.limiter.as_deref().filter(|limiter| !limiter.exempt.covers(&request)) else {
            return RateLimitFuture::new(Gated::Passed { inner: self.inner.call(request) }, None);
        };
        let decision = limiter.decide(&request);
        // A gRPC caller learns from its status when to come back: these fields are HTTP's.
        let is_told = Form::of(&request) != Form::Grpc;
        let fields = is_told.then(|| limiter.fields(&decision)).flatten();
        let gated = match decision.refused {
            None => Gated::Passed { inner: self.inner.call(request) },
            Some(wait) => {
                // Nobody will call the instance that was made ready: what it reserved goes with it.
                drop(take_ready(&mut self.inner));
                Gated::refused(limiter.rejection(wait), &request)
            }
        };
        RateLimitFuture::new(gated, fields)
    }
}

// === impl Limiter ===

impl Limiter {
    fn new(config: &RateLimitConfig) -> Self {
        let policy = |policy: &RatePolicy| Policy {
            name: policy.name.clone(),
            key: policy.key.clone(),
            quota: Quota::new(policy.quota, policy.window),
            table: Table::new(config.max_keys),
        };
        Self {
            policies: config.policies.iter().map(policy).collect(),
            epoch: Instant::now().into_std(),
            keys: RandomState::new(),
            exempt: Exempt::new(&config.exempt),
            advertised: config.headers.then(|| fields::policies(&config.policies)),
        }
    }

    /// Where there is a context its clock is read for the whole stack already.
    fn decide<B>(&self, request: &Request<B>) -> Decision {
        let context = request.extensions().get::<RequestContext>();
        let now = context.map_or_else(|| Instant::now().into_std(), RequestContext::received_at);
        let now = u64::try_from(now.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX);
        self.admit(&Caller::of(request), now)
    }

    /// Takes one call of each policy's quota, or none of any.
    ///
    /// The policies' sets are locked in the policies' order and let go together, so that no call is counted twice or lost.
    fn admit(&self, caller: &Caller<'_>, now: u64) -> Decision {
        let mut held: [Option<Held<'_>>; MOST_POLICIES] = [const { None }; MOST_POLICIES];
        let mut refused: Option<Wait> = None;
        for (index, (policy, held)) in self.policies.iter().zip(&mut held).enumerate() {
            let entry = held.insert(policy.table.lock(caller.hash(&policy.key, &self.keys)));
            if let Err(nanos) = policy.quota.admit(entry.used_until(), now) {
                let longest = refused.is_none_or(|wait| wait.nanos < nanos);
                refused = if longest { Some(Wait { policy: index, nanos }) } else { refused };
            }
        }
        let mut standings = [Standing::default(); MOST_POLICIES];
        for ((policy, held), standing) in
            self.policies.iter().zip(held.iter_mut().flatten()).zip(&mut standings)
        {
            if refused.is_none()
                && let Ok(used_until) = policy.quota.admit(held.used_until(), now)
            {
                held.record(used_until);
            }
            *standing = policy.quota.standing(held.used_until(), now);
        }
        Decision { standings, refused }
    }

    fn rejection(&self, wait: Wait) -> Rejection {
        let policy = &self.policies[wait.policy];
        Rejection::new(Reason::RateLimited, format!("the quota of the policy {:?} is used up", policy.name))
            .with_retry_after(Duration::from_nanos(wait.nanos))
    }

    fn fields(&self, decision: &Decision) -> Option<Fields> {
        let policy = self.advertised.clone()?;
        let standings = self.policies.iter().map(|policy| policy.name.as_str()).zip(decision.standings);
        Some(Fields { policy, limit: fields::standings(standings) })
    }
}

#[cfg(test)]
mod tests;
