//! The scope of every query: rows of one tenant.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Select, UpdateMany};

use super::Tenant;

/// A table whose rows belong to tenants. Queries begin here, so that none forgets whose rows it means.
pub(crate) trait Owned: EntityTrait {
    /// The column that names the tenant.
    const TENANT: Self::Column;

    /// Reads rows of this tenant.
    fn of(tenant: &Tenant) -> Select<Self> {
        Self::find().filter(Self::TENANT.eq(tenant.clone()))
    }

    /// Changes rows of this tenant.
    fn change(tenant: &Tenant) -> UpdateMany<Self> {
        Self::update_many().filter(Self::TENANT.eq(tenant.clone()))
    }
}
