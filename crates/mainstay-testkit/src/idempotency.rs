//! What every store of idempotency keys must hold, whatever it is made of.
//!
//! ```
//! use mainstay_testkit::idempotency::idempotency_store_contract;
//! # use std::{collections::HashMap, sync::Mutex, time::{Duration, SystemTime}};
//! # use mainstay_core::idempotency::*;
//! # #[derive(Default)] struct MyStore(Mutex<(u64, HashMap<Key, Entry>)>);
//! # impl MyStore { fn held(&self, key: &Key, token: Token, then: Option<State>) -> Result<Standing, StoreError> {
//! #     let mut all = self.0.lock().unwrap();
//! #     let Some(entry) = all.1.get_mut(key).filter(|entry| entry.is_held_by(token)) else { return Ok(Standing::Lost) };
//! #     match then { Some(state) => entry.state = state, None => { all.1.remove(key); } }
//! #     Ok(Standing::Held) } }
//! # impl Store for MyStore {
//! #     async fn claim(&self, key: &Key, fingerprint: &Fingerprint, lease: Duration, now: SystemTime) -> Result<Claim, StoreError> {
//! #         let mut all = self.0.lock().unwrap();
//! #         match Entry::decide(all.1.get(key), fingerprint, now) {
//! #             Decision::InFlight { retry_after } => return Ok(Claim::InFlight { retry_after }),
//! #             Decision::Mismatch => return Ok(Claim::Mismatch),
//! #             Decision::Done(completion) => return Ok(Claim::Done(completion.clone())),
//! #             Decision::Grant => {} }
//! #         all.0 += 1;
//! #         let token = Token::new(all.0);
//! #         all.1.insert(*key, Entry { fingerprint: *fingerprint, state: State::InFlight { token, lease_until: now + lease } });
//! #         Ok(Claim::Granted(token)) }
//! #     async fn renew(&self, key: &Key, token: Token, lease: Duration, now: SystemTime) -> Result<Standing, StoreError> {
//! #         self.held(key, token, Some(State::InFlight { token, lease_until: now + lease })) }
//! #     async fn complete(&self, key: &Key, token: Token, completion: Completion, retention: Duration, now: SystemTime) -> Result<Standing, StoreError> {
//! #         self.held(key, token, Some(State::Done { completion, kept_until: now + retention })) }
//! #     async fn release(&self, key: &Key, token: Token) -> Result<Standing, StoreError> { self.held(key, token, None) }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // Makes a store without any key in it, as often as it is asked.
//! idempotency_store_contract(async || MyStore::default()).await;
//! # }
//! ```
//!
//! The stores are only told what time it is: nothing waits, and no clock is read.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use mainstay_core::idempotency::{Claim, Completion, Fingerprint, Key, Standing, Store, Token};

const KEY: Key = Key::new([0xa1; 32]);
const OTHER_KEY: Key = Key::new([0xa2; 32]);
const MINE: Fingerprint = Fingerprint::new([0xb1; 32]);
const ANOTHER: Fingerprint = Fingerprint::new([0xb2; 32]);
const LEASE: Duration = Duration::from_secs(30);
const RETENTION: Duration = Duration::from_secs(3_600);

/// A store under test, with the words of the trait in short.
struct Subject<S>(S);

/// Checks all laws of [`Store`], each on a store of its own.
///
/// # Panics
///
/// When one of them is broken; the message says which.
pub async fn idempotency_store_contract<S: Store>(make: impl AsyncFn() -> S) {
    one_claim_of_many_is_granted(&Subject(make().await)).await;
    a_claim_in_flight_tells_others_how_long(&Subject(make().await)).await;
    a_key_is_for_one_payload(&Subject(make().await)).await;
    keys_are_apart(&Subject(make().await)).await;
    what_was_done_comes_back_byte_for_byte(&Subject(make().await)).await;
    what_was_not_kept_is_told_apart(&Subject(make().await)).await;
    an_answer_is_forgotten_at_its_time(&Subject(make().await)).await;
    who_lost_its_claim_is_fenced(&Subject(make().await)).await;
    a_released_call_is_free_at_once(&Subject(make().await)).await;
    a_renewed_lease_lasts_longer(&Subject(make().await)).await;
    a_stranger_changes_nothing(&Subject(make().await)).await;
    one_of_many_heirs_is_granted(&Subject(make().await)).await;
    what_is_done_stays_done(&Subject(make().await)).await;
}

// === the laws ===

async fn one_claim_of_many_is_granted<S: Store>(store: &Subject<S>) {
    let claims = join_all((0..64).map(|_| store.claim(&KEY, &MINE, 0))).await;
    let granted = claims.iter().filter(|claim| matches!(claim, Claim::Granted(_))).count();
    assert_eq!(granted, 1, "of 64 claims of one call at once, exactly one is granted");
    let waiting = claims.iter().filter(|claim| matches!(claim, Claim::InFlight { .. })).count();
    assert_eq!(waiting, 63, "all others are told that it is in flight: {claims:?}");
}

