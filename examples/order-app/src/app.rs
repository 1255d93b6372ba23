//! The whole service: the one file that knows all slices.

mod provider;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};

use crate::database::Database;
use crate::ordering::{Ordering, Payments, Reconciler};
use crate::payment::PaymentClient;
use crate::tenant::Tenants;
use crate::{api, catalog, customers, ordering};

/// What the service is made of.
#[derive(Clone, Debug)]
pub struct App {
    /// Where everything is kept; its schema must be up to date.
    pub database: Database,
    /// Who takes the money.
    pub payments: Arc<dyn Payments>,
    /// Who is served.
    pub tenants: Tenants,
    /// How many bytes of a body are read.
    pub body_limit: usize,
}

/// What the routes find: each takes the parts that its slice needs.
#[derive(Clone, Debug, FromRef)]
struct Parts {
    database: Database,
    ordering: Ordering,
    tenants: Tenants,
}

impl App {
    /// The payment provider behind this client takes the money.
    pub fn payments(client: PaymentClient) -> Arc<dyn Payments> {
        Arc::new(provider::Provider::new(client))
    }

    /// All routes. Every answer that is an error is a problem, those for unknown routes and methods too.
    pub fn router(&self) -> Router {
        Router::new()
            .merge(customers::routes())
            .merge(catalog::routes())
            .merge(ordering::routes())
            .fallback(api::no_route)
            .method_not_allowed_fallback(api::no_method)
            .layer(DefaultBodyLimit::max(self.body_limit))
            .with_state(Parts {
                database: self.database.clone(),
                ordering: self.ordering(),
                tenants: self.tenants.clone(),
            })
    }

    /// The worker that settles what requests left open.
    pub fn reconciler(&self) -> Reconciler {
        Reconciler::new(self.ordering(), self.tenants.clone())
    }

    fn ordering(&self) -> Ordering {
        Ordering::new(self.database.clone(), Arc::clone(&self.payments))
    }
}
