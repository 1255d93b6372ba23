//! Lists in pages.

use http::StatusCode;
use order_app::seed;
use serde_json::Value;

use crate::support::{COFFEE, World};

#[tokio::test]
async fn pages_walk_all_orders_once_while_new_ones_arrive() {
    let world = World::new().await;
    let mut expected = Vec::new();
    for _ in 0..11 {
        expected.push(world.confirmed_order(COFFEE).await);
    }
    expected.reverse();

    let path = format!("/orders?customer_id={}&limit=3", seed::ACME_CUSTOMER);
    let mut walked = Vec::new();
    let mut cursor = None;
    loop {
        let page = world.get(&with_cursor(&path, cursor.as_deref())).await;
        assert_eq!(page.status, StatusCode::OK);
        walked.extend(ids(&page.json["orders"]));
        world.confirmed_order(COFFEE).await;
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }

    assert_eq!(walked, expected);
}

#[tokio::test]
async fn orders_are_listed_for_one_customer_or_for_all() {
    let world = World::new().await;
    let other = world.get("/customers").await.json["customers"][0]["id"].clone();
    assert_ne!(other, seed::ACME_CUSTOMER);
    let id = world.confirmed_order(COFFEE).await;

    let list = |path: String| {
        let world = &world;
        async move { ids(&world.get(&path).await.json["orders"]) }
    };

    assert_eq!(list("/orders".into()).await, [id.as_str()]);
    assert_eq!(list(format!("/orders?customer_id={}", seed::ACME_CUSTOMER)).await, [id]);
    assert!(list(format!("/orders?customer_id={}", other.as_str().unwrap())).await.is_empty());
}

#[tokio::test]
async fn customers_and_products_come_in_pages_too() {
    let world = World::new().await;

    for (path, list, key, all) in [("/customers", "customers", "id", 3), ("/products", "products", "sku", 6)]
    {
        let whole = world.get(path).await.json;
        let whole: Vec<_> = whole[list].as_array().unwrap().iter().map(|row| row[key].clone()).collect();
        assert_eq!(whole.len(), all);

        let (mut walked, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = world.get(&with_cursor(&format!("{path}?limit=1"), cursor.as_deref())).await.json;
            walked.extend(page[list].as_array().unwrap().iter().map(|row| row[key].clone()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(walked, whole, "{path}");
    }
}

#[tokio::test]
async fn twenty_orders_are_a_page_unless_more_or_fewer_are_asked_for() {
    let world = World::new().await;
    for _ in 0..21 {
        world.confirmed_order(COFFEE).await;
    }

    assert_eq!(ids(&world.get("/orders").await.json["orders"]).len(), 20);
    assert_eq!(ids(&world.get("/orders?limit=100").await.json["orders"]).len(), 21);
}

#[tokio::test]
async fn wrong_parameters_are_refused() {
    let world = World::new().await;

    for (parameters, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=", "cursor"),
    ] {
        for path in ["/orders", "/customers"] {
            let answer = world.get(&format!("{path}?{parameters}")).await;
            answer.assert_problem(StatusCode::BAD_REQUEST, "/problems/invalid-request");
            assert_eq!(answer.json["errors"][0]["field"], field);
        }
    }
    let answer = world.get("/orders?customer_id=me").await;
    answer.assert_problem(StatusCode::BAD_REQUEST, "/problems/invalid-request");

    for unknown in
        ["/orders?page=2", "/customers?customer_id=x", "/products?sku=x", "/orders?limit=1&limit=2"]
    {
        let answer = world.get(unknown).await;
        answer.assert_problem(StatusCode::BAD_REQUEST, "/problems/invalid-request");
    }
}

fn with_cursor(path: &str, cursor: Option<&str>) -> String {
    cursor.map_or_else(|| path.to_owned(), |cursor| format!("{path}&cursor={cursor}"))
}

fn ids(rows: &Value) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}