async fn a_claim_in_flight_tells_others_how_long<S: Store>(store: &Subject<S>) {
    store.granted(&KEY, 0).await;
    for (second, left) in [(0, 30), (10, 20), (29, 1)] {
        let claim = store.claim(&KEY, &MINE, second).await;
        let expected = Claim::InFlight { retry_after: Duration::from_secs(left) };
        assert_eq!(claim, expected, "{second} s into a lease of 30 s");
    }
}

async fn a_key_is_for_one_payload<S: Store>(store: &Subject<S>) {
    let token = store.granted(&KEY, 0).await;
    let message = "the same key with another payload is a mismatch";
    assert_eq!(store.claim(&KEY, &ANOTHER, 1).await, Claim::Mismatch, "{message}, in flight");
    assert_eq!(store.claim(&KEY, &ANOTHER, 31).await, Claim::Mismatch, "{message}, after its lease");
    store.complete(&KEY, token, kept(b"done"), 2).await;
    assert_eq!(store.claim(&KEY, &ANOTHER, 3).await, Claim::Mismatch, "{message}, when done");
}

async fn keys_are_apart<S: Store>(store: &Subject<S>) {
    let token = store.granted(&KEY, 0).await;
    let other = store.granted(&OTHER_KEY, 0).await;
    assert_ne!(token, other, "two claims have two tokens");
    store.complete(&KEY, token, kept(b"one"), 1).await;
    assert!(
        matches!(store.claim(&OTHER_KEY, &MINE, 1).await, Claim::InFlight { .. }),
        "the other key's call goes on"
    );
}

async fn what_was_done_comes_back_byte_for_byte<S: Store>(store: &Subject<S>) {
    let every_byte: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    for (number, answer) in [&b""[..], b"\0", &every_byte].into_iter().enumerate() {
        let key = Key::new([u8::try_from(number).unwrap_or_default(); 32]);
        let token = store.granted(&key, 0).await;
        assert_eq!(store.complete(&key, token, kept(answer), 1).await, Standing::Held, "the owner completes");
        for second in [1, 3_600] {
            let claim = store.claim(&key, &MINE, second).await;
            assert_eq!(claim, Claim::Done(kept(answer)), "an answer comes back as it was given");
        }
    }
}

async fn what_was_not_kept_is_told_apart<S: Store>(store: &Subject<S>) {
    let token = store.granted(&KEY, 0).await;
    store.complete(&KEY, token, Completion::NotReplayable, 1).await;
    let claim = store.claim(&KEY, &MINE, 2).await;
    assert_eq!(
        claim,
        Claim::Done(Completion::NotReplayable),
        "a call that was done stays done without an answer"
    );
}

#[allow(clippy::panic, reason = "a broken law has to fail the test that asks for it")]
async fn an_answer_is_forgotten_at_its_time<S: Store>(store: &Subject<S>) {
    let token = store.granted(&KEY, 0).await;
    store.complete(&KEY, token, kept(b"done"), 0).await;
    let last = store.claim(&KEY, &MINE, RETENTION.as_secs() - 1).await;
    assert_eq!(last, Claim::Done(kept(b"done")), "an answer is kept for its whole retention");
    let claim = store.claim(&KEY, &ANOTHER, RETENTION.as_secs()).await;
    let Claim::Granted(again) = claim else { panic!("from then on the key is free for anything: {claim:?}") };
    assert!(again > token, "a later claim has a higher token, also of a key that was forgotten");
}

#[allow(clippy::panic, reason = "a broken law has to fail the test that asks for it")]
async fn a_released_call_is_free_at_once<S: Store>(store: &Subject<S>) {
    let token = store.granted(&KEY, 0).await;
    assert_eq!(store.release(&KEY, token).await, Standing::Held, "the owner gives its claim back");
    let claim = store.claim(&KEY, &ANOTHER, 0).await;
    let Claim::Granted(again) = claim else { panic!("a released key is free for anything: {claim:?}") };
    assert!(again > token, "a later claim has a higher token");
    assert_eq!(store.release(&KEY, token).await, Standing::Lost, "a claim is given back once");
}

async fn a_renewed_lease_lasts_longer<S: Store>(store: &Subject<S>) {
    let token = store.granted(&KEY, 0).await;
    assert_eq!(store.renew(&KEY, token, 20).await, Standing::Held, "the owner renews");
    let claim = store.claim(&KEY, &MINE, 40).await;
    assert_eq!(
        claim,
        Claim::InFlight { retry_after: Duration::from_secs(10) },
        "a renewed lease begins at the renewal"
    );
    assert_eq!(
        store.renew(&KEY, token, 60).await,
        Standing::Held,
        "an ended lease is renewed, if nobody took over"
    );
    assert!(matches!(store.claim(&KEY, &MINE, 61).await, Claim::InFlight { .. }), "and holds again");
    assert_eq!(
        store.complete(&KEY, token, kept(b"done"), 200).await,
        Standing::Held,
        "as long as nobody took over"
    );
}

