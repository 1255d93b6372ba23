//! Something to try the service with, for development: customers with fixed ids, and a small catalog.

use sea_orm::sea_query::OnConflict;
use sea_orm::{DbErr, EntityTrait, IntoActiveModel};

use crate::catalog::product;
use crate::customers::customer;
use crate::database::Database;
use crate::tenant::Tenant;

/// A customer of `acme`, for the line that is printed at the start.
pub const ACME_CUSTOMER: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A customer of `globex`.
pub const GLOBEX_CUSTOMER: &str = "01890a5d-ac96-7b7c-8f89-37c3d0a66fe1";

/// Tenant, id, name, email.
const CUSTOMERS: [(&str, &str, &str, &str); 5] = [
    ("acme", ACME_CUSTOMER, "Ada Lovelace", "ada@acme.example"),
    ("acme", "01890a5d-ac97-7a5e-9d0c-5f1c0b8a6e11", "Alan Turing", "alan@acme.example"),
    ("acme", "01890a5d-ac98-7c3d-8a4b-2e9f7d6c5b22", "Annie Easley", "annie@acme.example"),
    ("globex", GLOBEX_CUSTOMER, "Grace Hopper", "grace@globex.example"),
    ("globex", "01890a5d-ac97-7d2e-b1a3-6c8e4f2d9a33", "Gladys West", "gladys@globex.example"),
];

/// SKU, name, price in minor units, stock.
const PRODUCTS: [(&str, &str, i64, i64); 6] = [
    ("COFFEE-1KG", "Coffee beans, 1 kg", 1999, 10_000),
    ("COFFEE-250G", "Coffee beans, 250 g", 649, 10_000),
    ("FILTER-100", "Paper filters, 100 pieces", 399, 5_000),
    ("GRINDER-HAND", "Hand grinder, the last one", 8900, 1),
    ("KETTLE-1L", "Kettle, 1 l, sold out", 5900, 0),
    ("MUG-BLUE", "Mug, blue", 1250, 500),
];

/// Tenant and the currency of its prices.
const TENANTS: [(&str, &str); 2] = [("acme", "EUR"), ("globex", "USD")];

/// Adds what is missing; what is there stays as it is, its stock too.
pub async fn seed(database: &Database) -> Result<(), DbErr> {
    let transaction = database.begin().await?;
    customer::Entity::insert_many(CUSTOMERS.into_iter().map(customer))
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(&transaction)
        .await?;
    product::Entity::insert_many(TENANTS.into_iter().flat_map(products))
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(&transaction)
        .await?;
    transaction.commit().await
}

fn customer((tenant, id, name, email): (&str, &str, &str, &str)) -> customer::ActiveModel {
    let row = customer::Model {
        tenant: own(tenant),
        id: id.parse().expect("the ids above are ids"),
        name: name.to_owned(),
        email: email.to_owned(),
    };
    row.into_active_model()
}

fn products((tenant, currency): (&str, &str)) -> impl Iterator<Item = product::ActiveModel> {
    let (tenant, currency) = (own(tenant), currency.parse().expect("the currencies above are currencies"));
    PRODUCTS.into_iter().map(move |(sku, name, price_minor, stock)| {
        let row = product::Model {
            tenant: tenant.clone(),
            sku: sku.parse().expect("the skus above are skus"),
            name: name.to_owned(),
            price_minor,
            currency,
            stock,
        };
        row.into_active_model()
    })
}

fn own(tenant: &str) -> Tenant {
    tenant.parse().expect("the tenants above are tenants")
}
