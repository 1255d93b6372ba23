//! The one table that turns a refusal into an answer, for HTTP and for gRPC.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use mainstay_core::{Outcome, Reason, Rejection, RequestContext};

use crate::form::Form;
use crate::headers::{GRPC_MESSAGE, GRPC_RETRY_PUSHBACK_MS, GRPC_STATUS};
use crate::problem::Problem;

/// The outcome of a call that a layer of ours answered, in the answer's extensions. A type of its own, so that no handler
/// decides by accident what the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended(pub(crate) Outcome);

/// Answers a call that a layer refuses: a problem (RFC 9457) for HTTP, without its body for HEAD, and a Trailers-only
/// status for gRPC.
///
/// ```
/// use mainstay_core::{Reason, Rejection};
/// use mainstay_http::answer::refuse;
/// use mainstay_http::form::Form;
///
/// let rejection = Rejection::new(Reason::Overloaded, "too many calls at once");
/// let answer = refuse(&rejection, Form::Http, None);
/// assert_eq!(answer.status(), 503);
/// assert_eq!(answer.headers()["content-type"], "application/problem+json");
///
/// let answer = refuse(&rejection, Form::Grpc, None);
/// assert_eq!((answer.status().as_u16(), &answer.headers()["grpc-status"]), (200, &"14".parse().unwrap()));
/// ```
///
/// The answer carries the call's [`Outcome`], which the access log reads.
pub fn refuse(rejection: &Rejection, form: Form, context: Option<&RequestContext>) -> Response<Bytes> {
    let (status, grpc_code) = codes(rejection.reason);
    let mut answer = match form {
        Form::Grpc => trailers_only(grpc_code, rejection),
        Form::Http | Form::HttpHead => {
            let mut problem = Problem::new(status)
                .detail(rejection.message.clone())
                .with("code", rejection.reason.as_str());
            if let Some(retry_after) = rejection.retry_after {
                problem = problem.header(RETRY_AFTER, HeaderValue::from(whole_seconds(retry_after)));
            }
            problem.to_response(form, context)
        }
    };
    answer.extensions_mut().insert(Ended(Outcome::of_rejection(rejection.reason)));
    answer
}

/// The table: reason, HTTP status, gRPC code.
const fn codes(reason: Reason) -> (StatusCode, u16) {
    match reason {
        Reason::Invalid => (StatusCode::BAD_REQUEST, 3),
        Reason::Forbidden => (StatusCode::FORBIDDEN, 7),
        Reason::Conflict => (StatusCode::CONFLICT, 10),
        Reason::Mismatch => (StatusCode::UNPROCESSABLE_ENTITY, 9),
        Reason::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 8),
        Reason::HeadersTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, 8),
        Reason::Unsupported => (StatusCode::UNSUPPORTED_MEDIA_TYPE, 3),
        Reason::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, 3),
        Reason::RateLimited => (StatusCode::TOO_MANY_REQUESTS, 8),
        Reason::Overloaded | Reason::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 14),
        // RFC 9110, section 15.5.9: the request did not come in whole in the time that the server was prepared to wait.
        Reason::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, 4),
        Reason::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, 4),
        // `Reason` may grow: a reason without a row is a fault of ours.
        _ => (StatusCode::INTERNAL_SERVER_ERROR, 13),
    }
}

fn trailers_only(code: u16, rejection: &Rejection) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from(code));
    headers.insert(GRPC_MESSAGE, grpc_message(&rejection.message));
    if let Some(retry_after) = rejection.retry_after {
        let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        headers.insert(GRPC_RETRY_PUSHBACK_MS, HeaderValue::from(millis));
    }
    answer
}

/// Percent-encodes what a header may not hold, as gRPC over HTTP/2 asks for `grpc-message`.
fn grpc_message(text: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").expect("writing to a string does not fail"),
        }
    }
    HeaderValue::try_from(encoded).expect("printable ASCII is a header value")
}

/// `Retry-After` counts whole seconds: rounded up, so that nobody comes back too early.
fn whole_seconds(length: Duration) -> u64 {
    length.as_secs().saturating_add(u64::from(length.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mainstay_core::{Outcome, Phase, Reason, Rejection};

    use super::{Ended, refuse};
    use crate::form::Form;

    #[test]
    fn every_reason_has_an_error_status_in_both_protocols() {
        for reason in Reason::ALL.iter().copied() {
            let rejection = Rejection::new(reason, "no");
            let status = refuse(&rejection, Form::Http, None).status();
            assert!(status.is_client_error() || status.is_server_error(), "{reason} answers {status}");
            assert_eq!(status == 500, reason == Reason::Internal, "{reason} has no row of its own");
            let grpc = refuse(&rejection, Form::Grpc, None);
            assert_eq!(grpc.status(), 200);
            assert_ne!(grpc.headers()["grpc-status"], "0");
            assert!(grpc.body().is_empty());
        }
    }

    #[test]
    fn head_gets_the_headers_without_the_body() {
        let rejection = Rejection::new(Reason::DeadlineExceeded, "too late");
        let head = refuse(&rejection, Form::HttpHead, None);
        assert_eq!(head.status(), 504);
        assert_eq!(head.headers()["content-type"], "application/problem+json");
        let get = refuse(&rejection, Form::Http, None);
        assert_eq!(head.headers()["content-length"], get.body().len().to_string());
        assert!(head.body().is_empty());
    }

    #[test]
    fn the_time_to_come_back_is_rounded_up_and_the_outcome_is_for_the_log() {
        let rejection = Rejection::new(Reason::RateLimited, "100 % used\n")
            .with_retry_after(Duration::from_millis(1_001));
        let http = refuse(&rejection, Form::Http, None);
        assert_eq!(http.headers()["retry-after"], "2");
        assert_eq!(http.extensions().get(), Some(&Ended(Outcome::Rejected(Reason::RateLimited))));

        let grpc = refuse(&rejection, Form::Grpc, None);
        assert_eq!(grpc.headers()["grpc-retry-pushback-ms"], "1001");
        assert_eq!(grpc.headers()["grpc-message"], "100 %25 used%0A");

        let late = refuse(&Rejection::new(Reason::DeadlineExceeded, "late"), Form::Http, None);
        assert_eq!(late.extensions().get(), Some(&Ended(Outcome::TimedOut(Phase::Answer))));

        let never = Rejection::new(Reason::Overloaded, "never").with_retry_after(Duration::MAX);
        assert_eq!(refuse(&never, Form::Http, None).headers()["retry-after"], u64::MAX.to_string());
    }
}
