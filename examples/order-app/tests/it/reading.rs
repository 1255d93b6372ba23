//! Customers, products and orders, read back.

use std::sync::{Arc, Mutex};

use http::StatusCode;
use order_app::moment::Moment;
use order_app::seed;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

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
    let statements = observe_reads(&mut world);

    for limit in [1, 5, 12] {
        let page = world.get(&format!("/orders?limit={limit}")).await;
        let orders = page.json["orders"].as_array().unwrap();
        assert_eq!(orders.len(), limit);
        assert!(orders.iter().all(|order| order["items"][0]["sku"] == COFFEE));
        assert_eq!(std::mem::take(&mut *statements.lock().unwrap()).len(), 2);
    }
}

#[tokio::test]
async fn a_page_reads_no_more_rows_than_it_shows() {
    let mut world = World::new().await;
    let id = world.confirmed_order(COFFEE).await;
    let statements = observe_reads(&mut world);

    let customer = seed::ACME_CUSTOMER;
    world.get("/orders").await;
    world.get(&format!("/orders?cursor={id}")).await;
    world.get(&format!("/orders?customer_id={customer}")).await;
    world.get(&format!("/orders?customer_id={customer}&cursor={id}")).await;
    world.app.reconciler().run_once(Moment::now()).await;

    let statements = std::mem::take(&mut *statements.lock().unwrap());
    assert!(statements.len() >= 8, "{statements:?}");
    for statement in statements {
        let plan = plan(&world, &statement).await;
        let index = match () {
            () if statement.contains("FROM \"order_lines\"") => "PRIMARY KEY (tenant=? AND order_id=?)",
            () if statement.contains("\"customer_id\" =") => "orders_by_customer (tenant=? AND customer_id=?",
            () if statement.contains("\"status\" =") => "orders_by_status (tenant=? AND status=?",
            () => "sqlite_autoindex_orders_1 (tenant=?",
        };
        assert!(plan[0].starts_with("SEARCH") && plan[0].contains(index), "{statement}: {plan:?}");
        assert!(
            statement.contains("order_lines") || plan.len() == 1,
            "it is read in order: {statement}: {plan:?}"
        );
    }
}

/// The statements that are run outside transactions from now on.
fn observe_reads(world: &mut World) -> Arc<Mutex<Vec<String>>> {
    let statements = Arc::new(Mutex::new(Vec::new()));
    let observer = Arc::clone(&statements);
    world.app.database.observe_reads(move |info| observer.lock().unwrap().push(info.statement.to_string()));
    world.rewire();
    statements
}

async fn plan(world: &World, statement: &str) -> Vec<String> {
    let explain = Statement::from_string(DbBackend::Sqlite, format!("EXPLAIN QUERY PLAN {statement}"));
    let steps = world.app.database.reader().query_all_raw(explain).await.unwrap();
    steps.iter().map(|step| step.try_get::<String>("", "detail").unwrap()).collect()
}
