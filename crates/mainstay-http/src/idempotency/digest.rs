//! Which call it is, and what it asks for, as digests: SHA-256 over parts that each say their length.

use http::HeaderMap;
use http::request::Parts;
use mainstay_core::RequestContext;
use mainstay_core::idempotency::{Fingerprint, Key};
use sha2::{Digest, Sha256};

use super::Shared;
use super::key::KeyText;
use crate::load::{original_uri, route_in};

/// The parts in their order. A part that is not there differs from an empty one.
struct Digester(Sha256);

impl Shared {
    /// The caller's key within tenant, principal, method and route; without a route, which only axum tells, the path.
    pub(super) fn key_of(&self, head: &Parts, text: &KeyText) -> Key {
        let tenant = head.extensions.get::<RequestContext>().and_then(RequestContext::tenant);
        let principal = self.principal.as_ref().and_then(|principal| principal(&head.extensions));
        let mut digester = Digester::of("key");
        digester.part(tenant.map(|tenant| tenant.as_str().as_bytes()));
        digester.part(principal.map(str::as_bytes));
        digester.part(Some(head.method.as_str().as_bytes()));
        digester
            .part(Some(route_in(&head.extensions).unwrap_or_else(|| original_uri(head).path()).as_bytes()));
        digester.part(Some(text.as_bytes()));
        Key::new(digester.finish())
    }

    /// Method, path, query, the chosen headers, body and trailers.
    pub(super) fn fingerprint_of(
        &self,
        head: &Parts,
        body: &[u8],
        trailers: Option<&HeaderMap>,
    ) -> Fingerprint {
        let uri = original_uri(head);
        let mut digester = Digester::of("fingerprint");
        digester.part(Some(head.method.as_str().as_bytes()));
        digester.part(Some(uri.path().as_bytes()));
        digester.part(uri.query().map(str::as_bytes));
        for name in &self.config.fingerprint_headers {
            digester.lines(&head.headers, name);
        }
        digester.part(Some(body));
        for (name, value) in trailers.into_iter().flatten() {
            digester.part(Some(name.as_str().as_bytes()));
            digester.part(Some(value.as_bytes()));
        }
        Fingerprint::new(digester.finish())
    }
}

// === impl Digester ===

impl Digester {
    fn of(what: &str) -> Self {
        let mut digester = Self(Sha256::new());
        digester.part(Some(what.as_bytes()));
        digester
    }

    fn part(&mut self, bytes: Option<&[u8]>) {
        // No part is as long as what stands for none.
        let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
        self.0.update(length.to_be_bytes());
        self.0.update(bytes.unwrap_or_default());
    }

    fn lines(&mut self, headers: &HeaderMap, name: &str) {
        for value in headers.get_all(name) {
            self.part(Some(value.as_bytes()));
        }
        self.part(None);
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
