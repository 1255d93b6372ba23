//! What the end of a call says about the service, and when that end is.

use std::time::Duration;

use super::CallFailure;

/// What the end of one attempt says about the service that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It did its work, also when that was to say that the caller is mistaken.
    Success,
    /// It failed at its work.
    Failure,
    /// It says that it has too much to do, and perhaps when to come back. A failure too.
    Overloaded {
        /// How long it wants to be left alone, if it said so.
        retry_after: Option<Duration>,
    },
    /// It says nothing about the service, for example because the call was refused before it was sent.
    Ignored,
}

/// Says what the result of a call says about the service. Closures of this shape are judges.
pub trait Judge<Res, E> {
    /// The verdict on this result.
    fn judge(&self, result: Result<&Res, &E>) -> Verdict;
}

/// The judge of those who know no protocol: an answer is a success, an error a failure, and a refusal of a layer of ours is
/// [ignored](CallFailure::was_refused).
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorsFail;

/// Says when an answered call is over, and gives the verdict then.
///
/// A layer that holds something for a call (a permit, a place in a half-open circuit, a clock) hands it over as
/// [`Done`] when the service has answered. [`AtAnswer`] ends the call there. A protocol whose answers have bodies puts it into the
/// body, and ends the call with the body's end, an error in it, or its drop.
pub trait Settle<Res, E> {
    /// What the caller gets.
    type Answer<D: Done>;

    /// Ends the call, or passes on an answer that will end it.
    ///
    /// # Errors
    ///
    /// Those of the result, unchanged.
    fn settle<D: Done>(&self, result: Result<Res, E>, done: D) -> Result<Self::Answer<D>, E>;
}

/// What a layer holds for a call until the call is over. Dropping it instead says that the caller went away before that.
pub trait Done {
    /// The call is over, with this verdict.
    fn done(self, verdict: Verdict);
}

/// A call is over when the service has answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct AtAnswer<J>(pub J);

// === impl Verdict ===

impl Verdict {
    /// Whether the service failed, [overloaded](Self::Overloaded) or otherwise.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failure | Self::Overloaded { .. })
    }
}

// === impl Judge ===

impl<Res, E, F> Judge<Res, E> for F
where
    F: Fn(Result<&Res, &E>) -> Verdict,
{
    fn judge(&self, result: Result<&Res, &E>) -> Verdict {
        self(result)
    }
}

impl<Res, E: CallFailure> Judge<Res, E> for ErrorsFail {
    fn judge(&self, result: Result<&Res, &E>) -> Verdict {
        match result {
            Ok(_) => Verdict::Success,
            Err(error) if error.was_refused() => Verdict::Ignored,
            Err(_) => Verdict::Failure,
        }
    }
}

// === impl AtAnswer ===

impl<J, Res, E> Settle<Res, E> for AtAnswer<J>
where
    J: Judge<Res, E>,
{
    type Answer<D: Done> = Res;

    fn settle<D: Done>(&self, result: Result<Res, E>, done: D) -> Result<Res, E> {
        done.done(self.0.judge(result.as_ref()));
        result
    }
}
