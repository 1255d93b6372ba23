//! The client stack against real servers on loopback that misbehave: what reached them, what the caller saw, and that nothing that was
//! held for a call is lost.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mainstay::client::{self, Attempts, CallError, Cause, Client, ClientConfig, ClientStack, ReplayBody};
use mainstay::resilience::breaker::{SlidingWindow, State};
use mainstay::resilience::hedge::HedgeConfig;
use mainstay::resilience::retry::Jitter;
use mainstay::{Deadline, Reason, RequestContext, RequestId, TraceContext};
use tower::{Layer, ServiceExt};

use crate::faulty::{Fault, Faulty, FaultyGrpc, nobody};

type Whole = Full<Bytes>;
type Http<B> = Client<HyperClient<HttpConnector, ReplayBody<B>>>;
type Failure = CallError<hyper_util::client::legacy::Error>;

const TENTH: Duration = Duration::from_millis(100);

/// Three attempts, quick waits, and time enough for a slow machine where no time is to pass.
fn config() -> ClientConfig {
    let mut config = ClientConfig::default();
    (config.retry.backoff.base, config.retry.backoff.jitter) = (Duration::from_millis(5), Jitter::None);
    config.retry.max_hint = Duration::from_secs(1);
    config
}

/// A stack and its client.
struct Caller {
    stack: ClientStack,
    http: Http<Whole>,
    budget: u64,
}

impl Caller {
    fn new(config: &ClientConfig) -> Self {
        let stack = client::stack("faulty", config).unwrap();
        let http = stack.layer(HyperClient::builder(TokioExecutor::new()).build_http());
        let budget = stack.retries().budget().balance(tokio::time::Instant::now());
        Self { stack, http, budget }
    }

    async fn send(
        &self,
        request: Request<Whole>,
    ) -> Result<Response<impl Body<Data = Bytes, Error: std::fmt::Debug> + use<>>, Failure> {
        self.http.clone().oneshot(request).await
    }

    /// Every place is free, and what is missing of the budget was sent.
    async fn assert_quiet(&self) {
        let places = self.stack.bulkhead();
        while places.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
        let retries = self.stack.retries();
        let left = retries.budget().balance(tokio::time::Instant::now());
        let calls_pay = 1;
        assert!(left + retries.counts().retries >= self.budget, "{left} left of {}", self.budget);
        assert!(left <= self.budget + calls_pay);
    }
}

fn get(server: &Faulty) -> Request<Whole> {
    Request::get(server.uri("/things/7")).body(Full::default()).unwrap()
}

/// A charge: its key makes it safe to send twice.
fn charge(uri: String, key: Option<&str>) -> Request<Whole> {
    let mut request = Request::post(uri).body(Full::from("amount=100")).unwrap();
    if let Some(key) = key {
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    }
    request
}

