//! The suite of idempotency stores: a sound one passes, and each kind of broken one is caught.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use mainstay_core::idempotency::{
    Claim, Completion, Decision, Entry, Fingerprint, Key, Standing, State, Store, StoreError, Token,
};
use mainstay_testkit::idempotency::idempotency_store_contract;

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    GrantsTwice,
    IgnoresTheFingerprint,
    NeverEndsALease,
    ForgetsFencing,
    ReusesTokens,
    LosesBytes,
    KeepsForEver,
    LetsStrangersRelease,
    RenewsNothing,
    CallsAnEmptyAnswerNone,
    GrantsTwoHeirs,
    RenewsWhatIsDone,
    CompletesWhatIsDone,
}

struct Faulty {
    fault: Fault,
    all: Mutex<(u64, HashMap<Key, Entry>)>,
}

impl Faulty {
    fn with(fault: Fault) -> Self {
        Self { fault, all: Mutex::default() }
    }

    fn change(&self, key: &Key, token: Token, then: Option<State>) -> Standing {
        let mut all = self.all.lock().unwrap();
        let is_release = then.is_none();
        let to_done = matches!(then, Some(State::Done { .. }));
        let held = all.1.get_mut(key).filter(|entry| {
            entry.is_held_by(token)
                || self.fault == Fault::ForgetsFencing
                || self.fault == Fault::LetsStrangersRelease && is_release
                || matches!(entry.state, State::Done { .. })
                    && (self.fault == Fault::RenewsWhatIsDone && !is_release && !to_done
                        || self.fault == Fault::CompletesWhatIsDone && to_done)
        });
        let Some(entry) = held else { return Standing::Lost };
        match then {
            Some(state) => entry.state = state,
            None => drop(all.1.remove(key)),
        }
        Standing::Held
    }
}

impl Store for Faulty {
    async fn claim(
        &self,
        key: &Key,
        fingerprint: &Fingerprint,
        lease: Duration,
        now: SystemTime,
    ) -> Result<Claim, StoreError> {
        let known = self.all.lock().unwrap().1.get(key).cloned();
        if self.fault == Fault::GrantsTwice || self.fault == Fault::GrantsTwoHeirs && known.is_some() {
            // Another claim comes between the look and the deed.
            tokio::task::yield_now().await;
        }
        let mut all = self.all.lock().unwrap();
        let now = match (&known, self.fault) {
            (Some(Entry { state: State::InFlight { .. }, .. }), Fault::NeverEndsALease)
            | (Some(Entry { state: State::Done { .. }, .. }), Fault::KeepsForEver) => SystemTime::UNIX_EPOCH,
            _ => now,
        };
        let fingerprint = match (&known, self.fault) {
            (Some(entry), Fault::IgnoresTheFingerprint) => &entry.fingerprint.clone(),
            _ => fingerprint,
        };
        match Entry::decide(known.as_ref(), fingerprint, now) {
            Decision::InFlight { retry_after } => return Ok(Claim::InFlight { retry_after }),
            Decision::Mismatch => return Ok(Claim::Mismatch),
            Decision::Done(completion) => return Ok(Claim::Done(completion.clone())),
            Decision::Grant => {}
        }
        if self.fault != Fault::ReusesTokens || all.1.is_empty() {
            all.0 += 1;
        }
        let number = if self.fault == Fault::ReusesTokens { 1 } else { all.0 };
        let token = Token::new(number);
        let state = State::InFlight { token, lease_until: now + lease };
        all.1.insert(*key, Entry { fingerprint: *fingerprint, state });
        Ok(Claim::Granted(token))
    }

    async fn renew(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        now: SystemTime,
    ) -> Result<Standing, StoreError> {
        if self.fault == Fault::RenewsNothing {
            let held = self.all.lock().unwrap().1.get(key).is_some_and(|entry| entry.is_held_by(token));
            return Ok(if held { Standing::Held } else { Standing::Lost });
        }
        Ok(self.change(key, token, Some(State::InFlight { token, lease_until: now + lease })))
    }

    async fn complete(
        &self,
        key: &Key,
        token: Token,
        completion: Completion,
        retention: Duration,
        now: SystemTime,
    ) -> Result<Standing, StoreError> {
        let completion = match (completion, self.fault) {
            (Completion::Replayable(answer), Fault::LosesBytes) => {
                Completion::Replayable(String::from_utf8_lossy(&answer).as_bytes().into())
            }
            (Completion::Replayable(answer), Fault::CallsAnEmptyAnswerNone) if answer.is_empty() => {
                Completion::NotReplayable
            }
            (completion, _) => completion,
        };
        Ok(self.change(key, token, Some(State::Done { completion, kept_until: now + retention })))
    }

    async fn release(&self, key: &Key, token: Token) -> Result<Standing, StoreError> {
        Ok(self.change(key, token, None))
    }
}

#[tokio::test]
async fn a_sound_store_passes() {
    idempotency_store_contract(async || Faulty::with(Fault::None)).await;
}

#[tokio::test]
async fn each_fault_is_caught_and_named() {
    for (fault, said) in [
        (Fault::GrantsTwice, "exactly one is granted"),
        (Fault::IgnoresTheFingerprint, "another payload is a mismatch"),
        (Fault::NeverEndsALease, "30 s"),
        (Fault::ForgetsFencing, "who lost its claim changes nothing"),
        (Fault::ReusesTokens, "token"),
        (Fault::LosesBytes, "as it was given"),
        (Fault::KeepsForEver, "free for anything"),
        (Fault::LetsStrangersRelease, "by releasing"),
        (Fault::RenewsNothing, "a renewed lease begins at the renewal"),
        (Fault::CallsAnEmptyAnswerNone, "as it was given"),
        (Fault::GrantsTwoHeirs, "exactly one is granted"),
        (Fault::RenewsWhatIsDone, "what is done is not renewed"),
        (Fault::CompletesWhatIsDone, "when it is done"),
    ] {
        let suite = tokio::spawn(idempotency_store_contract(async move || Faulty::with(fault)));
        let panic = suite.await.unwrap_err().into_panic();
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        let text =
            if text.is_empty() { (*panic.downcast_ref::<&str>().unwrap_or(&"")).to_owned() } else { text };
        assert!(text.contains(said), "{fault:?} is told as {text:?}");
    }
}
