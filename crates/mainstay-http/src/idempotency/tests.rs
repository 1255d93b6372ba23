//! What must hold of a call that is sent more than once.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use mainstay_core::idempotency::{Claim, Completion, Fingerprint, Key, Standing, Store, StoreError, Token};
use mainstay_core::{Parts, RequestContext, RequestId, TenantId, TraceContext};
use mainstay_testkit::body::{ScriptedBody, Step};
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, http_layer_contract};
use tokio::sync::{Barrier, Notify};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{IdempotencyConfig, IdempotencyLayer, KeyedBody, Keys, StoreFailure};

type Body = Full<Bytes>;

fn config(keys: Keys) -> IdempotencyConfig {
    IdempotencyConfig { keys, ..IdempotencyConfig::default() }
}

fn optional() -> IdempotencyLayer {
    IdempotencyLayer::new(&config(Keys::Optional)).unwrap().clock(paused_clock)
}

/// The wall clock that goes with tokio's paused one.
fn paused_clock() -> SystemTime {
    thread_local!(static START: Instant = Instant::now());
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + START.with(Instant::elapsed)
}

fn order(key: Option<&str>, body: &str) -> Request<Body> {
    let mut request = Request::post("/orders").body(Full::from(body.to_owned())).unwrap();
    if let Some(key) = key {
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    }
    request
}

fn of_tenant(name: &str, mut request: Request<Body>) -> Request<Body> {
    let trace = TraceContext::root([1; 16], [2; 8]);
    let parts = Parts::new(RequestId::v7(1_000, [0; 10]), trace, Instant::now().into_std());
    let context = RequestContext::new(parts);
    context.set_tenant(TenantId::parse(name).unwrap()).unwrap();
    request.extensions_mut().insert(context);
    request
}

/// A service that counts its runs, and answers with their number and what it was sent.
fn counting(
    runs: &Arc<AtomicUsize>,
) -> impl Service<
    Request<KeyedBody<Body>>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send
+ 'static {
    let runs = Arc::clone(runs);
    service_fn(move |request: Request<KeyedBody<Body>>| {
        let runs = Arc::clone(&runs);
        async move {
            let sent = request.into_body().collect().await.unwrap().to_bytes();
            let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
            let answer = Response::builder().status(201).header("location", format!("/orders/{run}"));
            Ok(answer.body(Full::from([b"made of ", &sent[..]].concat())).unwrap())
        }
    })
}

/// Status, headers and text.
async fn send<S, B>(service: S, request: Request<Body>) -> (u16, HeaderMap, String)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (head, body) = service.oneshot(request).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    (head.status.as_u16(), head.headers, text)
}

