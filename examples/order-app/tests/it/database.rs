//! The file beneath: made on first use, migrated once, never half written.

use order_app::database;
use order_app::seed;
use sea_orm::ConnectionTrait;

use crate::support::{COFFEE, World, open};

#[tokio::test]
async fn the_folder_and_the_schema_are_made_on_first_use() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder).await;
    let pending = database.pending().await.unwrap();
    assert_eq!(pending[0].to_string(), "0001 customers and products");

    assert_eq!(database.migrate().await.unwrap(), pending);

    assert!(database.pending().await.unwrap().is_empty());
    assert!(database.migrate().await.unwrap().is_empty());
    database.close().await.unwrap();
    assert!(open(&folder).await.pending().await.unwrap().is_empty());
}

#[tokio::test]
async fn instances_that_start_together_migrate_once() {
    let folder = tempfile::tempdir().unwrap();
    let instances = [open(&folder).await, open(&folder).await, open(&folder).await];

    let migrated = futures_util::future::join_all(instances.iter().map(database::Database::migrate)).await;

    for result in migrated {
        result.unwrap();
    }
    assert!(instances[0].pending().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_database_in_memory_is_refused() {
    for url in ["sqlite::memory:", "sqlite://orders.db?mode=memory"] {
        assert!(matches!(database::connect(url).await, Err(database::ConnectError::InMemory(_))), "{url}");
    }
}

#[tokio::test]
async fn a_database_of_another_kind_is_refused() {
    for url in ["postgres://localhost/orders", "orders.db"] {
        assert!(matches!(database::connect(url).await, Err(database::ConnectError::NotSqlite(_))), "{url}");
    }
}

#[tokio::test]
async fn the_file_is_durable_and_keeps_its_rules() {
    let world = World::new().await;
    let transaction = world.app.database.begin().await.unwrap();
    for (pragma, value) in [("foreign_keys", 1), ("synchronous", 2)] {
        let row = transaction
            .query_one_raw(sea_orm::Statement::from_string(
                sea_orm::DbBackend::Sqlite,
                format!("PRAGMA {pragma}"),
            ))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.try_get_by_index::<i32>(0).unwrap(), value, "{pragma}");
    }
    for wrong in [
        "UPDATE products SET stock = stock - 2 WHERE sku = 'GRINDER-HAND'",
        "UPDATE products SET price_minor = 0",
        "INSERT INTO order_lines VALUES ('acme', '01890a5d-ac96-774b-bcce-b302099a0000', 0, 'COFFEE-1KG', 1, 1)",
    ] {
        assert!(transaction.execute_unprepared(wrong).await.is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn readers_cannot_write() {
    let world = World::new().await;

    let write = world.app.database.reader().execute_unprepared("DELETE FROM products").await;

    assert!(write.unwrap_err().to_string().contains("readonly"));
    assert!(world.stock(COFFEE).await > 0);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_rolled_back_before_the_next_begins() {
    let world = World::new().await;
    let before = world.everything().await;

    let transaction = world.app.database.begin().await.unwrap();
    transaction.execute_unprepared("UPDATE products SET stock = 7").await.unwrap();
    drop(transaction);

    let next = world.app.database.begin().await.unwrap();
    next.commit().await.unwrap();
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn seeding_again_changes_nothing() {
    let world = World::new().await;
    world.confirmed_order(COFFEE).await;
    let before = world.everything().await;

    seed::seed(&world.app.database).await.unwrap();

    assert_eq!(world.everything().await, before);
}
