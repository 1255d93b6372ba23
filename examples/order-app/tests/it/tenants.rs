//! Who is served, and that none sees another's.

use axum::body::Body;
use http::{HeaderValue, Request, StatusCode};
use order_app::seed;
use serde_json::{Value, json};

use crate::support::{COFFEE, World, order, request};

#[tokio::test]
async fn a_call_names_one_tenant_that_is_served() {
    let world = World::new().await;
    let call = |tenants: &[&'static str]| {
        let mut request = Request::get("/products").body(Body::empty()).unwrap();
        for tenant in tenants {
            request.headers_mut().append("x-tenant-id", HeaderValue::from_static(tenant));
        }
        world.send(request)
    };

    assert_eq!(call(&["acme"]).await.status, StatusCode::OK);
    assert_eq!(call(&["acme", "acme"]).await.status, StatusCode::OK);
    call(&[]).await.assert_problem(StatusCode::BAD_REQUEST, "/problems/no-tenant");
    for wrong in [&["acme", "globex"][..], &[""], &["acme, globex"], &["../acme"], &["a b"]] {
        let answer = call(wrong).await;
        assert_eq!(
            (answer.status, &answer.json["code"]),
            (StatusCode::BAD_REQUEST, &json!("invalid")),
            "{wrong:?}"
        );
    }
    let answer = call(&["initech"]).await;
    assert_eq!((answer.status, &answer.json["code"]), (StatusCode::FORBIDDEN, &json!("forbidden")));
}

#[tokio::test]
async fn every_route_asks_for_the_tenant() {
    let world = World::new().await;
    let id = world.confirmed_order(COFFEE).await;
    let before = world.everything().await;

    for (method, path) in [
        ("GET", "/products".to_owned()),
        ("GET", "/customers".to_owned()),
        ("GET", format!("/customers/{}", seed::ACME_CUSTOMER)),
        ("GET", "/orders".to_owned()),
        ("POST", "/orders".to_owned()),
        ("GET", format!("/orders/{id}")),
        ("POST", format!("/orders/{id}/cancel")),
    ] {
        let body = order(COFFEE, 1, "tok_ok").to_string();
        let mut request = request(method, "acme", &path, body.into());
        request.headers_mut().remove("x-tenant-id");
        let answer = world.send(request).await;
        answer.assert_problem(StatusCode::BAD_REQUEST, "/problems/no-tenant");
    }
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn a_tenant_sees_nothing_of_another() {
    let world = World::new().await;
    let id = world.confirmed_order(COFFEE).await;
    let before = world.everything().await;
    let globex = |method: &'static str, path: String, body: Value| {
        let world = &world;
        async move { world.send(request(method, "globex", &path, body.to_string().into())).await }
    };
    let get = |path: String| globex("GET", path, Value::Null);

    for path in [format!("/orders/{id}"), format!("/customers/{}", seed::ACME_CUSTOMER)] {
        get(path).await.assert_problem(StatusCode::NOT_FOUND, "/problems/not-found");
    }
    let cancelled = globex("POST", format!("/orders/{id}/cancel"), Value::Null).await;
    cancelled.assert_problem(StatusCode::NOT_FOUND, "/problems/not-found");

    assert_eq!(get("/orders".into()).await.json["orders"], json!([]));
    let theirs = format!("/orders?customer_id={}", seed::ACME_CUSTOMER);
    assert_eq!(get(theirs).await.json["orders"], json!([]));
    assert_eq!(get(format!("/orders?cursor={id}")).await.json["orders"], json!([]));

    let customers = get("/customers".into()).await.json.to_string();
    assert!(customers.contains(seed::GLOBEX_CUSTOMER) && !customers.contains("@acme.example"), "{customers}");
    let products = get("/products".into()).await.json;
    assert!(
        products["products"].as_array().unwrap().iter().all(|product| product["price"]["currency"] == "USD")
    );

    let ordered = globex("POST", "/orders".into(), order(COFFEE, 1, "tok_ok")).await;
    ordered.assert_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid-request");
    assert_eq!(ordered.json["errors"][0]["field"], "customer_id");
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn each_tenant_has_a_stock_of_its_own() {
    let world = World::new().await;
    let stock = world.stock(COFFEE).await;
    let mut body = order(COFFEE, 7, "tok_ok");
    body["customer_id"] = json!(seed::GLOBEX_CUSTOMER);

    let placed = world.send(request("POST", "globex", "/orders", body.to_string().into())).await;

    assert_eq!(placed.status, StatusCode::CREATED);
    assert_eq!(placed.json["total"], json!({"amount": 7 * 1999, "currency": "USD"}));
    assert_eq!(world.stock(COFFEE).await, stock);
    assert_eq!(world.get("/orders").await.json["orders"], json!([]));
}
