//! The future that tells the caller what is left.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use super::fields::Fields;
use crate::body::AnswerBody;
use crate::load::{Answered, Gated};

pin_project! {
    /// The future of [`RateLimit`](super::RateLimit). Dropping it drops the inner one.
    #[derive(Debug)]
    pub struct RateLimitFuture<F> {
        #[pin]
        gated: Gated<F>,
        fields: Option<Fields>,
    }
}

impl<F> RateLimitFuture<F> {
    pub(super) const fn new(gated: Gated<F>, fields: Option<Fields>) -> Self {
        Self { gated, fields }
    }
}

impl<F, ResB, E> Future for RateLimitFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<AnswerBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match ready!(this.gated.poll_answer(cx))? {
            Answered::Passed(response) => response.map(AnswerBody::inner),
            Answered::Refused(answer) => answer.map(AnswerBody::written),
        };
        if let Some(fields) = this.fields.take() {
            fields.append_to(response.headers_mut());
        }
        Poll::Ready(Ok(response))
    }
}
