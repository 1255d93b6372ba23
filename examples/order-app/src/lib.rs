//! A sample order service that stands on mainstay.
//!
//! The slices are [`customers`](mod@customers), [`catalog`](mod@catalog), [`ordering`] and [`payment`]; only [`app`] knows
//! them all and wires them. A slice owns its tables, its rules and its routes. Beneath them lie [`database`], [`money`],
//! [`tenant`] and [`moment`].
//!
//! An order is taken in three steps, so that nobody's money hangs on a connection that breaks:
//!
//! 1. one transaction checks the customer, prices the lines from the catalog, takes the stock and writes the order as
//!    `pending_payment`;
//! 2. the payment provider is asked, with the order's id as idempotency key;
//! 3. a second transaction records the answer, and gives the stock back unless the order was paid.
//!
//! Where step 2 ends without an answer, the order stays pending and [`ordering::Reconciler`] settles it.

mod api;
pub mod app;
pub mod catalog;
pub mod cli;
pub mod customers;
pub mod database;
pub mod id;
pub mod moment;
pub mod money;
pub mod ordering;
mod paging;
pub mod payment;
pub mod seed;
pub mod serve;
pub mod settings;
pub mod tenant;
mod text;
