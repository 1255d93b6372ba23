//! When a call of HTTP or gRPC may be sent again, and when that would help.
//!
//! ```
//! use std::time::Duration;
//! use http_body_util::Full;
//! use mainstay_core::call::{CallError, Hint, Next, Repeat};
//! use mainstay_http::outbound::repeat::{HttpRepeat, RepeatConfig};
//! use mainstay_http::outbound::replay::ReplayBody;
//! # type Error = CallError<std::io::Error>;
//! # type Sent = http::Request<ReplayBody<Full<bytes::Bytes>>>;
//!
//! let rules: &dyn Repeat<Sent, http::Response<()>, Error> = &HttpRepeat::new(&RepeatConfig::default())?;
//! let put: Sent = http::Request::put("/orders/7").body(ReplayBody::new(Full::from("an order"), 65_536))?;
//! let again = rules.again(&put).expect("its body is in memory");
//!
//! let busy = http::Response::builder().status(503).header("retry-after", "2").body(())?;
//! assert_eq!(rules.next(&again, Ok(&busy)), Next::Repeat(Hint::AtLeast(Duration::from_secs(2))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A call may be carried out twice without harm if its method says so (GET, HEAD, OPTIONS, TRACE, PUT, DELETE: RFC 9110,
//! section 9.2.2), if it has an `idempotency-key`, or if the caller put [`Idempotent`] into its extensions. Any other, POST and
//! gRPC among them, is sent again only where it is proven that it was not carried out: an error that says that
//! nothing reached the service, such as a connection that was refused. gRPC has a rule of its own: a call that failed with one of
//! the listed codes before any data came is repeated, as a service config of gRPC's would have it (proposal A6).
//!
//! A call may be under way twice at once, hedged, if it may be carried out twice and its body is in memory as a whole: before that the
//! second attempt would only wait for what the first one reads.
//!
//! A refusal of a layer of ours (an open circuit, a limit) is the caller's: more calls are what it refuses. Only a deadline of
//! one attempt is an error like the service's. A body that [cannot be sent again](ReplayBody::can_repeat) ends all that.
//!
//! `retry-after` of 429 and 503 is a time [not to come back before](Hint::AtLeast), as long as it may be, and
//! `grpc-retry-pushback-ms` the time [to come back at](Hint::Exactly); a negative or unreadable one means not to.
//!
//! A repeated call is the same in method, URI, version, headers and extensions. `expect: 100-continue` stays too: a final
//! answer that comes instead of the 100 leaves the body unread, and the next attempt reads it from its beginning.
//!
//! To be able to send a call again its headers and extensions are cloned before it is sent: that allocates, for each attempt
//! that another one may follow.

mod attempt;

use std::error::Error;
use std::io;
use std::time::SystemTime;

use bytes::Bytes;
use garde::Validate;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use mainstay_core::call::{Attempts, CallFailure, Hint, Next, Repeat};
use mainstay_core::{Reason, RequestContext};
use serde::{Deserialize, Serialize};

use super::grpc::{self, Codes, GrpcCode, Pushback};
use super::peek::PeekedTrailers;
use super::replay::ReplayBody;
use super::retry_after;
use crate::call_log::AttemptNumber;
use crate::form::is_grpc;
use crate::headers::{GRPC_PREVIOUS_RPC_ATTEMPTS, IDEMPOTENCY_KEY};
pub use attempt::{InboundRepetition, inbound_repetition};

