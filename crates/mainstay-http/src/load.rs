//! What the layers against overload share: which paths are exempt, and the future of a call that passed or was refused.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, Request, Response, Uri};
use mainstay_core::{Rejection, RequestContext};
use pin_project_lite::pin_project;

use crate::answer::refuse;
use crate::form::Form;

/// Paths that a limit does not apply to: whole ones, or everything below one that ends in `/*`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exempt(Box<[String]>);

impl Exempt {
    pub(crate) fn new(paths: &[String]) -> Self {
        Self(paths.into())
    }

    /// Looks at the path as the client sent it.
    pub(crate) fn covers<B>(&self, request: &Request<B>) -> bool {
        !self.0.is_empty() && self.covers_path(path_of(request))
    }

    fn covers_path(&self, path: &str) -> bool {
        self.0.iter().any(|exempt| match exempt.strip_suffix('*') {
            Some(below) => path.starts_with(below),
            None => path == exempt,
        })
    }
}

/// garde's rule for the settings that become [`Exempt`].
pub(crate) fn are_paths(paths: &[String], (): &()) -> garde::Result {
    let is_path = |path: &String| {
        let whole = path.strip_suffix("/*").map_or(path.as_str(), |_| &path[..path.len() - 1]);
        whole.starts_with('/') && !whole.contains('*')
    };
    match paths.iter().find(|path| !is_path(path)) {
        None => Ok(()),
        Some(wrong) => Err(garde::Error::new(format!(
            "{wrong:?} is no path: expected one such as \"/health\", or \"/health/*\" for all below it"
        ))),
    }
}

/// The path as the client sent it.
fn path_of<B>(request: &Request<B>) -> &str {
    original_uri_in(request.extensions()).unwrap_or_else(|| request.uri()).path()
}

/// The same of a request whose body was taken.
pub(crate) fn original_uri(head: &Parts) -> &Uri {
    original_uri_in(&head.extensions).unwrap_or(&head.uri)
}

/// axum's nested routers see only their part of the path.
#[cfg(feature = "axum")]
fn original_uri_in(extensions: &Extensions) -> Option<&Uri> {
    extensions.get::<axum::extract::OriginalUri>().map(|uri| &uri.0)
}

#[cfg(not(feature = "axum"))]
fn original_uri_in(_: &Extensions) -> Option<&Uri> {
    None
}

/// The template of the route, which only axum tells.
#[cfg(feature = "axum")]
pub(crate) fn route_in(extensions: &Extensions) -> Option<&str> {
    extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str)
}

/// A path itself is the caller's to choose.
#[cfg(not(feature = "axum"))]
pub(crate) fn route_in(_: &Extensions) -> Option<&str> {
    None
}

pin_project! {
    /// A call that goes on, or one that was refused before.
    #[derive(Debug)]
    #[project = GatedProject]
    pub(crate) enum Gated<F> {
        Passed { #[pin] inner: F },
        Refused { refusal: Refusal },
    }
}

/// All that the answer to a refused call needs.
#[derive(Debug)]
pub(crate) struct Refusal {
    rejection: Rejection,
    form: Form,
    context: Option<RequestContext>,
}

/// The answer's origin.
pub(crate) enum Answered<B> {
    Passed(Response<B>),
    Refused(Response<Bytes>),
}

impl<F> Gated<F> {
    pub(crate) fn refused<B>(rejection: Rejection, request: &Request<B>) -> Self {
        let context = request.extensions().get().cloned();
        Self::Refused { refusal: Refusal { rejection, form: Form::of(request), context } }
    }

    pub(crate) fn poll_answer<ResB, E>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answered<ResB>, E>>
    where
        F: Future<Output = Result<Response<ResB>, E>>,
    {
        Poll::Ready(Ok(match self.project() {
            GatedProject::Passed { inner } => Answered::Passed(ready!(inner.poll(cx))?),
            GatedProject::Refused { refusal: Refusal { rejection, form, context } } => {
                Answered::Refused(refuse(rejection, *form, context.as_ref()))
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Exempt, are_paths};

    #[test]
    fn a_path_is_exempt_as_a_whole_or_below_another() {
        let exempt = Exempt::new(&["/health".to_owned(), "/grpc.health.v1.Health/*".to_owned()]);
        for path in ["/health", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/"] {
            assert!(exempt.covers_path(path), "{path}");
        }
        for path in ["/health/x", "/healthy", "/grpc.health.v1.Health", "/", ""] {
            assert!(!exempt.covers_path(path), "{path}");
        }
    }

    #[test]
    fn a_wrong_path_is_named() {
        assert!(are_paths(&["/a".to_owned(), "/*".to_owned(), "/a/*".to_owned()], &()).is_ok());
        for wrong in ["", "health", "*", "/a*", "/*/b"] {
            let error = are_paths(&[wrong.to_owned()], &()).unwrap_err();
            assert!(error.message().contains(&format!("{wrong:?} is no path")), "{error}");
        }
    }
}