async fn text<B: Body<Data = Bytes, Error: std::fmt::Debug>>(answer: Response<B>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_reset_connection_is_tried_again_where_that_is_safe_and_nowhere_else() {
    let server = Faulty::start([Fault::Reset, Fault::Reset]).await;
    let caller = Caller::new(&config());
    let answer = caller.send(get(&server)).await.unwrap();
    let attempts: Attempts = *answer.extensions().get().unwrap();
    assert_eq!((attempts.count, attempts.earlier_may_have_run), (3, true));
    assert_eq!(text(answer).await, "ok");
    assert_eq!(server.received().len(), 3);
    assert_eq!(server.received()[2].header("x-request-attempt"), Some("3"));
    caller.assert_quiet().await;

    // A charge without a key may have been made: it is the caller's to find out.
    let server = Faulty::start([Fault::Reset]).await;
    let error = caller.send(charge(server.uri("/charges"), None)).await.err().unwrap();
    assert!(matches!(error.cause, Cause::Service(_)) && error.may_have_run(|error| client::reached(error)));
    assert_eq!(server.received().len(), 1);
    caller.assert_quiet().await;
}

#[tokio::test]
async fn a_charge_with_a_key_is_sent_again_with_the_same_key_and_body() {
    let server = Faulty::start([Fault::Reset, Fault::Busy(0)]).await;
    let caller = Caller::new(&config());
    let answer = caller.send(charge(server.uri("/charges"), Some("order-7"))).await.unwrap();
    assert_eq!(text(answer).await, "ok");
    let received = server.received();
    assert_eq!(received.len(), 3);
    for charge in received {
        assert_eq!((charge.header("idempotency-key"), charge.body.as_str()), (Some("order-7"), "amount=100"));
    }
    caller.assert_quiet().await;
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_whatever_the_method_and_proves_that_nothing_ran() {
    let nobody = nobody().await;
    let caller = Caller::new(&config());
    let error = caller.send(charge(format!("http://{nobody}/charges"), None)).await.err().unwrap();
    assert_eq!(error.attempts, Attempts { count: 3, earlier_may_have_run: false });
    assert!(!error.may_have_run(|error| client::reached(error)));
    caller.assert_quiet().await;
}

#[tokio::test]
async fn a_slow_read_is_sent_twice_its_first_answer_counts_and_a_charge_without_a_key_is_sent_once() {
    let mut config = config();
    config.hedge = Some(HedgeConfig { delay: Some(TENTH), ..HedgeConfig::default() });
    let server = Faulty::start([Fault::Hang]).await;
    let caller = Caller::new(&config);
    let answer = caller.send(get(&server)).await.unwrap();
    let attempts: Attempts = *answer.extensions().get().unwrap();
    assert_eq!((attempts.count, attempts.earlier_may_have_run), (2, true));
    assert_eq!(text(answer).await, "ok");
    let received = server.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[1].header("x-request-attempt"), Some("2"), "it says that it is a repetition");
    let hedges = caller.stack.hedges().unwrap();
    assert_eq!((hedges.counts().hedges, hedges.counts().wins), (1, 1));
    while caller.stack.bulkhead().in_flight() > 0 {
        tokio::task::yield_now().await;
    }

    // With a key it may be charged twice without harm; without one nobody knows.
    let server = Faulty::start([Fault::Hang]).await;
    let answer = caller.send(charge(server.uri("/charges"), Some("order-7"))).await.unwrap();
    assert_eq!((text(answer).await, server.received().len()), ("ok".to_owned(), 2));
    let server = Faulty::start([Fault::SlowHeaders(3 * TENTH)]).await;
    let answer = caller.send(charge(server.uri("/charges"), None)).await.unwrap();
    assert_eq!((text(answer).await, server.received().len()), ("late".to_owned(), 1));
}

#[tokio::test]
async fn slow_headers_and_a_hang_are_attempts_that_ran_out_of_time_and_the_call_has_a_limit_too() {
    let mut config = config();
    config.attempt_timeout.limit = Some(TENTH);
    let server = Faulty::start([Fault::SlowHeaders(10 * TENTH), Fault::Hang]).await;
    let caller = Caller::new(&config);
    assert_eq!(text(caller.send(get(&server)).await.unwrap()).await, "ok");
    assert_eq!(server.received().len(), 3);
    caller.assert_quiet().await;

    let server = Faulty::start([Fault::Hang; 3]).await;
    config.timeout.limit = Some(3 * TENTH / 2);
    let caller = Caller::new(&config);
    let started = tokio::time::Instant::now();
    let error = caller.send(get(&server)).await.err().unwrap();
    let Cause::Rejected(rejection) = error.cause else { panic!("the stack ends it") };
    assert_eq!(rejection.reason, Reason::DeadlineExceeded);
    assert!(started.elapsed() < 10 * TENTH, "{:?}", started.elapsed());
    assert_eq!(server.received().len(), 2);
    caller.assert_quiet().await;
}

#[tokio::test]
async fn busy_answers_are_waited_for_as_asked_unless_that_is_too_long() {
    let server = Faulty::start([Fault::Busy(1)]).await;
    let caller = Caller::new(&config());
    let started = tokio::time::Instant::now();
    assert_eq!(text(caller.send(get(&server)).await.unwrap()).await, "ok");
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());

    let server = Faulty::start([Fault::Busy(30)]).await;
    let answer = caller.send(get(&server)).await.unwrap();
    assert_eq!((answer.status().as_u16(), text(answer).await.as_str()), (503, "busy"));
    assert_eq!(server.received().len(), 1);
    caller.assert_quiet().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_stalls_is_an_error_of_its_body_and_is_not_sent_again() {
    let mut config = config();
    config.body_timeout.idle = Some(TENTH);
    for fault in [Fault::HalfAnswer, Fault::SlowBody(20 * TENTH)] {
        let server = Faulty::start([fault]).await;
        let caller = Caller::new(&config);
        let answer = caller.send(get(&server)).await.unwrap();
        assert!(answer.into_body().collect().await.is_err(), "{fault:?}");
        assert_eq!(server.received().len(), 1);
        let breakers = caller.stack.breakers().all();
        assert_eq!(breakers[0].1.metrics().failed, 1, "the circuit has seen the body's end: {fault:?}");
        caller.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_place_is_held_to_the_end_of_the_body_and_comes_back_when_it_is_dropped() {
    let mut config = config();
    config.bulkhead.max_concurrent = NonZeroU32::MIN;
    let server = Faulty::start([Fault::SlowBody(600 * TENTH)]).await;
    let caller = Caller::new(&config);
    let streaming = caller.send(get(&server)).await.unwrap();
    let full = caller.send(get(&server)).await.err().unwrap();
    let Cause::Rejected(rejection) = full.cause else { panic!("the bulkhead is full") };
    assert_eq!((rejection.reason, server.received().len()), (Reason::Overloaded, 1));
    drop(streaming);
    caller.assert_quiet().await;
    assert_eq!(text(caller.send(get(&server)).await.unwrap()).await, "ok");
}

#[tokio::test]
async fn an_open_circuit_spares_the_service_and_closes_when_it_is_well_again() {
    let mut config = config();
    config.retry.max_attempts = 1;
    config.breaker.sliding_window = SlidingWindow::Calls(4);
    config.breaker.permitted_number_of_calls_in_half_open_state = 2;
    config.breaker.wait_duration_in_open_state = TENTH;
    let server = Faulty::start([Fault::Reset; 4]).await;
    let other = Faulty::start([]).await;
    let caller = Caller::new(&config);
    for _ in 0..4 {
        assert!(caller.send(get(&server)).await.is_err());
    }
    let refused = caller.send(get(&server)).await.err().unwrap();
    assert!(!refused.may_have_run(|_| true));
    assert_eq!(server.received().len(), 4, "the open circuit sent nothing");
    assert!(caller.send(get(&other)).await.is_ok(), "another origin has another circuit");

    let circuit = |origin: SocketAddr| {
        let all = caller.stack.breakers().all();
        all.into_iter().find(|(key, _)| key.to_string() == format!("http://{origin}")).unwrap().1
    };
    assert_eq!(circuit(server.address).state(), State::Open);
    // Real time: a socket knows no other.
    tokio::time::sleep(2 * TENTH).await;
    for _ in 0..2 {
        assert_eq!(text(caller.send(get(&server)).await.unwrap()).await, "ok");
    }
    assert_eq!(circuit(server.address).state(), State::Closed);
    caller.assert_quiet().await;
}

#[tokio::test]
async fn a_streamed_body_is_sent_whole_each_time_and_one_beyond_the_bound_is_sent_once() {
    let chunks = |count: usize| {
        let frames =
            (0..count).map(|_| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(&[b'x'; 1024]))));
        StreamBody::new(tokio_stream::iter(frames.collect::<Vec<_>>()))
    };
    let mut config = config();
    config.replay.max_bytes = 16 * 1024;
    let stack = client::stack("faulty", &config).unwrap();
    let http = stack.layer(HyperClient::builder(TokioExecutor::new()).build_http());
    for (count, attempts) in [(10, 2), (40, 1)] {
        let server = Faulty::start([Fault::Busy(0)]).await;
        let put = Request::put(server.uri("/files/7")).body(chunks(count)).unwrap();
        let answer = http.clone().oneshot(put).await.unwrap();
        assert_eq!(answer.status().as_u16(), if attempts == 2 { 200 } else { 503 });
        let received = server.received();
        assert_eq!(received.len(), attempts);
        assert!(received.iter().all(|request| request.body.len() == count * 1024), "whole each time");
    }
}

#[tokio::test]
async fn a_call_deep_inside_a_handler_carries_its_context_and_the_time_that_is_left() {
    let server = Faulty::start([Fault::Reset]).await;
    let mut config = config();
    config.propagate.deadline_header = Some(http::HeaderName::from_static("x-request-timeout-ms"));
    let caller = Caller::new(&config);
    let now = tokio::time::Instant::now().into_std();
    let context = RequestContext::new(mainstay_core::Parts {
        deadline: Some(Deadline::after(now, Duration::from_secs(5))),
        ..mainstay_core::Parts::new(
            RequestId::parse(b"deep-1").unwrap(),
            TraceContext::root([0x11; 16], [0x22; 8]),
            now,
        )
    });
    let call = mainstay_core::ambient::scope(context.clone(), caller.send(get(&server)));
    assert_eq!(text(call.await.unwrap()).await, "ok");
    let received = server.received();
    for request in &received {
        assert_eq!(request.header("x-request-id"), Some("deep-1"));
        let left: u64 = request.header("x-request-timeout-ms").unwrap().parse().unwrap();
        assert!((1..=5_000).contains(&left), "{left}");
    }
    let span = |at: usize| received[at].header("traceparent").unwrap()[36..52].to_owned();
    assert_ne!(span(0), span(1), "each attempt is a span of its own");
    assert_eq!(&received[0].header("traceparent").unwrap()[3..35], "11".repeat(16));

    // A call for a repetition is not multiplied.
    let repetition = context.derive(|parts| parts.is_repetition = true);
    let server = Faulty::start([Fault::Reset]).await;
    let call = mainstay_core::ambient::scope(repetition, caller.send(get(&server)));
    assert!(call.await.is_err());
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_grpc_status_in_trailers_is_a_failure_that_is_tried_again() {
    let server = FaultyGrpc::start([14, 14]).await;
    let caller_config = config();
    let stack = client::stack("faulty grpc", &caller_config).unwrap();
    let http = stack.layer(HyperClient::builder(TokioExecutor::new()).http2_only(true).build_http());
    let request = Request::post(format!("http://{}/pay.Payments/Charge", server.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from_static(&[0; 5])))
        .unwrap();
    let answer = http.oneshot(request).await.unwrap();
    let collected = answer.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    let received = server.received();
    assert_eq!(received.len(), 3);
    assert_eq!(received[2]["grpc-previous-rpc-attempts"], "2");
    let (_, breaker) = stack.breakers().all().remove(0);
    assert_eq!((breaker.metrics().calls, breaker.metrics().failed), (3, 2));
}

#[tokio::test]
async fn reqwest_and_tonic_stand_inside_of_the_same_stack() {
    let server = Faulty::start([Fault::Reset]).await;
    let stack = client::stack("faulty", &config()).unwrap();
    let reqwest = stack.layer(client::reqwest(reqwest::Client::new()));
    let answer = reqwest.oneshot(get(&server)).await.unwrap();
    assert_eq!(text(answer).await, "ok");
    assert_eq!(server.received().len(), 2);
    let refused = stack.layer(client::reqwest(reqwest::Client::new()));
    let nobody = nobody().await;
    let error = refused.oneshot(charge(format!("http://{nobody}/"), None)).await.err().unwrap();
    assert_eq!(error.attempts, Attempts { count: 3, earlier_may_have_run: false }, "{error}");

    let grpc = FaultyGrpc::start([14]).await;
    let channel =
        tonic::transport::Channel::from_shared(format!("http://{}", grpc.address)).unwrap().connect_lazy();
    let channel = tower::ServiceBuilder::new()
        .layer(stack)
        .map_request(|request: Request<ReplayBody<tonic::body::Body>>| request.map(tonic::body::Body::new))
        .service(channel);
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let answer = health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().status, 0);
    assert_eq!(grpc.received().len(), 2);
}
