//! Asking somebody whether a tenant is served, once for all who want to know at that moment.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::{self, Debug, Formatter};
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::{Shared, WeakShared};
use http::HeaderValue;
use mainstay_core::TenantId;

use super::cache::{Cache, Key};
use super::config::TenantCacheConfig;
use super::decide::Fault;
use super::{Served, header_value};

/// Knows which tenants are served: a database, a directory, another service.
///
/// ```
/// use mainstay_core::TenantId;
/// use mainstay_http::tenant::{ResolverError, Standing, TenantResolver};
///
/// struct Directory;
///
/// impl TenantResolver for Directory {
///     async fn resolve(&self, tenant: &TenantId, _: Option<&str>) -> Result<Standing, ResolverError> {
///         Ok(if tenant.as_str() == "acme" { Standing::Known } else { Standing::Unknown })
///     }
/// }
/// # let _: Directory = Directory;
/// ```
pub trait TenantResolver: Send + Sync + 'static {
    /// Whether the tenant is served for this principal, who is known only where
    /// [`TenantLayer::principal`](super::TenantLayer::principal) tells it.
    ///
    /// The answer is remembered as [`TenantCacheConfig`] says, for this tenant and principal. An error is not; it is logged,
    /// and all who wait for this answer are refused with 503. Bound the time yourself, or let the call's deadline do it: when
    /// the last of those who wait is gone, the future is dropped.
    fn resolve(
        &self,
        tenant: &TenantId,
        principal: Option<&str>,
    ) -> impl Future<Output = Result<Standing, ResolverError>> + Send;
}

/// What a [`TenantResolver`] says of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is served.
    Known,
    /// There is no such tenant. 403.
    Unknown,
    /// There is, and this principal may not act for it. 403, in the same words.
    NotAllowed,
}

/// Why a [`TenantResolver`] could not say; for the log, never for the caller.
pub type ResolverError = Box<dyn Error + Send + Sync>;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Ask = dyn Fn(Key) -> BoxFuture<Result<Standing, ResolverError>> + Send + Sync;

/// One question that is being answered. Whoever holds a clone drives it, so nobody depends on who asked first.
pub(super) type Asking = Shared<BoxFuture<Result<Standing, Fault>>>;

/// What is known at once: an answer, or the question to wait for.
pub(super) enum Found {
    Served(Served),
    Asking(TenantId, Asking),
}

/// The resolver, the answers it gave, and the questions that are open.
pub(super) struct Registry {
    ask: Box<Ask>,
    shards: Box<[RwLock<Shard>]>,
    hasher: RandomState,
    asked: AtomicU64,
}

/// A part of the answers and questions, by their hash. Read under a shared lock, and never locked across an await.
struct Shard {
    known: Cache<HeaderValue>,
    refused: Cache<()>,
    open: HashMap<u64, Open>,
}

/// An open question. Held weakly: when nobody waits any more, it is gone.
struct Open {
    number: u64,
    key: Key,
    asking: WeakShared<BoxFuture<Result<Standing, Fault>>>,
}

/// Takes a question off the list when it is answered, dropped, or panics.
struct Closing {
    registry: Arc<Registry>,
    hash: u64,
    number: u64,
}

// === impl Registry ===

impl Registry {
    pub(super) fn new(resolver: impl TenantResolver, config: &TenantCacheConfig) -> Self {
        // So many that readers rarely meet, and so few that the bound of each is not too small to be one.
        let shards = (config.entries / 64).clamp(1, 16);
        let shard = |_| {
            let most = config.entries / shards;
            RwLock::new(Shard {
                known: Cache::new(most, config.known_for),
                refused: Cache::new(most, config.refused_for),
                open: HashMap::new(),
            })
        };
        let resolver = Arc::new(resolver);
        let ask = move |key: Key| -> BoxFuture<Result<Standing, ResolverError>> {
            let resolver = Arc::clone(&resolver);
            Box::pin(async move { resolver.resolve(&key.tenant, key.principal.as_deref()).await })
        };
        Self {
            ask: Box::new(ask),
            shards: (0..shards).map(shard).collect(),
            hasher: RandomState::new(),
            asked: AtomicU64::new(0),
        }
    }

