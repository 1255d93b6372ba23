//! The layer that completes problems on their way out.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, TRANSFER_ENCODING};
use http::{Request, Response};
use http_body::Body;
use mainstay_core::RequestContext;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::Problem;
use crate::body::AnswerBody;
use crate::form::Form;

/// Makes every error answer a problem that names its request.
///
/// Two kinds of answers change: those that carry a [`Problem`] in their extensions, as axum handlers' do, get the
/// request's id; those with an error status, no content type and an empty body (a router's 404 and 405) become problems.
/// Headers such as `allow`, `retry-after` and `www-authenticate` stay. gRPC answers, bodies that say something and
/// anything that streams pass untouched, as does everything below 400, which costs one comparison.
///
/// Stands inside [`ContextLayer`](crate::context::ContextLayer), whose id it names. It has no state and no settings; it allocates
/// only where it writes a body. Dropping the future drops the inner one.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProblemsLayer(());

/// The service of [`ProblemsLayer`].
#[derive(Clone, Debug)]
pub struct Problems<S> {
    inner: S,
}

pin_project! {
    /// The future of [`Problems`].
    #[derive(Debug)]
    pub struct ProblemsFuture<F> {
        #[pin]
        inner: F,
        form: Form,
        context: Option<RequestContext>,
    }
}

// === impl ProblemsLayer ===

impl ProblemsLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for ProblemsLayer {
    type Service = Problems<S>;

    fn layer(&self, inner: S) -> Problems<S> {
        Problems { inner }
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
    type Future = ProblemsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let form = Form::of(&request);
        let context = request.extensions().get::<RequestContext>().cloned();
        ProblemsFuture { inner: self.inner.call(request), form, context }
    }
}

// === impl ProblemsFuture ===

impl<F, ResB, E> Future for ProblemsFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
    ResB: Body<Data = Bytes>,
{
    type Output = Result<Response<AnswerBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        Poll::Ready(Ok(match problem_of(&mut response, *this.form) {
            Some(problem) => complete(response, &problem, *this.form, this.context.as_ref()),
            None => response.map(AnswerBody::inner),
        }))
    }
}

/// The problem that this answer is, or should be.
fn problem_of<B: Body>(response: &mut Response<B>, form: Form) -> Option<Problem> {
    let status = response.status();
    if form == Form::Grpc || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        // Something in between may have changed the status, and the body must not say another one.
        problem.0.status = status;
        return Some(problem);
    }
    // A size of exactly zero is known only of a body that is there as a whole: a stream says nothing.
    let says_nothing =
        response.body().size_hint().exact() == Some(0) && !response.headers().contains_key(CONTENT_TYPE);
    says_nothing.then(|| Problem::new(status))
}

