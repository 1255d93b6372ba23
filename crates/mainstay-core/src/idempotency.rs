//! One call, carried out once, however often it is sent: the words and the store of idempotency keys.
//!
//! A [`Store`] remembers which calls have begun and how they ended. It knows no protocol: a key and a fingerprint are
//! digests that an edge made, and what it keeps of an answer are bytes that only that edge reads. So the HTTP layer,
//! a message consumer and a table in a database share it.
//!
//! ```text
//!            claim                     complete
//!  (nothing) ─────► in flight, token ──────────► done, kept for a while ──► (nothing)
//!      ▲                │    │
//!      └──── release ───┘    └─ lease ended: the next claim takes over, with a higher token
//! ```
//!
//! Every claim has a [`Token`], and a later claim's is always higher. An owner that lost its claim (it stopped for longer
//! than its lease, and another took over) is *fenced*: what it wants to complete, renew or release is refused.
//!
//! [`Entry::decide`] is the rule itself, for a store that keeps entries; `mainstay-testkit` has a conformance suite for all.

use std::error::Error;
use std::fmt::{self, Debug, Display, Formatter};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Which call it is: a digest over the caller's key and everything that it is scoped by (tenant, principal, operation).
///
/// Always 32 bytes, so that a store needs no bound of its own, and nothing that a caller sent reaches a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

/// What the call asks for: a digest over its payload. One key with two fingerprints is a mistake of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// The fencing token of a claim: of two claims of one key, the later one's is higher; no two claims in a store share one, so
/// that a token is never taken for another key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

/// What a claim came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The call is the claimant's to carry out; nobody else gets it before the lease has ended.
    Granted(Token),
    /// Another owner works on it.
    InFlight {
        /// When its lease ends, from now.
        retry_after: Duration,
    },
    /// The key belongs to a call with another payload.
    Mismatch,
    /// The call was carried out before.
    Done(Completion),
}

/// How a call ended that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// With this answer, in the form of the edge that gave it.
    Replayable(Arc<[u8]>),
    /// With an answer that was not kept: too large, a stream, or cut off.
    NotReplayable,
}

/// Whether an owner still has its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It had the claim, and what it asked for is done.
    Held,
    /// The claim is another's, or gone; nothing was changed.
    Lost,
}

/// The store could not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// It holds as many calls in flight as it can.
    Full,
    /// It is away, or failed.
    Unavailable(Box<dyn Error + Send + Sync>),
}

/// Remembers which calls have begun and how they ended.
///
/// Each operation is atomic: of any number of claims of one key at once, one is granted. `now` is an argument, on the wall
/// clock, because processes share a store; their clocks must differ by much less than a lease. A future that is dropped
/// has either done all or nothing.
pub trait Store: Send + Sync + 'static {
    /// Claims the call for as long as `lease`, if it is free.
    fn claim(
        &self,
        key: &Key,
        fingerprint: &Fingerprint,
        lease: Duration,
        now: SystemTime,
    ) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Lengthens the claim to `lease` from now. A lease that has ended is renewed too, as long as nobody took over.
    fn renew(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        now: SystemTime,
    ) -> impl Future<Output = Result<Standing, StoreError>> + Send;

    /// Says how the call ended, and keeps that for as long as `retention`. A store may keep
    /// [`NotReplayable`](Completion::NotReplayable) instead of an answer that it has no room for.
    fn complete(
        &self,
        key: &Key,
        token: Token,
        completion: Completion,
        retention: Duration,
        now: SystemTime,
    ) -> impl Future<Output = Result<Standing, StoreError>> + Send;

    /// Gives the claim back, as if the call had never begun: the next claim is granted.
    fn release(&self, key: &Key, token: Token) -> impl Future<Output = Result<Standing, StoreError>> + Send;
}

/// What a store knows of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The payload that the key belongs to.
    pub fingerprint: Fingerprint,
    /// How far the call is.
    pub state: State,
}

/// How far a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Somebody works on it, or stopped without a word.
    InFlight {
        /// Whose claim it is.
        token: Token,
        /// Until when nobody else gets it.
        lease_until: SystemTime,
    },
    /// It was carried out.
    Done {
        /// How it ended.
        completion: Completion,
        /// Until when that is remembered.
        kept_until: SystemTime,
    },
}

/// What is to become of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// The claim is granted, under a new token.
    Grant,
    /// Another owner works on the call.
    InFlight {
        /// When its lease ends, from now.
        retry_after: Duration,
    },
    /// The key belongs to another payload.
    Mismatch,
    /// The call was carried out.
    Done(&'a Completion),
}

// === impl Key, Fingerprint, Token ===

