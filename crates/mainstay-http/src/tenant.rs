//! Decides whose call it is, once, and refuses a call that names no tenant, two, or one that is not served.
//!
//! ```
//! use mainstay_http::tenant::{TenantConfig, TenantLayer, TenantSource};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use std::convert::Infallible;
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//!
//! let config = TenantConfig {
//!     sources: vec![TenantSource::Host("{tenant}.example.org".to_owned())],
//!     known: vec!["acme".to_owned()],
//!     ..TenantConfig::default()
//! };
//! let service = ServiceBuilder::new().layer(TenantLayer::new(&config).unwrap()).service(service_fn(
//!     async |request: http::Request<()>| {
//!         assert_eq!(request.headers()["x-tenant-id"], "acme");
//!         Ok::<_, Infallible>(http::Response::new(String::new()))
//!     },
//! ));
//!
//! let to = |host: &str| http::Request::builder().header("host", host).body(()).unwrap();
//! assert_eq!(service.clone().oneshot(to("acme.example.org")).await.unwrap().status(), 200);
//! assert_eq!(service.clone().oneshot(to("globex.example.org")).await.unwrap().status(), 403);
//! assert_eq!(service.oneshot(to("example.org")).await.unwrap().status(), 400);
//! # });
//! ```
//!
//! Stands inside [`ContextLayer`](crate::context::ContextLayer), which says whether the peer is trusted, and inside whatever
//! authenticates; outside idempotency and the handler.
//!
//! # What is decided
//!
//! All [sources](TenantSource) that name a tenant must name the same, byte for byte; hosts are put into lower case before.
//! The header of a peer that is not trusted counts only with [`TenantConfig::from_strangers`]; without a context, nobody is
//! trusted. A claim, and a tenant that the context has already, are the truth about the caller, and count as soon as the
//! layer has any source. Then the header is stripped, whoever sent it, and set: the handler sees it exactly once, with the
//! tenant that is in [`RequestContext::tenant`] too, and not at all where there is none. A span that has a field `tenant`
//! gets it as well. The path is left as it is: the segment that named the tenant stays, and routes name it. It is read as the layer
//! sees it, so a layer that rewrites paths stands further out.
//!
//! | refused | HTTP | gRPC |
//! |---|---|---|
//! | no tenant, and one is [required](TenantConfig::required) | 400 | INVALID_ARGUMENT |
//! | two different ones, in one source or in two; or what is none | 400 | INVALID_ARGUMENT |
//! | another than the caller's own (claim) | 403 | PERMISSION_DENIED |
//! | unknown, or not for this caller; the answer does not say which | 403 | PERMISSION_DENIED |
//! | the resolver failed | 503 | UNAVAILABLE |
//!
//! Who is served is [a list](TenantConfig::known), then a [`TenantResolver`], whose answers are remembered for a while, and
//! which is asked once for all calls that wait for the same answer. If the call that asked first is dropped, the others go on
//! with the same question; if all are, it is dropped too. No lock is held meanwhile.
//!
//! # Cost
//!
//! Without a source: nothing, the inner future as it is. A tenant of the list, or one that is remembered, costs no allocation
//! of its own, and the growth of the header map where the header was not there; a host in upper case costs one. A tenant that
//! nothing vouches for costs two, and a question to the resolver ten beside the resolver's own.

mod cache;
mod config;
mod decide;
mod future;
mod labels;
mod resolver;
mod source;

use std::collections::HashMap;
use std::fmt::{self, Debug, Formatter};
use std::iter;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use garde::Validate;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response};
use mainstay_core::{RequestContext, TenantId, take_ready};
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;

use crate::answer::refuse;
use crate::body::AnswerBody;
use crate::form::Form;
pub use config::{InvalidTenantConfig, TenantCacheConfig, TenantConfig, TenantSource};
use decide::Fault;
pub use future::TenantFuture;
pub use labels::TenantLabels;
use resolver::{Found, Registry};
pub use resolver::{ResolverError, Standing, TenantResolver};
use source::{HostPattern, Named, PathTemplate};

/// The caller's own tenant, which a layer further out has made sure of and puts into the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantClaim(pub TenantId);

/// Decides whose call it is. See the [module](self).
#[derive(Clone, Debug)]
pub struct TenantLayer {
    shared: Arc<Shared>,
}

