//! The pages for those who run the service: is it alive, does it want requests, and what the application adds.
//!
//! What can be changed is changed by PUT, with the new value as the body. A browser asks first before it sends that for a page from
//! elsewhere, and is not answered; and as a page may come from a name that was made to mean this machine, who changes something has to
//! ask for it by an address, or as `localhost`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tokio::sync::watch;
use tokio::time::timeout;
use tower::Service;

use crate::phase::Phase;

/// The longest value of a setting, and how long it may take to come.
const MAX_VALUE: usize = 4 * 1024;
const MAX_WAIT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct Management {
    phase: watch::Receiver<Phase>,
    pages: Arc<BTreeMap<String, Page>>,
}

/// What the application adds.
#[derive(Clone)]
pub(crate) enum Page {
    Written(Bytes),
    Made(Arc<Read>),
    Setting(Arc<Read>, Arc<Write>),
}

type Read = dyn Fn() -> String + Send + Sync;
type Write = dyn Fn(&str) -> Result<(), String> + Send + Sync;

type Answer = (StatusCode, Bytes);

// === impl Management ===

impl Management {
    pub(crate) fn new(phase: watch::Receiver<Phase>, pages: Vec<(String, Page)>) -> Self {
        Self { phase, pages: Arc::new(pages.into_iter().collect()) }
    }

    async fn answer<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let path = request.uri().path().to_owned();
        match (request.method(), self.pages.get(&path)) {
            (&Method::PUT, Some(Page::Setting(read, write))) => {
                let changed = change(request, &**write).await;
                changed.map_or_else(
                    |refused| refused,
                    |()| {
                        let value = read();
                        tracing::info!(setting = path, value, "changed on the management listener");
                        (StatusCode::OK, value.into())
                    },
                )
            }
            (&Method::GET | &Method::HEAD, page) => self.shown(&path, page),
            _ => (StatusCode::NOT_FOUND, Bytes::from_static(b"not found")),
        }
    }

    fn shown(&self, path: &str, page: Option<&Page>) -> Answer {
        let phase = *self.phase.borrow();
        match (path, page) {
            ("/livez", _) => (StatusCode::OK, Bytes::from_static(b"ok")),
            ("/readyz", _) => {
                let status =
                    if phase == Phase::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                (status, phase.word().into())
            }
            (_, Some(page)) => (StatusCode::OK, page.text()),
            _ => (StatusCode::NOT_FOUND, Bytes::from_static(b"not found")),
        }
    }
}

/// Gives the value that a request brings to its setting, or says why not.
async fn change<B>(request: Request<B>, write: &Write) -> Result<(), Answer>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    if !is_asked_for_by_address(&request) {
        let why = b"to change something, ask for this listener by its address or as localhost";
        return Err((StatusCode::FORBIDDEN, Bytes::from_static(why)));
    }
    let value = match timeout(MAX_WAIT, Limited::new(request.into_body(), MAX_VALUE).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let why = format!("longer than the {MAX_VALUE} bytes that a value may have");
            return Err((StatusCode::PAYLOAD_TOO_LARGE, why.into()));
        }
        Ok(Err(_)) | Err(_) => {
            return Err((StatusCode::BAD_REQUEST, Bytes::from_static(b"the value did not come in whole")));
        }
    };
    let value = std::str::from_utf8(&value)
        .map_err(|_| (StatusCode::BAD_REQUEST, Bytes::from_static(b"the value is not UTF-8")))?;
    write(value.trim()).map_err(|why| (StatusCode::UNPROCESSABLE_ENTITY, why.into()))
}

