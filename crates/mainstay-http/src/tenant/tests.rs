//! What must hold of how a tenant is found, and of what a handler sees of it.

use std::convert::Infallible;
use std::future::{pending, poll_fn, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use mainstay_core::{Host, Outcome, Parts, Reason, RequestContext, RequestId, TenantId, TraceContext, Trust};
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, http_layer_contract};
use mainstay_testkit::probe::Probe;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{ResolverError, Standing, TenantClaim, TenantConfig, TenantLayer, TenantResolver, TenantSource};
use crate::answer::Ended;
use crate::test_log::TestLog;

fn config(sources: &[TenantSource]) -> TenantConfig {
    TenantConfig { sources: sources.to_vec(), ..TenantConfig::default() }
}

fn from_anybody() -> TenantConfig {
    TenantConfig { from_strangers: true, ..config(&[TenantSource::Header]) }
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

/// What the edge decided of a request for this host.
fn context(trust: Trust, host: Option<&str>) -> RequestContext {
    let trace = TraceContext::root([1; 16], [2; 8]);
    RequestContext::new(Parts {
        trust,
        host: host.and_then(|host| Host::parse(host.as_bytes()).ok()),
        ..Parts::new(RequestId::v7(1_000, [0; 10]), trace, Instant::now().into_std())
    })
}

/// A request of a stranger's with these headers.
fn request(headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
    }
    request.extensions_mut().insert(context(Trust::Untrusted, host_in(headers)));
    request
}

fn trusted(headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = request(headers);
    request.extensions_mut().insert(context(Trust::Trusted, host_in(headers)));
    request
}

fn host_in<'a>(headers: &[(&'static str, &'a str)]) -> Option<&'a str> {
    headers.iter().find(|(name, _)| *name == "host").map(|(_, host)| *host)
}

/// What a handler saw, if it was called: the header's values, and the tenant of its context.
type Saw = Option<(Vec<String>, Option<String>)>;

/// The status, and what the handler saw.
async fn through(layer: &TenantLayer, request: Request<()>) -> (u16, Saw) {
    let seen = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&seen);
    let service = service_fn(move |request: Request<()>| {
        let values = request.headers().get_all("x-tenant-id").iter();
        let values = values.map(|value| value.to_str().unwrap().to_owned()).collect();
        let context = request.extensions().get::<RequestContext>();
        *noted.lock().unwrap() = Some((values, context.and_then(|c| c.tenant()).map(ToString::to_string)));
        ready(Ok::<_, Infallible>(Response::new(String::new())))
    });
    let status = layer.layer(service).oneshot(request).await.unwrap().status().as_u16();
    let seen = seen.lock().unwrap().take();
    (status, seen)
}

fn seen(name: &str) -> (u16, Saw) {
    (200, Some((vec![name.to_owned()], Some(name.to_owned()))))
}

fn seen_none() -> (u16, Saw) {
    (200, Some((vec![], None)))
}

#[tokio::test]
async fn settings_that_ask_for_nothing_change_nothing() {
    let layer = TenantLayer::default();
    let (status, saw) = through(&layer, request(&[("x-tenant-id", "a"), ("x-tenant-id", "b")])).await;
    assert_eq!((status, saw), (200, Some((vec!["a".to_owned(), "b".to_owned()], None))));
}

#[tokio::test]
async fn a_header_is_believed_from_trusted_peers_and_from_others_only_where_that_is_set() {
    let layer = TenantLayer::new(&config(&[TenantSource::Header])).unwrap();
    assert_eq!(through(&layer, trusted(&[("x-tenant-id", "acme")])).await, seen("acme"));
    assert_eq!(through(&layer, request(&[("x-tenant-id", "acme")])).await, (400, None));
    let mut without_context = Request::new(());
    without_context.headers_mut().insert("x-tenant-id", "acme".parse().unwrap());
    assert_eq!(through(&layer, without_context).await, (400, None), "nobody vouches for the peer");

    let layer = TenantLayer::new(&from_anybody()).unwrap();
    assert_eq!(through(&layer, request(&[("x-tenant-id", "acme")])).await, seen("acme"));
}

#[tokio::test]
async fn what_is_not_decided_by_the_header_strips_it_and_sets_it() {
    let host = TenantSource::Host("{tenant}.example.org".to_owned());
    let layer = TenantLayer::new(&config(&[host, TenantSource::Header])).unwrap();
    let forged = request(&[("host", "ACME.example.org:80"), ("x-tenant-id", "x"), ("x-tenant-id", "y")]);
    assert_eq!(through(&layer, forged).await, seen("acme"));

    let layer = TenantLayer::new(&config(&[TenantSource::Path("/t/{tenant}".to_owned())])).unwrap();
    let mut by_path = trusted(&[("x-tenant-id", "globex")]);
    *by_path.uri_mut() = "/t/acme/orders".parse().unwrap();
    assert_eq!(through(&layer, by_path).await, seen("acme"));
}

