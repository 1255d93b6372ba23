//! Orders, and what becomes of them when the payment does not go as hoped.

use std::sync::Arc;

use futures_util::future::join_all;
use http::StatusCode;
use order_app::seed;
use serde_json::json;

use crate::support::{COFFEE, Gate, LAST_ONE, Provider, World, in_time, order, request};

#[tokio::test]
async fn a_paid_order_is_confirmed_and_found_at_its_location() {
    let world = World::new().await;
    let body = json!({
        "customer_id": seed::ACME_CUSTOMER,
        "items": [{"sku": COFFEE, "quantity": 2}, {"sku": "MUG-BLUE", "quantity": 3}],
        "payment_token": "tok_ok",
    });

    let placed = world.post("/orders", &body).await;

    assert_eq!(placed.status, StatusCode::CREATED);
    assert_eq!(placed.headers["location"], format!("/orders/{}", placed.text("id")));
    assert_eq!(placed.json["status"], "confirmed");
    assert_eq!(placed.json["customer_id"], seed::ACME_CUSTOMER);
    assert_eq!(placed.json["total"], json!({"amount": 2 * 1999 + 3 * 1250, "currency": "EUR"}));
    assert_eq!(
        placed.json["items"],
        json!([
            {"sku": COFFEE, "quantity": 2, "unit_price": {"amount": 1999, "currency": "EUR"}},
            {"sku": "MUG-BLUE", "quantity": 3, "unit_price": {"amount": 1250, "currency": "EUR"}},
        ])
    );
    assert_eq!(world.stock(COFFEE).await, 9998);
    assert_eq!(world.stock("MUG-BLUE").await, 497);
    assert_eq!(world.provider.figures().succeeded, 1);

    let found = world.get(placed.headers["location"].to_str().unwrap()).await;
    assert_eq!(found.status, StatusCode::OK);
    assert_eq!(found.json, placed.json);
}

