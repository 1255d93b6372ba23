//! One call, carried out once, however often it is sent: the `Idempotency-Key` header.
//!
//! ```
//! use mainstay_http::idempotency::{IdempotencyConfig, IdempotencyLayer, Keys};
//!
//! let config = IdempotencyConfig { keys: Keys::Required, ..IdempotencyConfig::default() };
//! let layer = IdempotencyLayer::new(&config)?;
//! # let _: IdempotencyLayer = layer;
//! # Ok::<(), garde::Report>(())
//! ```
//!
//! Follows draft-ietf-httpapi-idempotency-key-header. It stands innermost, after the tenant, around the routes that ask for it.
//! A call with a key on one of [the methods](IdempotencyConfig::methods):
//!
//! 1. The key is a structured-field string, `"8e03…"`, or, where [that is allowed](IdempotencyConfig::bare_keys), a bare word.
//!    Malformed, repeated, longer than 255 characters, or missing where it is required: 400.
//! 2. The request's body is read, up to [a bound](IdempotencyConfig::max_request_bytes): 413 beyond. The handler gets the same bytes
//!    and trailers.
//! 3. The call is claimed in the [store](Store) under its key, [principal](IdempotencyLayer::principal), tenant, method and route. While another
//!    one works on it: 409 with `Retry-After`. The same key for something else (another path, body, or one of
//!    [the headers](IdempotencyConfig::fingerprint_headers)): 422. The store is away or full: 503, or
//!    [as configured](StoreFailure).
//! 4. The handler runs, in a task of its own: if the caller goes away or its deadline passes, the call is carried out to its
//!    end all the same, and a retry finds its answer. Meanwhile the claim's lease is renewed at half its time, so it ends only
//!    with the process; then the next call takes over, and the old owner is fenced.
//! 5. The answer is kept for [a time](IdempotencyConfig::retention), and a retry gets it again with `idempotency-replayed: true`, its own request id
//!    and without `set-cookie`. An answer whose length is not known (a stream), that is larger than
//!    [the bound](IdempotencyConfig::max_response_bytes) or that breaks off is not kept: a retry then gets 409, which says so.
//!
//! Never kept are answers that say nothing about the work: 5xx, 401, 408, 425, 429, refusals of layers, errors of the service and panics.
//! They give the claim back, and a retry runs.
//!
//! Calls without a key where none is required, other methods and gRPC (whose answers are streams, and which has no such header)
//! are handed through; [`Keys::Off`], the default, hands everything through, at no cost.
//!
//! # On drop, and cost
//!
//! Dropped before the claim, a call holds nothing; after it, the call goes on as said above, and no longer counts for the limits
//! and the drain further out, which know only the caller. A call with a key costs a task, a
//! box, the bytes of both bodies and two digests; every other none.

mod body;
mod config;
mod digest;
mod future;
mod key;
mod memory;
mod record;
mod run;
mod shelf;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use garde::Validate;
use http::{Extensions, Method, Request, Response};
use http_body::Body;
#[cfg(doc)]
use mainstay_core::idempotency::Store;
use mainstay_core::{Reason, Rejection, RequestContext, take_ready};
use tower_layer::Layer;
use tower_service::Service;

pub use body::KeyedBody;
pub use config::{IdempotencyConfig, Keys, StoreFailure};
pub use future::IdempotencyFuture;
pub use memory::MemoryStore;

use crate::answer::refuse;
use crate::form::Form;
use key::KeyText;
use shelf::Shelf;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type PrincipalOf = Arc<dyn for<'a> Fn(&'a Extensions) -> Option<&'a str> + Send + Sync>;

/// Carries out a call with a key once. See the [module](self).
#[derive(Clone)]
pub struct IdempotencyLayer {
    shared: Option<Arc<Shared>>,
}

/// The service of [`IdempotencyLayer`].
#[derive(Clone)]
pub struct Idempotency<S> {
    inner: S,
    shared: Option<Arc<Shared>>,
}

#[derive(Clone)]
struct Shared {
    config: IdempotencyConfig,
    methods: Vec<Method>,
    store: Arc<dyn Shelf>,
    principal: Option<PrincipalOf>,
    now: fn() -> SystemTime,
}

/// What is to become of a call, as far as its head says.
#[derive(Debug)]
enum Look {
    /// It is none of this layer's.
    Pass,
    Refuse(Rejection),
    Keyed(KeyText),
}

// === impl IdempotencyLayer ===

