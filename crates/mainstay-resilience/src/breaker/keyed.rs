//! One circuit for each key, such as the origin that is called.

use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};

use mainstay_core::call::{CallFailure, Settle};
use tower_layer::Layer;
use tower_service::Service;

use super::admitted::Admitted;
use super::circuit::Circuit;
use super::config::BreakerConfig;
use super::event::{BreakerEvent, State};
use super::future::BreakerFuture;
use super::handle::BreakerHandle;
use super::{Outside, rejection};
use crate::events::Listener;
use crate::keyed::Keyed;

/// A circuit for each key of a request. See [`BreakerLayer::keyed`](super::BreakerLayer::keyed).
///
/// Finding a key's circuit takes a short lock on a sixteenth of the table, and hashes the key with SipHash, which a stranger cannot
/// flood. Beyond the capacity a key that was not used for a while is forgotten, one whose circuit is closed before one whose
/// circuit is not. The key is only known in the call, so the inner service is asked for its readiness before any circuit is.
#[derive(Debug)]
pub struct KeyedBreakerLayer<A, F, K> {
    settle: A,
    key_of: F,
    circuits: Arc<Circuits<K>>,
}

/// The service of [`KeyedBreakerLayer`].
#[derive(Debug)]
pub struct KeyedBreaker<S, A, F, K> {
    inner: S,
    settle: A,
    key_of: F,
    circuits: Arc<Circuits<K>>,
}

/// A live view of the circuits of a [`KeyedBreakerLayer`].
#[derive(Debug)]
pub struct KeyedBreakerHandle<K> {
    circuits: Arc<Circuits<K>>,
}

/// Says which circuit a request belongs to. Closures of this shape do.
pub trait KeyOf<Req> {
    /// What circuits are told apart by: cheap to clone.
    type Key;

    /// The request's key.
    fn key_of(&self, request: &Req) -> Self::Key;
}

struct Circuits<K> {
    config: Arc<BreakerConfig>,
    listener: Listener<BreakerEvent>,
    by_key: Keyed<K, Circuit>,
}

// === impl KeyOf ===

impl<F, Req, K> KeyOf<Req> for F
where
    F: Fn(&Req) -> K,
{
    type Key = K;

    fn key_of(&self, request: &Req) -> K {
        self(request)
    }
}

// === impl KeyedBreakerLayer ===

impl<A, F, K> KeyedBreakerLayer<A, F, K>
where
    K: Clone + Eq + Hash,
{
    pub(super) fn new(
        settle: A,
        config: Arc<BreakerConfig>,
        listener: Listener<BreakerEvent>,
        capacity: NonZeroU32,
        key_of: F,
    ) -> Self {
        let circuits = Circuits { config, listener, by_key: Keyed::new(capacity) };
        Self { settle, key_of, circuits: Arc::new(circuits) }
    }

    /// A live view of all circuits.
    pub fn handle(&self) -> KeyedBreakerHandle<K> {
        KeyedBreakerHandle { circuits: Arc::clone(&self.circuits) }
    }
}

impl<A: Clone, F: Clone, K> Clone for KeyedBreakerLayer<A, F, K> {
    fn clone(&self) -> Self {
        Self {
            settle: self.settle.clone(),
            key_of: self.key_of.clone(),
            circuits: Arc::clone(&self.circuits),
        }
    }
}

impl<S, A: Clone, F: Clone, K> Layer<S> for KeyedBreakerLayer<A, F, K> {
    type Service = KeyedBreaker<S, A, F, K>;

    fn layer(&self, inner: S) -> Self::Service {
        KeyedBreaker {
            inner,
            settle: self.settle.clone(),
            key_of: self.key_of.clone(),
            circuits: Arc::clone(&self.circuits),
        }
    }
}

// === impl KeyedBreaker ===

impl<S: Clone, A: Clone, F: Clone, K> Clone for KeyedBreaker<S, A, F, K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            settle: self.settle.clone(),
            key_of: self.key_of.clone(),
            circuits: Arc::clone(&self.circuits),
        }
    }
}

impl<S, A, F, K, Req> Service<Req> for KeyedBreaker<S, A, F, K>
where
    S: Service<Req, Error: CallFailure> + Clone,
    A: Settle<S::Response, S::Error> + Clone,
    F: KeyOf<Req, Key = K>,
    K: Clone + Eq + Hash,
{
    type Response = A::Answer<Admitted>;
    type Error = S::Error;
    type Future = BreakerFuture<S, A, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let circuit = self.circuits.of(&self.key_of.key_of(&request));
        match circuit.admit(&Outside) {
            Ok(admission) => {
                let admitted = Admitted::new(circuit, admission, &self.circuits.config);
                BreakerFuture::calling(self.inner.call(request), self.settle.clone(), admitted)
            }
            Err(refused) => {
                // Nobody will call the instance that was made ready: what it reserved goes with it.
                drop(mainstay_core::take_ready(&mut self.inner));
                BreakerFuture::refused(rejection(refused))
            }
        }
    }
}

// === impl KeyedBreakerHandle ===

impl<K: Clone + Eq + Hash> KeyedBreakerHandle<K> {
    /// The circuits that are kept, with their keys, in no order.
    pub fn all(&self) -> Vec<(K, BreakerHandle)> {
        let all = self.circuits.by_key.all();
        all.into_iter().map(|(key, circuit)| (key, BreakerHandle::new(circuit))).collect()
    }

    /// The circuit of this key, made now if there is none.
    pub fn of(&self, key: &K) -> BreakerHandle {
        BreakerHandle::new(self.circuits.of(key))
    }
}

impl<K> Clone for KeyedBreakerHandle<K> {
    fn clone(&self) -> Self {
        Self { circuits: Arc::clone(&self.circuits) }
    }
}

// === impl Circuits ===

impl<K: Clone + Eq + Hash> Circuits<K> {
    fn of(&self, key: &K) -> Arc<Circuit> {
        let make = || Circuit::new(Arc::clone(&self.config), self.listener.clone());
        self.by_key.of(key, make, |circuit| circuit.state() != State::Closed)
    }
}

impl<K> fmt::Debug for Circuits<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuits").field("config", &self.config).finish_non_exhaustive()
    }
}
