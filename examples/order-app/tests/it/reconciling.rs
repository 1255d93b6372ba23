//! Orders whose payment ended without an answer are settled later.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use order_app::moment::Moment;
use order_app::ordering::Report;

use crate::support::{Gate, LAST_ONE, Never, Provider, World, in_time, order, request};

const SOON: Duration = Duration::from_secs(59);
const LATER: Duration = Duration::from_secs(61);
const SETTLED: Report = Report { settled: 1, left: 0 };

#[tokio::test]
async fn an_order_left_by_a_crash_is_settled_after_a_minute() {
    let mut world = World::new().await;
    world.pay_with(Arc::new(Never));
    let id = order_and_leave(&world).await;
    assert_eq!(world.status(&id).await, "pending_payment");
    assert_eq!(world.stock(LAST_ONE).await, 0);

    world.pay_with(world.provider.payments());
    let reconciler = world.app.reconciler();
    assert_eq!(reconciler.run_once(Moment::now().later(SOON)).await, Report::default());
    assert_eq!(world.status(&id).await, "pending_payment");

    assert_eq!(reconciler.run_once(Moment::now().later(LATER)).await, SETTLED);
    assert_eq!(world.status(&id).await, "payment_failed");
    assert_eq!(world.stock(LAST_ONE).await, 1);
    assert_eq!(world.provider.figures().cancelled_before_charge, 1);

    assert_eq!(reconciler.run_once(Moment::now().later(LATER)).await, Report::default());
    assert_eq!(world.stock(LAST_ONE).await, 1);
}

#[tokio::test]
async fn a_slow_charge_is_barred_before_it_is_made() {
    let world = World::impatient().await;
    let id = world.order(LAST_ONE, "tok_slow").await.text("order_id");

    assert_eq!(world.app.reconciler().run_once(Moment::now().later(LATER)).await, SETTLED);

    assert_eq!(world.status(&id).await, "payment_failed");
    assert_eq!(world.stock(LAST_ONE).await, 1);
    let figures = world.provider.figures();
    assert_eq!((figures.succeeded, figures.cancelled_before_charge), (0, 1));
}

#[tokio::test]
async fn a_charge_whose_answer_was_lost_is_refunded() {
    let world = World::new().await;
    let id = world.confirmed_order(LAST_ONE).await;
    // As a crash between the charge and its recording leaves it.
    world.execute("UPDATE orders SET status = 'pending_payment', version = 1, payment_id = NULL").await;

    assert_eq!(world.app.reconciler().run_once(Moment::now().later(LATER)).await, SETTLED);

    assert_eq!(world.status(&id).await, "payment_failed");
    assert_eq!(world.stock(LAST_ONE).await, 1);
    assert_eq!(world.provider.figures().refunds, 1);
}

#[tokio::test]
async fn what_cannot_be_settled_is_left_for_the_next_run() {
    let mut world = World::new().await;
    world.pay_with(Arc::new(Never));
    let id = order_and_leave(&world).await;
    let away = Provider::absent().await;
    world.pay_with(away.payments());

    for _ in 0..2 {
        let report = world.app.reconciler().run_once(Moment::now().later(LATER)).await;
        assert_eq!(report, Report { settled: 0, left: 1 });
        assert_eq!(world.status(&id).await, "pending_payment");
        assert_eq!(world.stock(LAST_ONE).await, 0, "it may have been paid");
    }

    world.pay_with(world.provider.payments());
    assert_eq!(world.app.reconciler().run_once(Moment::now().later(LATER)).await, SETTLED);
    assert_eq!(world.status(&id).await, "payment_failed");
}

#[tokio::test]
async fn a_charge_that_comes_after_the_settlement_is_not_made() {
    let mut world = World::new().await;
    let gate = Gate::before_charge(world.provider.payments());

    check_settled_at(&mut world, &gate).await;

    let figures = world.provider.figures();
    assert_eq!((figures.succeeded, figures.cancelled_before_charge), (0, 1));
}

#[tokio::test]
async fn an_answer_that_comes_after_the_settlement_confirms_nothing() {
    let mut world = World::new().await;
    let gate = Gate::after_charge(world.provider.payments());

    check_settled_at(&mut world, &gate).await;

    let figures = world.provider.figures();
    assert_eq!((figures.succeeded, figures.refunds), (1, 1));
}

#[tokio::test]
async fn an_answer_that_comes_during_the_settlement_confirms_nothing() {
    let mut world = World::new().await;
    let paid = Gate::after_charge(world.provider.payments());
    let undoing = Gate::before_cancel(world.provider.payments());
    world.pay_with(Arc::<Gate>::clone(&undoing));
    let reconciler = world.app.reconciler();
    world.pay_with(Arc::<Gate>::clone(&paid));

    let placed = async {
        let answer = world.order(LAST_ONE, "tok_ok").await;
        undoing.open();
        answer
    };
    let settled = async {
        paid.arrival().await;
        reconciler.run_once(Moment::now().later(LATER)).await
    };
    let answer_arrives = async {
        undoing.arrival().await;
        paid.open();
    };
    let (answer, report, ()) = in_time(async { tokio::join!(placed, settled, answer_arrives) }).await;

    answer.assert_problem(StatusCode::GATEWAY_TIMEOUT, "/problems/payment-outcome-unknown");
    assert_eq!(report, SETTLED);
    assert_eq!(world.status(&answer.text("order_id")).await, "payment_failed");
    assert_eq!(world.stock(LAST_ONE).await, 1);
    let figures = world.provider.figures();
    assert_eq!((figures.succeeded, figures.refunds), (1, 1));
}

#[tokio::test]
async fn the_worker_runs_until_it_is_dropped() {
    let world = World::impatient().await;
    let id = world.order(LAST_ONE, "tok_slow").await.text("order_id");
    world.execute("UPDATE orders SET created_at = '2026-01-01T00:00:00.000Z'").await;

    let settled = async {
        while world.status(&id).await == "pending_payment" {
            tokio::task::yield_now().await;
        }
    };
    in_time(async {
    tokio::select! {
        () = world.app.reconciler().run(|| Duration::from_secs(3600)) => unreachable!("it never ends by itself"),
        () = settled => {}
    }
    }).await;

    assert_eq!(world.status(&id).await, "payment_failed");
}

/// An order whose payment waits at the gate is settled meanwhile; then the gate opens.
async fn check_settled_at(world: &mut World, gate: &Arc<Gate>) {
    world.pay_with(Arc::<Gate>::clone(gate));
    let settled_meanwhile = async {
        gate.arrival().await;
        let report = world.app.reconciler().run_once(Moment::now().later(LATER)).await;
        gate.open();
        report
    };

    let placed = world.order(LAST_ONE, "tok_ok");
    let (answer, report) = in_time(async { tokio::join!(placed, settled_meanwhile) }).await;

    assert_eq!(report, SETTLED);
    answer.assert_problem(StatusCode::SERVICE_UNAVAILABLE, "/problems/payment-unavailable");
    assert_eq!(world.status(&answer.text("order_id")).await, "payment_failed");
    assert_eq!(world.stock(LAST_ONE).await, 1);
}

/// Places an order, and goes away as soon as it is written.
async fn order_and_leave(world: &World) -> String {
    let body = order(LAST_ONE, 1, "tok_ok").to_string();
    let written = async {
        loop {
            if let Some(id) = world.ids_of_orders().await.pop() {
                return id;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = world.send(request("POST", "acme", "/orders", body.into())) => unreachable!("nobody answers"),
        id = written => id,
    }
}