#[tokio::test]
async fn behind_a_proxy_the_host_is_the_one_that_the_client_asked_for() {
    let layer = TenantLayer::new(&config(&[TenantSource::Host("{tenant}.example.org".to_owned())])).unwrap();
    let mut proxied = request(&[("host", "globex.example.org")]);
    proxied.extensions_mut().insert(context(Trust::Trusted, Some("acme.example.org")));
    assert_eq!(through(&layer, proxied).await, seen("acme"));
    // What the proxy garbled is nobody's, and not our own name either.
    let mut garbled = request(&[("host", "globex.example.org")]);
    garbled.extensions_mut().insert(context(Trust::Trusted, None));
    assert_eq!(through(&layer, garbled).await, (400, None));
}

#[tokio::test]
async fn a_call_without_a_tenant_is_refused_or_has_none() {
    let layer = TenantLayer::new(&from_anybody()).unwrap();
    assert_eq!(through(&layer, request(&[])).await, (400, None));
    let optional = TenantConfig { required: false, ..config(&[TenantSource::Header]) };
    let layer = TenantLayer::new(&optional).unwrap();
    assert_eq!(through(&layer, request(&[("x-tenant-id", "acme")])).await, seen_none(), "a stranger's word");
}

#[tokio::test]
async fn duplicates_that_disagree_and_what_is_no_tenant_are_malformed() {
    let layer = TenantLayer::new(&from_anybody()).unwrap();
    let same = request(&[("x-tenant-id", "acme"), ("x-tenant-id", "acme")]);
    assert_eq!(through(&layer, same).await, seen("acme"));
    let two = request(&[("x-tenant-id", "acme"), ("x-tenant-id", "globex")]);
    assert_eq!(through(&layer, two).await, (400, None));
    for wrong in ["", "acme, globex", "../etc", &"a".repeat(64)] {
        assert_eq!(through(&layer, request(&[("x-tenant-id", wrong)])).await, (400, None), "{wrong}");
    }
}

#[tokio::test]
async fn sources_that_disagree_are_malformed() {
    let sources = [TenantSource::Header, TenantSource::Path("/{tenant}".to_owned())];
    let layer = TenantLayer::new(&config(&sources)).unwrap();
    let mut both = trusted(&[("x-tenant-id", "acme")]);
    *both.uri_mut() = "/globex".parse().unwrap();
    assert_eq!(through(&layer, both).await, (400, None));
}

#[tokio::test]
async fn a_claim_is_the_truth_and_a_call_for_another_tenant_is_forbidden() {
    let sources = [TenantSource::Header, TenantSource::Claim];
    let layer = TenantLayer::new(&config(&sources)).unwrap();
    let claimed = |headers: &[(&'static str, &str)]| {
        let mut request = trusted(headers);
        request.extensions_mut().insert(TenantClaim(tenant("acme")));
        request
    };
    assert_eq!(through(&layer, claimed(&[])).await, seen("acme"));
    assert_eq!(through(&layer, claimed(&[("x-tenant-id", "acme")])).await, seen("acme"));
    assert_eq!(through(&layer, claimed(&[("x-tenant-id", "globex")])).await, (403, None));

    #[derive(Clone)]
    struct Claims(&'static str);
    let layer = TenantLayer::default().claim(|extensions| extensions.get().map(|Claims(tenant)| *tenant));
    for (claim, expected) in [("acme", seen("acme")), ("a b", (400, None))] {
        let mut request = request(&[("x-tenant-id", "globex")]);
        request.extensions_mut().insert(Claims(claim));
        assert_eq!(through(&layer, request).await, expected, "{claim}");
    }

    let decided = trusted(&[("x-tenant-id", "globex")]);
    decided.extensions().get::<RequestContext>().unwrap().set_tenant(tenant("acme")).unwrap();
    let layer = TenantLayer::new(&config(&[TenantSource::Header])).unwrap();
    assert_eq!(through(&layer, decided).await, (403, None), "a context that has a tenant keeps it");
}

#[tokio::test]
async fn a_tenant_that_is_not_on_the_list_is_forbidden() {
    let config = TenantConfig { known: vec!["acme".to_owned()], ..from_anybody() };
    let layer = TenantLayer::new(&config).unwrap();
    assert_eq!(through(&layer, request(&[("x-tenant-id", "acme")])).await, seen("acme"));
    assert_eq!(through(&layer, request(&[("x-tenant-id", "ACME")])).await, (403, None));
    assert_eq!(through(&layer, request(&[("x-tenant-id", "a b")])).await, (400, None));
    assert_eq!(layer.labels().label(&tenant("acme")), "acme");
}

#[tokio::test]
async fn a_refusal_is_in_the_callers_form_and_gives_back_what_was_reserved() {
    let probe = Probe::new(|_: Request<()>| Ok(Response::new(String::new())));
    let handle = probe.handle();
    let mut service = TenantLayer::new(&from_anybody()).unwrap().layer(probe);
    let mut grpc = request(&[("content-type", "application/grpc")]);
    *grpc.method_mut() = http::Method::POST;
    let answer = service.ready().await.unwrap().call(grpc).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["grpc-status"]), (200, &"3".parse().unwrap()));
    assert_eq!(answer.extensions().get(), Some(&Ended(Outcome::Rejected(Reason::Invalid))));
    assert_eq!((handle.calls(), handle.reserved()), (0, 0));
}

