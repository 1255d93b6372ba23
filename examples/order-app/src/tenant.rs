//! Whose call it is: the tenant that the `x-tenant-id` header names.

mod owned;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use mainstay::{Problem, RequestContext, TenantId};
use sea_orm::DeriveValueType;

use crate::text::text_value;

pub(crate) use owned::Owned;

/// One tenant.
#[derive(Clone, Debug, DeriveValueType, Eq, Ord, PartialEq, PartialOrd)]
#[sea_orm(value_type = "String")]
pub struct Tenant(TenantId);

/// The tenants that are served. Clones share one list, which may be replaced while the service runs.
#[derive(Clone, Debug, Default)]
pub struct Tenants(Arc<ArcSwap<BTreeSet<Tenant>>>);

/// The text names no tenant.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no tenant, expected a short name like acme")]
pub struct InvalidTenant(String);

/// On whose behalf a call is made, and as part of which request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant, which is one of those served.
    pub tenant: Tenant,
    /// The request, when a mainstay stack is in front.
    pub context: Option<RequestContext>,
}

const HEADER: &str = "x-tenant-id";

// === impl Tenant ===

impl Tenant {
    fn named_by(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all(HEADER).iter();
        let first = values.next().ok_or_else(|| malformed("header x-tenant-id is missing"))?;
        if values.any(|other| other != first) {
            return Err(malformed("header x-tenant-id has two different values"));
        }
        let text = first.to_str().map_err(|_| malformed("header x-tenant-id is no text"))?;
        text.parse().map_err(|error: InvalidTenant| malformed(format!("header x-tenant-id: {error}")))
    }
}

impl FromStr for Tenant {
    type Err = InvalidTenant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        TenantId::parse(text).map(Self).map_err(|_| InvalidTenant(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

text_value!(Tenant);

// === impl Tenants ===

impl Tenants {
    /// Those served now.
    pub fn served(&self) -> Arc<BTreeSet<Tenant>> {
        self.0.load_full()
    }

    /// From here on, these are served and no others. A request that has begun is finished.
    pub fn replace(&self, tenants: impl IntoIterator<Item = Tenant>) {
        self.0.store(Arc::new(tenants.into_iter().collect()));
    }
}

impl FromIterator<Tenant> for Tenants {
    fn from_iter<I: IntoIterator<Item = Tenant>>(tenants: I) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(tenants.into_iter().collect())))
    }
}

// === impl Caller ===

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    Tenants: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let tenant = Tenant::named_by(&parts.headers)?;
        if !Tenants::from_ref(state).0.load().contains(&tenant) {
            return Err(Problem::new(StatusCode::FORBIDDEN)
                .kind("/problems/unknown-tenant")
                .title("unknown tenant")
                .detail(format!("tenant {tenant} is not served here")));
        }
        let context = parts.extensions.get::<RequestContext>().cloned();
        if let Some(context) = &context {
            let agreed = context.set_tenant(tenant.0.clone());
            agreed.map_err(|_| malformed("header x-tenant-id differs from the tenant of this request"))?;
        }
        Ok(Self { tenant, context })
    }
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST)
        .kind("/problems/invalid-tenant")
        .title("no valid tenant")
        .detail(detail)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn one_tenant_is_named_however_often() {
        let mut headers = HeaderMap::new();
        assert!(Tenant::named_by(&headers).is_err());

        headers.append(HEADER, HeaderValue::from_static("acme"));
        headers.append(HEADER, HeaderValue::from_static("acme"));
        assert_eq!(Tenant::named_by(&headers).unwrap().to_string(), "acme");

        headers.append(HEADER, HeaderValue::from_static("globex"));
        assert!(Tenant::named_by(&headers).is_err());
    }

    #[test]
    fn a_tenant_is_a_short_plain_name() {
        for wrong in ["", "acme, globex", "../acme", "acme globex"] {
            assert!(wrong.parse::<Tenant>().is_err(), "{wrong}");
        }
    }
}
