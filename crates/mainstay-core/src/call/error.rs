//! How an outbound call fails: the service failed, or a layer on the way refused it.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

use crate::{Reason, Rejection};

/// An error that a layer of a client's can make out of its refusal, and that others can tell from the service's own.
///
/// A client layer leaves the error type of its service alone and asks for this of it. [`CallError`] has it, and
/// `Box<dyn Error + Send + Sync>`, in which the [`Rejection`] is found by downcasting.
///
/// ```
/// use std::error::Error;
/// use mainstay_core::{Reason, Rejection, call::CallFailure};
///
/// let boxed: Box<dyn Error + Send + Sync> = Rejection::new(Reason::Unavailable, "the circuit is open").into();
/// assert_eq!(boxed.rejection().map(|rejection| rejection.reason), Some(Reason::Unavailable));
/// ```
pub trait CallFailure: From<Rejection> {
    /// The refusal of a layer of ours, if it is one.
    fn rejection(&self) -> Option<&Rejection>;

    /// Whether a layer of ours refused the call before it was sent: neither did the service fail, nor would it help to ask again at once.
    /// A call that ran out of time ([`Reason::DeadlineExceeded`]) may have been sent, and is none.
    fn was_refused(&self) -> bool {
        self.rejection().is_some_and(|rejection| rejection.reason != Reason::DeadlineExceeded)
    }

    /// What ended the call, for its text and its sources: the service's own error, or the refusal.
    fn as_error(&self) -> &(dyn Error + 'static);

    /// What [`attempted`](Self::attempted) said; one attempt by default.
    fn attempts(&self) -> Attempts {
        Attempts::ONE
    }

    /// Told by a layer that repeats calls, once, when this becomes the caller's error. Does nothing by default.
    fn attempted(&mut self, attempts: Attempts) {
        let _ = attempts;
    }
}

/// Why a call has no answer, and what is known of it nevertheless.
///
/// Holds the service's own error as it is: nothing is boxed, nothing is turned into text.
///
/// ```
/// use mainstay_core::{Reason, Rejection, call::CallError};
///
/// let error: CallError<std::io::Error> = Rejection::new(Reason::Unavailable, "the circuit is open").into();
/// assert!(!error.may_have_run(|_| true), "it was never sent");
/// assert_eq!(error.to_string(), "the circuit is open");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError<E> {
    /// What ended the call.
    pub cause: Cause<E>,
    /// The attempts that were made; one without a layer that repeats calls.
    pub attempts: Attempts,
}

/// The attempts of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempts {
    /// How many were made, the last one included.
    pub count: u32,
    /// Whether one before the last may have been carried out by the service.
    pub earlier_may_have_run: bool,
}

/// What ended a call without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause<E> {
    /// A layer on the way refused the call or gave it up.
    Rejected(Rejection),
    /// The service itself failed.
    Service(E),
}

// === impl Attempts ===

impl Attempts {
    /// The call was sent once, or never.
    pub const ONE: Self = Self { count: 1, earlier_may_have_run: false };
}

impl Default for Attempts {
    fn default() -> Self {
        Self::ONE
    }
}

// === impl CallError ===

impl<E> CallError<E> {
    /// The service's own error, after one attempt.
    pub const fn service(error: E) -> Self {
        Self { cause: Cause::Service(error), attempts: Attempts::ONE }
    }

    /// Whether the service may have carried the call out, now or in an earlier attempt. `reached` says it of the service's own
    /// errors: `false` for "connection refused" and its like.
    ///
    /// A refusal was never sent, but for [`Reason::DeadlineExceeded`], after which nobody knows.
    pub fn may_have_run(&self, reached: impl FnOnce(&E) -> bool) -> bool {
        self.attempts.earlier_may_have_run
            || match &self.cause {
                Cause::Rejected(rejection) => rejection.reason == Reason::DeadlineExceeded,
                Cause::Service(error) => reached(error),
            }
    }
}

impl<E> From<Rejection> for CallError<E> {
    fn from(rejection: Rejection) -> Self {
        Self { cause: Cause::Rejected(rejection), attempts: Attempts::ONE }
    }
}

impl<E: Error + 'static> CallFailure for CallError<E> {
    fn rejection(&self) -> Option<&Rejection> {
        match &self.cause {
            Cause::Rejected(rejection) => Some(rejection),
            Cause::Service(_) => None,
        }
    }

    fn as_error(&self) -> &(dyn Error + 'static) {
        match &self.cause {
            Cause::Rejected(rejection) => rejection,
            Cause::Service(error) => error,
        }
    }

    fn attempts(&self) -> Attempts {
        self.attempts
    }

    fn attempted(&mut self, attempts: Attempts) {
        self.attempts = attempts;
    }
}

impl<E: Display> Display for CallError<E> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Rejected(rejection) => Display::fmt(rejection, f)?,
            Cause::Service(error) => Display::fmt(error, f)?,
        }
        match self.attempts.count {
            0 | 1 => Ok(()),
            attempts => write!(f, " (attempt {attempts})"),
        }
    }
}

impl<E: Error + 'static> Error for CallError<E> {
    // `Display` already says what the cause says, so the chain goes on behind it.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Rejected(_) => None,
            Cause::Service(error) => error.source(),
        }
    }
}

// === impl Box<dyn Error> ===

impl CallFailure for Box<dyn Error + Send + Sync> {
    fn rejection(&self) -> Option<&Rejection> {
        self.downcast_ref()
    }

    fn as_error(&self) -> &(dyn Error + 'static) {
        &**self
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Attempts, CallError, CallFailure};
    use crate::{Reason, Rejection};

    #[test]
    fn only_what_was_surely_never_sent_has_not_run() {
        let rejected = |reason| CallError::<io::Error>::from(Rejection::new(reason, "no"));
        assert!(!rejected(Reason::Unavailable).may_have_run(|_| true));
        assert!(rejected(Reason::DeadlineExceeded).may_have_run(|_| false));

        let refused = || CallError::service(io::Error::from(io::ErrorKind::ConnectionRefused));
        let connected = |error: &io::Error| error.kind() != io::ErrorKind::ConnectionRefused;
        assert!(!refused().may_have_run(connected));
        let mut after_another = refused();
        after_another.attempted(Attempts { count: 2, earlier_may_have_run: true });
        assert!(after_another.may_have_run(connected), "the attempt before may have reached the service");
    }

    #[test]
    fn the_text_is_the_causes_and_names_the_attempt_when_there_were_several() {
        let mut error = CallError::service(io::Error::other("connection reset"));
        assert_eq!(error.to_string(), "connection reset");
        error.attempted(Attempts { count: 3, earlier_may_have_run: true });
        assert_eq!(error.to_string(), "connection reset (attempt 3)");
    }
}
