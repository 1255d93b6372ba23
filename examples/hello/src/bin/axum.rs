//! An axum service on the stack: ids, one log line, security headers, problems, a deadline.
//!
//! ```text
//! cargo run -p hello --bin axum
//! curl -i http://127.0.0.1:8080/ada
//! curl -i http://127.0.0.1:8080/nowhere/at/all
//! ```

use std::process::ExitCode;

use axum::Router;
use axum::extract::{Extension, Path};
use axum::routing::get;
use http::StatusCode;
use mainstay::server::{self, ServerConfig};
use mainstay::telemetry::{self, TelemetryConfig};
use mainstay::{Problem, RequestContext, Runtime, RuntimeConfig};

fn main() -> ExitCode {
    mainstay::run(async {
        let settings = ServerConfig::default();
        let _telemetry = telemetry::init(&TelemetryConfig::default())?;
        let app = Router::new().route("/{name}", get(hello)).layer(server::stack(&settings)?);
        Runtime::new(&RuntimeConfig::default()).serve("http", settings.listen, app).run().await?;
        Ok(())
    })
}

async fn hello(
    Path(name): Path<String>,
    Extension(context): Extension<RequestContext>,
) -> Result<String, Problem> {
    if name.len() > 40 {
        return Err(Problem::new(StatusCode::BAD_REQUEST).detail("a name has at most 40 bytes"));
    }
    Ok(format!("hello {name}, this is request {}\n", context.request_id()))
}
