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
use hyper_util::client::legacy::{Client, Error as HyperError};
use hyper_util::rt::TokioExecutor;
use mainstay::client::{
    self, Attempts, Breakers, CallError, CallFailure, ClientConfig, ClientStack, Idempotent, ReplayBody,
};
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
    /// How it is called: how long, how often, and when it is left alone.
    pub client: ClientConfig,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPaymentConfig {
    /// The URL is no base for calls.
    #[error(
        "{0} is no base for calls to the payment provider, expected a url like https://payments.example/"
    )]
    Url(Url),
    /// The settings make no stack.
    #[error(transparent)]
    Client(#[from] client::StackError),
}

/// The client. Clones share its connections, its circuit and its budget.
#[derive(Clone)]
pub struct PaymentClient {
    config: Arc<PaymentConfig>,
    stack: ClientStack,
    http: client::Client<Hyper>,
}

type Hyper = Client<HttpsConnector<HttpConnector>, ReplayBody<Full<Bytes>>>;

/// A call without an answer, and whether the provider may have carried it out nevertheless.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
struct NoAnswer {
    reason: String,
    may_have_run: bool,
}

/// An answer is small; a larger one is not from this provider.
const ANSWER_LIMIT: usize = 64 * 1024;

// === impl PaymentClient ===

impl PaymentClient {
    /// A client that trusts the certificate authorities that Mozilla trusts.
    ///
    /// # Errors
    ///
    /// The URL is no base for calls, or the settings make no stack.
    pub fn new(config: PaymentConfig) -> Result<Self, InvalidPaymentConfig> {
        if !matches!(config.url.scheme(), "http" | "https") || config.url.cannot_be_a_base() {
            return Err(InvalidPaymentConfig::Url(config.url));
        }
        let stack = client::stack("payments", &config.client)?;
        let http = stack.layer(Client::builder(TokioExecutor::new()).build(https()));
        Ok(Self { config: Arc::new(config), stack, http })
    }

    /// Asks before each call how long it may take, instead of the configured time.
    #[must_use]
    pub fn timeout_from(self, timeout: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let (config, stack) = (self.config, self.stack.timeout_from(timeout));
        let http = stack.layer(Client::builder(TokioExecutor::new()).build(https()));
        Self { config, stack, http }
    }

    /// The circuit between us and the provider.
    pub fn breakers(&self) -> Breakers {
        self.stack.breakers()
    }

    /// Charges, once, however often it is asked with one key.
    pub async fn charge(&self, key: &IdempotencyKey, payment: &Payment) -> Verdict {
        let body = serde_json::to_vec(payment).expect("a payment is plain data");
        let mut request = self.request(&["charges"], body);
        let key = HeaderValue::try_from(key.to_string()).expect("a key is visible ASCII");
        request.headers_mut().insert("idempotency-key", key);

        match self.send(request).await {
            Ok((status, body, attempts)) => Verdict::of(status, &body).after(attempts),
            Err(NoAnswer { reason, may_have_run: false }) => Verdict::NotCharged(reason),
            Err(NoAnswer { reason, may_have_run: true }) => Verdict::Unknown(reason),
        }
    }

    /// Undoes what was charged under the key, and bars it. The error is for the log.
    pub async fn cancel(&self, key: &IdempotencyKey) -> Result<(), String> {
        let mut request = self.request(&["charges", &key.to_string(), "cancel"], Vec::new());
        // Cancelled is cancelled, however often it is asked for.
        request.extensions_mut().insert(Idempotent);
        let (status, body, _) = self.send(request).await.map_err(|error| error.to_string())?;
        match serde_json::from_slice(&body) {
            Ok(Cancelled { status: answer }) if status == StatusCode::OK && answer == "cancelled" => Ok(()),
            _ => Err(format!("the provider answered {status} to a cancellation")),
        }
    }

    fn request(&self, path: &[&str], body: Vec<u8>) -> Request<Full<Bytes>> {
        let mut url = self.config.url.clone();
        url.path_segments_mut().expect("the url is a base: `new` checked it").pop_if_empty().extend(path);

        let mut request = Request::new(Full::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.as_str().parse().expect("a url is a uri");
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &self.config.api_key {
            request.headers_mut().insert(AUTHORIZATION, key.authorization());
        }
        request
    }

    /// The stack decides how often it is sent, and tells the provider for which request.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes, Attempts), NoAnswer> {
        let response = self.http.clone().oneshot(request).await.map_err(|error| NoAnswer::of(&error))?;
        let status = response.status();
        let attempts = response.extensions().get().copied().unwrap_or_default();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
        let body = body.map_err(|error| NoAnswer {
            reason: format!("the answer broke off: {error}"),
            may_have_run: true,
        })?;
        Ok((status, body.to_bytes(), attempts))
    }
}

/// Trusts the certificate authorities that Mozilla trusts.
fn https() -> HttpsConnector<HttpConnector> {
    HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
        .expect("ring supports the default protocol versions")
        .https_or_http()
        .enable_http1()
        .build()
}

impl fmt::Debug for PaymentClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaymentClient").field("config", &self.config).finish_non_exhaustive()
    }
}

// === impl NoAnswer ===

impl NoAnswer {
    fn of(error: &CallError<HyperError>) -> Self {
        // hyper says what happened in its sources.
        let cause = error.as_error();
        let reason = cause.source().map_or_else(|| cause.to_string(), ToString::to_string);
        let may_have_run = error.may_have_run(|error| client::reached(error));
        Self { reason, may_have_run }
    }
}
