//! The stack around a whole axum router, with what `tower-http` does well in its places.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use http::{HeaderName, HeaderValue, Method};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use tower_http::csrf::CsrfLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::normalize_path::NormalizePathLayer;
use tower_layer::{Layer, layer_fn};

use super::http::{CompressionConfig, CorsConfig, CsrfConfig, HttpConfig};
use super::{ServerConfig, ServerStack};

impl ServerStack {
    /// Puts the whole stack around this router, and what [`ServerConfig::http`] switches on:
    ///
    /// | outermost first | |
    /// |---|---|
    /// | trailing slashes | before the router looks at the path |
    /// | context, access log | |
    /// | compression | the log counts what is really sent |
    /// | security headers, problems, panic guard | |
    /// | CORS, then CSRF | a preflight has no tenant and no key, and costs no quota |
    /// | rate limit … tenant | |
    /// | decompression, then the body limit | the limit counts what comes out |
    ///
    /// With nothing switched on this is `router.layer(stack)`. Each part that is switched on costs what its layer costs and a
    /// box for each request, as every layer on an axum router does.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use mainstay::server::{self, ServerConfig};
    ///
    /// let mut config = ServerConfig::default();
    /// config.http.compression.enabled = true;
    /// let app: Router = server::stack(&config)?.around(Router::new().route("/", get(async || "hello")));
    /// # Ok::<(), mainstay::server::StackError>(())
    /// ```
    pub fn around(&self, router: Router) -> Router {
        let ServerConfig { http, .. } = &*self.config;
        if *http == HttpConfig::default() {
            return router.layer(self.clone());
        }
        let router = match http.body_limit {
            Some(limit) => {
                router.layer((RequestBodyLimitLayer::new(limit.get()), DefaultBodyLimit::disable()))
            }
            None => router,
        };
        let router = if http.decompression {
            router.layer(RequestDecompressionLayer::new().pass_through_unaccepted(false))
        } else {
            router
        };
        let stack = self.clone();
        let router = router.layer(layer_fn(move |service| stack.admitted(service)));
        let router = if http.csrf.enabled { router.layer(csrf(&http.csrf)) } else { router };
        let router = if http.cors.origins.is_empty() { router } else { router.layer(cors(&http.cors)) };
        let stack = self.clone();
        let router = router.layer(layer_fn(move |service| stack.answered(service)));
        let router = match &http.compression {
            CompressionConfig { enabled: true, min_bytes } => router.layer(compression(*min_bytes)),
            CompressionConfig { enabled: false, .. } => router,
        };
        let stack = self.clone();
        let router = router.layer(layer_fn(move |service| stack.observed(service)));
        if http.trim_trailing_slash {
            // A layer of the router's own would come after the router has looked at the path.
            Router::new().fallback_service(NormalizePathLayer::trim_trailing_slash().layer(router))
        } else {
            router
        }
    }
}

fn compression(min_bytes: u64) -> CompressionLayer<impl Predicate> {
    CompressionLayer::new().compress_when(DefaultPredicate::new().and(SizeAbove::new(min_bytes)))
}

fn cors(config: &CorsConfig) -> CorsLayer {
    let names = |names: &[String]| -> Vec<HeaderName> {
        names.iter().map(|name| name.parse().expect("the settings were checked")).collect()
    };
    let methods = config.methods.iter().map(|name| name.parse().expect("the settings were checked"));
    let methods: Vec<Method> = [Method::GET, Method::HEAD, Method::POST].into_iter().chain(methods).collect();
    let cors = CorsLayer::new()
        .allow_credentials(config.credentials)
        .allow_methods(methods)
        .allow_headers(names(&config.headers))
        .expose_headers(names(&config.expose))
        .max_age(config.max_age);
    if config.origins == ["*"] { cors.allow_origin(Any) } else { cors.allow_origin(origins(&config.origins)) }
}

fn origins(origins: &[String]) -> AllowOrigin {
    let value = |origin: &String| HeaderValue::from_str(origin).expect("the settings were checked");
    AllowOrigin::list(origins.iter().map(value).collect::<Vec<_>>())
}

fn csrf(config: &CsrfConfig) -> CsrfLayer {
    config.trusted_origins.iter().fold(CsrfLayer::new(), |layer, origin| {
        layer.add_trusted_origin(origin).expect("the settings were checked")
    })
}

#[cfg(test)]
mod tests;
