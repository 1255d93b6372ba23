//! A call with a key: read, claimed, carried out in a task of its own, settled.

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mainstay_core::idempotency::{Claim, Completion, Key, Standing, StoreError, Token};
use mainstay_core::{Reason, Rejection, RequestContext, ambient};
use serde_json::{Map, Value};
use tokio::time::sleep;
use tower_service::Service;
use tracing::Instrument;

use super::config::StoreFailure;
use super::key::KeyText;
use super::record::{decode, encode};
use super::{BoxError, KeyedBody, Shared};
use crate::answer::{Ended, refuse};
use crate::form::Form;

type Answer<B, E> = Result<Response<KeyedBody<B>>, E>;
type Panic = Box<dyn Any + Send>;

/// One claim, and the store that it was granted by.
struct Claimed {
    shared: Arc<Shared>,
    key: Key,
    token: Token,
}

/// All that a refusal is made of.
struct Caller {
    form: Form,
    context: Option<RequestContext>,
}

/// `inner` was polled ready.
pub(super) async fn keyed<S, B, ResB>(
    shared: Arc<Shared>,
    mut inner: S,
    request: Request<B>,
    text: KeyText,
) -> Answer<ResB, S::Error>
where
    S: Service<Request<KeyedBody<B>>, Response = Response<ResB>> + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    ResB: Body<Data = Bytes> + Send + 'static,
{
    let context = request.extensions().get::<RequestContext>().cloned();
    let caller = Caller { form: Form::of(&request), context };
    let (head, body) = request.into_parts();
    let read = match Limited::new(body, shared.config.max_request_bytes).collect().await {
        Ok(read) => read,
        Err(error) if error.is::<LengthLimitError>() => return Ok(caller.refused(&shared.too_large())),
        Err(_) => {
            return Ok(caller.refused(&Rejection::new(Reason::Invalid, "the request's body broke off")));
        }
    };
    let trailers = read.trailers().cloned();
    let body = read.to_bytes();
    let key = shared.key_of(&head, &text);
    let fingerprint = shared.fingerprint_of(&head, &body, trailers.as_ref());
    let request = Request::from_parts(head, KeyedBody::with_trailers(body, trailers));

    let claim = shared.store.claim(&key, &fingerprint, shared.config.lease, (shared.now)()).await;
    let token = match claim {
        Ok(Claim::Granted(token)) => token,
        Ok(other) => return Ok(caller.answer_to(other)),
        Err(error) => {
            tracing::error!(error = %reason(&error), "an idempotency key cannot be claimed");
            return match shared.config.store_failure {
                StoreFailure::Run => Ok(inner.call(request).await?.map(KeyedBody::untouched)),
                StoreFailure::Refuse => {
                    let message = "whether this call was carried out before cannot be told at the moment";
                    Ok(caller.refused(&Rejection::new(Reason::Unavailable, message)))
                }
            };
        }
    };
    let claimed = Claimed { shared, key, token };
    // From here on the work may be done: it goes on whatever becomes of the caller.
    match tokio::spawn(ambient::inherit(claimed.run(inner, request, caller).in_current_span())).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is going down, and this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}

// === impl Claimed ===

impl Claimed {
    async fn run<S, B, ResB>(
        self,
        mut inner: S,
        request: Request<KeyedBody<B>>,
        caller: Caller,
    ) -> Result<Answer<ResB, S::Error>, Panic>
    where
        S: Service<Request<KeyedBody<B>>, Response = Response<ResB>>,
        ResB: Body<Data = Bytes>,
    {
        let handler = AssertUnwindSafe(async move { inner.call(request).await }).catch_unwind();
        match self.held(handler).await {
            Ok(Ok(answer)) => Ok(Ok(self.settle(answer, &caller).await)),
            Ok(Err(error)) => {
                self.release().await;
                Ok(Err(error))
            }
            Err(panic) => {
                self.release().await;
                Err(panic)
            }
        }
    }

