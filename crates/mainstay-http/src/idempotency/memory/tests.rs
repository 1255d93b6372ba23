//! What must hold of the store in memory, besides what its conformance suite asks.

use std::collections::HashMap;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use mainstay_core::idempotency::{
    Claim, Completion, Decision, Entry, Fingerprint, Key, Standing, State, Store, StoreError, Token,
};
use mainstay_testkit::idempotency::idempotency_store_contract;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::MemoryStore;

const LEASE: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(86_400);
const MINE: Fingerprint = Fingerprint::new([1; 32]);

fn key(number: u8) -> Key {
    Key::new([number; 32])
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn kept(bytes: usize) -> Completion {
    Completion::Replayable(vec![7; bytes].into())
}

/// No operation of this store waits for anything.
fn now<T>(operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    operation.now_or_never().expect("a store in memory answers at once")
}

fn claim(store: &MemoryStore, number: u8, seconds: u64) -> Result<Claim, StoreError> {
    now(store.claim(&key(number), &MINE, LEASE, at(seconds)))
}

fn granted(store: &MemoryStore, number: u8, seconds: u64) -> Token {
    match claim(store, number, seconds) {
        Ok(Claim::Granted(token)) => token,
        other => panic!("expected a claim to be granted, found {other:?}"),
    }
}

fn done(store: &MemoryStore, number: u8, seconds: u64, completion: Completion) {
    let token = granted(store, number, seconds);
    let completed = now(store.complete(&key(number), token, completion, DAY, at(seconds)));
    assert_eq!(completed.unwrap(), Standing::Held);
}

#[tokio::test]
async fn it_keeps_the_contract_of_stores() {
    idempotency_store_contract(async || MemoryStore::new(1_000, 1 << 20)).await;
}

#[test]
fn a_full_store_forgets_the_abandoned_then_the_oldest_and_never_who_works() {
    let store = MemoryStore::new(3, 1_000);
    granted(&store, 1, 0);
    done(&store, 2, 1, kept(10));
    done(&store, 3, 2, kept(10));
    // The abandoned one goes although it is not the oldest answer.
    granted(&store, 4, 31);
    assert_eq!(now(store.renew(&key(1), Token::new(1), LEASE, at(31))).unwrap(), Standing::Lost);
    assert!(matches!(claim(&store, 2, 31), Ok(Claim::Done(_))));
    granted(&store, 5, 31);
    granted(&store, 6, 31);
    assert!(matches!(claim(&store, 7, 31), Err(StoreError::Full)), "all three are being carried out");
    assert!(matches!(claim(&store, 4, 31), Ok(Claim::InFlight { .. })));
    assert_eq!((store.len(), store.bytes()), (3, 0));
}

#[test]
fn answers_are_bounded_in_bytes_and_one_that_is_too_large_is_remembered_without_its_text() {
    let store = MemoryStore::new(100, 100);
    done(&store, 1, 0, kept(60));
    done(&store, 2, 1, kept(60));
    assert_eq!(store.bytes(), 60, "the older answer made room");
    done(&store, 3, 2, kept(101));
    assert!(matches!(claim(&store, 3, 3), Ok(Claim::Done(Completion::NotReplayable))));
    assert!(matches!(claim(&store, 2, 3), Ok(Claim::Done(Completion::Replayable(_)))), "and took no other's");
}

#[test]
fn what_is_forgotten_leaves_nothing_behind() {
    let store = MemoryStore::new(100, 1_000);
    for number in 0..50 {
        done(&store, number, 0, kept(10));
    }
    assert_eq!((store.len(), store.bytes()), (50, 500));
    granted(&store, 99, DAY.as_secs());
    assert_eq!((store.len(), store.bytes()), (1, 0));
    now(store.release(&key(99), Token::new(51))).unwrap();
    assert!(store.is_empty());
}

#[test]
fn of_many_threads_one_is_granted_the_claim() {
    for round in 0..50 {
        let (store, barrier) = (Arc::new(MemoryStore::new(10, 10)), Arc::new(Barrier::new(8)));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (store, barrier) = (Arc::clone(&store), Arc::clone(&barrier));
                thread::spawn(move || {
                    barrier.wait();
                    claim(&store, 1, round).unwrap()
                })
            })
            .collect();
        let claims = threads.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(claims.filter(|claim| matches!(claim, Claim::Granted(_))).count(), 1);
    }
}