impl Key {
    /// The key with this digest.
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Fingerprint {
    /// The fingerprint with this digest.
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Token {
    /// The token with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

// === impl Entry ===

impl Entry {
    /// The rule: what a claim with this fingerprint comes to, given what is known of its key.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// use mainstay_core::idempotency::{Decision, Entry, Fingerprint, State, Token};
    ///
    /// let (order, now) = (Fingerprint::new([1; 32]), SystemTime::UNIX_EPOCH);
    /// assert_eq!(Entry::decide(None, &order, now), Decision::Grant);
    ///
    /// let lease_until = now + Duration::from_secs(30);
    /// let entry = Entry { fingerprint: order, state: State::InFlight { token: Token::new(1), lease_until } };
    /// let decision = Entry::decide(Some(&entry), &order, now);
    /// assert_eq!(decision, Decision::InFlight { retry_after: Duration::from_secs(30) });
    /// assert_eq!(Entry::decide(Some(&entry), &order, lease_until), Decision::Grant);
    /// ```
    pub fn decide<'a>(entry: Option<&'a Self>, fingerprint: &Fingerprint, now: SystemTime) -> Decision<'a> {
        let Some(entry) = entry else { return Decision::Grant };
        let is_same = entry.fingerprint == *fingerprint;
        match &entry.state {
            State::Done { kept_until, .. } if *kept_until <= now => Decision::Grant,
            // Nobody knows what became of the first one; another payload under its key stays a mistake.
            _ if !is_same => Decision::Mismatch,
            State::Done { completion, .. } => Decision::Done(completion),
            State::InFlight { lease_until, .. } => match lease_until.duration_since(now) {
                Ok(retry_after) if !retry_after.is_zero() => Decision::InFlight { retry_after },
                _ => Decision::Grant,
            },
        }
    }

    /// Whether this is a claim with this token, in flight: only then may its owner change anything.
    pub fn is_held_by(&self, token: Token) -> bool {
        matches!(self.state, State::InFlight { token: holder, .. } if holder == token)
    }
}

// === how they print ===

fn hexadecimal(digest: &[u8; 32], f: &mut Formatter<'_>) -> fmt::Result {
    digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl Debug for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

impl Debug for Fingerprint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

impl Display for StoreError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the store holds as many calls in flight as it can"),
            Self::Unavailable(_) => f.write_str("the store of idempotency keys is away"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Full => None,
            Self::Unavailable(source) => Some(source.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Completion, Decision, Entry, Fingerprint, Key, State, Token};

    const MINE: Fingerprint = Fingerprint::new([1; 32]);
    const OTHER: Fingerprint = Fingerprint::new([2; 32]);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_claim_in_flight_is_free_from_the_end_of_its_lease_but_for_its_own_payload_only() {
        let entry =
            Entry { fingerprint: MINE, state: State::InFlight { token: Token::new(7), lease_until: at(30) } };
        let in_flight = |seconds| Decision::InFlight { retry_after: Duration::from_secs(seconds) };
        assert_eq!(Entry::decide(Some(&entry), &MINE, at(0)), in_flight(30));
        assert_eq!(Entry::decide(Some(&entry), &MINE, at(29)), in_flight(1));
        assert_eq!(Entry::decide(Some(&entry), &MINE, at(30)), Decision::Grant);
        assert_eq!(Entry::decide(Some(&entry), &OTHER, at(0)), Decision::Mismatch);
        assert_eq!(Entry::decide(Some(&entry), &OTHER, at(31)), Decision::Mismatch);
        assert!(entry.is_held_by(Token::new(7)) && !entry.is_held_by(Token::new(6)));
    }

    #[test]
    fn what_was_done_is_remembered_until_it_is_forgotten() {
        let completion = Completion::NotReplayable;
        let state = State::Done { completion: completion.clone(), kept_until: at(60) };
        let entry = Entry { fingerprint: MINE, state };
        assert_eq!(Entry::decide(Some(&entry), &MINE, at(59)), Decision::Done(&completion));
        assert_eq!(Entry::decide(Some(&entry), &OTHER, at(59)), Decision::Mismatch);
        assert_eq!(Entry::decide(Some(&entry), &MINE, at(60)), Decision::Grant);
        assert_eq!(Entry::decide(Some(&entry), &OTHER, at(60)), Decision::Grant);
        assert!(!entry.is_held_by(Token::new(7)));
    }

    #[test]
    fn digests_print_in_hexadecimal() {
        assert_eq!(Key::new([0xab; 32]).to_string(), "ab".repeat(32));
        assert_eq!(format!("{MINE:?}"), "01".repeat(32));
    }
}
