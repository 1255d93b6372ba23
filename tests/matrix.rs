//! Every layer works under axum, tonic and plain hyper, with the same types that each of them asks for.
//!
//! A new layer gets its line in `layers!` below the day it is added.

use mainstay::server::{self, ServerConfig};
use mainstay_http::access_log::{AccessLogLayer, ReceivedLayer};
use mainstay_http::concurrency_limit::ConcurrencyLimitLayer;
use mainstay_http::context::ContextLayer;
use mainstay_http::deadline::{DeadlineLayer, UploadDeadlineLayer};
use mainstay_http::idempotency::{IdempotencyConfig, IdempotencyLayer, Keys};
use mainstay_http::load_shed::LoadShedLayer;
use mainstay_http::panic_guard::PanicGuardLayer;
use mainstay_http::problem::ProblemsLayer;
use mainstay_http::propagate::PropagateLayer;
use mainstay_http::rate_limit::{RateLimitConfig, RateLimitLayer, RatePolicy};
use mainstay_http::security_headers::SecurityHeadersLayer;
use mainstay_http::shape::ShapeLayer;
use mainstay_http::tenant::{TenantConfig, TenantLayer, TenantSource};

use crate::hosts::{under_axum, under_hyper, under_tonic};

macro_rules! layers {
    ($($name:ident: $layer:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn works_under_axum() {
                let answer = under_axum($layer).await;
                assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"hello"[..]));
                assert_eq!(answer.headers()["content-length"], "5", "the body's size was lost");
            }

            #[tokio::test]
            async fn works_under_tonic() {
                assert_eq!(under_tonic($layer).await, 1);
            }

            #[tokio::test]
            async fn works_under_plain_hyper() {
                let answer = under_hyper($layer).await;
                assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"hello"[..]));
                assert_eq!(answer.headers()["content-length"], "5", "the body's size was lost");
            }
        }
    )*};
}

layers! {
    context: ContextLayer::default();
    access_log: AccessLogLayer::default();
    security_headers: SecurityHeadersLayer::default();
    problems: ProblemsLayer::default();
    panic_guard: PanicGuardLayer::default();
    rate_limit: RateLimitLayer::new(&RateLimitConfig { policies: vec![RatePolicy::default()], ..RateLimitConfig::default() }).unwrap();
    concurrency_limit: ConcurrencyLimitLayer::default();
    load_shed: LoadShedLayer::default();
    deadline: DeadlineLayer::default();
    shape: ShapeLayer::default();
    received: ReceivedLayer::new();
    upload_deadline: UploadDeadlineLayer::default();
    idempotency: IdempotencyLayer::new(&IdempotencyConfig { keys: Keys::Optional, ..IdempotencyConfig::default() }).unwrap();
    propagate: PropagateLayer::default();
    tenant: TenantLayer::new(&TenantConfig { required: false, sources: vec![TenantSource::Header], ..TenantConfig::default() }).unwrap();
    server_stack: server::stack(&ServerConfig::default()).unwrap();
}
