//! What is not taken: each with its own answer, and none leaves a trace.

use axum::body::Body;
use http::{Request, StatusCode};
use order_app::seed;
use serde_json::{Value, json};

use crate::support::{Answer, COFFEE, SOLD_OUT, World, order, request};

#[tokio::test]
async fn wrong_fields_are_named() {
    let world = World::new().await;
    let with = |member: &str, value: Value| {
        let mut body = order(COFFEE, 1, "tok_ok");
        body[member] = value;
        body
    };
    let item = |sku: &str, quantity: Value| json!([{"sku": sku, "quantity": quantity}]);
    let fifty_one: Vec<_> = (0..51).map(|n| json!({"sku": format!("SKU-{n}"), "quantity": 1})).collect();
    let twice = json!([{"sku": COFFEE, "quantity": 1}, {"sku": COFFEE, "quantity": 2}]);

    for (body, field, message) in [
        (with("items", item(COFFEE, json!(0))), "items[0].quantity", "quantity 0, expected 1 to 1000"),
        (with("items", item(COFFEE, json!(-1))), "items[0].quantity", "quantity -1, expected 1 to 1000"),
        (with("items", item(COFFEE, json!(1001))), "items[0].quantity", "quantity 1001, expected 1 to 1000"),
        (
            with("items", item(COFFEE, json!(1_u64 << 40))),
            "items[0].quantity",
            "quantity 1099511627776, expected 1 to 1000",
        ),
        (with("items", item(COFFEE, json!(1.5))), "items[0].quantity", "floating point `1.5`, expected i64"),
        (with("items", item(COFFEE, json!("1"))), "items[0].quantity", "string \"1\", expected i64"),
        (with("items", item(COFFEE, json!(u64::MAX))), "items[0].quantity", "expected i64"),
        (with("items", item("NO-SUCH", json!(1))), "items[0].sku", "there is no product NO-SUCH"),
        (with("items", item("not a sku", json!(1))), "items[0].sku", "is no sku"),
        (with("items", item("", json!(1))), "items[0].sku", "is no sku"),
        (with("items", json!([])), "items", "0 items, expected 1 to 50"),
        (with("items", json!(fifty_one)), "items", "51 items, expected 1 to 50"),
        (with("items", twice), "items[1].sku", "listed twice"),
        (with("items", json!([{"sku": COFFEE}])), "items[0]", "missing field `quantity`"),
        (
            with("items", json!([{"sku": COFFEE, "quantity": 1, "price": 1}])),
            "items[0].price",
            "unknown field",
        ),
        (with("items", json!("all")), "items", "invalid type"),
        (with("total", json!(1)), "total", "unknown field `total`"),
        (with("payment_token", json!("")), "payment_token", "1 to 64 visible ASCII"),
        (with("payment_token", json!("t".repeat(65))), "payment_token", "1 to 64 visible ASCII"),
        (with("payment_token", json!("tök")), "payment_token", "1 to 64 visible ASCII"),
        (with("payment_token", json!(7)), "payment_token", "expected a string"),
        (with("customer_id", json!("me")), "customer_id", "is no id"),
        (with("customer_id", json!(seed::GLOBEX_CUSTOMER)), "customer_id", "there is no customer"),
        (json!(7), "body", "invalid type: integer `7`, expected an order"),
        (json!({}), "body", "missing field `customer_id`"),
    ] {
        let answer = check_refused(&world, json_request(&body)).await;

        answer.assert_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid-request");
        let error = &answer.json["errors"][0];
        assert_eq!(error["field"], field, "{body}: {error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{body}: {error}");
    }
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let world = World::new().await;
    let body = json!({
        "customer_id": "me",
        "items": [{"sku": COFFEE, "quantity": 0}, {"sku": "?", "quantity": 5000}],
        "payment_token": "",
    });

    let answer = check_refused(&world, json_request(&body)).await;

    let errors = answer.json["errors"].as_array().unwrap();
    let fields: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(
        fields,
        ["customer_id", "items[0].quantity", "items[1].sku", "items[1].quantity", "payment_token"]
    );
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let world = World::new().await;
    let good = order(COFFEE, 1, "tok_ok").to_string();

    for broken in ["", "{", "nonsense", &good[1..], &format!("{good}{good}"), "\u{feff}{}"] {
        let answer =
            check_refused(&world, request("POST", "acme", "/orders", broken.to_owned().into())).await;
        answer.assert_problem(StatusCode::BAD_REQUEST, "/problems/broken-json");
    }
    let answer =
        check_refused(&world, request("POST", "acme", "/orders", vec![b'"', 0xff, b'"'].into())).await;
    answer.assert_problem(StatusCode::BAD_REQUEST, "/problems/broken-json");
}

