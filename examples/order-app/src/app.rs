//! The whole service: the one file that knows all slices.

mod provider;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use mainstay::server::{self, ServerConfig, StackError};

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
}

/// What the routes find: each takes the parts that its slice needs.
#[derive(Clone, Debug, FromRef)]
struct Parts {
    database: Database,
    ordering: Ordering,
}

impl App {
    /// The payment provider behind this client takes the money.
    pub fn payments(client: PaymentClient) -> Arc<dyn Payments> {
        Arc::new(provider::Provider::new(client))
    }

    /// All routes, for a stack that finds the tenant. Every answer that is an error is a problem, those for unknown routes and methods too.
    fn router(&self) -> Router {
        Router::new()
            .merge(customers::routes())
            .merge(catalog::routes())
            .merge(ordering::routes())
            .fallback(api::no_route)
            .method_not_allowed_fallback(api::no_method)
            .with_state(Parts { database: self.database.clone(), ordering: self.ordering() })
    }

    /// The routes inside the stack of these settings, which lets in the tenants that are served.
    ///
    /// # Errors
    ///
    /// A setting is out of its range.
    pub fn service(&self, config: &ServerConfig) -> Result<Router, StackError> {
        let stack = server::stack(config)?.tenant(|layer| layer.resolver(self.tenants.clone()));
        Ok(stack.around(self.router()))
    }

    /// The worker that settles what requests left open.
    pub fn reconciler(&self) -> Reconciler {
        Reconciler::new(self.ordering(), self.tenants.clone())
    }

    fn ordering(&self) -> Ordering {
        Ordering::new(self.database.clone(), Arc::clone(&self.payments))
    }
}