#[tokio::test]
async fn a_retry_gets_the_first_answer_and_runs_nothing() {
    let runs = Arc::default();
    let service = optional().layer(counting(&runs));
    let (status, headers, text) = send(service.clone(), order(Some("\"k-1\""), "tea")).await;
    assert_eq!((status, text.as_str()), (201, "made of tea"));
    assert!(!headers.contains_key("idempotency-replayed"));

    // With or without quotes it is the same key.
    for key in ["\"k-1\"", "k-1"] {
        let (status, headers, text) = send(service.clone(), order(Some(key), "tea")).await;
        assert_eq!((status, text.as_str()), (201, "made of tea"));
        assert_eq!(
            (&headers["location"], &headers["idempotency-replayed"]),
            (&"/orders/1".parse().unwrap(), &"true".parse().unwrap())
        );
    }
    assert_eq!(send(service.clone(), order(Some("k-2"), "tea")).await.1["location"], "/orders/2");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn one_key_for_two_contents_is_refused() {
    let runs = Arc::default();
    let service = optional().layer(counting(&runs));
    send(service.clone(), order(Some("k"), "tea")).await;
    let (status, headers, text) = send(service.clone(), order(Some("k"), "coffee")).await;
    assert_eq!((status, &headers["content-type"]), (422, &"application/problem+json".parse().unwrap()));
    assert!(text.contains(r#""code":"mismatch""#), "{text}");
    let mut another_query = order(Some("k"), "tea");
    *another_query.uri_mut() = "/orders?gift=1".parse().unwrap();
    assert_eq!(send(service.clone(), another_query).await.0, 422);
    let mut another_user = order(Some("k"), "tea");
    another_user.headers_mut().insert("authorization", "Bearer other".parse().unwrap());
    assert_eq!(send(service.clone(), another_user).await.0, 422, "nobody gets another's answer");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn tenants_principals_methods_and_routes_have_keys_of_their_own() {
    let runs = Arc::default();
    let layer = optional().principal(|extensions| extensions.get::<&'static str>().copied());
    let service = layer.layer(counting(&runs));
    let of_principal = |name: &'static str| {
        let mut request = of_tenant("acme", order(Some("k"), "tea"));
        request.extensions_mut().insert(name);
        request
    };
    let mut patch = of_tenant("acme", order(Some("k"), "tea"));
    *patch.method_mut() = http::Method::PATCH;
    let mut elsewhere = of_tenant("acme", order(Some("k"), "tea"));
    *elsewhere.uri_mut() = "/returns".parse().unwrap();
    for (number, request) in [
        order(Some("k"), "tea"),
        of_tenant("acme", order(Some("k"), "tea")),
        of_tenant("globex", order(Some("k"), "tea")),
        of_principal("ann"),
        of_principal("bob"),
        patch,
        elsewhere,
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(send(service.clone(), request).await.0, 201);
        assert_eq!(runs.load(Ordering::SeqCst), number + 1);
    }
    assert_eq!(send(service, of_principal("ann")).await.1["idempotency-replayed"], "true");
}

#[tokio::test]
async fn what_has_no_key_is_refused_only_where_one_is_required() {
    let runs = Arc::default();
    let required = IdempotencyLayer::new(&config(Keys::Required)).unwrap();
    let (status, _, text) = send(required.layer(counting(&runs)), order(None, "tea")).await;
    assert_eq!(status, 400);
    assert!(text.contains("idempotency-key is missing"), "{text}");
    let mut get = order(None, "");
    *get.method_mut() = http::Method::GET;
    assert_eq!(send(required.layer(counting(&runs)), get).await.0, 201);
    for wrong in ["", "a b", "\"open", "a,b"] {
        assert_eq!(send(required.layer(counting(&runs)), order(Some(wrong), "tea")).await.0, 400, "{wrong}");
    }
    let mut twice = order(Some("k"), "tea");
    twice.headers_mut().append("idempotency-key", "k".parse().unwrap());
    assert_eq!(send(required.layer(counting(&runs)), twice).await.0, 400);
    assert_eq!(runs.load(Ordering::SeqCst), 1);

    assert_eq!(send(optional().layer(counting(&runs)), order(None, "tea")).await.0, 201);
    let off = IdempotencyLayer::default();
    for _ in 0..2 {
        send(off.layer(counting(&runs)), order(Some("a b"), "tea")).await;
    }
    assert_eq!(runs.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn of_a_hundred_at_once_one_runs_and_the_others_are_told_to_wait() {
    let runs = Arc::new(AtomicUsize::new(0));
    let (counted, barrier) = (Arc::clone(&runs), Arc::new(Barrier::new(2)));
    let waited = Arc::clone(&barrier);
    let slow = service_fn(move |_: Request<KeyedBody<Body>>| {
        let (runs, barrier) = (Arc::clone(&counted), Arc::clone(&waited));
        async move {
            runs.fetch_add(1, Ordering::SeqCst);
            barrier.wait().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
        }
    });
    let service = optional().layer(slow);
    let first = tokio::spawn(send(service.clone(), order(Some("k"), "tea")));
    while runs.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let others = join_all((0..99).map(|_| send(service.clone(), order(Some("k"), "tea")))).await;
    for (status, headers, _) in others {
        assert_eq!((status, &headers["retry-after"]), (409, &"30".parse().unwrap()));
    }
    barrier.wait().await;
    assert_eq!(first.await.unwrap().0, 200);
    assert_eq!(send(service, order(Some("k"), "tea")).await.1["idempotency-replayed"], "true");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_call_whose_caller_goes_away_is_carried_out_and_its_retry_finds_the_answer() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, waits) = (Arc::clone(&begun), Arc::clone(&go_on));
    let slow = service_fn(move |_: Request<KeyedBody<Body>>| {
        let (told, waits) = (Arc::clone(&told), Arc::clone(&waits));
        async move {
            told.notify_one();
            waits.notified().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
        }
    });
    let service = optional().layer(slow);
    let caller = tokio::spawn(send(service.clone(), order(Some("k"), "tea")));
    begun.notified().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(send(service.clone(), order(Some("k"), "tea")).await.0, 409);
    go_on.notify_one();
    loop {
        tokio::task::yield_now().await;
        let (status, headers, text) = send(service.clone(), order(Some("k"), "tea")).await;
        if status == 200 {
            assert_eq!((&headers["idempotency-replayed"], text.as_str()), (&"true".parse().unwrap(), "done"));
            return;
        }
    }
}

#[tokio::test]
async fn what_says_nothing_of_the_work_is_not_kept_and_a_retry_runs() {
    for status in [500, 503, 401, 408, 425, 429] {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let failing = service_fn(move |_: Request<KeyedBody<Body>>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                Ok::<_, Infallible>(
                    Response::builder().status(status).body(Full::<Bytes>::default()).unwrap(),
                )
            }
        });
        let service = optional().layer(failing);
        for run in 1..=2 {
            assert_eq!(send(service.clone(), order(Some("k"), "tea")).await.0, status);
            assert_eq!(runs.load(Ordering::SeqCst), run, "{status}");
        }
    }
}

#[tokio::test]
async fn a_refusal_of_the_handler_is_kept_and_names_the_request_that_it_is_given_to() {
    let refusing = service_fn(async |_: Request<KeyedBody<Body>>| {
        let answer = Response::builder().status(409).header("content-type", "application/problem+json");
        Ok::<_, Infallible>(
            answer.body(Full::<Bytes>::from(r#"{"title":"out of stock","status":409}"#)).unwrap(),
        )
    });
    let service = optional().layer(refusing);
    send(service.clone(), of_tenant("acme", order(Some("k"), "tea"))).await;
    let (status, headers, text) = send(service, of_tenant("acme", order(Some("k"), "tea"))).await;
    assert_eq!((status, &headers["idempotency-replayed"]), (409, &"true".parse().unwrap()));
    let id = RequestId::v7(1_000, [0; 10]);
    assert!(text.contains(&format!(r#""request_id":"{id}""#)) && text.contains("out of stock"), "{text}");
}

#[tokio::test]
async fn a_panic_gives_the_claim_back_and_reaches_the_caller() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let panicking = service_fn(move |_: Request<KeyedBody<Body>>| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(run > 0, "the first run fails");
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
        }
    });
    let service = optional().layer(panicking);
    let first = tokio::spawn(send(service.clone(), order(Some("k"), "tea"))).await;
    assert!(first.unwrap_err().is_panic());
    assert_eq!(send(service, order(Some("k"), "tea")).await.0, 200);
}

#[tokio::test]
async fn a_stream_and_what_is_too_large_are_handed_on_and_told_apart_from_what_was_kept() {
    let steps = |large: bool| match large {
        false => vec![Step::Data("event".into()), Step::Pending, Step::Data("event".into())],
        true => vec![Step::Data(vec![b'x'; 300 * 1024].into())],
    };
    for large in [false, true] {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let streaming = service_fn(move |_: Request<KeyedBody<Body>>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let body = ScriptedBody::new(steps(large));
            async move { Ok::<_, Infallible>(Response::new(body)) }
        });
        let service = optional().layer(streaming);
        let (status, _, text) = send(service.clone(), order(Some("k"), "tea")).await;
        assert_eq!((status, text.len()), (200, if large { 300 * 1024 } else { 10 }));
        let (status, headers, text) = send(service, order(Some("k"), "tea")).await;
        assert_eq!((status, headers.contains_key("retry-after")), (409, false));
        assert!(text.contains("its answer was not kept"), "{text}");
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_before_anything_runs() {
    let runs = Arc::default();
    let service = optional().layer(counting(&runs));
    let (status, _, text) = send(service.clone(), order(Some("k"), &"x".repeat(64 * 1024 + 1))).await;
    assert_eq!(status, 413);
    assert!(text.contains("65536 bytes at most"), "{text}");
    assert_eq!(
        send(service, order(Some("k"), &"x".repeat(64 * 1024))).await.0,
        201,
        "no claim was left behind"
    );
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_claim_lives_as_long_as_its_process_works_and_no_longer() {
    let (claimed, working) = (Arc::new(AtomicUsize::new(0)), optional());
    let runs = Arc::clone(&claimed);
    let slow = service_fn(move |_: Request<KeyedBody<Body>>| {
        runs.fetch_add(1, Ordering::SeqCst);
        async {
            sleep(Duration::from_secs(100)).await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
        }
    });
    let service = working.layer(slow);
    let first = tokio::spawn(send(service.clone(), order(Some("k"), "tea")));
    tokio::task::yield_now().await;
    for _ in 0..9 {
        sleep(Duration::from_secs(10)).await;
        assert_eq!(
            send(service.clone(), order(Some("k"), "tea")).await.0,
            409,
            "the lease of 30 s is renewed"
        );
    }
    assert_eq!(first.await.unwrap().0, 200);
    assert_eq!(claimed.load(Ordering::SeqCst), 1);
    // Kept for a day.
    advance(Duration::from_secs(24 * 60 * 60 - 101)).await;
    assert_eq!(send(service.clone(), order(Some("k"), "tea")).await.1["idempotency-replayed"], "true");
    advance(Duration::from_secs(202)).await;
    assert!(!send(service, order(Some("k"), "tea")).await.1.contains_key("idempotency-replayed"));
}

/// A store that is away.
struct Away;

impl Store for Away {
    async fn claim(&self, _: &Key, _: &Fingerprint, _: Duration, _: SystemTime) -> Result<Claim, StoreError> {
        Err(StoreError::Unavailable("no route to host".into()))
    }

    async fn renew(&self, _: &Key, _: Token, _: Duration, _: SystemTime) -> Result<Standing, StoreError> {
        Ok(Standing::Lost)
    }

    async fn complete(
        &self,
        _: &Key,
        _: Token,
        _: Completion,
        _: Duration,
        _: SystemTime,
    ) -> Result<Standing, StoreError> {
        Ok(Standing::Lost)
    }

    async fn release(&self, _: &Key, _: Token) -> Result<Standing, StoreError> {
        Ok(Standing::Lost)
    }
}

#[tokio::test]
async fn without_its_store_a_call_is_refused_unless_it_is_better_twice_than_not_at_all() {
    let runs = Arc::default();
    let refusing = IdempotencyLayer::new(&config(Keys::Optional)).unwrap().store(Away);
    assert_eq!(send(refusing.layer(counting(&runs)), order(Some("k"), "tea")).await.0, 503);
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    let running = IdempotencyConfig { store_failure: StoreFailure::Run, ..config(Keys::Optional) };
    let running = IdempotencyLayer::new(&running).unwrap().store(Away);
    assert_eq!(send(running.layer(counting(&runs)), order(Some("k"), "tea")).await.0, 201);
}

#[tokio::test]
async fn a_caller_that_leaves_at_any_await_leaves_a_claim_that_settles() {
    let runs = Arc::new(AtomicUsize::new(0));
    let layer = optional();
    let service = layer.layer(counting(&runs));
    let call = || {
        let service = service.clone();
        async move { drop(service.oneshot(order(Some("k"), "tea")).await) }
    };
    let awaits = drop_at_every_await(call, |_| ()).await;
    assert!(awaits > 0, "the task is waited for");
    loop {
        tokio::task::yield_now().await;
        let (status, _, _) = send(service.clone(), order(Some("k"), "tea")).await;
        if status == 201 {
            break;
        }
        assert_eq!(status, 409);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_handler_that_never_ends_holds_only_its_own_key() {
    let hanging = service_fn(async |request: Request<KeyedBody<Body>>| {
        if request.uri().path() == "/orders" {
            pending::<()>().await;
        }
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
    });
    let service = optional().layer(hanging);
    let first = tokio::spawn(send(service.clone(), order(Some("k"), "tea")));
    tokio::task::yield_now().await;
    let mut other = order(Some("k"), "tea");
    *other.uri_mut() = "/returns".parse().unwrap();
    assert_eq!(send(service, other).await.0, 200);
    first.abort();
}

#[test]
fn settings_out_of_range_are_refused() {
    let check = |change: fn(&mut IdempotencyConfig)| {
        let mut config = config(Keys::Optional);
        change(&mut config);
        IdempotencyLayer::new(&config).map(drop).map_err(|report| report.to_string())
    };
    assert_eq!(check(|_| ()), Ok(()));
    let wrong: [fn(&mut IdempotencyConfig); 6] = [
        |config| config.lease = Duration::ZERO,
        |config| config.retention = Duration::from_millis(999),
        |config| config.methods = vec!["PO ST".to_owned()],
        |config| config.fingerprint_headers = vec!["a b".to_owned()],
        |config| config.max_entries = 0,
        |config| config.max_request_bytes = 1 << 30,
    ];
    for wrong in wrong {
        assert!(check(wrong).is_err());
    }
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    let request = || Request::new(http_body_util::Empty::<Bytes>::new());
    http_layer_contract(IdempotencyLayer::default, request, Laws::default()).await;
    http_layer_contract(optional, request, Laws::default()).await;
}
