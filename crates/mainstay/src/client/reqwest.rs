//! reqwest's client, as a service of plain HTTP requests and responses.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use reqwest::Client;
use tower_service::Service;

/// reqwest's client inside of a [`ClientStack`](super::ClientStack): `stack.layer(client::reqwest(client))`.
///
/// The request's URI must be absolute. reqwest repeats what HTTP/2 refused by itself (`reqwest::retry`, on by default), beneath what the
/// stack counts; and a redirect is followed beneath it too: turn both off where every attempt must be seen.
pub const fn reqwest(client: Client) -> Reqwest {
    Reqwest(client)
}

/// See [`reqwest`](reqwest()).
#[derive(Clone, Debug)]
pub struct Reqwest(Client);

/// Why reqwest's client has no answer.
#[derive(Debug)]
pub enum ReqwestError {
    /// The request is none of reqwest's: it has no absolute URI. It was not sent.
    NoRequest(reqwest::Error),
    /// The call failed.
    Failed(reqwest::Error),
}

pin_project! {
    /// The future of [`Reqwest`]. Dropping it ends the call.
    pub struct ReqwestFuture {
        #[pin]
        call: Call,
    }
}

pin_project! {
    #[project = CallProjection]
    enum Call {
        Sent { #[pin] answer: <Client as Service<reqwest::Request>>::Future },
        NotSent { error: Option<reqwest::Error> },
    }
}

impl<B> Service<Request<B>> for Reqwest
where
    B: Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<reqwest::Body>;
    type Error = ReqwestError;
    type Future = ReqwestFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ReqwestError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ReqwestFuture {
        let call = match reqwest::Request::try_from(request.map(reqwest::Body::wrap)) {
            Ok(request) => Call::Sent { answer: self.0.call(request) },
            Err(error) => Call::NotSent { error: Some(error) },
        };
        ReqwestFuture { call }
    }
}

impl Future for ReqwestFuture {
    type Output = Result<Response<reqwest::Body>, ReqwestError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().call.project() {
            CallProjection::Sent { answer } => {
                answer.poll(cx).map(|answer| answer.map(Into::into).map_err(ReqwestError::Failed))
            }
            CallProjection::NotSent { error } => {
                let error = error.take().expect("a future is not polled after it is ready");
                Poll::Ready(Err(ReqwestError::NoRequest(error)))
            }
        }
    }
}

impl fmt::Debug for ReqwestFuture {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestFuture").finish_non_exhaustive()
    }
}

impl Display for ReqwestError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRequest(error) => write!(f, "the request cannot be sent: {error}"),
            Self::Failed(error) => Display::fmt(error, f),
        }
    }
}

impl Error for ReqwestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoRequest(error) | Self::Failed(error) => error.source(),
        }
    }
}