    /// Renews the lease at half its time for as long as this takes.
    async fn held<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        let Self { shared, key, token } = self;
        loop {
            let half = pin!(sleep(shared.config.lease / 2));
            match select(work.as_mut(), half).await {
                Either::Left((output, _)) => return output,
                Either::Right(_) => {
                    let renewed = shared.store.renew(key, *token, shared.config.lease, (shared.now)()).await;
                    warn_unless_held(renewed, "renewed");
                }
            }
        }
    }

    /// Keeps the answer, or why there is none, before the caller gets it: so that a retry at once finds it.
    async fn settle<ResB: Body<Data = Bytes>>(
        &self,
        answer: Response<ResB>,
        caller: &Caller,
    ) -> Response<KeyedBody<ResB>> {
        if says_nothing_of_the_work(&answer) {
            self.release().await;
            return answer.map(KeyedBody::untouched);
        }
        let most = self.shared.config.max_response_bytes as u64;
        if answer.body().size_hint().exact().is_none_or(|length| length > most) || is_stream(&answer) {
            self.complete(Completion::NotReplayable).await;
            return answer.map(KeyedBody::untouched);
        }
        let (head, body) = answer.into_parts();
        // The error is dropped before the next await: nothing asks that it can be sent to another thread.
        let Some(read) = self.held(body.collect().map(Result::ok)).await else {
            self.complete(Completion::NotReplayable).await;
            return caller.refused(&Rejection::new(Reason::Internal, "the answer broke off"));
        };
        let trailers = read.trailers().cloned();
        let body = read.to_bytes();
        // Trailers are gRPC's, which does not come here: an answer with some is none that could be given again.
        let kept = if trailers.is_none() { encode(&head, &body) } else { None };
        self.complete(kept.map_or(Completion::NotReplayable, |kept| Completion::Replayable(kept.into())))
            .await;
        Response::from_parts(head, KeyedBody::with_trailers(body, trailers))
    }

    async fn complete(&self, completion: Completion) {
        let Self { shared, key, token } = self;
        let retention = shared.config.retention;
        let completed = shared.store.complete(key, *token, completion, retention, (shared.now)()).await;
        warn_unless_held(completed, "completed");
    }

    async fn release(&self) {
        warn_unless_held(self.shared.store.release(&self.key, self.token).await, "released");
    }
}

/// Whoever lost its claim has run beside its successor: worth a look. The caller gets its answer all the same.
fn warn_unless_held(result: Result<Standing, StoreError>, what: &'static str) {
    match result {
        Ok(Standing::Held) => {}
        Ok(Standing::Lost) => {
            tracing::warn!(
                "a call's idempotency claim was lost before it could be {what}: another took over"
            );
        }
        Err(error) => tracing::error!(error = %reason(&error), "an idempotency claim cannot be {what}"),
    }
}

/// The error with what is behind it.
fn reason(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Such an answer is about the moment, the caller or a fault, and a retry may well get another.
fn says_nothing_of_the_work<B>(answer: &Response<B>) -> bool {
    let about_the_moment = matches!(
        answer.status(),
        StatusCode::UNAUTHORIZED
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS
    );
    answer.status().is_server_error()
        || answer.status().is_informational()
        || about_the_moment
        || answer.extensions().get::<Ended>().is_some()
}

fn is_stream<B>(answer: &Response<B>) -> bool {
    let content_type = answer.headers().get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    content_type.get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
}

// === impl Caller ===

impl Caller {
    fn refused<B>(&self, rejection: &Rejection) -> Response<KeyedBody<B>> {
        refuse(rejection, self.form, self.context.as_ref()).map(KeyedBody::whole)
    }

    /// The answer to a call that is not this one's to carry out.
    fn answer_to<B>(&self, claim: Claim) -> Response<KeyedBody<B>> {
        let kept = match claim {
            Claim::Done(Completion::Replayable(kept)) => decode(&kept),
            Claim::Done(Completion::NotReplayable) => None,
            Claim::InFlight { retry_after } => {
                let message = "a call with this idempotency key is being carried out";
                return self
                    .refused(&Rejection::new(Reason::Conflict, message).with_retry_after(retry_after));
            }
            Claim::Mismatch | Claim::Granted(_) => {
                let message = "this idempotency key was used for a call with another content";
                return self.refused(&Rejection::new(Reason::Mismatch, message));
            }
        };
        match kept {
            Some(answer) => self.replayed(answer).map(KeyedBody::whole),
            None => {
                let message =
                    "the call with this idempotency key was carried out, and its answer was not kept";
                self.refused(&Rejection::new(Reason::Conflict, message))
            }
        }
    }

    /// A problem names the request that it answers: this one, not the first.
    fn replayed(&self, mut answer: Response<Bytes>) -> Response<Bytes> {
        let is_problem =
            answer.headers().get(CONTENT_TYPE).is_some_and(|value| value == "application/problem+json");
        if let (true, Some(context)) = (is_problem, &self.context)
            && let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(answer.body())
        {
            members.insert("request_id".to_owned(), context.request_id().as_str().into());
            *answer.body_mut() = Value::Object(members).to_string().into();
        }
        answer
    }
}