/// The service of [`TenantLayer`].
#[derive(Clone, Debug)]
pub struct Tenant<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// Finds a text among what other layers have left in the request.
type Reader = dyn for<'a> Fn(&'a Extensions) -> Option<&'a str> + Send + Sync;

#[derive(Clone)]
struct Shared {
    enabled: bool,
    sources: Box<[Source]>,
    header: HeaderName,
    from_strangers: bool,
    required: bool,
    known: Arc<HashMap<String, Served>>,
    config: TenantCacheConfig,
    labels: TenantLabels,
    claim: Arc<Reader>,
    principal: Option<Arc<Reader>>,
    registry: Option<Arc<Registry>>,
}

/// What claims is read in any case, so it is none of these.
#[derive(Clone, Debug)]
enum Source {
    Header,
    Host(HostPattern),
    Path(PathTemplate),
}

/// A tenant that is served, and its name as the header's value.
#[derive(Clone, Debug)]
struct Served {
    tenant: TenantId,
    value: HeaderValue,
}

// === impl TenantLayer ===

impl TenantLayer {
    /// The layer with these settings.
    ///
    /// # Errors
    ///
    /// A setting is not what it has to be.
    pub fn new(config: &TenantConfig) -> Result<Self, InvalidTenantConfig> {
        let mut sources = Vec::new();
        for source in &config.sources {
            sources.push(match source {
                TenantSource::Header => Source::Header,
                TenantSource::Host(pattern) => Source::Host(HostPattern::parse(pattern)?),
                TenantSource::Path(template) => Source::Path(PathTemplate::parse(template)?),
                TenantSource::Claim => continue,
            });
        }
        let header = config::header_name(&config.header)?;
        let labels = TenantLabels::new(config.labels);
        let mut known = HashMap::new();
        for name in &config.known {
            let served = Served::of(config::tenant(name)?);
            labels.label(&served.tenant);
            known.insert(name.clone(), served);
        }
        // What has no parser of its own: the numbers.
        config.validate().map_err(|report| InvalidTenantConfig::out_of_range(&report))?;
        let shared = Shared {
            enabled: !config.sources.is_empty(),
            sources: sources.into(),
            header,
            from_strangers: config.from_strangers,
            required: config.required,
            known: Arc::new(known),
            config: config.cache.clone(),
            labels,
            claim: Arc::new(|extensions| extensions.get().map(|TenantClaim(tenant)| tenant.as_str())),
            principal: None,
            registry: None,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Where the caller's own tenant is found, instead of in a [`TenantClaim`]: `|extensions|
    /// extensions.get::<Claims>().map(|claims| claims.tenant.as_str())`. Is a source by itself.
    #[must_use]
    pub fn claim(
        mut self,
        claim: impl for<'a> Fn(&'a Extensions) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.claim = Arc::new(claim);
        shared.enabled = true;
        self
    }

    /// Who calls, for a [`TenantResolver`] whose answer depends on it. Its answers are remembered for each principal.
    #[must_use]
    pub fn principal(
        mut self,
        principal: impl for<'a> Fn(&'a Extensions) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.shared).principal = Some(Arc::new(principal));
        self
    }

    /// Who is asked about tenants that are not in [`TenantConfig::known`].
    #[must_use]
    pub fn resolver(mut self, resolver: impl TenantResolver) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.registry = Some(Arc::new(Registry::new(resolver, &shared.config)));
        self
    }

    /// The labels for metrics by tenant: those of [`TenantConfig::known`] have the first places.
    pub fn labels(&self) -> TenantLabels {
        self.shared.labels.clone()
    }
}

impl Default for TenantLayer {
    fn default() -> Self {
        Self::new(&TenantConfig::default()).expect("the defaults are within their ranges")
    }
}

impl<S> Layer<S> for TenantLayer {
    type Service = Tenant<S>;

    fn layer(&self, inner: S) -> Tenant<S> {
        Tenant { inner, shared: Arc::clone(&self.shared) }
    }
}

// === impl Tenant ===

