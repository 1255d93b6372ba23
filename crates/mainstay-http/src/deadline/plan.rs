//! The settings as a request asks them: what holds for this one.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};

use super::config::{BodyLimits, Covers, DeadlineConfig, RouteDeadline};
use super::route::PathPattern;

/// What holds where, made from settings once. Without routes a clone shares nothing and a look-up compares nothing.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    everywhere: Limits,
    routes: Option<Arc<[Route]>>,
}

/// What holds for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) default: Duration,
    pub(crate) maximum: Duration,
    pub(crate) covers: Covers,
    pub(super) request: BodyLimits,
    pub(super) response: BodyLimits,
}

#[derive(Debug)]
struct Route {
    path: PathPattern,
    methods: Vec<Method>,
    limits: Limits,
}

// === impl Plan ===

impl Plan {
    /// Nothing is limited anywhere.
    pub(super) const UNLIMITED: Self = Self {
        everywhere: Limits {
            default: Duration::MAX,
            maximum: Duration::MAX,
            covers: Covers::Nothing,
            request: BodyLimits { idle: None, total: None },
            response: BodyLimits { idle: None, total: None },
        },
        routes: None,
    };

    pub(crate) fn new(config: &DeadlineConfig) -> Self {
        let everywhere = Limits {
            default: config.default,
            maximum: config.maximum,
            covers: config.covers,
            request: config.request_body,
            response: config.response_body,
        };
        let routes = config.routes.iter().map(|route| Route {
            path: route.path.clone(),
            methods: route.methods.clone(),
            limits: everywhere.on(route),
        });
        Self { everywhere, routes: (!config.routes.is_empty()).then(|| routes.collect()) }
    }

    pub(crate) fn limits<B>(&self, request: &Request<B>) -> Limits {
        let Some(routes) = &self.routes else { return self.everywhere };
        let (path, method) = (original_path(request), request.method());
        let route = routes.iter().find(|route| {
            (route.methods.is_empty() || route.methods.contains(method)) && route.path.matches(path)
        });
        route.map_or(self.everywhere, |route| route.limits)
    }
}

// === impl Limits ===

impl Limits {
    fn on(self, route: &RouteDeadline) -> Self {
        let default = route
            .default
            .unwrap_or_else(|| route.maximum.map_or(self.default, |maximum| maximum.min(self.default)));
        Self {
            default,
            maximum: route.maximum.unwrap_or(self.maximum.max(default)),
            covers: route.covers.unwrap_or(self.covers),
            request: route.request_body.unwrap_or(self.request),
            response: route.response_body.unwrap_or(self.response),
        }
    }
}

/// The path as the client sent it: axum's nested routers see only their part.
fn original_path<B>(request: &Request<B>) -> &str {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(uri)) = request.extensions().get() {
        return uri.path();
    }
    request.uri().path()
}
