//! The layer that completes problems on their way out.

mod text;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use garde::Validate;
use http::header::{
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED,
    TRANSFER_ENCODING,
};
use http::{HeaderName, Request, Response, response};
use http_body::Body;
use mainstay_core::RequestContext;
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

use self::text::Collect;
use super::Problem;
use crate::body::AnswerBody;
use crate::form::Form;

/// Makes every error answer a problem that names its request.
///
/// Three kinds of answers of 400 and above change:
///
/// - those that carry a [`Problem`] in their extensions, as axum handlers' do, get the request's id;
/// - those that say nothing, with an empty body and no content type (a router's 404 and 405), become problems;
/// - those that say it in plain text (axum's rejections: 400, 413, 415, 422; a handler's `(StatusCode, String)`) become
///   problems with that text as their `detail`. Only a text whose exact size is known and at most
///   [so large](ProblemsConfig::max_text_bytes), which is UTF-8 and not encoded: it is read to its end first. Where the reading fails, the problem comes without a detail.
///
/// Headers that are not about the replaced body stay, such as `allow`, `retry-after`, `www-authenticate`, `vary` and
/// `set-cookie`. gRPC answers, other media types, ranges, larger texts and anything that streams pass untouched, as does
/// everything below 400, which costs one comparison. HEAD gets the headers that GET would get, as far as they are known,
/// and no body. The request's `accept` is not asked: RFC 9110, section 12.5.1, lets a server answer in another form than
/// was asked for, and an error in JSON says more than a 406.
///
/// Stands inside [`ContextLayer`](crate::context::ContextLayer), whose id it names. It has no state; it allocates
/// only where it writes a body. Dropping the future drops the inner one, or the body that is being read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProblemsLayer {
    config: ProblemsConfig,
}

/// Settings of [`ProblemsLayer`]. A handler's own problems are completed whatever they say.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ProblemsConfig {
    /// Whether errors that say nothing become problems. True by default.
    #[garde(skip)]
    pub bare_errors: bool,
    /// The largest text of an error that becomes a problem's detail, in bytes: 0 (texts stay as they are) to 65,536. 8,192 by
    /// default.
    #[garde(range(max = 65_536))]
    pub max_text_bytes: u64,
}

/// The service of [`ProblemsLayer`].
#[derive(Clone, Debug)]
pub struct Problems<S> {
    inner: S,
    config: ProblemsConfig,
}

