//! How calls of one protocol are sent again.

use std::time::Duration;

use super::Attempts;

/// The rules by which calls of one protocol are repeated, by a retry or a hedge.
///
/// All of it is asked on the caller's task, and quickly: nothing here waits.
///
/// ```
/// use std::io;
/// use mainstay_core::call::{Hint, Next, Repeat};
///
/// /// Reads may be repeated, writes may not.
/// struct Reads;
///
/// impl Repeat<String, String, io::Error> for Reads {
///     fn again(&self, request: &String) -> Option<String> {
///         request.starts_with("read ").then(|| request.clone())
///     }
///
///     fn next(&self, _: &String, result: Result<&String, &io::Error>) -> Next {
///         if result.is_err() { Next::Repeat(Hint::None) } else { Next::Return }
///     }
/// }
///
/// assert_eq!(Reads.again(&"write 1".to_owned()), None);
/// ```
pub trait Repeat<Req, Res, E> {
    /// The request to send if this one fails, made before this one is sent; `None` when it must not be sent twice, and then nothing is
    /// copied. Asked before each attempt.
    fn again(&self, request: &Req) -> Option<Req>;

    /// What to do with this result, when `again` could be sent. A result that this returns as [`Next::Return`] is the caller's.
    fn next(&self, again: &Req, result: Result<&Res, &E>) -> Next;

    /// Whether the service may have carried out the attempt that ended so. Yes, unless there is proof of the contrary.
    fn may_have_run(&self, result: Result<&Res, &E>) -> bool {
        let _ = result;
        true
    }

    /// Whether this call is itself a repetition by whoever calls us, which must not be multiplied. No by default.
    fn is_repetition(&self, request: &Req) -> bool {
        let _ = request;
        false
    }

    /// Whether this request may be sent while another attempt of the call is under way: it does no harm when both are carried out, and
    /// neither waits for the other. No by default, and then nothing is hedged.
    fn may_overlap(&self, again: &Req) -> bool {
        let _ = again;
        false
    }

    /// The number that was written into this request, by a layer further out that repeats calls too. 1 by default.
    fn number_of(&self, request: &Req) -> u32 {
        let _ = request;
        1
    }

    /// Writes the number of the attempt into its request, 1 for the first. Does nothing by default.
    fn number(&self, request: &mut Req, attempt: u32) {
        let _ = (request, attempt);
    }

    /// Notes the attempts that were made in the answer that the caller gets. Does nothing by default.
    fn answered(&self, response: &mut Res, attempts: Attempts) {
        let _ = (response, attempts);
    }

    /// The attempts that were noted in this answer, by a layer further in that repeats calls too. One by default.
    fn attempts(&self, response: &Res) -> Attempts {
        let _ = response;
        Attempts::ONE
    }
}

/// What to do with the result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is the caller's.
    Return,
    /// Another attempt may go better.
    Repeat(Hint),
}

/// What the service said about when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Nothing: the back-off decides.
    None,
    /// Not sooner than after this time, such as HTTP's `retry-after`.
    AtLeast(Duration),
    /// Exactly after this time, such as gRPC's `grpc-retry-pushback-ms`; the back-off begins anew.
    Exactly(Duration),
}
