//! The pages for those who run the service: is it alive, does it want requests, and what the application adds.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::watch;
use tower::Service;

use crate::phase::Phase;

#[derive(Clone)]
pub(crate) struct Management {
    phase: watch::Receiver<Phase>,
    pages: Arc<BTreeMap<String, Page>>,
}

/// What the application adds.
#[derive(Clone)]
pub(crate) enum Page {
    Written(Bytes),
    Made(Arc<dyn Fn() -> String + Send + Sync>),
}

impl Management {
    pub(crate) fn new(phase: watch::Receiver<Phase>, pages: Vec<(String, Page)>) -> Self {
        Self { phase, pages: Arc::new(pages.into_iter().collect()) }
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, Bytes) {
        let phase = *self.phase.borrow();
        match (method, path) {
            (&Method::GET | &Method::HEAD, "/livez") => (StatusCode::OK, Bytes::from_static(b"ok")),
            (&Method::GET | &Method::HEAD, "/readyz") => {
                let status =
                    if phase == Phase::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                (status, phase.word().into())
            }
            (&Method::GET | &Method::HEAD, path) if self.pages.contains_key(path) => {
                (StatusCode::OK, self.pages[path].text())
            }
            _ => (StatusCode::NOT_FOUND, Bytes::from_static(b"not found")),
        }
    }
}

impl Page {
    fn text(&self) -> Bytes {
        match self {
            Self::Written(text) => text.clone(),
            Self::Made(make) => make().into(),
        }
    }
}

impl<B> Service<Request<B>> for Management {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (status, text) = self.answer(request.method(), request.uri().path());
        let mut response = Response::new(Full::new(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn answer(phase: Phase, method: &Method, path: &str) -> (u16, String) {
        let (_sender, receiver) = watch::channel(phase);
        let asked = AtomicU32::new(0);
        let made = move || format!("asked {} times", asked.fetch_add(1, Ordering::Relaxed) + 1);
        let pages = vec![
            ("/stack".to_owned(), Page::Written("context > log".into())),
            ("/breakers".to_owned(), Page::Made(Arc::new(made))),
        ];
        let management = Management::new(receiver, pages);
        if path == "/breakers" {
            management.answer(method, path);
        }
        let (status, text) = management.answer(method, path);
        (status.as_u16(), String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn readiness_follows_the_phase_and_liveness_does_not() {
        for (phase, status, word) in [
            (Phase::Starting, 503, "starting"),
            (Phase::Ready, 200, "ready"),
            (Phase::Draining, 503, "draining"),
        ] {
            assert_eq!(answer(phase, &Method::GET, "/readyz"), (status, word.to_owned()));
            assert_eq!(answer(phase, &Method::GET, "/livez"), (200, "ok".to_owned()));
        }
    }

    #[test]
    fn added_pages_are_shown_and_everything_else_is_not_found() {
        assert_eq!(answer(Phase::Ready, &Method::GET, "/stack"), (200, "context > log".to_owned()));
        assert_eq!(answer(Phase::Ready, &Method::GET, "/breakers"), (200, "asked 2 times".to_owned()));
        assert_eq!(answer(Phase::Ready, &Method::GET, "/").0, 404);
        assert_eq!(answer(Phase::Ready, &Method::POST, "/livez").0, 404);
    }
}