fn is_asked_for_by_address<B>(request: &Request<B>) -> bool {
    let header = request.headers().get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let Some(authority) = request.uri().authority().or(header.as_ref()) else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

impl Page {
    fn text(&self) -> Bytes {
        match self {
            Self::Written(text) => text.clone(),
            Self::Made(make) | Self::Setting(make, _) => make().into(),
        }
    }
}

impl<B> Service<Request<B>> for Management
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let (status, text) = this.answer(request).await;
            let mut response = Response::new(Full::new(text));
            *response.status_mut() = status;
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A listener with a page of each kind. The setting takes words of five letters.
    fn management(phase: Phase) -> Management {
        let (_sender, receiver) = watch::channel(phase);
        let asked = AtomicU32::new(0);
        let made = move || format!("asked {} times", asked.fetch_add(1, Ordering::Relaxed) + 1);
        let level = Arc::new(Mutex::new("info".to_owned()));
        let written = Arc::clone(&level);
        let write = move |value: &str| match value.len() {
            5 => {
                value.clone_into(&mut written.lock().unwrap());
                Ok(())
            }
            _ => Err(format!("`{value}` is no level")),
        };
        let pages = vec![
            ("/stack".to_owned(), Page::Written("context > log".into())),
            ("/breakers".to_owned(), Page::Made(Arc::new(made))),
            (
                "/log-level".to_owned(),
                Page::Setting(Arc::new(move || level.lock().unwrap().clone()), Arc::new(write)),
            ),
        ];
        Management::new(receiver, pages)
    }

    async fn ask(
        management: &Management,
        method: Method,
        host: &str,
        path: &str,
        body: &str,
    ) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).header(HOST, host);
        let (status, text) =
            management.answer(request.body(Full::<Bytes>::from(body.to_owned())).unwrap()).await;
        (status.as_u16(), String::from_utf8(text.to_vec()).unwrap())
    }

    async fn get(management: &Management, path: &str) -> (u16, String) {
        ask(management, Method::GET, "anyone", path, "").await
    }

    #[tokio::test]
    async fn readiness_follows_the_phase_and_liveness_does_not() {
        for (phase, status, word) in [
            (Phase::Starting, 503, "starting"),
            (Phase::Ready, 200, "ready"),
            (Phase::Draining, 503, "draining"),
        ] {
            assert_eq!(get(&management(phase), "/readyz").await, (status, word.to_owned()));
            assert_eq!(get(&management(phase), "/livez").await, (200, "ok".to_owned()));
        }
    }

    #[tokio::test]
    async fn added_pages_are_shown_and_everything_else_is_not_found() {
        let management = management(Phase::Ready);
        assert_eq!(get(&management, "/stack").await, (200, "context > log".to_owned()));
        get(&management, "/breakers").await;
        assert_eq!(get(&management, "/breakers").await, (200, "asked 2 times".to_owned()));
        assert_eq!(get(&management, "/").await.0, 404);
        for path in ["/livez", "/stack", "/breakers"] {
            assert_eq!(ask(&management, Method::PUT, "127.0.0.1", path, "debug").await.0, 404);
        }
        assert_eq!(ask(&management, Method::POST, "127.0.0.1", "/log-level", "debug").await.0, 404);
    }

    #[tokio::test]
    async fn a_setting_is_shown_and_changed_and_what_it_refuses_changes_nothing() {
        let management = management(Phase::Ready);
        let put =
            async |body: &str| ask(&management, Method::PUT, "localhost:8081", "/log-level", body).await;
        assert_eq!(put("debug\n").await, (200, "debug".to_owned()));
        assert_eq!(put("x").await, (422, "`x` is no level".to_owned()));
        assert_eq!(put(&"x".repeat(MAX_VALUE + 1)).await.0, 413);
        assert_eq!(get(&management, "/log-level").await, (200, "debug".to_owned()));
    }

    #[tokio::test]
    async fn a_page_from_elsewhere_cannot_change_a_setting_through_a_name_of_its_own() {
        let management = management(Phase::Ready);
        for (host, status) in [
            ("evil.example", 403),
            ("evil.example:8081", 403),
            ("127.0.0.1.evil.example", 403),
            ("", 403),
            ("127.0.0.1:8081", 200),
            ("[::1]:8081", 200),
            ("LOCALHOST", 200),
        ] {
            let answer = ask(&management, Method::PUT, host, "/log-level", "debug").await;
            assert_eq!(answer.0, status, "{host}");
        }
    }
}