#[tokio::test]
async fn the_current_span_learns_the_tenant() {
    let log = TestLog::start();
    let span = tracing::info_span!("request", tenant = tracing::field::Empty);
    let layer = TenantLayer::new(&from_anybody()).unwrap();
    let _entered = span.enter();
    assert_eq!(through(&layer, request(&[("x-tenant-id", "acme")])).await, seen("acme"));
    tracing::info!("in the span");
    assert_eq!(log.line()["span"]["tenant"], "acme");
}

// === the resolver ===

/// Knows `acme`, fails for `broken`, hangs for `stuck`, and serves `shared` to alice alone; each answer takes 1 s.
#[derive(Clone, Default)]
struct Directory {
    asked: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl TenantResolver for Directory {
    async fn resolve(&self, tenant: &TenantId, principal: Option<&str>) -> Result<Standing, ResolverError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.running.fetch_add(1, Ordering::SeqCst);
        let _running = Running(Arc::clone(&self.running));
        sleep(Duration::from_secs(1)).await;
        match tenant.as_str() {
            "acme" => Ok(Standing::Known),
            "shared" if principal == Some("alice") => Ok(Standing::Known),
            "shared" => Ok(Standing::NotAllowed),
            "broken" => Err("line\nbreak".into()),
            "stuck" => pending().await,
            _ => Ok(Standing::Unknown),
        }
    }
}

