//! The words of an outbound call: how it may fail, what its end says, and how it is repeated.
//!
//! The layers that decide (breaker, retry, limits) know no protocol, and the code that knows one (HTTP, gRPC) knows no layer:
//! they meet here.
//!
//! | | asked by | answered by |
//! |---|---|---|
//! | [`CallFailure`] | every layer that refuses a call | [`CallError`], or any boxed error |
//! | [`Judge`] | breaker, limits, throttle: was that a failure of the service? | a closure, [`ErrorsFail`], a protocol's judge |
//! | [`Settle`] | the same: when is the call over? | [`AtAnswer`], or a protocol whose answers have bodies |
//! | [`Repeat`] | retry, hedge: can it be sent again, would that help? | a protocol's rules |
//!
//! ```
//! use mainstay_core::call::{ErrorsFail, Judge, Verdict};
//!
//! let judge = |result: Result<&u16, &std::io::Error>| match result {
//!     Ok(status) if *status < 500 => Verdict::Success,
//!     _ => Verdict::Failure,
//! };
//! assert_eq!(judge.judge(Ok(&503)), Verdict::Failure);
//! ```

mod error;
mod repeat;
mod verdict;

pub use error::{Attempts, CallError, CallFailure, Cause};
pub use repeat::{Hint, Next, Repeat};
pub use verdict::{AtAnswer, Done, ErrorsFail, Judge, Settle, Verdict};