#[tokio::test]
async fn an_order_that_is_sent_a_hundred_times_with_one_key_is_placed_and_paid_once() {
    let world = World::new().await;
    let with_key = |body: serde_json::Value| {
        let mut request = request("POST", "acme", "/orders", body.to_string().into());
        request.headers_mut().insert("idempotency-key", "\"8e03978e\"".parse().unwrap());
        request
    };

    let answers = join_all((0..100).map(|_| world.send(with_key(order(COFFEE, 1, "tok_ok"))))).await;
    let placed = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    let told_to_wait = answers.iter().filter(|answer| answer.status == StatusCode::CONFLICT).count();
    assert!(placed >= 1 && placed + told_to_wait == 100, "{placed} placed, {told_to_wait} told to wait");

    let again = world.send(with_key(order(COFFEE, 1, "tok_ok"))).await;
    assert_eq!(
        (again.status, &again.headers["idempotency-replayed"]),
        (StatusCode::CREATED, &"true".parse().unwrap())
    );
    assert_eq!(world.ids_of_orders().await, [again.text("id")]);
    assert_eq!(world.provider.figures().succeeded, 1);

    let another = world.send(with_key(order(COFFEE, 2, "tok_ok"))).await;
    assert_eq!(another.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(another.json["code"], "mismatch");
}

#[tokio::test]
async fn a_declined_order_gives_its_stock_back() {
    let world = World::new().await;

    let answer = world.order(LAST_ONE, "tok_declined").await;

    answer.assert_problem(StatusCode::PAYMENT_REQUIRED, "/problems/payment-declined");
    assert_eq!(world.status(&answer.text("order_id")).await, "declined");
    assert_eq!(world.stock(LAST_ONE).await, 1);
    assert_eq!(world.provider.figures().succeeded, 0);
}

#[tokio::test]
async fn an_order_fails_while_the_provider_charges_nobody() {
    let world = World::new().await;

    let answer = world.order(LAST_ONE, "tok_down").await;

    answer.assert_problem(StatusCode::SERVICE_UNAVAILABLE, "/problems/payment-unavailable");
    assert_eq!(answer.headers["retry-after"], "5");
    assert_eq!(world.status(&answer.text("order_id")).await, "payment_failed");
    assert_eq!(world.stock(LAST_ONE).await, 1);
    assert_eq!(world.provider.figures().succeeded, 0);
}

#[tokio::test]
async fn a_provider_that_fails_once_is_asked_again_and_charges_once() {
    let world = World::new().await;
    let answer = world.order(LAST_ONE, "tok_flaky").await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert_eq!(world.status(&answer.text("id")).await, "confirmed");
    let figures = world.provider.figures();
    assert_eq!((figures.calls, figures.succeeded), (2, 1));
}

#[tokio::test]
async fn a_provider_that_is_down_costs_its_customers_a_bounded_wait_and_then_nothing() {
    let world = World::new().await;
    let started = tokio::time::Instant::now();
    for _ in 0..12 {
        let answer = world.order(COFFEE, "tok_down").await;
        answer.assert_problem(StatusCode::SERVICE_UNAVAILABLE, "/problems/payment-unavailable");
    }
    // The circuit opened: ten attempts are enough to know.
    let calls = world.provider.figures().calls;
    assert!(calls <= 12, "{calls} calls for twelve orders");
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    // Somebody else's card would do, but the provider is left alone for now: clearly refused, and nothing is charged.
    let answer = world.order(COFFEE, "tok_ok").await;
    answer.assert_problem(StatusCode::SERVICE_UNAVAILABLE, "/problems/payment-unavailable");
    assert_eq!(world.provider.figures().succeeded, 0);
}

#[tokio::test]
async fn an_order_fails_while_nobody_listens_at_the_provider() {
    let world = World::with(Provider::absent().await).await;

    let answer = world.order(LAST_ONE, "tok_ok").await;

    answer.assert_problem(StatusCode::SERVICE_UNAVAILABLE, "/problems/payment-unavailable");
    assert_eq!(world.status(&answer.text("order_id")).await, "payment_failed");
    assert_eq!(world.stock(LAST_ONE).await, 1);
}

#[tokio::test]
async fn an_order_stays_pending_while_nobody_knows_whether_it_was_paid() {
    let world = World::impatient().await;

    let answer = world.order(LAST_ONE, "tok_slow").await;

    answer.assert_problem(StatusCode::GATEWAY_TIMEOUT, "/problems/payment-outcome-unknown");
    let id = answer.text("order_id");
    assert_eq!(answer.headers["location"], format!("/orders/{id}"));
    assert_eq!(world.status(&id).await, "pending_payment");
    assert_eq!(world.stock(LAST_ONE).await, 0, "it may have been paid");
}

#[tokio::test]
async fn of_a_hundred_orders_for_the_last_one_exactly_one_is_confirmed() {
    let world = World::new().await;

    let orders = (0..100).map(|_| world.order(LAST_ONE, "tok_ok"));
    let answers = join_all(orders).await;

    let (confirmed, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == StatusCode::CREATED);
    assert_eq!(confirmed.len(), 1);
    assert_eq!(refused.len(), 99);
    for answer in refused {
        answer.assert_problem(StatusCode::CONFLICT, "/problems/out-of-stock");
    }
    assert_eq!(world.stock(LAST_ONE).await, 0);
    assert_eq!(world.ids_of_orders().await.len(), 1);
    assert_eq!(world.provider.figures().calls, 1);
}

#[tokio::test]
async fn a_payment_is_recorded_although_its_customer_left() {
    let mut world = World::new().await;
    let gate = Gate::before_charge(world.provider.payments());
    world.pay_with(Arc::<Gate>::clone(&gate));

    let order = order(LAST_ONE, 1, "tok_ok").to_string();
    tokio::select! {
        _ = world.send(request("POST", "acme", "/orders", order.into())) => unreachable!("the gate is shut"),
        () = gate.arrival() => {}
    }
    let id = world.ids_of_orders().await.remove(0);
    assert_eq!(world.status(&id).await, "pending_payment");
    gate.open();

    in_time(async {
        while world.status(&id).await == "pending_payment" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(world.status(&id).await, "confirmed");
    assert_eq!(world.stock(LAST_ONE).await, 0);
}

#[tokio::test]
async fn an_order_dropped_at_any_point_is_whole_or_not_there() {
    let world = World::new().await;
    let stock = world.stock(COFFEE).await;

    for _ in 0..10 {
        let mut polls = 1;
        while !drop_after(polls, &world).await {
            // The next writer waits until the dropped one is rolled back, or committed.
            world.execute("SELECT 1").await;
            let orders = world.ids_of_orders().await.len();
            let lines = world.everything().await.iter().filter(|row| row.starts_with("[\"line\"")).count();
            assert_eq!(lines, orders);
            assert_eq!(world.stock(COFFEE).await, stock - i64::try_from(orders).unwrap());
            polls += 1;
        }
        assert!(polls > 1, "the call was never dropped half-way");
    }
}

async fn drop_after(polls: u32, world: &World) -> bool {
    let order = order(COFFEE, 1, "tok_ok").to_string();
    poll_at_most(polls, world.send(request("POST", "acme", "/orders", order.into()))).await
}

/// Polls so many times, then drops; says whether the future came to its end.
async fn poll_at_most<F: Future>(polls: u32, future: F) -> bool {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if future.as_mut().poll(context).is_ready() {
            return std::task::Poll::Ready(true);
        }
        left -= 1;
        if left == 0 { std::task::Poll::Ready(false) } else { std::task::Poll::Pending }
    })
    .await
}