pin_project! {
    /// The future of [`Problems`].
    #[derive(Debug)]
    pub struct ProblemsFuture<F, B> {
        #[pin]
        state: State<F, B>,
        config: ProblemsConfig,
        form: Form,
        context: Option<RequestContext>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProject]
    enum State<F, B> {
        Answering { #[pin] inner: F },
        // The headers wait in an option, to be taken when the text is there.
        Reading { head: Option<response::Parts>, #[pin] text: Collect<B> },
    }
}

/// What becomes of an answer.
enum Plan {
    Keep,
    Write(Problem),
    Read(u64),
}

// === impl ProblemsLayer ===

impl ProblemsLayer {
    /// The layer with these settings.
    pub const fn new(config: &ProblemsConfig) -> Self {
        Self { config: *config }
    }
}

impl Default for ProblemsConfig {
    fn default() -> Self {
        Self { bare_errors: true, max_text_bytes: 8 * 1_024 }
    }
}

impl<S> Layer<S> for ProblemsLayer {
    type Service = Problems<S>;

    fn layer(&self, inner: S) -> Problems<S> {
        Problems { inner, config: self.config }
    }
}

// === impl Problems ===

impl<S, B, ResB> Service<Request<B>> for Problems<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    ResB: Body<Data = Bytes>,
{
    type Response = Response<AnswerBody<ResB>>;
    type Error = S::Error;
    type Future = ProblemsFuture<S::Future, ResB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let form = Form::of(&request);
        let context = request.extensions().get::<RequestContext>().cloned();
        let state = State::Answering { inner: self.inner.call(request) };
        ProblemsFuture { state, config: self.config, form, context }
    }
}

// === impl ProblemsFuture ===

impl<F, ResB, E> Future for ProblemsFuture<F, ResB>
where
    F: Future<Output = Result<Response<ResB>, E>>,
    ResB: Body<Data = Bytes>,
{
    type Output = Result<Response<AnswerBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProject::Answering { inner } => {
                    let mut response = ready!(inner.poll(cx))?;
                    match plan(&mut response, *this.form, *this.config) {
                        Plan::Keep => return Poll::Ready(Ok(response.map(AnswerBody::inner))),
                        Plan::Write(problem) => {
                            let (head, _) = response.into_parts();
                            return Poll::Ready(Ok(complete(
                                head,
                                &problem,
                                *this.form,
                                this.context.as_ref(),
                            )));
                        }
                        Plan::Read(size) => {
                            let (head, body) = response.into_parts();
                            let text = Collect::new(body, size);
                            this.state.set(State::Reading { head: Some(head), text });
                        }
                    }
                }
                StateProject::Reading { head, text } => {
                    let read = ready!(text.poll(cx));
                    let head = head.take().expect("a future is not polled after it was ready");
                    let problem = match read {
                        Ok(bytes) => match text::detail(&bytes) {
                            Some(detail) if detail.is_empty() => Problem::new(head.status),
                            Some(detail) => Problem::new(head.status).detail(detail),
                            // Not what it said it was: it goes out as it came.
                            None => {
                                return Poll::Ready(Ok(Response::from_parts(
                                    head,
                                    AnswerBody::written(bytes),
                                )));
                            }
                        },
                        Err(_unread) => Problem::new(head.status),
                    };
                    return Poll::Ready(Ok(complete(head, &problem, *this.form, this.context.as_ref())));
                }
            }
        }
    }
}

/// What this answer is, or should be.
fn plan<B: Body>(response: &mut Response<B>, form: Form, config: ProblemsConfig) -> Plan {
    let status = response.status();
    if form == Form::Grpc || !(status.is_client_error() || status.is_server_error()) {
        return Plan::Keep;
    }
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        // Something in between may have changed the status, and the body must not say another one.
        problem.0.status = status;
        return Plan::Write(problem);
    }
    // The size is known exactly only of a body that is there as a whole: a stream says nothing.
    let Some(size) = response.body().size_hint().exact() else {
        return Plan::Keep;
    };
    match response.headers().get(CONTENT_TYPE) {
        None if size == 0 && config.bare_errors => Plan::Write(Problem::new(status)),
        // What GET would say is not known here, so HEAD's headers are left as the service wrote them.
        Some(_) if size == 0 && form == Form::HttpHead => Plan::Keep,
        Some(media_type)
            if size <= config.max_text_bytes
                && text::is_plain(media_type)
                && !response.headers().contains_key(CONTENT_ENCODING) =>
        {
            Plan::Read(size)
        }
        _ => Plan::Keep,
    }
}

/// What described the body that is replaced. `content-range` stays: with 416 it tells how long the whole is.
const STALE: [HeaderName; 8] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    TRANSFER_ENCODING,
    CONTENT_DISPOSITION,
    ETAG,
    LAST_MODIFIED,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Puts the problem's body and type in place of what is there, and takes away what described the old body.
fn complete<B>(
    mut head: response::Parts,
    problem: &Problem,
    form: Form,
    context: Option<&RequestContext>,
) -> Response<AnswerBody<B>> {
    for stale in &STALE {
        head.headers.remove(stale);
    }
    let (written, body) = problem.to_response(form, context).into_parts();
    // The problem's own headers are there already, perhaps changed since: only what describes the body is set.
    for described in [CONTENT_TYPE, CONTENT_LENGTH] {
        if let Some(value) = written.headers.get(&described) {
            head.headers.insert(described, value.clone());
        }
    }
    Response::from_parts(head, AnswerBody::written(body))
}

#[cfg(test)]
mod tests;
