//! What must hold of places and their queue, whatever order things happen in.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;

use super::{Count, Entry, HasPlaces, MOST, Permit, Places, Waiter};

struct Shared(Places);

impl HasPlaces for Shared {
    fn places(&self) -> &Places {
        &self.0
    }
}

type Waiting = Pin<Box<dyn Future<Output = Option<Permit<Shared>>> + Send>>;

fn places(limit: u32, most_waiting: u32) -> Arc<Shared> {
    Arc::new(Shared(Places::new(limit, most_waiting)))
}

fn poll(waiting: &mut Waiting) -> Poll<Option<Permit<Shared>>> {
    waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn the_highest_numbers_fit_beside_each_other() {
    let count = Count { limit: MOST, in_flight: MOST - 1, waiting: MOST };
    assert_eq!(Count::unpack(count.pack()), count);
    let places = Places::new(u32::MAX, u32::MAX);
    assert_eq!((places.count().limit, places.most_waiting), (MOST, MOST));
    assert_eq!(Places::new(0, 0).count().limit, 1);
}

#[test]
fn a_place_that_a_higher_limit_frees_is_for_those_that_wait_also_before_it_is_handed_over() {
    let shared = places(1, 2);
    let Entry::Free(_first) = Entry::of(&shared) else { panic!("it is free") };
    let Entry::Queued(waiter) = Entry::of(&shared) else { panic!("it is taken") };
    let mut waiting: Waiting = Box::pin(waiter.turn(None));
    shared.0.set_limit(2);
    let Entry::Queued(_newcomer) = Entry::of(&shared) else { panic!("it overtook") };
    shared.0.serve();
    assert!(poll(&mut waiting).is_ready());
}

#[test]
fn the_queue_is_in_the_order_of_the_calls_whoever_is_polled_first() {
    let shared = places(1, 2);
    let Entry::Free(running) = Entry::of(&shared) else { panic!("it is free") };
    let queued = || -> Waiting {
        let Entry::Queued(waiter) = Entry::of(&shared) else { panic!("it is taken") };
        Box::pin(waiter.turn(None))
    };
    let (mut first, mut second) = (queued(), queued());
    assert!(poll(&mut second).is_pending());
    drop(running);
    assert!(poll(&mut second).is_pending() && poll(&mut first).is_ready());
}

#[test]
fn a_waker_may_use_the_places_that_wake_it() {
    /// Leaves the queue when it is woken, as a task does that is dropped by its last waker.
    struct Leaves(Mutex<Option<Waiter<Shared>>>);

    impl Wake for Leaves {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }

    let queued = |shared: &Arc<Shared>| match Entry::of(shared) {
        Entry::Queued(waiter) => waiter,
        Entry::Free(_) | Entry::Full => panic!("it is taken, and the queue has room"),
    };
    let give_back: fn(&Shared, Permit<Shared>) = |_, running| drop(running);
    let raise_limit: fn(&Shared, Permit<Shared>) = |shared, running| {
        shared.0.set_limit(2);
        shared.0.serve();
        drop(running);
    };
    for wake in [give_back, raise_limit] {
        let shared = places(1, 2);
        let Entry::Free(running) = Entry::of(&shared) else { panic!("it is free") };
        let mut first: Waiting = Box::pin(queued(&shared).turn(None));
        let waker = Arc::new(Leaves(Mutex::new(Some(queued(&shared))))).into();
        assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        wake(&shared, running);
        assert_eq!((shared.0.count().in_flight, shared.0.count().waiting), (1, 0));
        drop(first);
        assert_eq!(shared.0.count().in_flight, 0);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Arrive,
    /// A running call ends, the one at this index modulo how many there are.
    End(usize),
    /// A call leaves the queue before it has looked whether it has a place by now.
    Leave(usize),
    /// A call in the queue looks.
    Look(usize),
    Limit(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Arrive),
        3 => any::<usize>().prop_map(Step::End),
        1 => any::<usize>().prop_map(Step::Leave),
        2 => any::<usize>().prop_map(Step::Look),
        1 => (1_u32..6).prop_map(Step::Limit),
    ]
}

/// The rule told slowly: a list of those who run, and a list of those who wait in their order, some with a place already.
#[derive(Default)]
struct Model {
    limit: usize,
    running: usize,
    // Whether it was handed a place.
    queue: VecDeque<bool>,
}

impl Model {
    fn in_flight(&self) -> usize {
        self.running + self.queue.iter().filter(|has_place| **has_place).count()
    }

    fn waiting(&self) -> usize {
        self.queue.iter().filter(|has_place| !**has_place).count()
    }

    fn serve(&mut self) {
        while self.in_flight() < self.limit {
            let Some(first) = self.queue.iter_mut().find(|has_place| !**has_place) else { break };
            *first = true;
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_places_do_what_the_model_does(
        limit in 1_u32..5, most_waiting in 0_usize..5, steps in proptest::collection::vec(step(), 1..120),
    ) {
        let shared = places(limit, u32::try_from(most_waiting).unwrap());
        let mut model = Model { limit: limit as usize, ..Model::default() };
        let mut running: Vec<Permit<Shared>> = Vec::new();
        let mut queue: VecDeque<Waiting> = VecDeque::new();
        for step in steps {
            match step {
                Step::Arrive => match Entry::of(&shared) {
                    Entry::Free(permit) => {
                        prop_assert!(model.waiting() == 0 && model.in_flight() < model.limit, "it overtook");
                        running.push(permit);
                        model.running += 1;
                    }
                    Entry::Queued(waiter) => {
                        prop_assert!(model.waiting() < most_waiting && model.in_flight() >= model.limit);
                        let mut waiting: Waiting = Box::pin(waiter.turn(None));
                        prop_assert!(poll(&mut waiting).is_pending());
                        queue.push_back(waiting);
                        model.queue.push_back(false);
                    }
                    Entry::Full => prop_assert!(model.waiting() == most_waiting && model.in_flight() >= model.limit),
                },
                Step::End(index) if !running.is_empty() => {
                    let index = index % running.len();
                    drop(running.swap_remove(index));
                    model.running -= 1;
                }
                Step::Leave(index) if !queue.is_empty() => {
                    let index = index % queue.len();
                    drop(queue.remove(index));
                    model.queue.remove(index);
                }
                Step::Look(index) if !queue.is_empty() => {
                    let index = index % queue.len();
                    let looked = poll(&mut queue[index]);
                    prop_assert_eq!(looked.is_ready(), model.queue[index], "in the order of the queue");
                    if let Poll::Ready(permit) = looked {
                        running.push(permit.unwrap());
                        drop(queue.remove(index));
                        model.queue.remove(index);
                        model.running += 1;
                    }
                }
                Step::Limit(limit) => {
                    shared.0.set_limit(limit);
                    shared.0.serve();
                    model.limit = limit as usize;
                }
                Step::End(_) | Step::Leave(_) | Step::Look(_) => {}
            }
            model.serve();
            let count = shared.0.count();
            prop_assert_eq!((count.in_flight as usize, count.waiting as usize), (model.in_flight(), model.waiting()));
            prop_assert_eq!(count.limit as usize, model.limit);
        }
        running.clear();
        queue.clear();
        let limit = shared.0.count().limit;
        prop_assert_eq!(shared.0.count(), Count { limit, in_flight: 0, waiting: 0 });
        prop_assert!(shared.0.lock().waiting.is_empty());
    }
}

/// Without a change of the limit, so that what runs may be held against it at every moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_there_are_never_more_than_the_limit_and_everybody_has_a_turn() {
    let shared = places(3, 1000);
    let running = Arc::new(AtomicU32::new(0));
    let one = |number: u32| {
        let (shared, running) = (Arc::clone(&shared), Arc::clone(&running));
        async move {
            for round in 0..200 {
                // Every fifth looks once and leaves, with or without a place.
                let leaves = (number + round).is_multiple_of(5);
                let permit = match Entry::of(&shared) {
                    Entry::Free(permit) => permit,
                    Entry::Full => panic!("the queue has room"),
                    Entry::Queued(waiter) => {
                        let mut turn: Waiting = Box::pin(waiter.turn(None));
                        if leaves && poll(&mut turn).is_pending() {
                            continue;
                        }
                        let turn = if leaves { None } else { turn.await };
                        let Some(permit) = turn else { continue };
                        permit
                    }
                };
                assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                drop(permit);
            }
        }
    };
    let tasks: Vec<_> = (0..32).map(|number| tokio::spawn(one(number))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(shared.0.count(), Count { limit: 3, in_flight: 0, waiting: 0 });
    assert!(shared.0.lock().waiting.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_a_limit_that_moves_loses_no_place_and_leaves_nobody_waiting() {
    let shared = places(1, 1000);
    let one = || {
        let shared = Arc::clone(&shared);
        async move {
            for _ in 0..200 {
                let permit = match Entry::of(&shared) {
                    Entry::Free(permit) => Some(permit),
                    Entry::Queued(waiter) => waiter.turn(None).await,
                    Entry::Full => panic!("the queue has room"),
                };
                tokio::task::yield_now().await;
                drop(permit);
            }
        }
    };
    let tasks: Vec<_> = (0..16).map(|_| tokio::spawn(one())).collect();
    for limit in (1..8).cycle().take(400) {
        shared.0.set_limit(limit);
        shared.0.serve();
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    let limit = shared.0.count().limit;
    assert_eq!(shared.0.count(), Count { limit, in_flight: 0, waiting: 0 });
    assert!(shared.0.lock().waiting.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_calls_that_are_aborted_at_any_moment_leave_nothing_behind() {
    let shared = places(2, 1000);
    for _ in 0..200 {
        let tasks: Vec<_> = (0..12)
            .map(|_| {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let permit = match Entry::of(&shared) {
                        Entry::Free(permit) => Some(permit),
                        Entry::Queued(waiter) => waiter.turn(None).await,
                        Entry::Full => panic!("the queue has room"),
                    };
                    tokio::task::yield_now().await;
                    drop(permit);
                })
            })
            .collect();
        for task in tasks.iter().step_by(2) {
            task.abort();
        }
        for (number, task) in tasks.into_iter().enumerate() {
            assert!(task.await.is_ok() || number % 2 == 0, "a call that nobody aborted had its turn");
        }
        assert_eq!(shared.0.count(), Count { limit: 2, in_flight: 0, waiting: 0 });
        assert!(shared.0.lock().waiting.is_empty());
    }
}
