//! In what form a caller expects its answer: HTTP, HTTP's HEAD, or gRPC.
//!
//! ```
//! use mainstay_http::form::Form;
//!
//! let request = http::Request::post("/orders.Orders/Place").header("content-type", "application/grpc+proto");
//! assert_eq!(Form::of(&request.body(())?), Form::Grpc);
//! # Ok::<(), http::Error>(())
//! ```

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request};

/// In what form a caller expects its answer. Read off the request before the request is given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// HTTP with a body.
    Http,
    /// HTTP's HEAD: the headers of the answer without its body.
    HttpHead,
    /// gRPC: always 200, the status in the trailers, which for a refusal are the headers.
    Grpc,
}

impl Form {
    /// The form that this request's answer must have.
    ///
    /// gRPC is a POST whose content type is `application/grpc`, with or without `+proto` and the like; gRPC-Web is not
    /// gRPC here, because its status travels in the body.
    pub fn of<B>(request: &Request<B>) -> Self {
        match *request.method() {
            Method::HEAD => Self::HttpHead,
            Method::POST if is_grpc(request.headers()) => Self::Grpc,
            _ => Self::Http,
        }
    }
}

/// Whether the content type is gRPC's own: `application/grpc`, then nothing, `+format` or `;parameters`.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    headers.get(CONTENT_TYPE).and_then(|value| value.as_bytes().split_at_checked(GRPC.len())).is_some_and(
        |(kind, rest)| {
            kind.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
        },
    )
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};

    use super::Form;

    fn form(method: Method, content_type: &str) -> Form {
        let request =
            Request::builder().method(method).header("content-type", content_type).body(()).unwrap();
        Form::of(&request)
    }

    #[test]
    fn only_grpc_itself_is_answered_as_grpc() {
        for grpc in ["application/grpc", "application/grpc+proto", "Application/GRPC;charset=utf-8"] {
            assert_eq!(form(Method::POST, grpc), Form::Grpc, "{grpc}");
        }
        for other in
            ["application/grpc-web", "application/grpc-web+proto", "application/grpcfoo", "text/plain", ""]
        {
            assert_eq!(form(Method::POST, other), Form::Http, "{other}");
        }
        assert_eq!(form(Method::HEAD, "application/grpc"), Form::HttpHead);
    }
}
