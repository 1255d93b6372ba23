//! Idempotency keys in the memory of one process.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mainstay_core::idempotency::{
    Claim, Completion, Decision, Entry, Fingerprint, Key, Standing, State, Store, StoreError, Token,
};

/// A [`Store`] in memory, bounded in keys and bytes: for one process, whose restart forgets everything.
///
/// When it is full, it forgets first what was abandoned (a lease that has ended), then what is nearest to being forgotten
/// anyway; never a call that is being carried out. Nothing but such calls left: [`StoreError::Full`].
///
/// One lock for all keys, held for a few comparisons and never while anything is awaited. An operation costs the logarithm of
/// the number of keys; it allocates what the tables grow by.
#[derive(Debug)]
pub struct MemoryStore {
    max_entries: usize,
    max_bytes: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    /// When the leases of calls in flight end.
    leases: BTreeSet<(SystemTime, Key)>,
    /// Until when what was done is remembered.
    done: BTreeSet<(SystemTime, Key)>,
    /// Of all answers together.
    bytes: usize,
    /// Of the whole store, so that a key that was forgotten does not begin anew.
    last_token: u64,
}

// === impl MemoryStore ===

impl MemoryStore {
    /// A store of so many keys, and so many bytes of answers, at most.
    pub fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self { max_entries, max_bytes, table: Mutex::default() }
    }

    /// How many keys it knows now.
    pub fn len(&self) -> usize {
        self.table().entries.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes of answers it keeps now.
    pub fn bytes(&self) -> usize {
        self.table().bytes
    }

    /// No operation can panic half-way, so that a poisoned lock has nothing to tell.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    async fn claim(
        &self,
        key: &Key,
        fingerprint: &Fingerprint,
        lease: Duration,
        now: SystemTime,
    ) -> Result<Claim, StoreError> {
        let mut table = self.table();
        table.forget(now);
        match Entry::decide(table.entries.get(key), fingerprint, now) {
            Decision::InFlight { retry_after } => return Ok(Claim::InFlight { retry_after }),
            Decision::Mismatch => return Ok(Claim::Mismatch),
            Decision::Done(completion) => return Ok(Claim::Done(completion.clone())),
            Decision::Grant => table.remove(key),
        }
        while table.entries.len() >= self.max_entries {
            if !(table.remove_abandoned(now) || table.remove_nearest_to_forgotten()) {
                return Err(StoreError::Full);
            }
        }
        table.last_token += 1;
        let token = Token::new(table.last_token);
        table.insert(*key, *fingerprint, State::InFlight { token, lease_until: after(now, lease) });
        Ok(Claim::Granted(token))
    }

    async fn renew(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        now: SystemTime,
    ) -> Result<Standing, StoreError> {
        let mut table = self.table();
        let state = State::InFlight { token, lease_until: after(now, lease) };
        Ok(table.replace(key, token, state))
    }

    async fn complete(
        &self,
        key: &Key,
        token: Token,
        completion: Completion,
        retention: Duration,
        now: SystemTime,
    ) -> Result<Standing, StoreError> {
        let mut table = self.table();
        if !table.holds(key, token) {
            return Ok(Standing::Lost);
        }
        let size = size_of_answer(&completion);
        let has_room = size <= self.max_bytes;
        while has_room && table.bytes + size > self.max_bytes && table.remove_nearest_to_forgotten() {}
        let completion = if has_room { completion } else { Completion::NotReplayable };
        let state = State::Done { completion, kept_until: after(now, retention) };
        Ok(table.replace(key, token, state))
    }

    async fn release(&self, key: &Key, token: Token) -> Result<Standing, StoreError> {
        let mut table = self.table();
        if table.holds(key, token) {
            table.remove(key);
            Ok(Standing::Held)
        } else {
            Ok(Standing::Lost)
        }
    }
}

// === impl Table ===

impl Table {
    fn holds(&self, key: &Key, token: Token) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.is_held_by(token))
    }

    /// Puts the state in the place of the claim, if it is still the claimant's.
    fn replace(&mut self, key: &Key, token: Token, state: State) -> Standing {
        let Some(fingerprint) =
            self.entries.get(key).filter(|entry| entry.is_held_by(token)).map(|entry| entry.fingerprint)
        else {
            return Standing::Lost;
        };
        self.remove(key);
        self.insert(*key, fingerprint, state);
        Standing::Held
    }

    fn insert(&mut self, key: Key, fingerprint: Fingerprint, state: State) {
        match &state {
            State::InFlight { lease_until, .. } => self.leases.insert((*lease_until, key)),
            State::Done { completion, kept_until } => {
                self.bytes += size_of_answer(completion);
                self.done.insert((*kept_until, key))
            }
        };
        self.entries.insert(key, Entry { fingerprint, state });
    }

    fn remove(&mut self, key: &Key) {
        match self.entries.remove(key).map(|entry| entry.state) {
            Some(State::InFlight { lease_until, .. }) => {
                self.leases.remove(&(lease_until, *key));
            }
            Some(State::Done { completion, kept_until }) => {
                self.bytes -= size_of_answer(&completion);
                self.done.remove(&(kept_until, *key));
            }
            None => {}
        }
    }

    /// Everything that is not to be remembered any longer.
    fn forget(&mut self, now: SystemTime) {
        while let Some((kept_until, key)) = self.done.first().copied()
            && kept_until <= now
        {
            self.remove(&key);
        }
    }

    fn remove_abandoned(&mut self, now: SystemTime) -> bool {
        let abandoned = self.leases.first().copied().filter(|(lease_until, _)| *lease_until <= now);
        abandoned.map(|(_, key)| self.remove(&key)).is_some()
    }

    fn remove_nearest_to_forgotten(&mut self) -> bool {
        self.done.first().copied().map(|(_, key)| self.remove(&key)).is_some()
    }
}

fn size_of_answer(completion: &Completion) -> usize {
    match completion {
        Completion::Replayable(answer) => answer.len(),
        Completion::NotReplayable => 0,
    }
}

/// Saturates where the clock ends: about a hundred years on.
fn after(now: SystemTime, length: Duration) -> SystemTime {
    const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    now.checked_add(length.min(FAR)).unwrap_or(now)
}

#[cfg(test)]
mod tests;
