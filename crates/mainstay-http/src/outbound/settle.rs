//! A call is over when its answer's body is.
//!
//! ```
//! use http_body_util::{BodyExt, Full};
//! use mainstay_core::call::{CallError, Done, Settle, Verdict};
//! use mainstay_http::outbound::judge::HttpJudge;
//! use mainstay_http::outbound::settle::BodyEnd;
//! # use bytes::Bytes;
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//!
//! struct Permit;
//!
//! impl Done for Permit {
//!     fn done(self, verdict: Verdict) {
//!         assert_eq!(verdict, Verdict::Success);
//!     }
//! }
//!
//! let settle = BodyEnd::new(HttpJudge::default());
//! let answer = http::Response::new(Full::<Bytes>::from("hello"));
//! let answer = settle.settle(Ok::<_, CallError<std::io::Error>>(answer), Permit)?;
//! assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello"); // here the permit is done
//! # Ok::<(), CallError<std::io::Error>>(())
//! # }).unwrap();
//! ```
//!
//! What a layer holds for a call (a permit, a place in a half-open circuit) goes into the body, and ends with the last frame,
//! trailers, an error, or a drop. Where gRPC's status is still to come, it counts: 200 with `grpc-status: 14` in the trailers is
//! a failure, and so is a body that ends without any status. An error of the body is a failure. What was a failure by its
//! headers stays one however the body ends, also where nobody reads it, as a retry does that tries again. A
//! success that is dropped before its end is dropped without a verdict: the caller went away.
//!
//! A call is over with its answer where no body follows: the body says so ([`Body::is_end_stream`], as clients' do for HEAD
//! and for CONNECT), or the status does (204, 304, and 101: what was upgraded is no answer any more).
//!
//! Allocates nothing.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use mainstay_core::call::{Done, Judge, Settle, Verdict};
use pin_project_lite::pin_project;

use super::judge::{GrpcJudge, HttpJudge};
use super::peek::awaits_status;

/// Ends calls with the body of their answer. See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct BodyEnd<J = HttpJudge> {
    judge: J,
    grpc: GrpcJudge,
}

pin_project! {
    /// The service's body as it is, which ends the call with its end. See [`BodyEnd`].
    #[derive(Debug)]
    pub struct SettledBody<B, D>
    where
        D: Done,
    {
        #[pin]
        inner: B,
        // None: the call is over.
        call: Option<Call<D>>,
    }
}

/// A call that is not over.
#[derive(Debug)]
struct Call<D: Done> {
    done: Option<D>,
    /// What the answer's head said.
    head: Verdict,
    /// Where gRPC's status is still to come.
    awaits: Option<GrpcJudge>,
}

// === impl BodyEnd ===

impl BodyEnd {
    /// Ends calls with the body, judged by this judge at the head, and at the end if gRPC's status comes there.
    pub const fn new(judge: HttpJudge) -> Self {
        Self { judge, grpc: judge.grpc }
    }
}

impl Default for BodyEnd {
    fn default() -> Self {
        Self::new(HttpJudge::default())
    }
}

impl<J> BodyEnd<J> {
    /// Judges the answer's head and errors by another judge; gRPC's status in trailers goes on to be judged as it was.
    pub fn with_judge<K>(self, judge: K) -> BodyEnd<K> {
        BodyEnd { judge, grpc: self.grpc }
    }
}

impl<J, B, E> Settle<Response<B>, E> for BodyEnd<J>
where
    J: Judge<Response<B>, E>,
    B: Body,
{
    type Answer<D: Done> = Response<SettledBody<B, D>>;

    fn settle<D: Done>(&self, result: Result<Response<B>, E>, done: D) -> Result<Self::Answer<D>, E> {
        let head = self.judge.judge(result.as_ref());
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                done.done(head);
                return Err(error);
            }
        };
        let awaits = awaits_status(&answer).then_some(self.grpc);
        let call = Call { done: Some(done), head, awaits };
        let call = if has_no_body(answer.status()) || call.is_over_before(answer.body()) {
            call.end(None);
            None
        } else {
            Some(call)
        };
        Ok(answer.map(|inner| SettledBody { inner, call }))
    }
}

/// Whether no body follows these, or none of this call's.
fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

// === impl SettledBody ===

impl<B: Body, D: Done> Body for SettledBody<B, D> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if let Some(call) = this.call.as_ref() {
            let (is_over, failed, trailers) = match &frame {
                None => (true, false, None),
                Some(Err(_)) => (true, true, None),
                Some(Ok(frame)) => match frame.trailers_ref() {
                    Some(trailers) => (true, false, Some(trailers)),
                    None => (call.is_over_before(&*this.inner), false, None),
                },
            };
            if is_over && let Some(call) = this.call.take() {
                if failed { call.fail() } else { call.end(trailers) }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

// === impl Call ===

impl<D: Done> Call<D> {
    /// Whether nothing more is to come: whoever knows the length does not poll for the end.
    fn is_over_before(&self, body: &impl Body) -> bool {
        body.is_end_stream() || (self.awaits.is_none() && body.size_hint().exact() == Some(0))
    }

    fn end(mut self, trailers: Option<&HeaderMap>) {
        let verdict = match self.awaits {
            Some(grpc) if !self.head.is_failure() => grpc.judge_end(trailers),
            _ => self.head,
        };
        self.give(verdict);
    }

    fn fail(mut self) {
        let verdict = if self.head.is_failure() { self.head } else { Verdict::Failure };
        self.give(verdict);
    }

    fn give(&mut self, verdict: Verdict) {
        if let Some(done) = self.done.take() {
            done.done(verdict);
        }
    }
}

impl<D: Done> Drop for Call<D> {
    fn drop(&mut self) {
        // Whoever tries again does not read what failed. Of a success that was not read, nobody knows the end.
        if self.head.is_failure() {
            self.give(self.head);
        }
    }
}

#[cfg(test)]
mod tests;
