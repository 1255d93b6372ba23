//! Bodies that do what real ones do on a bad day, and a record of how a layer treated them.
//!
//! ```
//! use mainstay_testkit::body::{Adversary, drain};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let body = Adversary::DataThenTrailers.body();
//! let handle = body.handle();
//!
//! // Put your own body around the second one: the transcripts have to be equal.
//! let expected = drain(Adversary::DataThenTrailers.body()).await;
//! assert_eq!(drain(body).await, expected);
//! assert!(handle.is_dropped());
//! assert_eq!(handle.polled_after_end(), 0);
//! # }
//! ```
//!
//! [`Adversary`] is the collection that `http_layer_contract` goes through, [`ScriptedBody`] is for scripts of your
//! own, [`drain`] turns any body into a [`Transcript`]. None of the bodies has a `Default`, as many real ones
//! have none.
//!
//! `http_body::Frame` (1.1) can be built as data or as trailers only; a frame of another kind cannot be made outside
//! of that crate. So "passes unknown frames on" is the one property of a body that cannot be tested yet.

mod adversary;
mod handle;
mod scripted;
mod transcript;

pub use self::{
    adversary::Adversary,
    handle::BodyHandle,
    scripted::{BodyError, ScriptedBody, Size, Step},
    transcript::{Event, Observed, Transcript, drain, drain_at_most},
};