impl Directory {
    fn layer(&self) -> TenantLayer {
        TenantLayer::new(&from_anybody()).unwrap().resolver(self.clone())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}

fn named(name: &str) -> Request<()> {
    request(&[("x-tenant-id", name)])
}

#[tokio::test(start_paused = true)]
async fn answers_are_remembered_as_long_as_the_settings_say() {
    let directory = Directory::default();
    let layer = directory.layer();
    for (name, expected, fresh_for) in [("acme", seen("acme"), 60), ("globex", (403, None), 5)] {
        let before = directory.asked();
        assert_eq!(through(&layer, named(name)).await, expected);
        assert_eq!(through(&layer, named(name)).await, expected);
        advance(Duration::from_secs(fresh_for - 1)).await;
        assert_eq!(through(&layer, named(name)).await, expected);
        assert_eq!(directory.asked() - before, 1, "{name}");
        advance(Duration::from_secs(1)).await;
        assert_eq!(through(&layer, named(name)).await, expected);
        assert_eq!(directory.asked() - before, 2, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_list_is_looked_at_before_the_resolver_is_asked() {
    let directory = Directory::default();
    let config = TenantConfig { known: vec!["globex".to_owned()], ..from_anybody() };
    let layer = TenantLayer::new(&config).unwrap().resolver(directory.clone());
    assert_eq!(through(&layer, named("globex")).await, seen("globex"));
    assert_eq!(through(&layer, named("a b")).await, (400, None));
    assert_eq!(directory.asked(), 0);
    assert_eq!(through(&layer, named("acme")).await, seen("acme"));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_may_be_served_to_one_principal_and_not_to_another() {
    let directory = Directory::default();
    let layer = directory.layer().principal(|extensions| extensions.get::<&'static str>().copied());
    for _ in 0..2 {
        for (principal, expected) in [("alice", seen("shared")), ("bob", (403, None))] {
            let mut request = named("shared");
            request.extensions_mut().insert(principal);
            assert_eq!(through(&layer, request).await, expected, "{principal}");
        }
    }
    assert_eq!(directory.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_unavailable_for_all_who_wait_logged_once_and_not_remembered() {
    let log = TestLog::start();
    let directory = Directory::default();
    let layer = directory.layer();
    let both = tokio::join!(through(&layer, named("broken")), through(&layer, named("broken")));
    assert_eq!(both, ((503, None), (503, None)));
    assert_eq!(directory.asked(), 1);
    assert_eq!(log.line()["error"], "\"line\\nbreak\"");
    assert_eq!(through(&layer, named("broken")).await, (503, None));
    assert_eq!(directory.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_at_once_share_one_question_and_go_on_when_the_first_is_dropped() {
    let directory = Directory::default();
    let layer = directory.layer();
    let mut first = Box::pin(through(&layer, named("acme")));
    let mut second = Box::pin(through(&layer, named("acme")));
    poll_fn(|cx| {
        assert!(first.as_mut().poll(cx).is_pending() && second.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(first);
    assert_eq!(second.await, seen("acme"));
    assert_eq!((directory.asked(), directory.running()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_waits_for_is_dropped_and_asked_anew() {
    let directory = Directory::default();
    let layer = directory.layer();
    for round in 1..=2 {
        let given_up = tokio::time::timeout(Duration::from_secs(9), through(&layer, named("stuck"))).await;
        assert!(given_up.is_err());
        assert_eq!((directory.asked(), directory.running()), (round, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_at_any_await_leaves_nothing_behind() {
    let directory = Directory::default();
    let config = TenantConfig {
        cache: super::TenantCacheConfig { known_for: Duration::ZERO, ..Default::default() },
        ..from_anybody()
    };
    let layer = TenantLayer::new(&config).unwrap().resolver(directory.clone());
    let probe = Probe::new(|_: Request<()>| Ok(Response::new(String::new()))).pending_before_answer(2);
    let handle = probe.handle();
    let call = || layer.layer(probe.clone()).oneshot(named("acme"));
    let awaits = drop_at_every_await(call, |_| {
        handle.assert_idle();
        assert_eq!(directory.running(), 0);
    })
    .await;
    assert!(awaits >= 3, "{awaits}");
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    http_layer_contract(TenantLayer::default, || Request::new(()), Laws::default()).await;
    let known = TenantConfig { known: vec!["acme".to_owned()], ..from_anybody() };
    http_layer_contract(|| TenantLayer::new(&known).unwrap(), || named("acme"), Laws::default()).await;
    http_layer_contract(|| Directory::default().layer(), || named("acme"), Laws::default()).await;
}

// === whatever comes ===

fn names() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        4 => Just(None),
        8 => prop_oneof![Just("acme"), Just("globex"), Just("ACME"), Just("")].prop_map(|name| Some(name.into())),
        2 => vec(32_u8..=255, 0..70).prop_map(Some),
    ]
}

proptest! {
    #[test]
    fn a_handler_never_sees_two_tenants_and_always_the_one_of_its_context(
        lines in vec(names(), 0..4),
        host in names(),
        path in prop_oneof![Just("/"), Just("/t/acme/x"), Just("/t/globex"), Just("/t/%61cme"), Just("/t//")],
        claim in prop_oneof![Just(None), Just(Some("acme")), Just(Some("globex"))],
        is_trusted in proptest::bool::ANY,
        from_strangers in proptest::bool::ANY,
        required in proptest::bool::ANY,
    ) {
        let sources = [
            TenantSource::Header,
            TenantSource::Host("{tenant}.example.org".to_owned()),
            TenantSource::Path("/t/{tenant}".to_owned()),
        ];
        let layer = TenantLayer::new(&TenantConfig { from_strangers, required, ..config(&sources) }).unwrap();
        let mut sent = if is_trusted { trusted(&[]) } else { request(&[]) };
        let lines: Vec<_> = lines.into_iter().flatten().filter_map(|line| HeaderValue::from_bytes(&line).ok()).collect();
        for line in &lines {
            sent.headers_mut().append("x-tenant-id", line.clone());
        }
        if let Some(host) = &host {
            let host = [&host[..], b".example.org"].concat();
            if let Ok(host) = HeaderValue::from_bytes(&host) {
                sent.headers_mut().insert("host", host);
            }
        }
        *sent.uri_mut() = path.parse().unwrap();
        if let Some(claim) = claim {
            sent.extensions_mut().insert(TenantClaim(tenant(claim)));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (status, saw) = runtime.block_on(through(&layer, sent));
        if let Some((values, decided)) = saw {
            prop_assert_eq!(status, 200);
            prop_assert!(!required || decided.is_some());
            prop_assert_eq!(&values, &decided.clone().into_iter().collect::<Vec<_>>());
            if let (Some(claim), Some(decided)) = (claim, &decided) {
                prop_assert_eq!(claim, decided);
            }
            if is_trusted || from_strangers {
                prop_assert!(lines.iter().all(|line| Some(line.as_bytes()) == decided.as_ref().map(String::as_bytes)));
            }
        } else {
            prop_assert!(status == 400 || status == 403, "{}", status);
        }
    }
}