impl IdempotencyLayer {
    /// The layer with these settings and a [`MemoryStore`] of its own, which all its services share.
    ///
    /// # Errors
    ///
    /// A setting is out of its range.
    pub fn new(config: &IdempotencyConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        if config.keys == Keys::Off {
            return Ok(Self { shared: None });
        }
        let store = MemoryStore::new(config.max_entries, config.max_bytes);
        let methods = config.methods.iter().filter_map(|method| method.parse().ok()).collect();
        let shared = Shared {
            config: config.clone(),
            methods,
            store: Arc::new(store),
            principal: None,
            now: SystemTime::now,
        };
        Ok(Self { shared: Some(Arc::new(shared)) })
    }

    /// Keeps calls in this store, which other processes may share, instead of the memory of this one.
    #[must_use]
    pub fn store(mut self, store: impl mainstay_core::idempotency::Store) -> Self {
        if let Some(shared) = &mut self.shared {
            Arc::make_mut(shared).store = Arc::new(store);
        }
        self
    }

    /// Who calls, as an authenticating layer further out has left it in the request's extensions: keys of two principals are
    /// two keys.
    ///
    /// Without this, another user of the same tenant who guesses a key gets 422, as the `authorization` header is in the
    /// fingerprint; who authenticates by cookies, or by tokens that change between retries, needs it.
    #[must_use]
    pub fn principal(
        mut self,
        principal: impl for<'a> Fn(&'a Extensions) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        if let Some(shared) = &mut self.shared {
            Arc::make_mut(shared).principal = Some(Arc::new(principal));
        }
        self
    }

    /// Another clock than the system's, for tests.
    #[must_use]
    pub fn clock(mut self, now: fn() -> SystemTime) -> Self {
        if let Some(shared) = &mut self.shared {
            Arc::make_mut(shared).now = now;
        }
        self
    }
}

impl Default for IdempotencyLayer {
    /// Hands everything through.
    fn default() -> Self {
        Self { shared: None }
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = Idempotency<S>;

    fn layer(&self, inner: S) -> Idempotency<S> {
        Idempotency { inner, shared: self.shared.clone() }
    }
}

// === impl Idempotency ===

impl<S, B, ResB> Service<Request<B>> for Idempotency<S>
where
    S: Service<Request<KeyedBody<B>>, Response = Response<ResB>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    ResB: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<KeyedBody<ResB>>;
    type Error = S::Error;
    type Future = IdempotencyFuture<S::Future, ResB, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(shared) = &self.shared else {
            return IdempotencyFuture::passed(self.inner.call(request.map(KeyedBody::untouched)));
        };
        match shared.look(&request) {
            Look::Pass => IdempotencyFuture::passed(self.inner.call(request.map(KeyedBody::untouched))),
            Look::Refuse(rejection) => {
                // Nobody will call the instance that was made ready: what it reserved goes with it.
                drop(take_ready(&mut self.inner));
                let context = request.extensions().get::<RequestContext>();
                let answer = refuse(&rejection, Form::of(&request), context);
                IdempotencyFuture::refused(answer.map(KeyedBody::whole))
            }
            Look::Keyed(key) => {
                let inner = take_ready(&mut self.inner);
                IdempotencyFuture::keyed(run::keyed(Arc::clone(shared), inner, request, key))
            }
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Looks at the head alone: what is refused here has cost no byte of the body.
    fn look<B: Body>(&self, request: &Request<B>) -> Look {
        if !self.methods.contains(request.method()) || Form::of(request) == Form::Grpc {
            return Look::Pass;
        }
        let key = match key::in_headers(request.headers(), self.config.bare_keys) {
            Ok(Some(key)) => key,
            Ok(None) if self.config.keys == Keys::Required => {
                let message = "the header idempotency-key is missing, expected a string such as \"8e03978e\"";
                return Look::Refuse(Rejection::new(Reason::Invalid, message));
            }
            Ok(None) => return Look::Pass,
            Err(what) => return Look::Refuse(Rejection::new(Reason::Invalid, what)),
        };
        if request.body().size_hint().lower() > self.config.max_request_bytes as u64 {
            return Look::Refuse(self.too_large());
        }
        Look::Keyed(key)
    }

    fn too_large(&self) -> Rejection {
        let most = self.config.max_request_bytes;
        Rejection::new(
            Reason::TooLarge,
            format!("a call with an idempotency key may have {most} bytes at most"),
        )
    }
}

impl std::fmt::Debug for IdempotencyLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let config = self.shared.as_ref().map(|shared| &shared.config);
        f.debug_struct("IdempotencyLayer").field("config", &config).finish_non_exhaustive()
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Idempotency<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idempotency").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