/// Settings of [`HttpRepeat`].
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RepeatConfig {
    /// The HTTP statuses, 400 to 599, after which a call that may be carried out twice is sent again. By default those of a state
    /// that passes: 408 (the request did not come in whole), 425, 429, 502, 503 and 504. Not 500: a fault in the service is
    /// still there a moment later, and the calls that meet it are better not multiplied.
    #[garde(inner(range(min = 400, max = 599)))]
    pub statuses: Vec<u16>,
    /// The HTTP statuses, 400 to 599, by which this service says that it did nothing: such a call is sent again whatever its method
    /// does, and an attempt that ended so has not run. None by default: it takes the service's word, in its documentation.
    #[garde(inner(range(min = 400, max = 599)))]
    pub did_nothing: Vec<u16>,
    /// The gRPC codes after which a call is sent again, whatever its method does, if no data had come. UNAVAILABLE by default,
    /// the code that gRPC reserves for it; empty where methods are not idempotent and may fail half-way.
    #[garde(skip)]
    pub grpc_codes: Vec<GrpcCode>,
    /// The header in which a repeated call says which attempt it is, 2 for the first repetition; a first attempt says nothing. The
    /// next hop sees by it that the call is repeated already. `x-request-attempt` by default; empty: none. There is no
    /// standard; Envoy's `x-envoy-attempt-count` means the same, but every Envoy on the way writes its own into it. gRPC calls
    /// have `grpc-previous-rpc-attempts` instead.
    #[garde(custom(is_header_name_or_empty))]
    pub attempt_header: String,
}

