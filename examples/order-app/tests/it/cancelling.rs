//! Orders that are called off.

use http::StatusCode;
use order_app::moment::Moment;
use order_app::ordering::Report;

use crate::support::{LAST_ONE, Provider, World};

#[tokio::test]
async fn a_cancelled_order_gives_money_and_stock_back_once() {
    let world = World::new().await;
    let id = world.confirmed_order(LAST_ONE).await;
    assert_eq!(world.stock(LAST_ONE).await, 0);

    for _ in 0..2 {
        let cancelled = world.cancel(&id).await;
        assert_eq!(cancelled.status, StatusCode::OK);
        assert_eq!(cancelled.json["status"], "cancelled");
        assert_eq!(cancelled.json["items"][0]["sku"], LAST_ONE);
    }

    assert_eq!(world.stock(LAST_ONE).await, 1);
    assert_eq!(world.provider.figures().refunds, 1);
}

#[tokio::test]
async fn many_who_cancel_at_once_cancel_once() {
    let world = World::new().await;
    let id = world.confirmed_order(LAST_ONE).await;

    let answers = futures_util::future::join_all((0..20).map(|_| world.cancel(&id))).await;

    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK), "{answers:?}");
    assert_eq!(world.status(&id).await, "cancelled");
    assert_eq!(world.stock(LAST_ONE).await, 1);
    assert_eq!(world.provider.figures().refunds, 1);
}

#[tokio::test]
async fn an_order_waits_to_be_cancelled_while_the_provider_is_away() {
    let mut world = World::new().await;
    let id = world.confirmed_order(LAST_ONE).await;
    let away = Provider::absent().await;
    world.pay_with(away.payments());

    for _ in 0..2 {
        let cancelling = world.cancel(&id).await;
        assert_eq!(cancelling.status, StatusCode::ACCEPTED);
        assert_eq!(cancelling.json["status"], "cancelling");
        assert_eq!(world.stock(LAST_ONE).await, 1);
    }
    assert_eq!(world.app.reconciler().run_once(Moment::now()).await, Report { settled: 0, left: 1 });
    assert_eq!(world.status(&id).await, "cancelling");

    world.pay_with(world.provider.payments());
    assert_eq!(world.app.reconciler().run_once(Moment::now()).await, Report { settled: 1, left: 0 });
    assert_eq!(world.status(&id).await, "cancelled");
    assert_eq!(world.stock(LAST_ONE).await, 1);
    assert_eq!(world.provider.figures().refunds, 1);
}

#[tokio::test]
async fn orders_that_were_not_confirmed_cannot_be_cancelled() {
    let world = World::impatient().await;

    for (token, status) in
        [("tok_declined", "declined"), ("tok_down", "payment_failed"), ("tok_slow", "pending_payment")]
    {
        let id = world.order(LAST_ONE, token).await.text("order_id");
        let before = world.everything().await;

        let answer = world.cancel(&id).await;

        answer.assert_problem(StatusCode::CONFLICT, "/problems/not-cancellable");
        assert!(answer.text("detail").contains(status));
        assert_eq!(world.everything().await, before);
    }
}
