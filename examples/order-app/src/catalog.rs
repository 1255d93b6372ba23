//! What is sold: products with a price and a stock that cannot go below zero.

mod http;
pub(crate) mod product;
mod quantity;
mod sku;
mod stock;

pub(crate) use http::routes;
pub use quantity::{InvalidQuantity, Quantity};
pub use sku::{InvalidSku, Sku};
pub(crate) use stock::{prices, put_back, take};