/// The rules of HTTP and gRPC for repeated calls. See the [module](self).
#[derive(Clone, Debug)]
pub struct HttpRepeat {
    statuses: Vec<u16>,
    did_nothing: Vec<u16>,
    codes: Codes,
    attempt_header: Option<HeaderName>,
    reached: fn(&(dyn Error + 'static)) -> bool,
}

/// In the extensions of a request: it may be carried out twice without harm, though its method does not say so, as a search by
/// POST, or a gRPC method that only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotent;

// === impl RepeatConfig ===

impl Default for RepeatConfig {
    fn default() -> Self {
        Self {
            statuses: vec![408, 425, 429, 502, 503, 504],
            did_nothing: Vec::new(),
            grpc_codes: vec![GrpcCode::Unavailable],
            attempt_header: attempt::HEADER.as_str().to_owned(),
        }
    }
}

fn is_header_name_or_empty(text: &str, (): &()) -> garde::Result {
    if text.is_empty() || HeaderName::try_from(text).is_ok() {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{text:?}: expected a header's name, or nothing")))
    }
}

// === impl HttpRepeat ===

impl HttpRepeat {
    /// The rules with these settings.
    ///
    /// # Errors
    ///
    /// A status is no failure, or the header's name is none.
    pub fn new(config: &RepeatConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        Ok(Self {
            statuses: config.statuses.clone(),
            did_nothing: config.did_nothing.clone(),
            codes: Codes::of(&config.grpc_codes),
            // The empty name is none.
            attempt_header: HeaderName::try_from(&config.attempt_header).ok(),
            reached: may_have_reached,
        })
    }

    /// Asks this whether the call that ended in an error may have reached the service. A client that knows more than that a connection
    /// was [refused](io::ErrorKind::ConnectionRefused) says it here: a stream that HTTP/2 refused, a request that was still waiting for
    /// its connection.
    #[must_use]
    pub fn reached(mut self, reached: fn(&(dyn Error + 'static)) -> bool) -> Self {
        self.reached = reached;
        self
    }

    fn after_error<B>(&self, again: &Request<B>, error: &impl CallFailure) -> Option<Hint> {
        let helps = match error.rejection() {
            Some(rejection) => rejection.reason == Reason::DeadlineExceeded && is_idempotent(again),
            None => is_idempotent(again) || !(self.reached)(error.as_error()),
        };
        helps.then_some(Hint::None)
    }

    fn after_answer<B, R>(&self, again: &Request<B>, answer: &Response<R>) -> Option<Hint> {
        if !is_grpc(again.headers()) {
            let status = answer.status().as_u16();
            let helps =
                self.did_nothing.contains(&status) || self.statuses.contains(&status) && is_idempotent(again);
            return helps.then(|| comes_back(answer));
        }
        if answer.status() != StatusCode::OK {
            let code = GrpcCode::of_http(answer.status());
            return self.codes.contains(code).then(|| comes_back(answer));
        }
        let peeked = answer.extensions().get::<PeekedTrailers>().filter(|peeked| !peeked.after_data);
        let said_in =
            if grpc::status(answer.headers()).is_some() { answer.headers() } else { &peeked?.trailers };
        match grpc::status(said_in) {
            Some(Err(code)) if self.codes.contains(code) => match grpc::pushback(said_in) {
                None => Some(Hint::None),
                Some(Pushback::After(time)) => Some(Hint::Exactly(time)),
                Some(Pushback::Never) => None,
            },
            _ => None,
        }
    }
}

impl<B, R, E> Repeat<Request<ReplayBody<B>>, Response<R>, E> for HttpRepeat
where
    B: Body<Data = Bytes> + Unpin,
    E: CallFailure,
{
    fn again(&self, request: &Request<ReplayBody<B>>) -> Option<Request<ReplayBody<B>>> {
        let mut again = Request::new(request.body().again()?);
        again.method_mut().clone_from(request.method());
        again.uri_mut().clone_from(request.uri());
        *again.version_mut() = request.version();
        again.headers_mut().clone_from(request.headers());
        again.extensions_mut().clone_from(request.extensions());
        Some(again)
    }

    fn next(&self, again: &Request<ReplayBody<B>>, result: Result<&Response<R>, &E>) -> Next {
        let hint = match result {
            Ok(answer) => self.after_answer(again, answer),
            Err(error) => self.after_error(again, error),
        };
        match hint {
            Some(hint) if again.body().claim() => Next::Repeat(hint),
            _ => Next::Return,
        }
    }

    fn may_have_run(&self, result: Result<&Response<R>, &E>) -> bool {
        match result.map_err(|error| (error, error.rejection())) {
            // Whoever answers may have worked before, unless it says that it has not.
            Ok(answer) => !self.did_nothing.contains(&answer.status().as_u16()),
            Err((_, Some(rejection))) => rejection.reason == Reason::DeadlineExceeded,
            Err((error, None)) => (self.reached)(error.as_error()),
        }
    }

    fn is_repetition(&self, request: &Request<ReplayBody<B>>) -> bool {
        let extensions = request.extensions();
        extensions.get::<RequestContext>().is_some_and(RequestContext::is_repetition)
            || extensions.get::<InboundRepetition>().is_some()
    }

    fn may_overlap(&self, again: &Request<ReplayBody<B>>) -> bool {
        is_idempotent(again) && again.body().is_kept()
    }

    fn number_of(&self, request: &Request<ReplayBody<B>>) -> u32 {
        request.extensions().get::<AttemptNumber>().map_or(1, |number| number.0)
    }

    fn number(&self, request: &mut Request<ReplayBody<B>>, attempt: u32) {
        if attempt < 2 {
            return;
        }
        request.extensions_mut().insert(AttemptNumber(attempt));
        let headers = request.headers_mut();
        if is_grpc(headers) {
            headers.insert(GRPC_PREVIOUS_RPC_ATTEMPTS, HeaderValue::from(attempt - 1));
        } else if let Some(name) = &self.attempt_header {
            headers.insert(name, HeaderValue::from(attempt));
        }
    }

    fn answered(&self, response: &mut Response<R>, attempts: Attempts) {
        response.extensions_mut().insert(attempts);
    }

    fn attempts(&self, response: &Response<R>) -> Attempts {
        response.extensions().get().copied().unwrap_or_default()
    }
}

fn is_idempotent<B>(request: &Request<B>) -> bool {
    let by_method = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    by_method || has_key(request.headers()) || request.extensions().get::<Idempotent>().is_some()
}

fn has_key(headers: &HeaderMap) -> bool {
    headers.get(IDEMPOTENCY_KEY).is_some_and(|key| !key.is_empty())
}

/// Of all answers that may have a `retry-after`, these two say with it when the service is well again.
fn comes_back<R>(answer: &Response<R>) -> Hint {
    match answer.status() {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            retry_after::of(answer.headers(), SystemTime::now).map_or(Hint::None, Hint::AtLeast)
        }
        _ => Hint::None,
    }
}

/// Only a connection that was refused is known to have carried nothing.
fn may_have_reached(error: &(dyn Error + 'static)) -> bool {
    !was_refused(error)
}

fn was_refused(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        next = error.source();
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if error.kind() == io::ErrorKind::ConnectionRefused {
                return true;
            }
            // What an `io::Error` wraps is not its source; the source of that is.
            if let Some(wrapped) = error.get_ref() {
                next = Some(wrapped);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests;
