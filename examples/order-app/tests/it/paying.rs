//! The payment client and what it makes of providers that misbehave.

use std::time::Duration;

use axum::Router;
use axum::routing::post;
use http::StatusCode;
use order_app::payment::{ApiKey, PaymentClient};
use payment_simulator::SimulatorConfig;

use crate::support::{LAST_ONE, Provider, World, config_of};

#[tokio::test]
async fn an_order_stays_pending_when_the_answer_proves_nothing() {
    for answer in [
        (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        (StatusCode::BAD_GATEWAY, String::new()),
        (StatusCode::OK, String::new()),
        (StatusCode::CREATED, "nonsense".to_owned()),
        (StatusCode::CREATED, format!("{{\"id\": \"{}\"}}", "x".repeat(100_000))),
    ] {
        let status = answer.0;
        let app = Router::new().route("/charges", post(move || std::future::ready(answer)));
        let world = World::with(Provider::other(app).await).await;

        let answer = world.order(LAST_ONE, "tok_ok").await;

        answer.assert_problem(StatusCode::GATEWAY_TIMEOUT, "/problems/payment-outcome-unknown");
        assert_eq!(world.status(&answer.text("order_id")).await, "pending_payment", "{status}");
        assert_eq!(world.stock(LAST_ONE).await, 0);
    }
}

#[tokio::test]
async fn an_order_stays_pending_when_the_connection_breaks_after_the_call_was_sent() {
    let app =
        Router::new().route("/charges", post(async || -> StatusCode { panic!("the connection breaks") }));
    let world = World::with(Provider::other(app).await).await;

    let answer = world.order(LAST_ONE, "tok_ok").await;

    answer.assert_problem(StatusCode::GATEWAY_TIMEOUT, "/problems/payment-outcome-unknown");
    assert_eq!(world.status(&answer.text("order_id")).await, "pending_payment");
}

#[tokio::test]
async fn calls_carry_the_api_key() {
    let config = SimulatorConfig { api_key: Some("secret".to_owned()), ..SimulatorConfig::default() };
    let mut provider = Provider::start(config, Duration::from_secs(60)).await;

    let stranger = provider.payments();
    provider.config.api_key = Some(ApiKey::parse("secret").unwrap());
    let mut world = World::with(provider).await;
    let id = world.confirmed_order(LAST_ONE).await;
    assert_eq!(world.cancel(&id).await.status, StatusCode::OK);

    world.pay_with(stranger);
    let refused = world.order(LAST_ONE, "tok_ok").await;
    refused.assert_problem(StatusCode::SERVICE_UNAVAILABLE, "/problems/payment-unavailable");
    assert_eq!(world.provider.figures().calls, 1);
}

#[tokio::test]
async fn the_provider_may_live_beneath_a_path() {
    let simulator = payment_simulator::Simulator::new(SimulatorConfig::default());
    let mut provider = Provider::other(Router::new().nest("/payments/v1", simulator.router())).await;

    for path in ["/payments/v1", "/payments/v1/"] {
        provider.config.url.set_path(path);
        let mut world = World::with(Provider::absent().await).await;
        world.pay_with(provider.payments());
        let id = world.confirmed_order(LAST_ONE).await;
        assert_eq!(world.cancel(&id).await.json["status"], "cancelled");
    }
    assert_eq!(simulator.figures().succeeded, 2);
}

#[test]
fn a_url_that_is_no_base_is_refused() {
    for url in ["ftp://payments.example/", "mailto:payments@example", "data:text/plain,pay"] {
        let config = config_of(url.parse().unwrap(), Duration::from_secs(1));
        let error = PaymentClient::new(config).unwrap_err();
        assert!(error.to_string().starts_with(url), "{error}");
    }
}