/// Puts the problem's body and type in place of what is there, and takes away what described the old body.
fn complete<B>(
    response: Response<B>,
    problem: &Problem,
    form: Form,
    context: Option<&RequestContext>,
) -> Response<AnswerBody<B>> {
    let (mut parts, _) = response.into_parts();
    for stale in [CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING, ETAG] {
        parts.headers.remove(stale);
    }
    let (written, body) = problem.to_response(form, context).into_parts();
    // The problem's own headers are there already, perhaps changed since: only what describes the body is set.
    for described in [CONTENT_TYPE, CONTENT_LENGTH] {
        if let Some(value) = written.headers.get(&described) {
            parts.headers.insert(described, value.clone());
        }
    }
    Response::from_parts(parts, AnswerBody::written(body))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Method, Request, Response, StatusCode};
    use http_body_util::{BodyExt, Full};
    use mainstay_core::{Parts, RequestContext, RequestId, TraceContext};
    use mainstay_testkit::contract::{Laws, http_layer_contract};
    use tokio::time::Instant;
    use tower::{Layer, ServiceExt, service_fn};

    use super::{Problem, ProblemsLayer};

    async fn answer_to(
        method: Method,
        answer: Response<Full<bytes::Bytes>>,
    ) -> (http::response::Parts, String) {
        let service = service_fn(move |_: Request<()>| {
            let answer = answer.clone();
            async { Ok::<_, Infallible>(answer) }
        });
        let mut request = Request::builder().method(method).body(()).unwrap();
        request.extensions_mut().insert(context());
        let (parts, body) = ProblemsLayer::new().layer(service).oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts, String::from_utf8(body.to_vec()).unwrap())
    }

    fn context() -> RequestContext {
        let trace = TraceContext::root([1; 16], [2; 8]);
        RequestContext::new(Parts::new(RequestId::v7(1_000, [0; 10]), trace, Instant::now().into_std()))
    }

    fn bare(status: StatusCode) -> Response<Full<bytes::Bytes>> {
        Response::builder().status(status).header("allow", "GET").body(Full::default()).unwrap()
    }

    #[tokio::test]
    async fn a_bare_error_becomes_a_problem_that_names_the_request_and_keeps_its_headers() {
        let (parts, body) = answer_to(Method::GET, bare(StatusCode::METHOD_NOT_ALLOWED)).await;
        assert_eq!(parts.headers["allow"], "GET");
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        assert_eq!(
            body,
            r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"instance":"urn:uuid:00000000-03e8-7000-8000-000000000000","request_id":"00000000-03e8-7000-8000-000000000000"}"#
        );
    }

    #[tokio::test]
    async fn a_handlers_problem_gets_the_requests_id() {
        let problem = Problem::new(StatusCode::CONFLICT).detail("no").with("request_id", "forged");
        let mut answer = problem.to_response(crate::form::Form::Http, None).map(Full::new);
        answer.headers_mut().insert("content-length", "1".parse().unwrap());
        answer.extensions_mut().insert(problem);
        let (parts, body) = answer_to(Method::GET, answer).await;
        assert!(body.contains(r#""request_id":"00000000-03e8-7000-8000-000000000000""#), "{body}");
        assert!(!parts.headers.contains_key("content-length"), "the length described the old body");
    }

    #[tokio::test]
    async fn what_is_not_a_bare_error_passes_untouched() {
        let (parts, body) = answer_to(Method::GET, bare(StatusCode::NO_CONTENT)).await;
        assert_eq!((parts.status, body.as_str()), (StatusCode::NO_CONTENT, ""));

        let spoken = Response::builder().status(404).body(Full::from("gone fishing")).unwrap();
        let (parts, body) = answer_to(Method::GET, spoken).await;
        assert!(!parts.headers.contains_key("content-type"));
        assert_eq!(body, "gone fishing");

        let typed = Response::builder()
            .status(404)
            .header("content-type", "text/html")
            .body(Full::default())
            .unwrap();
        assert_eq!(answer_to(Method::GET, typed).await.0.headers["content-type"], "text/html");
    }

    #[tokio::test]
    async fn head_gets_the_same_headers_as_get_and_no_body() {
        let (get, text) = answer_to(Method::GET, bare(StatusCode::NOT_FOUND)).await;
        let (head, nothing) = answer_to(Method::HEAD, bare(StatusCode::NOT_FOUND)).await;
        assert_eq!(nothing, "");
        assert_eq!(head.headers["content-type"], get.headers["content-type"]);
        assert_eq!(head.headers["content-length"], text.len().to_string());
    }

    #[tokio::test]
    async fn what_others_changed_on_the_way_is_kept() {
        let challenge = |scheme: &'static str| (http::header::WWW_AUTHENTICATE, scheme.parse().unwrap());
        let ((name, basic), (_, bearer)) = (challenge("Basic"), challenge("Bearer"));
        let problem = Problem::new(StatusCode::UNAUTHORIZED).header(name.clone(), basic).header(name, bearer);
        let mut answer = problem.to_response(crate::form::Form::Http, None).map(Full::new);
        answer.extensions_mut().insert(problem);
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        answer.headers_mut().insert("vary", "origin".parse().unwrap());
        let (parts, body) = answer_to(Method::GET, answer).await;
        assert_eq!(parts.headers.get_all("www-authenticate").iter().count(), 2);
        assert_eq!(parts.headers["vary"], "origin");
        assert!(body.contains(r#""status":503"#), "{body}");
    }

    #[tokio::test]
    async fn grpc_is_left_alone() {
        let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(bare(StatusCode::NOT_FOUND)));
        let request =
            Request::builder().method("POST").header("content-type", "application/grpc").body(()).unwrap();
        let answer = ProblemsLayer::new().layer(service).oneshot(request).await.unwrap();
        assert!(!answer.headers().contains_key("content-type"));
    }

    #[tokio::test]
    async fn it_keeps_the_laws_of_layers_and_bodies() {
        http_layer_contract(ProblemsLayer::new, || Request::new(()), Laws::default()).await;
    }
}
