//! Customers, products and orders, read back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use order_app::seed;

use crate::support::{COFFEE, World};

#[tokio::test]
async fn customers_and_products_are_listed() {
    let world = World::new().await;

    let customers = world.get("/customers").await;
    assert_eq!(customers.status, StatusCode::OK);
    assert_eq!(customers.json["customers"].as_array().unwrap().len(), 3);

    let customer = world.get(&format!("/customers/{}", seed::ACME_CUSTOMER)).await;
    assert_eq!(customer.status, StatusCode::OK);
    assert_eq!(customer.json["name"], "Ada Lovelace");

    let products = world.get("/products").await;
    assert_eq!(products.json["products"].as_array().unwrap().len(), 6);
    assert_eq!(products.json["products"][0]["sku"], COFFEE);
    assert_eq!(products.json["products"][0]["price"]["amount"], 1999);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::new().await;
    let nobody = "01890a5d-ac96-774b-bcce-b302099a0000";

    for path in
        ["/customers/me", "/orders/7", "/orders/%ff", "/customers/01890A5D-AC96-774B-BCCE-B302099A8057"]
    {
        world.get(path).await.assert_problem(StatusCode::NOT_FOUND, "/problems/not-found");
    }
    for path in [format!("/customers/{nobody}"), format!("/orders/{nobody}")] {
        world.get(&path).await.assert_problem(StatusCode::NOT_FOUND, "/problems/not-found");
    }
    world.cancel(nobody).await.assert_problem(StatusCode::NOT_FOUND, "/problems/not-found");
}

#[tokio::test]
async fn a_page_of_orders_takes_two_statements_however_long() {
    let mut world = World::new().await;
    for _ in 0..12 {
        world.confirmed_order(COFFEE).await;
    }
    let statements = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&statements);
    world.app.database.observe_reads(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    world.rewire();

    for limit in [1, 5, 12] {
        statements.store(0, Ordering::Relaxed);
        let page = world.get(&format!("/orders?limit={limit}")).await;
        let orders = page.json["orders"].as_array().unwrap();
        assert_eq!(orders.len(), limit);
        assert!(orders.iter().all(|order| order["items"][0]["sku"] == COFFEE));
        assert_eq!(statements.load(Ordering::Relaxed), 2);
    }
}
