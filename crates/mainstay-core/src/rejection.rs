//! How a layer refuses a call: one small value, which the edges turn into their protocol's answer.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// Why a call was not carried out, in words that are safe to show to the caller.
///
/// A server's edge answers with it (an HTTP problem, a gRPC status); a client layer returns it as the typed reason.
///
/// ```
/// use std::time::Duration;
/// use mainstay_core::{Reason, Rejection};
///
/// let rejection = Rejection::new(Reason::Overloaded, "the service takes no more calls at the moment")
///     .with_retry_after(Duration::from_secs(2));
/// assert_eq!(rejection.reason, Reason::Overloaded);
/// assert_eq!(rejection.to_string(), "the service takes no more calls at the moment");
/// ```
///
/// Allocates only when the message is an owned `String`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What kind of refusal it is: decides status codes, log level, and whether a retry makes sense.
    pub reason: Reason,
    /// What the caller may read: no secret, no internals, no text of a third party.
    pub message: Cow<'static, str>,
    /// When trying again may help, if that is known.
    pub retry_after: Option<Duration>,
}

/// The kinds of refusal. Each has one row in the table of every protocol's edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The call itself is malformed; the same call will never pass.
    Invalid,
    /// The caller may not do this.
    Forbidden,
    /// The call does not fit the present state, for example a second call with one idempotency key.
    Conflict,
    /// The call does not fit an earlier one that it claims to repeat, for example one idempotency key with another payload.
    Mismatch,
    /// The call is larger than is taken.
    TooLarge,
    /// What is said about the call, for HTTP its headers, is larger than is taken.
    HeadersTooLarge,
    /// The call's content is in a form that is not understood.
    Unsupported,
    /// None of the forms in which the caller takes an answer can be made.
    NotAcceptable,
    /// This caller calls too often.
    RateLimited,
    /// The service has more work than it can do; others are refused too.
    Overloaded,
    /// What the service itself needs is away (a circuit is open, a drain has begun).
    Unavailable,
    /// The call itself did not come in whole in the time that it was given.
    RequestTimeout,
    /// The answer was not ready when the deadline passed; the work may or may not have been done.
    DeadlineExceeded,
    /// A fault of ours: a panic, a broken invariant.
    Internal,
}

impl Rejection {
    /// A rejection for this reason, with a message that the caller may read.
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, message: message.into(), retry_after: None }
    }

    /// Says when trying again may help.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }
}

impl Reason {
    /// Every reason, for tables and tests.
    pub const ALL: &'static [Self] = &[
        Self::Invalid,
        Self::Forbidden,
        Self::Conflict,
        Self::Mismatch,
        Self::TooLarge,
        Self::HeadersTooLarge,
        Self::Unsupported,
        Self::NotAcceptable,
        Self::RateLimited,
        Self::Overloaded,
        Self::Unavailable,
        Self::RequestTimeout,
        Self::DeadlineExceeded,
        Self::Internal,
    ];

    /// The reason's stable name, for log fields, metric labels and problem bodies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::Mismatch => "mismatch",
            Self::TooLarge => "too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::Unsupported => "unsupported",
            Self::NotAcceptable => "not_acceptable",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::RequestTimeout => "request_timeout",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Internal => "internal",
        }
    }
}

impl Display for Rejection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Rejection {}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Reason;

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        // Exhaustive on purpose: a new reason does not compile before it stands here and in `ALL`.
        let place = |reason: Reason| match reason {
            Reason::Invalid => 0,
            Reason::Forbidden => 1,
            Reason::Conflict => 2,
            Reason::Mismatch => 3,
            Reason::TooLarge => 4,
            Reason::HeadersTooLarge => 5,
            Reason::Unsupported => 6,
            Reason::NotAcceptable => 7,
            Reason::RateLimited => 8,
            Reason::Overloaded => 9,
            Reason::Unavailable => 10,
            Reason::RequestTimeout => 11,
            Reason::DeadlineExceeded => 12,
            Reason::Internal => 13,
        };
        assert_eq!(
            Reason::ALL.iter().map(|reason| place(*reason)).collect::<Vec<_>>(),
            (0..14).collect::<Vec<_>>()
        );
        let names: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }
}
