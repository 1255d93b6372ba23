//! The store behind a pointer: a call with a key is boxed anyway, and the layer's type does not name its store.

use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mainstay_core::idempotency::{Claim, Completion, Fingerprint, Key, Standing, Store, StoreError, Token};

pub(super) trait Shelf: Send + Sync {
    fn claim<'a>(
        &'a self,
        key: &'a Key,
        fingerprint: &'a Fingerprint,
        lease: Duration,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, StoreError>>;

    fn renew<'a>(
        &'a self,
        key: &'a Key,
        token: Token,
        lease: Duration,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Standing, StoreError>>;

    fn complete<'a>(
        &'a self,
        key: &'a Key,
        token: Token,
        completion: Completion,
        retention: Duration,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Standing, StoreError>>;

    fn release<'a>(&'a self, key: &'a Key, token: Token) -> BoxFuture<'a, Result<Standing, StoreError>>;
}

impl<S: Store> Shelf for S {
    fn claim<'a>(
        &'a self,
        key: &'a Key,
        fingerprint: &'a Fingerprint,
        lease: Duration,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Store::claim(self, key, fingerprint, lease, now).boxed()
    }

    fn renew<'a>(
        &'a self,
        key: &'a Key,
        token: Token,
        lease: Duration,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Standing, StoreError>> {
        Store::renew(self, key, token, lease, now).boxed()
    }

    fn complete<'a>(
        &'a self,
        key: &'a Key,
        token: Token,
        completion: Completion,
        retention: Duration,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Standing, StoreError>> {
        Store::complete(self, key, token, completion, retention, now).boxed()
    }

    fn release<'a>(&'a self, key: &'a Key, token: Token) -> BoxFuture<'a, Result<Standing, StoreError>> {
        Store::release(self, key, token).boxed()
    }
}
