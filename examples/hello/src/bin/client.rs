//! Two services, one call: the shop asks the stock, and both log the same correlation id and trace.
//!
//! ```text
//! cargo run -p hello --bin client
//! curl -i http://127.0.0.1:8080/
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::routing::get;
use http::{Request, StatusCode};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use mainstay::server::{self, ServerConfig};
use mainstay::telemetry::{self, TelemetryConfig};
use mainstay::{Problem, RequestContext, Runtime, RuntimeConfig, client};
use tower::{Layer, ServiceExt};

fn main() -> ExitCode {
    mainstay::run(async {
        let _telemetry = telemetry::init(&TelemetryConfig::default())?;
        let mut settings = ServerConfig::default();
        settings.context.trusted_networks = vec!["127.0.0.0/8".parse()?]; // both run here
        let stack = server::stack(&settings)?;
        let stock = Router::new().route("/", get(async || "7 left\n")).layer(stack.clone());
        let http = Client::builder(TokioExecutor::new()).build_http();
        let shop = Router::new().route("/", get(ask)).with_state(http).layer(stack);
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Runtime::new(&RuntimeConfig::default())
            .serve("shop", at(8080), shop)
            .serve("stock", at(8081), stock)
            .run()
            .await?;
        Ok(())
    })
}

async fn ask(
    State(http): State<Client<HttpConnector, Body>>,
    Extension(context): Extension<RequestContext>,
) -> Result<Body, Problem> {
    let mut request =
        Request::get("http://127.0.0.1:8081/").body(Body::empty()).expect("a fixed request is valid");
    request.extensions_mut().insert(context);
    let answer = client::propagate().layer(http).oneshot(request).await;
    answer.map(|answer| Body::new(answer.into_body())).map_err(|_| Problem::new(StatusCode::BAD_GATEWAY))
}
