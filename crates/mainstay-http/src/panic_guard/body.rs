//! The body half of the panic guard.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use mainstay_core::Phase;
use pin_project_lite::pin_project;

use super::{About, drop_guarded};
use crate::form::Form;
use crate::headers::{GRPC_MESSAGE, GRPC_STATUS};

type BoxError = Box<dyn Error + Send + Sync>;

pin_project! {
    /// The body of an answer that passed [`PanicGuard`](super::PanicGuard): the service's, guarded, or the guard's own.
    #[derive(Debug)]
    #[project = Project]
    pub struct GuardedBody<B> {
        // None: the body panicked and is gone, or the answer is the guard's.
        #[pin]
        inner: Option<B>,
        written: Full<Bytes>,
        about: Option<About>,
    }

    impl<B> PinnedDrop for GuardedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(about) = this.about {
                drop_guarded(&mut this.inner, about, Phase::Stream);
            }
        }
    }
}

/// The body's code panicked after the response had begun; the text of the panic is in the log, not here.
#[derive(Clone, Copy, Debug)]
pub struct BodyPanicked(());

impl<B> GuardedBody<B> {
    pub(super) fn new(body: B, about: About) -> Self {
        Self { inner: Some(body), written: Full::default(), about: Some(about) }
    }

    pub(super) fn written(text: Bytes) -> Self {
        Self { inner: None, written: Full::new(text), about: None }
    }

    /// What the body says of itself, unless it panics instead.
    fn guarded<T>(&self, ask: impl FnOnce() -> T) -> Option<T> {
        let answer = catch_unwind(AssertUnwindSafe(ask));
        answer
            .map_err(|panic| {
                if let Some(about) = &self.about {
                    about.report_in_body(panic);
                }
            })
            .ok()
    }
}

impl<B> Body for GuardedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let (Some(inner), Some(about)) = (this.inner.as_mut().as_pin_mut(), &*this.about) else {
            // After a panic this is empty: the stream has ended.
            let written = Pin::new(this.written).poll_frame(cx);
            return written.map(|frame| frame.map(|frame| frame.map_err(|never| match never {})));
        };
        match catch_unwind(AssertUnwindSafe(|| inner.poll_frame(cx))) {
            Ok(polled) => polled.map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            Err(panic) => {
                about.report_in_body(panic);
                drop_guarded(&mut this.inner, about, Phase::Stream);
                Poll::Ready(Some(match about.form {
                    Form::Grpc => Ok(Frame::trailers(internal())),
                    Form::Http | Form::HttpHead => Err(Box::new(BodyPanicked(()))),
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Some(inner) => self.guarded(|| inner.is_end_stream()).unwrap_or(false),
            None => self.written.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => self.guarded(|| inner.size_hint()).unwrap_or_default(),
            None => self.written.size_hint(),
        }
    }
}

/// gRPC's trailers for a fault of ours.
fn internal() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("13"));
    trailers
        .insert(GRPC_MESSAGE, HeaderValue::from_static("the service failed while it answered this request"));
    trailers
}

impl Display for BodyPanicked {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("the service panicked while it wrote the response's body")
    }
}

impl Error for BodyPanicked {}
