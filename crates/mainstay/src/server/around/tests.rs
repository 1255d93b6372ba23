//! What must hold of the composed parts in their places.

use std::io::{Read, Write};
use std::num::NonZeroUsize;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use garde::Validate;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use mainstay_http::tenant::TenantSource;
use tower::ServiceExt;

use crate::server::{ServerConfig, stack};

fn app(config: &ServerConfig) -> Router {
    let router = Router::new()
        .route("/long", get(async || "hello ".repeat(1_000)))
        .route("/short", get(async || "hello"))
        .route("/size", post(async |body: Bytes| body.len().to_string()));
    stack(config).unwrap().around(router)
}

async fn send(
    app: Router,
    request: http::request::Builder,
    body: impl Into<Body>,
) -> (Response<()>, Vec<u8>) {
    let request: Request<Body> = request.body(body.into()).unwrap();
    let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
    (Response::from_parts(parts, ()), body.collect().await.unwrap().to_bytes().to_vec())
}

fn config(change: impl FnOnce(&mut ServerConfig)) -> ServerConfig {
    let mut config = ServerConfig::default();
    change(&mut config);
    config.validate().unwrap();
    config
}

fn zipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_takes_it_and_have_everything_else_too() {
    let config = config(|config| config.http.compression.enabled = true);
    let takes = |path| Request::get(path).header("accept-encoding", "gzip");
    let (answer, body) = send(app(&config), takes("/long"), "").await;
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert!(answer.headers().contains_key("x-request-id"));
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let mut text = String::new();
    GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello ".repeat(1_000));

    let (answer, _) = send(app(&config), takes("/short"), "").await;
    assert!(!answer.headers().contains_key("content-encoding"));
    let (answer, _) = send(app(&config), Request::get("/long"), "").await;
    assert!(!answer.headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn the_body_limit_counts_what_comes_out_of_a_compressed_body_and_refuses_with_a_problem() {
    let config = config(|config| {
        config.http.decompression = true;
        config.http.body_limit = NonZeroUsize::new(1_000);
    });
    let zip = || Request::post("/size").header("content-encoding", "gzip");
    let (answer, body) = send(app(&config), zip(), zipped(&[b'x'; 1_000])).await;
    assert_eq!((answer.status().as_u16(), &body[..]), (200, &b"1000"[..]));
    for (request, body) in [
        (zip(), zipped(&[b'x'; 1_000_000])),
        (Request::post("/size"), vec![b'x'; 1_001]),
        (Request::post("/size").header("content-length", "1001"), vec![b'x'; 1_001]),
    ] {
        let (answer, body) = send(app(&config), request, body).await;
        assert_eq!(answer.status(), 413);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let id = answer.headers()["x-request-id"].to_str().unwrap();
        assert!(String::from_utf8(body).unwrap().contains(id));
    }
    // Larger than axum's own limit, where that is asked for.
    let generous = self::config(|config| config.http.body_limit = NonZeroUsize::new(4 << 20));
    let (answer, _) = send(app(&generous), Request::post("/size"), vec![b'x'; 3 << 20]).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_preflight_is_answered_before_a_tenant_is_asked_for() {
    let config = config(|config| {
        config.http.cors.origins = vec!["https://shop.example".to_owned()];
        config.http.cors.methods = vec!["PUT".to_owned()];
        config.tenant.sources = vec![TenantSource::Header];
        config.tenant.required = true;
    });
    let from =
        |method: Method, origin| Request::builder().method(method).uri("/short").header("origin", origin);
    let preflight = |origin| from(Method::OPTIONS, origin).header("access-control-request-method", "PUT");
    let (answer, _) = send(app(&config), preflight("https://shop.example"), "").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://shop.example");
    assert_eq!(answer.headers()["access-control-allow-methods"], "GET,HEAD,POST,PUT");
    let (answer, _) = send(app(&config), preflight("https://evil.example"), "").await;
    assert!(!answer.headers().contains_key("access-control-allow-origin"));

    // A page may read a refusal, too, and the id in it.
    let (answer, _) = send(app(&config), from(Method::GET, "https://shop.example"), "").await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://shop.example");
    assert_eq!(answer.headers()["access-control-expose-headers"], "x-request-id");
}

#[tokio::test]
async fn another_sites_page_cannot_call_in_a_users_name() {
    let config = config(|config| {
        config.http.csrf.enabled = true;
        config.http.csrf.trusted_origins = vec!["https://partner.example".to_owned()];
    });
    let from = |origin| Request::post("/size").header("host", "shop.example").header("origin", origin);
    let (answer, _) = send(app(&config), from("https://evil.example"), "").await;
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    for origin in ["https://shop.example", "https://partner.example"] {
        assert_eq!(send(app(&config), from(origin), "").await.0.status(), 200, "{origin}");
    }
}

#[tokio::test]
async fn a_trailing_slash_is_taken_away_before_the_router_looks() {
    let (without, _) = send(app(&ServerConfig::default()), Request::get("/short/"), "").await;
    assert_eq!(without.status(), 404);
    let config = config(|config| config.http.trim_trailing_slash = true);
    let (answer, body) = send(app(&config), Request::get("/short/"), "").await;
    assert_eq!((answer.status().as_u16(), &body[..]), (200, &b"hello"[..]));
}

#[test]
fn origins_that_make_no_sense_are_refused() {
    let origins = |origins: &[&str], credentials| {
        let mut config = ServerConfig::default();
        config.http.cors.origins = origins.iter().copied().map(str::to_owned).collect();
        config.http.cors.credentials = credentials;
        config.validate().is_ok()
    };
    assert!(origins(&["https://shop.example", "http://localhost:3000"], true));
    assert!(origins(&["*"], false));
    for (wrong, credentials) in [
        (&["*"][..], true),
        (&["*", "https://shop.example"], false),
        (&["https://shop.example/"], false),
        (&["shop.example"], false),
        (&["https://user@shop.example"], false),
        (&["https://Shop.example"], false),
        (&["null"], false),
    ] {
        assert!(!origins(wrong, credentials), "{wrong:?}");
    }
}
