//! The HTTP client of the provider.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::TokioExecutor;
use mainstay::RequestContext;
use tower::{Layer, ServiceExt};
use url::Url;

use super::api_key::ApiKey;
use super::verdict::Verdict;
use super::wire::{Cancelled, IdempotencyKey, Payment};

/// Where the provider is, and how long it may take.
#[derive(Clone, Debug)]
pub struct PaymentConfig {
    /// Its base, `http://` or `https://`.
    pub url: Url,
    /// What it knows us by.
    pub api_key: Option<ApiKey>,
    /// How long one call may take, from the first byte sent to the last byte read.
    pub timeout: Duration,
}

/// The URL is no base for calls.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no base for calls to the payment provider, expected a url like https://payments.example/")]
pub struct InvalidPaymentUrl(Url);

/// The client. Clones share its connections.
#[derive(Clone)]
pub struct PaymentClient {
    config: Arc<PaymentConfig>,
    timeout: Arc<dyn Fn() -> Duration + Send + Sync>,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A call without an answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("cannot connect: {0}")]
    NotSent(String),
    #[error("{0}")]
    Lost(String),
}

/// An answer is small; a larger one is not from this provider.
const ANSWER_LIMIT: usize = 64 * 1024;

// === impl PaymentClient ===

impl PaymentClient {
    /// A client that trusts the certificate authorities that Mozilla trusts.
    pub fn new(config: PaymentConfig) -> Result<Self, InvalidPaymentUrl> {
        if !matches!(config.url.scheme(), "http" | "https") || config.url.cannot_be_a_base() {
            return Err(InvalidPaymentUrl(config.url));
        }
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .expect("ring supports the default protocol versions")
            .https_or_http()
            .enable_http1()
            .build();
        let http = Client::builder(TokioExecutor::new()).build(connector);
        let timeout = config.timeout;
        Ok(Self { config: Arc::new(config), timeout: Arc::new(move || timeout), http })
    }

    /// Asks before each call how long it may take, instead of the configured time.
    #[must_use]
    pub fn timeout_from(mut self, timeout: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.timeout = Arc::new(timeout);
        self
    }

    /// Charges, once, however often it is asked with one key.
    pub async fn charge(
        &self,
        key: &IdempotencyKey,
        payment: &Payment,
        context: Option<RequestContext>,
    ) -> Verdict {
        let body = serde_json::to_vec(payment).expect("a payment is plain data");
        let mut request = self.request(&["charges"], body, context);
        let key = HeaderValue::try_from(key.to_string()).expect("a key is visible ASCII");
        request.headers_mut().insert("idempotency-key", key);

        match self.send(request).await {
            Ok((status, body)) => Verdict::of(status, &body),
            Err(NoAnswer::NotSent(reason)) => Verdict::NotCharged(reason),
            Err(NoAnswer::Lost(reason)) => Verdict::Unknown(reason),
        }
    }

    /// Undoes what was charged under the key, and bars it. The error is for the log.
    pub async fn cancel(&self, key: &IdempotencyKey, context: Option<RequestContext>) -> Result<(), String> {
        let request = self.request(&["charges", &key.to_string(), "cancel"], Vec::new(), context);
        let (status, body) = self.send(request).await.map_err(|error| error.to_string())?;
        match serde_json::from_slice(&body) {
            Ok(Cancelled { status: answer }) if status == StatusCode::OK && answer == "cancelled" => Ok(()),
            _ => Err(format!("the provider answered {status} to a cancellation")),
        }
    }

    fn request(&self, path: &[&str], body: Vec<u8>, context: Option<RequestContext>) -> Request<Full<Bytes>> {
        let mut url = self.config.url.clone();
        url.path_segments_mut().expect("the url is a base: `new` checked it").pop_if_empty().extend(path);

        let mut request = Request::new(Full::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.as_str().parse().expect("a url is a uri");
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &self.config.api_key {
            request.headers_mut().insert(AUTHORIZATION, key.authorization());
        }
        if let Some(context) = context {
            request.extensions_mut().insert(context);
        }
        request
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), NoAnswer> {
        let http = mainstay::client::propagate().layer(self.http.clone());
        let exchange = async {
            let response = http.oneshot(request).await.map_err(|error| NoAnswer::of(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
            let body = body.map_err(|error| NoAnswer::Lost(format!("the answer broke off: {error}")))?;
            Ok((status, body.to_bytes()))
        };
        let allowed = (self.timeout)();
        let in_time = tokio::time::timeout(allowed, exchange).await;
        in_time.unwrap_or_else(|_| Err(NoAnswer::Lost(format!("no answer within {allowed:?}"))))
    }
}

impl fmt::Debug for PaymentClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaymentClient").field("config", &self.config).finish_non_exhaustive()
    }
}

// === impl NoAnswer ===

impl NoAnswer {
    fn of(error: &ClientError) -> Self {
        let reason = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        if error.is_connect() { Self::NotSent(reason) } else { Self::Lost(reason) }
    }
}