impl<S, B, ResB> Service<Request<B>> for Tenant<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
{
    type Response = Response<AnswerBody<ResB>>;
    type Error = S::Error;
    type Future = TenantFuture<S, B, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !self.shared.enabled {
            return TenantFuture::passing(self.inner.call(request));
        }
        let settled = match self.shared.find(&request) {
            Ok(Some(Found::Asking(tenant, asking))) => {
                let service = take_ready(&mut self.inner);
                return TenantFuture::asking(service, request, Arc::clone(&self.shared), tenant, asking);
            }
            Ok(Some(Found::Served(served))) => self.shared.settle(&mut request, Some(&served)),
            Ok(None) => self.shared.settle(&mut request, None),
            Err(fault) => Err(fault),
        };
        match settled {
            Ok(()) => TenantFuture::passing(self.inner.call(request)),
            Err(fault) => {
                // Nobody will call the instance that was made ready: what it reserved goes with it.
                drop(take_ready(&mut self.inner));
                TenantFuture::refused(Refusal::of(fault, &request))
            }
        }
    }
}

// === impl Shared ===

impl Shared {
    /// The tenant that the request names, as far as it is known at once.
    fn find<B>(&self, request: &Request<B>) -> Result<Option<Found>, Fault> {
        let extensions = request.extensions();
        let context = extensions.get::<RequestContext>();
        let decided = context.and_then(RequestContext::tenant).map(TenantId::as_str);
        let claims = decided.into_iter().chain((self.claim)(extensions));
        let believed = self.from_strangers || context.is_some_and(|context| context.trust().is_trusted());
        let named = self.sources.iter().map(|source| self.named(source, request, believed));
        let Some(name) = decide::agree(claims, named)? else {
            return if self.required { Err(Fault::Missing) } else { Ok(None) };
        };
        if let Some(served) = self.known.get(&*name) {
            return Ok(Some(Found::Served(served.clone())));
        }
        if let Some(registry) = &self.registry {
            let principal = self.principal.as_ref().and_then(|principal| principal(extensions));
            // Where a context was just made, its clock is read once for both.
            let now =
                context.map_or_else(|| tokio::time::Instant::now().into_std(), RequestContext::received_at);
            return registry.find(&name, principal, now).map(Some);
        }
        let tenant = TenantId::parse(&name).map_err(|_| Fault::Malformed)?;
        if self.known.is_empty() { Ok(Some(Found::Served(Served::of(tenant)))) } else { Err(Fault::Refused) }
    }

    fn named<'a, B>(&self, source: &Source, request: &'a Request<B>, believed: bool) -> Named<'a> {
        match source {
            Source::Header if believed => source::in_header(request.headers(), &self.header),
            Source::Header => Ok(None),
            Source::Host(pattern) => Ok(host(request)?.and_then(|host| pattern.find(host))),
            Source::Path(template) => Ok(template.find(request.uri().path())),
        }
    }

    /// Makes context, header and span say what was decided.
    fn settle<B>(&self, request: &mut Request<B>, served: Option<&Served>) -> Result<(), Fault> {
        let Some(Served { tenant, value }) = served else {
            request.headers_mut().remove(&self.header);
            return Ok(());
        };
        if let Some(context) = request.extensions().get::<RequestContext>() {
            context.set_tenant(tenant.clone()).map_err(|_| Fault::Contradicted)?;
        }
        set_only(request.headers_mut(), &self.header, value);
        Span::current().record("tenant", tenant.as_str());
        Ok(())
    }
}

/// The client's host as the edge decided it, behind a proxy too; without a context the one that the request names.
fn host<B>(request: &Request<B>) -> Result<Option<&str>, Fault> {
    let own = source::host_of(request)?;
    Ok(match request.extensions().get::<RequestContext>() {
        Some(context) => context.host(),
        None => own,
    })
}

/// Strips the header and sets it, unless it says that already.
fn set_only(headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
    if !headers.get_all(name).iter().eq(iter::once(value)) {
        headers.insert(name, value.clone());
    }
}

fn header_value(tenant: &TenantId) -> HeaderValue {
    HeaderValue::from_str(tenant.as_str()).expect("a tenant holds only characters that a header may hold")
}

impl Served {
    fn of(tenant: TenantId) -> Self {
        Self { value: header_value(&tenant), tenant }
    }
}

/// All that the answer to a refused call is made of.
#[derive(Debug)]
struct Refusal {
    fault: Fault,
    form: Form,
    context: Option<RequestContext>,
}

impl Refusal {
    fn of<B>(fault: Fault, request: &Request<B>) -> Self {
        Self { fault, form: Form::of(request), context: request.extensions().get().cloned() }
    }

    fn answer(&self) -> Response<Bytes> {
        refuse(&self.fault.rejection(), self.form, self.context.as_ref())
    }
}

impl Debug for Shared {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("sources", &self.sources)
            .field("header", &self.header)
            .field("known", &self.known.len())
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