    /// The answer, if it is remembered: one hash, one shared lock, no allocation. Else the question, open already or new.
    pub(super) fn find(
        self: &Arc<Self>,
        tenant: &str,
        principal: Option<&str>,
        now: Instant,
    ) -> Result<Found, Fault> {
        let hash = self.hasher.hash_one((tenant, principal));
        if let Some(answer) = self.read(hash).remembered(hash, tenant, principal, now) {
            return answer.map(Found::Served);
        }
        let tenant = TenantId::parse(tenant).map_err(|_| Fault::Malformed)?;
        let key = Key { tenant, principal: principal.map(Arc::from) };
        // Made before the lock is taken, and dropped after it is given back: dropping a question takes the lock.
        let question = self.question(hash, key.clone());
        let mut shard = self.write(hash);
        // It may have been answered meanwhile.
        if let Some(answer) = shard.remembered(hash, key.tenant.as_str(), principal, now) {
            return answer.map(Found::Served);
        }
        let open = shard.open.get(&hash).filter(|open| open.key == key);
        if let Some(asking) = open.and_then(|open| open.asking.upgrade()) {
            return Ok(Found::Asking(key.tenant, asking));
        }
        let (number, asking) = question;
        let weak = asking.downgrade().expect("a question that was never polled is not answered");
        let tenant = key.tenant.clone();
        shard.open.insert(hash, Open { number, key, asking: weak });
        Ok(Found::Asking(tenant, asking))
    }

    fn question(self: &Arc<Self>, hash: u64, key: Key) -> (u64, Asking) {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let closing = Closing { registry: Arc::clone(self), hash, number };
        let asking: BoxFuture<Result<Standing, Fault>> = Box::pin(async move {
            let answer = (closing.registry.ask)(key.clone()).await;
            let standing = answer.map_err(|error| {
                // Once for all who wait. In quotes, with what could break a line escaped.
                tracing::warn!(error = ?error.to_string(), "the tenant resolver failed");
                Fault::Unresolved
            })?;
            closing.registry.remember(hash, key, standing, tokio::time::Instant::now().into_std());
            Ok(standing)
        });
        (number, asking.shared())
    }

    fn remember(&self, hash: u64, key: Key, standing: Standing, now: Instant) {
        let mut shard = self.write(hash);
        match standing {
            Standing::Known => {
                let value = header_value(&key.tenant);
                // The first clone makes it shareable, which allocates: here rather than in a call that finds it.
                drop(value.clone());
                shard.known.insert(hash, key, value, now);
            }
            Standing::Unknown | Standing::NotAllowed => shard.refused.insert(hash, key, (), now),
        }
    }

    // Nothing panics under the lock, and a map that was left in the middle would still be a map.
    fn read(&self, hash: u64) -> RwLockReadGuard<'_, Shard> {
        self.shard(hash).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, hash: u64) -> RwLockWriteGuard<'_, Shard> {
        self.shard(hash).write().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // The map inside hashes anew, so which bits are used here does not matter to it.
        let [byte, ..] = hash.to_be_bytes();
        &self.shards[usize::from(byte) % self.shards.len()]
    }
}

// === impl Shard ===

impl Shard {
    fn remembered(
        &self,
        hash: u64,
        tenant: &str,
        principal: Option<&str>,
        now: Instant,
    ) -> Option<Result<Served, Fault>> {
        let known = self.known.find(hash, tenant, principal, now);
        let served = known.map(|(tenant, value)| Served { tenant: tenant.clone(), value: value.clone() });
        served
            .map(Ok)
            .or_else(|| self.refused.find(hash, tenant, principal, now).map(|_| Err(Fault::Refused)))
    }
}

// === impl Closing ===

impl Drop for Closing {
    fn drop(&mut self) {
        let mut shard = self.registry.write(self.hash);
        // A later question may stand there already, whose asker found this one gone.
        if shard.open.get(&self.hash).is_some_and(|open| open.number == self.number) {
            shard.open.remove(&self.hash);
        }
    }
}

impl Debug for Registry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}