#[tokio::test]
async fn other_content_types_are_refused() {
    let world = World::new().await;
    let body = order(COFFEE, 1, "tok_ok").to_string();

    for other in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json", ""] {
        let mut refused = request("POST", "acme", "/orders", body.clone().into());
        refused.headers_mut().insert("content-type", other.parse().unwrap());
        let answer = check_refused(&world, refused).await;
        answer.assert_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "about:blank");
        assert_eq!(answer.headers["accept"], "application/json, application/*+json");
    }
    let mut none = request("POST", "acme", "/orders", body.clone().into());
    none.headers_mut().remove("content-type");
    let answer = check_refused(&world, none).await;
    answer.assert_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "about:blank");

    let mut taken = request("POST", "acme", "/orders", body.into());
    taken.headers_mut().insert("content-type", "Application/JSON; charset=utf-8".parse().unwrap());
    assert_eq!(world.send(taken).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_body_of_twenty_megabytes_is_refused() {
    let world = World::new().await;
    let mut body = order(COFFEE, 1, "tok_ok");
    body["payment_token"] = json!("t".repeat(20 * 1024 * 1024));

    let answer = check_refused(&world, json_request(&body)).await;

    answer.assert_problem(StatusCode::PAYLOAD_TOO_LARGE, "/problems/body-too-large");
}

#[tokio::test]
async fn what_is_sold_out_is_refused_with_everything_beside_it() {
    let world = World::new().await;
    let mut body = order(COFFEE, 1, "tok_ok");
    body["items"] = json!([{"sku": COFFEE, "quantity": 1}, {"sku": SOLD_OUT, "quantity": 1}]);

    let answer = check_refused(&world, json_request(&body)).await;

    answer.assert_problem(StatusCode::CONFLICT, "/problems/out-of-stock");
    assert_eq!(answer.json["sku"], SOLD_OUT);
}

#[tokio::test]
async fn an_order_without_a_sum_is_refused() {
    let world = World::new().await;
    let half = i64::MAX / 2;
    world
        .execute(&format!(
            "INSERT INTO products (tenant, sku, name, price_minor, currency, stock) VALUES
             ('acme', 'TEA-USD', 'Tea', 100, 'USD', 10),
             ('acme', 'ISLAND-1', 'Island', {half}, 'EUR', 10), ('acme', 'ISLAND-2', 'Island', {half}, 'EUR', 10)"
        ))
        .await;

    for (items, message) in [
        (
            json!([{"sku": COFFEE, "quantity": 1}, {"sku": "TEA-USD", "quantity": 1}]),
            "EUR and USD cannot be added",
        ),
        (json!([{"sku": "ISLAND-1", "quantity": 3}]), "amount exceeds"),
        (
            json!([{"sku": "ISLAND-1", "quantity": 1}, {"sku": "ISLAND-2", "quantity": 1}, {"sku": COFFEE, "quantity": 1}]),
            "amount exceeds",
        ),
    ] {
        let mut body = order(COFFEE, 1, "tok_ok");
        body["items"] = items;

        let answer = check_refused(&world, json_request(&body)).await;

        answer.assert_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid-request");
        assert_eq!(answer.json["errors"][0]["field"], "items");
        assert!(answer.json["errors"][0]["message"].as_str().unwrap().contains(message), "{}", answer.json);
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let world = World::new().await;

    let nowhere = check_refused(&world, request("GET", "acme", "/order", Body::empty())).await;
    nowhere.assert_problem(StatusCode::NOT_FOUND, "/problems/not-found");

    let deleted = check_refused(&world, request("DELETE", "acme", "/orders", Body::empty())).await;
    deleted.assert_problem(StatusCode::METHOD_NOT_ALLOWED, "/problems/method-not-allowed");
    let allowed = deleted.headers["allow"].to_str().unwrap();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
}

/// Sends what is to be refused, and holds that nothing changed and nobody was asked for money.
async fn check_refused(world: &World, request: Request<Body>) -> Answer {
    let before = (world.everything().await, world.provider.figures());
    let answer = world.send(request).await;
    assert!(answer.status.is_client_error(), "{}: {}", answer.status, answer.json);
    assert_eq!((world.everything().await, world.provider.figures()), before);
    answer
}

fn json_request(body: &Value) -> Request<Body> {
    request("POST", "acme", "/orders", body.to_string().into())
}
