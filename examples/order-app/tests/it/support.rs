//! A service to test: its file, its provider, and a few words to speak to it.

mod payments;
mod provider;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use mainstay::config::Loader;
use order_app::app::App;
use order_app::database::{self, Database};
use order_app::seed;
use order_app::tenant::Tenants;
use payment_simulator::SimulatorConfig;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) use payments::{Gate, Never};
pub(crate) use provider::{Provider, config_of};

pub(crate) const COFFEE: &str = "COFFEE-1KG";
pub(crate) const LAST_ONE: &str = "GRINDER-HAND";
pub(crate) const SOLD_OUT: &str = "KETTLE-1L";

/// The service with its seed, and the provider that it pays with.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) provider: Provider,
    router: Router,
    _folder: TempDir,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

/// Long enough that no test ends with it, unless it waits for an answer that does not come.
const PATIENT: Duration = Duration::from_secs(60);

/// Short, for tests that wait for an answer that does not come.
pub(crate) const IMPATIENT: Duration = Duration::from_millis(500);

/// The app inside its stack, with the settings that are built in.
fn service(app: &App) -> Router {
    let settings = order_app::settings::load(Loader::new("orders").environment::<&str, &str>([])).unwrap();
    app.service(&settings.settings.server).unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Provider::start(SimulatorConfig::default(), PATIENT).await).await
    }

    /// Its provider never finishes a slow charge, and the service soon gives up waiting.
    pub(crate) async fn impatient() -> Self {
        let config = SimulatorConfig { slow: PATIENT * 60, ..SimulatorConfig::default() };
        Self::with(Provider::start(config, IMPATIENT).await).await
    }

    pub(crate) async fn with(provider: Provider) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder).await;
        database.migrate().await.unwrap();
        seed::seed(&database).await.unwrap();

        let tenants: Tenants = ["acme", "globex"].into_iter().map(|tenant| tenant.parse().unwrap()).collect();
        let app = App { database, payments: provider.payments(), tenants };
        Self { router: service(&app), app, provider, _folder: folder }
    }

    /// Puts another in the place of the payment provider, as a restart with other settings would.
    pub(crate) fn pay_with(&mut self, payments: std::sync::Arc<dyn order_app::ordering::Payments>) {
        self.app.payments = payments;
        self.router = service(&self.app);
    }

    pub(crate) fn rewire(&mut self) {
        self.router = service(&self.app);
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, json }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_as("acme", path).await
    }

    pub(crate) async fn get_as(&self, tenant: &str, path: &str) -> Answer {
        self.send(request("GET", tenant, path, Body::empty())).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(request("POST", "acme", path, Body::from(body.to_string()))).await
    }

    /// Orders one of that product, as the customer of acme.
    pub(crate) async fn order(&self, sku: &str, token: &str) -> Answer {
        self.post("/orders", &order(sku, 1, token)).await
    }

    pub(crate) async fn confirmed_order(&self, sku: &str) -> String {
        let answer = self.order(sku, "tok_ok").await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
        answer.json["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn cancel(&self, id: &str) -> Answer {
        self.post(&format!("/orders/{id}/cancel"), &Value::Null).await
    }

    pub(crate) async fn status(&self, id: &str) -> Value {
        self.get(&format!("/orders/{id}")).await.json["status"].clone()
    }

    pub(crate) async fn stock(&self, sku: &str) -> i64 {
        let products = self.get("/products").await.json;
        let products = products["products"].as_array().unwrap();
        products.iter().find(|product| product["sku"] == sku).unwrap()["stock"].as_i64().unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let transaction = self.app.database.begin().await.unwrap();
        transaction.execute_unprepared(sql).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Every row of every table.
    pub(crate) async fn everything(&self) -> Vec<String> {
        const TABLES: [&str; 4] = [
            "SELECT json_array('customer', tenant, id, name, email) FROM customers ORDER BY 1",
            "SELECT json_array('product', tenant, sku, name, price_minor, currency, stock) FROM products ORDER BY 1",
            "SELECT json_array('order', tenant, id, customer_id, status, version, total_minor, currency, \
             payment_token, payment_id, created_at, updated_at) FROM orders ORDER BY 1",
            "SELECT json_array('line', tenant, order_id, position, sku, quantity, unit_price_minor) \
             FROM order_lines ORDER BY 1",
        ];
        let pool = self.app.database.reader().get_sqlite_connection_pool();
        let mut rows = Vec::new();
        for table in TABLES {
            rows.extend(sqlx::query_scalar::<_, String>(table).fetch_all(pool).await.unwrap());
        }
        rows
    }

    pub(crate) async fn ids_of_orders(&self) -> Vec<String> {
        let pool = self.app.database.reader().get_sqlite_connection_pool();
        sqlx::query_scalar("SELECT id FROM orders ORDER BY id").fetch_all(pool).await.unwrap()
    }
}

impl Answer {
    /// An error that says so in the one form.
    pub(crate) fn assert_problem(&self, status: StatusCode, kind: &str) {
        assert_eq!(self.status, status, "{}", self.json);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.json["type"], kind, "{}", self.json);
        assert_eq!(self.json["status"], status.as_u16());
    }

    pub(crate) fn text(&self, member: &str) -> String {
        self.json[member].as_str().unwrap().to_owned()
    }
}

/// Fails a test that would otherwise wait for ever.
pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENT, future).await.expect("it ends within a minute")
}

pub(crate) async fn open(folder: &TempDir) -> Database {
    database::connect(&format!("sqlite:{}", folder.path().join("data/orders.db").display())).await.unwrap()
}

pub(crate) fn request(method: &str, tenant: &str, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("x-tenant-id", tenant)
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

pub(crate) fn order(sku: &str, quantity: i64, token: &str) -> Value {
    json!({
        "customer_id": seed::ACME_CUSTOMER,
        "items": [{"sku": sku, "quantity": quantity}],
        "payment_token": token,
    })
}