async fn who_lost_its_claim_is_fenced<S: Store>(store: &Subject<S>) {
    let first = store.granted(&KEY, 0).await;
    let second = store.granted(&KEY, 30).await;
    assert!(second > first, "a later claim has a higher token");
    let message = "who lost its claim changes nothing";
    assert_eq!(store.renew(&KEY, first, 31).await, Standing::Lost, "{message} by renewing");
    assert_eq!(store.release(&KEY, first).await, Standing::Lost, "{message} by releasing");
    assert_eq!(
        store.complete(&KEY, first, kept(b"first"), 31).await,
        Standing::Lost,
        "{message} by completing"
    );
    let claim = store.claim(&KEY, &MINE, 31).await;
    assert_eq!(
        claim,
        Claim::InFlight { retry_after: Duration::from_secs(29) },
        "{message}: the successor's lease stands"
    );
    assert_eq!(
        store.complete(&KEY, second, kept(b"second"), 32).await,
        Standing::Held,
        "the successor completes"
    );
    assert_eq!(
        store.complete(&KEY, first, kept(b"first"), 33).await,
        Standing::Lost,
        "{message} when it is done"
    );
    assert_eq!(store.release(&KEY, second).await, Standing::Lost, "what is done cannot be released");
    assert_eq!(
        store.claim(&KEY, &MINE, 34).await,
        Claim::Done(kept(b"second")),
        "the successor's answer stands"
    );
}

async fn a_stranger_changes_nothing<S: Store>(store: &Subject<S>) {
    let nobody = Token::new(u64::MAX >> 1);
    assert_eq!(
        store.complete(&KEY, nobody, kept(b"mine"), 0).await,
        Standing::Lost,
        "nobody completes what nobody claimed"
    );
    let token = store.granted(&KEY, 0).await;
    assert_eq!(store.release(&KEY, nobody).await, Standing::Lost, "a stranger releases nothing");
    assert_eq!(store.release(&OTHER_KEY, token).await, Standing::Lost, "a token is for its key");
    assert!(matches!(store.claim(&KEY, &MINE, 1).await, Claim::InFlight { .. }), "the claim stands");
}

async fn one_of_many_heirs_is_granted<S: Store>(store: &Subject<S>) {
    let token = store.granted(&KEY, 0).await;
    let heirs = join_all((0..64).map(|_| store.claim(&KEY, &MINE, 30))).await;
    let granted = |claims: &[Claim]| claims.iter().filter(|claim| matches!(claim, Claim::Granted(_))).count();
    assert_eq!(granted(&heirs), 1, "of 64 that take over at the end of a lease, exactly one is granted");
    let done = store.granted(&OTHER_KEY, 0).await;
    store.complete(&OTHER_KEY, done, kept(b"done"), 0).await;
    let later = join_all((0..64).map(|_| store.claim(&OTHER_KEY, &MINE, RETENTION.as_secs()))).await;
    assert_eq!(granted(&later), 1, "of 64 that come when an answer was forgotten, exactly one is granted");
    assert_eq!(
        store.complete(&KEY, token, kept(b"late"), 31).await,
        Standing::Lost,
        "the first owner is fenced"
    );
}

async fn what_is_done_stays_done<S: Store>(store: &Subject<S>) {
    let token = store.granted(&KEY, 0).await;
    let other = store.granted(&OTHER_KEY, 0).await;
    assert_eq!(store.renew(&KEY, other, 1).await, Standing::Lost, "another key's token renews nothing");
    let by_other = store.complete(&KEY, other, kept(b"other"), 1).await;
    assert_eq!(by_other, Standing::Lost, "another key's token completes nothing");
    store.complete(&KEY, token, kept(b"done"), 1).await;
    assert_eq!(store.renew(&KEY, token, 2).await, Standing::Lost, "what is done is not renewed");
    let again = store.complete(&KEY, token, kept(b"again"), 2).await;
    assert_eq!(again, Standing::Lost, "what is done is not completed again");
    assert_eq!(store.claim(&KEY, &MINE, 3).await, Claim::Done(kept(b"done")), "and its answer stands");
}

// === impl Subject ===

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second)
}

fn kept(answer: &[u8]) -> Completion {
    Completion::Replayable(answer.into())
}

impl<S: Store> Subject<S> {
    async fn claim(&self, key: &Key, fingerprint: &Fingerprint, second: u64) -> Claim {
        self.0.claim(key, fingerprint, LEASE, at(second)).await.expect("the store is there")
    }

    #[allow(clippy::panic, reason = "a broken law has to fail the test that asks for it")]
    async fn granted(&self, key: &Key, second: u64) -> Token {
        match self.claim(key, &MINE, second).await {
            Claim::Granted(token) => token,
            other => panic!("a call that nobody works on is granted at {second} s, found {other:?}"),
        }
    }

    async fn renew(&self, key: &Key, token: Token, second: u64) -> Standing {
        self.0.renew(key, token, LEASE, at(second)).await.expect("the store is there")
    }

    async fn complete(&self, key: &Key, token: Token, completion: Completion, second: u64) -> Standing {
        self.0.complete(key, token, completion, RETENTION, at(second)).await.expect("the store is there")
    }

    async fn release(&self, key: &Key, token: Token) -> Standing {
        self.0.release(key, token).await.expect("the store is there")
    }
}