// === against a model that forgets nothing before its time ===

#[derive(Clone, Debug)]
enum Step {
    Claim { key: u8, fingerprint: u8 },
    Renew { claim: usize },
    Complete { claim: usize, size: Option<usize> },
    Release { claim: usize },
    Wait { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let claim = 0_usize..12;
    prop_oneof![
        4 => (0_u8..4, 0_u8..2).prop_map(|(key, fingerprint)| Step::Claim { key, fingerprint }),
        1 => claim.clone().prop_map(|claim| Step::Renew { claim }),
        2 => (claim.clone(), proptest::option::of(0_usize..50)).prop_map(|(claim, size)| Step::Complete { claim, size }),
        1 => claim.prop_map(|claim| Step::Release { claim }),
        2 => prop_oneof![Just(1), Just(29), Just(31), Just(50)].prop_map(|seconds| Step::Wait { seconds }),
    ]
}

proptest! {
    #[test]
    fn with_room_enough_it_is_the_rule_and_nothing_else(steps in vec(step(), 1..60)) {
        const RETENTION: Duration = Duration::from_secs(60);
        let store = MemoryStore::new(100, 10_000);
        let (mut model, mut claims, mut seconds) = (HashMap::<Key, Entry>::new(), Vec::new(), 0);
        for step in steps {
            match step {
                Step::Wait { seconds: waited } => seconds += waited,
                Step::Claim { key: number, fingerprint } => {
                    let fingerprint = Fingerprint::new([fingerprint; 32]);
                    let claim = now(store.claim(&key(number), &fingerprint, LEASE, at(seconds))).unwrap();
                    let expected = match Entry::decide(model.get(&key(number)), &fingerprint, at(seconds)) {
                        Decision::InFlight { retry_after } => Claim::InFlight { retry_after },
                        Decision::Mismatch => Claim::Mismatch,
                        Decision::Done(completion) => Claim::Done(completion.clone()),
                        Decision::Grant => {
                            let token = Token::new(claims.len() as u64 + 1);
                            let state = State::InFlight { token, lease_until: at(seconds) + LEASE };
                            model.insert(key(number), Entry { fingerprint, state });
                            claims.push((key(number), token));
                            Claim::Granted(token)
                        }
                    };
                    prop_assert_eq!(claim, expected);
                }
                Step::Renew { claim } | Step::Complete { claim, .. } | Step::Release { claim } => {
                    let Some((key, token)) = claims.get(claim).copied() else { continue };
                    let held = model.get(&key).is_some_and(|entry| entry.is_held_by(token));
                    let standing = match step {
                        Step::Renew { .. } => {
                            if held {
                                let state = State::InFlight { token, lease_until: at(seconds) + LEASE };
                                model.get_mut(&key).unwrap().state = state;
                            }
                            now(store.renew(&key, token, LEASE, at(seconds)))
                        }
                        Step::Complete { size, .. } => {
                            let completion = size.map_or(Completion::NotReplayable, kept);
                            if held {
                                let kept_until = at(seconds) + RETENTION;
                                let state = State::Done { completion: completion.clone(), kept_until };
                                model.get_mut(&key).unwrap().state = state;
                            }
                            now(store.complete(&key, token, completion, RETENTION, at(seconds)))
                        }
                        _ => {
                            if held {
                                model.remove(&key);
                            }
                            now(store.release(&key, token))
                        }
                    };
                    prop_assert_eq!(standing.unwrap() == Standing::Held, held);
                }
            }
        }
    }

    #[test]
    fn it_never_grows_beyond_its_bounds(
        steps in vec((any::<u8>(), 0_usize..120, any::<bool>()), 1..200), most in 1_usize..6,
    ) {
        let store = MemoryStore::new(most, 100);
        for (seconds, (number, size, completes)) in (0..).zip(steps) {
            if let Ok(Claim::Granted(token)) = claim(&store, number, seconds * 10)
                && completes
            {
                now(store.complete(&key(number), token, kept(size), DAY, at(seconds * 10))).unwrap();
            }
            prop_assert!(store.len() <= most && store.bytes() <= 100);
        }
    }
}
