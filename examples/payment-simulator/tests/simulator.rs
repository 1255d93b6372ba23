//! The simulator as its callers see it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use payment_simulator::{Simulator, SimulatorConfig};
use serde_json::{Value, json};
use tower::ServiceExt;

#[tokio::test]
async fn a_charge_is_answered_with_the_payment_and_replayed_under_its_key() {
    let provider = Provider::new();

    let first = provider.charge("k1", payment("tok_ok", "order-1")).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(first.json["status"], "succeeded");
    assert_eq!(first.json["amount"], 1999);
    assert_eq!(first.json["currency"], "EUR");
    assert_eq!(first.json["reference"], "order-1");
    assert!(first.json["id"].is_string());

    let second = provider.charge("k1", payment("tok_ok", "order-1")).await;
    assert_eq!(second, first);
    provider.check_figures(&json!({"calls": 2, "retries_seen": 1, "succeeded": 1, "double_charges": 0}));
}

#[tokio::test]
async fn a_key_takes_one_payload_only() {
    let provider = Provider::new();
    provider.charge("k1", payment("tok_ok", "order-1")).await;

    let other = provider.charge("k1", payment("tok_ok", "order-2")).await;

    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    provider.check_figures(&json!({"succeeded": 1}));
}

#[tokio::test]
async fn calls_that_are_no_charges_are_refused() {
    let provider = Provider::new();
    let without_key = Request::post("/charges").header("content-type", "application/json");
    let without_key = without_key.body(Body::from(payment("tok_ok", "o").to_string())).unwrap();
    assert_eq!(provider.send(without_key).await.status, StatusCode::BAD_REQUEST);

    let mut free = payment("tok_ok", "o");
    free["amount"] = json!(0);
    assert_eq!(provider.charge("k1", free).await.status, StatusCode::UNPROCESSABLE_ENTITY);

    let mut lower = payment("tok_ok", "o");
    lower["currency"] = json!("eur");
    assert_eq!(provider.charge("k1", lower).await.status, StatusCode::UNPROCESSABLE_ENTITY);

    let long = payment("tok_ok", &"o".repeat(5000));
    assert_eq!(provider.charge("k1", long).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    provider.check_figures(&json!({"calls": 0, "succeeded": 0}));
}

#[tokio::test]
async fn declined_and_unknown_tokens_charge_nothing() {
    let provider = Provider::new();

    let declined = provider.charge("k1", payment("tok_declined", "o")).await;
    let unknown = provider.charge("k2", payment("tok_nonsense", "o")).await;

    assert_eq!(declined.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(declined.json, json!({"status": "declined", "reason": "card_declined"}));
    assert_eq!(unknown.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(unknown.json, json!({"status": "declined", "reason": "unknown_token"}));
    provider.check_figures(&json!({"declined": 2, "succeeded": 0}));
}

#[tokio::test]
async fn a_flaky_charge_succeeds_on_the_second_attempt_and_one_that_is_down_never_does() {
    let provider = Provider::new();

    assert_eq!(
        provider.charge("k1", payment("tok_flaky", "a")).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(provider.charge("k1", payment("tok_flaky", "a")).await.status, StatusCode::CREATED);
    for _ in 0..3 {
        let down = provider.charge("k2", payment("tok_down", "b")).await;
        assert_eq!(down.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    provider.check_figures(&json!({"calls": 5, "retries_seen": 3, "succeeded": 1}));
}

#[tokio::test(start_paused = true)]
async fn concurrent_slow_charges_under_one_key_charge_once_and_agree() {
    let provider = Provider::new();
    let started = tokio::time::Instant::now();

    let (one, two) = tokio::join!(
        provider.charge("k1", payment("tok_slow", "order-1")),
        provider.charge("k1", payment("tok_slow", "order-1")),
    );

    assert_eq!(one.status, StatusCode::CREATED);
    assert_eq!(one, two);
    assert_eq!(started.elapsed().as_secs(), 3);
    provider.check_figures(&json!({"calls": 2, "retries_seen": 1, "succeeded": 1, "double_charges": 0}));
}

#[tokio::test(start_paused = true)]
async fn a_slow_charge_goes_through_although_its_caller_left() {
    let provider = Provider::new();
    let second = std::time::Duration::from_secs(1);
    let call = provider.charge("k1", payment("tok_slow", "order-1"));
    tokio::time::timeout(second, call).await.expect_err("the answer takes three seconds");
    provider.check_figures(&json!({"succeeded": 0}));

    let retry = provider.charge("k1", payment("tok_slow", "order-1")).await;

    assert_eq!(retry.status, StatusCode::CREATED);
    provider.check_figures(&json!({"calls": 2, "succeeded": 1}));
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_slow_charge_keeps_it_from_being_charged() {
    let provider = Provider::new();
    let cancel_later = async {
        tokio::task::yield_now().await;
        provider.cancel("k1").await
    };

    let (charge, cancelled) =
        tokio::join!(provider.charge("k1", payment("tok_slow", "order-1")), cancel_later);

    assert_eq!(cancelled.json, json!({"status": "cancelled", "refunded": false}));
    assert_eq!(charge.status, StatusCode::CONFLICT);
    assert_eq!(charge.json, json!({"status": "cancelled"}));
    tokio::time::advance(std::time::Duration::from_secs(10)).await;
    provider.check_figures(&json!({"succeeded": 0, "refunds": 0, "cancelled_before_charge": 1}));
}

#[tokio::test]
async fn cancelling_refunds_once() {
    let provider = Provider::new();
    provider.charge("k1", payment("tok_ok", "order-1")).await;

    for _ in 0..2 {
        let cancelled = provider.cancel("k1").await;
        assert_eq!(cancelled.status, StatusCode::OK);
        assert_eq!(cancelled.json, json!({"status": "cancelled", "refunded": true}));
    }

    provider.check_figures(&json!({"succeeded": 1, "refunds": 1, "cancelled_before_charge": 0}));
    assert_eq!(provider.charge("k1", payment("tok_ok", "order-1")).await.status, StatusCode::CONFLICT);
    provider.check_figures(&json!({"succeeded": 1}));
}

#[tokio::test]
async fn cancelling_a_key_never_seen_bars_it() {
    let provider = Provider::new();

    let cancelled = provider.cancel("k1").await;
    let late = provider.charge("k1", payment("tok_ok", "order-1")).await;

    assert_eq!(cancelled.json, json!({"status": "cancelled", "refunded": false}));
    assert_eq!(late.status, StatusCode::CONFLICT);
    provider.check_figures(&json!({"succeeded": 0, "cancelled_before_charge": 1}));
}

#[tokio::test]
async fn a_charge_can_be_looked_up() {
    let provider = Provider::new();
    assert_eq!(provider.get("/charges/k1").await.status, StatusCode::NOT_FOUND);

    provider.charge("k1", payment("tok_ok", "order-1")).await;
    provider.cancel("k1").await;

    let state = provider.get("/charges/k1").await;
    assert_eq!(state.status, StatusCode::OK);
    assert_eq!(state.json["status"], "refunded");
    assert_eq!(state.json["reference"], "order-1");
}

#[tokio::test]
async fn two_keys_for_one_reference_show_as_a_double_charge() {
    let provider = Provider::new();
    provider.charge("k1", payment("tok_ok", "order-1")).await;
    provider.charge("k2", payment("tok_ok", "order-1")).await;

    assert_eq!(provider.get("/figures").await.json["double_charges"], 1);
    assert!(provider.get("/").await.text.contains("somebody was charged twice"));

    provider.cancel("k2").await;
    assert_eq!(provider.get("/figures").await.json["double_charges"], 0);
    assert!(provider.get("/").await.text.contains("nobody was charged twice"));
}

#[tokio::test]
async fn an_api_key_is_asked_for_where_one_is_set() {
    let provider =
        Provider::with(SimulatorConfig { api_key: Some("secret".into()), ..SimulatorConfig::default() });
    let call = |authorization: Option<&str>| {
        let mut request = charge_request("k1", &payment("tok_ok", "order-1"));
        if let Some(value) = authorization {
            request.headers_mut().insert("authorization", value.parse().unwrap());
        }
        provider.send(request)
    };

    assert_eq!(call(None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(call(Some("Bearer other")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(call(Some("Bearer secret")).await.status, StatusCode::CREATED);
    assert_eq!(provider.cancel("k1").await.status, StatusCode::UNAUTHORIZED);
    provider.check_figures(&json!({"calls": 1, "refunds": 0}));
}

#[tokio::test]
async fn it_serves_on_a_listener() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(Simulator::new(SimulatorConfig::default()).serve(listener));

    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let page = client.get(format!("http://{address}/").parse().unwrap()).await.unwrap();

    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    server.abort();
}

struct Provider {
    simulator: Simulator,
    router: Router,
}

#[derive(Debug, PartialEq)]
struct Answer {
    status: StatusCode,
    text: String,
    json: Value,
}

impl Provider {
    fn new() -> Self {
        Self::with(SimulatorConfig::default())
    }

    fn with(config: SimulatorConfig) -> Self {
        let simulator = Simulator::new(config);
        Self { router: simulator.router(), simulator }
    }

    async fn charge(&self, key: &str, payment: Value) -> Answer {
        self.send(charge_request(key, &payment)).await
    }

    async fn cancel(&self, key: &str) -> Answer {
        let request = Request::post(format!("/charges/{key}/cancel"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Answer { status, json: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    /// Compares the figures that are named.
    fn check_figures(&self, expected: &Value) {
        let figures = serde_json::to_value(self.simulator.figures()).unwrap();
        for (name, count) in expected.as_object().unwrap() {
            assert_eq!(&figures[name], count, "{name} of {figures}");
        }
    }
}

fn charge_request(key: &str, payment: &Value) -> Request<Body> {
    Request::post("/charges")
        .header("idempotency-key", key)
        .header("content-type", "application/json")
        .body(Body::from(payment.to_string()))
        .unwrap()
}

fn payment(token: &str, reference: &str) -> Value {
    json!({"amount": 1999, "currency": "EUR", "token": token, "reference": reference})
}
