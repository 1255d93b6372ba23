//! Whose call it is: the tenant that the stack found, of those that are served.

mod owned;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use mainstay::http::tenant::{ResolverError, Standing, TenantResolver};
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
}

// === impl Tenant ===

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

/// The stack asks it; the answer is there at once.
impl TenantResolver for Tenants {
    async fn resolve(&self, tenant: &TenantId, _: Option<&str>) -> Result<Standing, ResolverError> {
        let is_served = self.0.load().iter().any(|served| served.0 == *tenant);
        Ok(if is_served { Standing::Known } else { Standing::Unknown })
    }
}

impl FromIterator<Tenant> for Tenants {
    fn from_iter<I: IntoIterator<Item = Tenant>>(tenants: I) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(tenants.into_iter().collect())))
    }
}

// === impl Caller ===

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let context = parts.extensions.get::<RequestContext>();
        let tenant = context.and_then(RequestContext::tenant).cloned();
        let tenant = tenant.map(Tenant).ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST)
                .kind("/problems/no-tenant")
                .title("no tenant")
                .detail("expected a tenant in the header x-tenant-id")
        })?;
        Ok(Self { tenant })
    }
}

#[cfg(test)]
mod tests {
    use super::Tenant;

    #[test]
    fn a_tenant_is_a_short_plain_name() {
        for wrong in ["", "acme, globex", "../acme", "acme globex"] {
            assert!(wrong.parse::<Tenant>().is_err(), "{wrong}");
        }
    }
}
