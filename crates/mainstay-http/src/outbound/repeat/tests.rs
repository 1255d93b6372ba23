//! What must hold of repeated calls of HTTP and gRPC.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use mainstay_core::call::{Attempts, CallError, Hint, Next, Repeat};
use mainstay_core::{Parts, Reason, Rejection, RequestContext, RequestId, TraceContext};
use mainstay_testkit::body::{ScriptedBody, Size, Step};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{HttpRepeat, Idempotent, InboundRepetition, RepeatConfig, inbound_repetition};
use crate::outbound::grpc::GrpcCode;
use crate::outbound::peek::{PeekLayer, PeekedTrailers};
use crate::outbound::replay::ReplayBody;

type Failure = CallError<io::Error>;
type Sent = Request<ReplayBody<Full<Bytes>>>;

const AGAIN: Next = Next::Repeat(Hint::None);

fn rules() -> HttpRepeat {
    HttpRepeat::new(&RepeatConfig::default()).unwrap()
}

fn sent(method: Method) -> Sent {
    Request::builder().method(method).body(ReplayBody::new(Full::from("x"), 64)).unwrap()
}

fn grpc() -> Sent {
    let mut request = sent(Method::POST);
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    request
}

fn answer(status: u16, headers: &[(&str, &str)]) -> Response<()> {
    let answer = Response::builder().status(status);
    headers.iter().fold(answer, |answer, (name, value)| answer.header(*name, *value)).body(()).unwrap()
}

fn after(request: &Sent, answer: &Response<()>) -> Next {
    rules().next(request, Ok::<_, &Failure>(answer))
}

fn after_error(request: &Sent, error: &Failure) -> Next {
    rules().next(request, Err::<&Response<()>, _>(error))
}

fn refused() -> Failure {
    Failure::service(io::ErrorKind::ConnectionRefused.into())
}

fn reset() -> Failure {
    Failure::service(io::ErrorKind::ConnectionReset.into())
}

const IDEMPOTENT: [Method; 6] =
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE];

#[test]
fn the_table_of_http_statuses() {
    for status in 100..=599 {
        let expected = if matches!(status, 408 | 425 | 429 | 502 | 503 | 504) { AGAIN } else { Next::Return };
        for method in IDEMPOTENT {
            assert_eq!(after(&sent(method.clone()), &answer(status, &[])), expected, "{method} {status}");
        }
        for method in [Method::POST, Method::PATCH, Method::CONNECT, Method::from_bytes(b"SPEND").unwrap()] {
            assert_eq!(after(&sent(method.clone()), &answer(status, &[])), Next::Return, "{method} {status}");
        }
    }
}

#[test]
fn what_may_have_been_carried_out_is_repeated_only_if_it_may_be_carried_out_twice() {
    assert_eq!(after_error(&sent(Method::GET), &reset()), AGAIN);
    assert_eq!(after_error(&sent(Method::POST), &reset()), Next::Return);
    assert_eq!(after_error(&grpc(), &reset()), Next::Return);
    for request in [sent(Method::GET), sent(Method::POST), grpc()] {
        assert_eq!(after_error(&request, &refused()), AGAIN, "it was never sent");
    }

    let mut keyed = sent(Method::POST);
    keyed.headers_mut().insert("idempotency-key", HeaderValue::from_static("\"7\""));
    let mut marked = sent(Method::POST);
    marked.extensions_mut().insert(Idempotent);
    for request in [keyed, marked] {
        assert_eq!(after(&request, &answer(503, &[])), AGAIN);
        assert_eq!(after_error(&request, &reset()), AGAIN);
    }
    let mut without_key = sent(Method::POST);
    without_key.headers_mut().insert("idempotency-key", HeaderValue::from_static(""));
    assert_eq!(after(&without_key, &answer(503, &[])), Next::Return);
}

#[test]
fn a_refusal_of_ours_is_the_callers_and_a_deadline_of_one_attempt_is_like_an_error() {
    let refusal = |reason| Failure::from(Rejection::new(reason, "no"));
    for reason in [Reason::Unavailable, Reason::Overloaded, Reason::RateLimited, Reason::Internal] {
        assert_eq!(after_error(&sent(Method::GET), &refusal(reason)), Next::Return, "{reason:?}");
    }
    assert_eq!(after_error(&sent(Method::GET), &refusal(Reason::DeadlineExceeded)), AGAIN);
    assert_eq!(after_error(&sent(Method::POST), &refusal(Reason::DeadlineExceeded)), Next::Return);
}

#[test]
fn only_a_proof_says_that_a_call_has_not_run() {
    let may_have_run = |error: Failure| {
        let rules: &dyn Repeat<Sent, Response<()>, Failure> = &rules();
        rules.may_have_run(Err(&error))
    };
    assert!(!may_have_run(refused()));
    assert!(may_have_run(reset()));
    assert!(!may_have_run(Rejection::new(Reason::Unavailable, "no").into()));
    assert!(may_have_run(Rejection::new(Reason::DeadlineExceeded, "no").into()));
    let rules = rules();
    let answered: bool = Repeat::<Sent, _, Failure>::may_have_run(&rules, Ok(&answer(503, &[])));
    assert!(answered);
}

/// As clients wrap it: an error of theirs around an error of the connector's around what the system said.
#[test]
fn a_refused_connection_is_found_however_deep_it_lies() {
    #[derive(Debug)]
    struct Wrapped(Box<dyn Error + Send + Sync>);
    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("wrapped")
        }
    }
    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&*self.0)
        }
    }
    let rules = HttpRepeat::new(&RepeatConfig::default()).unwrap();
    let next = |kind: io::ErrorKind| {
        let deep =
            Wrapped(Box::new(Wrapped(Box::new(io::Error::other(io::Error::other(io::Error::from(kind)))))));
        let error: Box<dyn Error + Send + Sync> = deep.into();
        rules.next(&sent(Method::POST), Err::<&Response<()>, _>(&error))
    };
    assert_eq!(next(io::ErrorKind::ConnectionRefused), AGAIN);
    assert_eq!(next(io::ErrorKind::BrokenPipe), Next::Return);
    let open: Failure = Rejection::new(Reason::Unavailable, "the circuit is open").into();
    assert_eq!(rules.next(&sent(Method::GET), Err::<&Response<()>, _>(&open)), Next::Return);

    let told =
        HttpRepeat::new(&RepeatConfig::default()).unwrap().reached(|error| error.to_string() != "not sent");
    let not_sent = Failure::service(io::Error::other("not sent"));
    assert_eq!(told.next(&sent(Method::POST), Err::<&Response<()>, _>(&not_sent)), AGAIN);
    assert_eq!(told.next(&sent(Method::POST), Err::<&Response<()>, _>(&reset())), Next::Return);
}

#[test]
fn retry_after_counts_on_429_and_503_and_nowhere_else() {
    let in_time = |status, value| after(&sent(Method::GET), &answer(status, &[("retry-after", value)]));
    assert_eq!(in_time(503, "120"), Next::Repeat(Hint::AtLeast(Duration::from_secs(120))));
    assert_eq!(in_time(429, "0"), Next::Repeat(Hint::AtLeast(Duration::ZERO)));
    assert_eq!(
        in_time(429, "99999999999999999999"),
        Next::Repeat(Hint::AtLeast(Duration::from_secs(u64::MAX)))
    );
    assert_eq!(in_time(503, "soon"), AGAIN);
    assert_eq!(in_time(502, "120"), AGAIN);
    assert_eq!(in_time(302, "120"), Next::Return);
    let dated = [("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), ("date", "Sun, 06 Nov 1994 08:49:07 GMT")];
    assert_eq!(
        after(&sent(Method::GET), &answer(503, &dated)),
        Next::Repeat(Hint::AtLeast(Duration::from_secs(30)))
    );
}

#[test]
fn the_table_of_grpc_codes_in_headers_and_in_trailers_before_data() {
    for code in 0..=17 {
        let expected = if code == 14 { AGAIN } else { Next::Return };
        let code = code.to_string();
        assert_eq!(after(&grpc(), &answer(200, &[("grpc-status", &code)])), expected, "{code}");
        for after_data in [false, true] {
            let trailers =
                HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), code.parse().unwrap())]);
            let mut peeked = answer(200, &[("content-type", "application/grpc")]);
            peeked.extensions_mut().insert(PeekedTrailers { trailers, after_data });
            let expected = if after_data { Next::Return } else { expected };
            assert_eq!(after(&grpc(), &peeked), expected, "{code}, after data: {after_data}");
        }
    }
    assert_eq!(after(&grpc(), &answer(200, &[])), Next::Return, "the status is still to come");
}

#[test]
fn an_answer_to_grpc_that_is_none_of_grpc_has_the_code_that_stands_for_it() {
    for status in 201..=599 {
        let expected = if matches!(status, 429 | 502 | 503 | 504) { AGAIN } else { Next::Return };
        assert_eq!(after(&grpc(), &answer(status, &[])), expected, "{status}");
    }
    let later = answer(503, &[("retry-after", "3")]);
    assert_eq!(after(&grpc(), &later), Next::Repeat(Hint::AtLeast(Duration::from_secs(3))));
}

#[test]
fn pushback_says_exactly_when_or_never() {
    let pushed = |code, pushback| {
        after(&grpc(), &answer(200, &[("grpc-status", code), ("grpc-retry-pushback-ms", pushback)]))
    };
    assert_eq!(pushed("14", "1500"), Next::Repeat(Hint::Exactly(Duration::from_millis(1_500))));
    assert_eq!(pushed("14", "0"), Next::Repeat(Hint::Exactly(Duration::ZERO)));
    for never in ["-1", "", "soon", "+5", "4294967296"] {
        assert_eq!(pushed("14", never), Next::Return, "{never}");
    }
    assert_eq!(pushed("13", "0"), Next::Return, "the code is not one to repeat");
}

#[test]
fn what_is_sent_again_is_the_same_call() {
    let mut request = sent(Method::PUT);
    *request.uri_mut() = "https://orders.test/7?q".parse().unwrap();
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().append("accept", HeaderValue::from_static("a/b"));
    request.headers_mut().append("accept", HeaderValue::from_static("c/d"));
    request.extensions_mut().insert(7_u8);
    let rules = rules();
    let again = Repeat::<_, Response<()>, Failure>::again(&rules, &request).unwrap();
    assert_eq!(
        (again.method(), again.uri(), again.version()),
        (request.method(), request.uri(), request.version())
    );
    assert_eq!((again.headers(), again.extensions().get()), (request.headers(), Some(&7_u8)));
}

#[test]
fn a_body_that_cannot_be_sent_again_ends_it() {
    type Streamed = Request<ReplayBody<ScriptedBody>>;
    let rules = rules();
    let stream = |size| ScriptedBody::new([Step::Data(Bytes::from(vec![0; 100]))]).size(size);
    let large: Streamed = Request::put("/").body(ReplayBody::new(stream(Size::Exact), 99)).unwrap();
    assert!(Repeat::<_, Response<()>, Failure>::again(&rules, &large).is_none());

    let mut first: Streamed = Request::put("/").body(ReplayBody::new(stream(Size::Unknown), 99)).unwrap();
    let again = Repeat::<_, Response<()>, Failure>::again(&rules, &first).unwrap();
    assert_eq!(rules.next(&again, Ok::<_, &Failure>(&answer(503, &[]))), AGAIN, "nothing was read");
    drop(again);
    let again = Repeat::<_, Response<()>, Failure>::again(&rules, &first).unwrap();
    let read = http_body::Body::poll_frame(
        std::pin::Pin::new(first.body_mut()),
        &mut std::task::Context::from_waker(std::task::Waker::noop()),
    );
    assert!(read.is_ready());
    assert_eq!(
        rules.next(&again, Ok::<_, &Failure>(&answer(503, &[]))),
        Next::Return,
        "more was read than is kept"
    );
}

#[test]
fn a_repeated_call_says_which_attempt_it_is_and_the_next_hop_reads_it() {
    let numbered = |mut request: Sent, config: &RepeatConfig, attempt| {
        let rules = HttpRepeat::new(config).unwrap();
        Repeat::<_, Response<()>, Failure>::number(&rules, &mut request, attempt);
        request.headers().clone()
    };
    let config = RepeatConfig::default();
    let first = numbered(sent(Method::GET), &config, 1);
    assert!(first.is_empty() && !inbound_repetition(&first));
    let second = numbered(sent(Method::GET), &config, 2);
    assert_eq!(second["x-request-attempt"], "2");
    assert!(inbound_repetition(&second));
    let third = numbered(grpc(), &config, 3);
    assert_eq!(
        (&third["grpc-previous-rpc-attempts"], third.get("x-request-attempt")),
        (&HeaderValue::from(2), None)
    );
    assert!(inbound_repetition(&third));

    let renamed = RepeatConfig { attempt_header: "X-Try".to_owned(), ..config.clone() };
    assert_eq!(numbered(sent(Method::GET), &renamed, 2)["x-try"], "2");
    let silent = RepeatConfig { attempt_header: String::new(), ..config };
    assert!(numbered(sent(Method::GET), &silent, 2).is_empty());
}

#[test]
fn only_a_number_makes_an_inbound_call_a_repetition() {
    let says = |name: &'static str, value: &'static str| {
        inbound_repetition(&HeaderMap::from_iter([(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )]))
    };
    assert!(says("grpc-previous-rpc-attempts", "1") && !says("grpc-previous-rpc-attempts", "0"));
    assert!(says("x-envoy-attempt-count", "2") && !says("x-envoy-attempt-count", "1"));
    assert!(says("x-request-attempt", "99999999999999999999"));
    for nothing in ["", "+2", "-2", "2 ", "two"] {
        assert!(!says("x-request-attempt", nothing), "{nothing}");
    }

    let mut served = sent(Method::GET);
    let rules = rules();
    assert!(!Repeat::<_, Response<()>, Failure>::is_repetition(&rules, &served));
    served.extensions_mut().insert(InboundRepetition);
    assert!(Repeat::<_, Response<()>, Failure>::is_repetition(&rules, &served));
    let again = Repeat::<_, Response<()>, Failure>::again(&rules, &served).unwrap();
    assert!(Repeat::<_, Response<()>, Failure>::is_repetition(&rules, &again));
}

#[test]
fn an_answer_says_how_many_attempts_were_made_and_whether_an_earlier_one_may_have_run() {
    let mut response = answer(200, &[]);
    let attempts = Attempts { count: 3, earlier_may_have_run: true };
    Repeat::<Sent, Response<()>, Failure>::answered(&rules(), &mut response, attempts);
    assert_eq!(response.extensions().get(), Some(&attempts));
}

#[test]
fn a_service_that_says_that_it_did_nothing_is_believed_where_the_settings_name_its_word() {
    let config = RepeatConfig { did_nothing: vec![503], ..RepeatConfig::default() };
    let rules = HttpRepeat::new(&config).unwrap();
    let post: Sent = Request::post("/charges").body(ReplayBody::new(Full::default(), 64)).unwrap();
    for (status, repeated) in [(503, true), (502, false)] {
        let answer = answer(status, &[]);
        let next = Repeat::next(&rules, &post, Ok::<_, &Failure>(&answer));
        assert_eq!(next == Next::Repeat(Hint::None), repeated, "{status}");
        assert_eq!(Repeat::<Sent, _, Failure>::may_have_run(&rules, Ok(&answer)), !repeated);
    }
}

#[tokio::test]
async fn only_what_may_be_carried_out_twice_and_is_in_memory_may_be_under_way_twice_at_once() {
    let rules: &dyn Repeat<Sent, Response<()>, Failure> = &rules();
    assert!(rules.may_overlap(&sent(Method::GET)) && !rules.may_overlap(&sent(Method::POST)));
    let mut search = grpc();
    assert!(!rules.may_overlap(&search));
    search.extensions_mut().insert(Idempotent);
    assert!(rules.may_overlap(&search));

    let rules: &dyn Repeat<Request<ReplayBody<ScriptedBody>>, Response<()>, Failure> = &self::rules();
    let steps = [Step::Data(Bytes::from("a")), Step::Data(Bytes::from("b"))];
    let body = ReplayBody::new(ScriptedBody::new(steps), 65_536);
    let upload = Request::put("/").body(body).unwrap();
    let again = rules.again(&upload).unwrap();
    assert!(!rules.may_overlap(&again), "nobody has read the source yet");
    upload.into_body().collect().await.unwrap();
    assert!(rules.may_overlap(&again), "all of it is kept");
}

#[test]
fn a_hedge_inside_of_a_retry_reads_the_number_of_its_attempt_and_the_retry_reads_how_many_there_were() {
    let rules: &dyn Repeat<Sent, Response<()>, Failure> = &rules();
    let mut request = sent(Method::GET);
    assert_eq!(rules.number_of(&request), 1);
    rules.number(&mut request, 3);
    assert_eq!(rules.number_of(&request), 3);
    let mut answered = answer(200, &[]);
    assert_eq!(rules.attempts(&answered), Attempts::ONE);
    let attempts = Attempts { count: 2, earlier_may_have_run: true };
    rules.answered(&mut answered, attempts);
    assert_eq!(rules.attempts(&answered), attempts);
}

#[test]
fn a_call_for_a_repetition_is_one_by_its_context() {
    let now = tokio::time::Instant::now().into_std();
    let trace = TraceContext::root([1; 16], [2; 8]);
    let mut call: Sent = Request::get("/").body(ReplayBody::new(Full::default(), 64)).unwrap();
    for is_repetition in [false, true] {
        let parts = Parts::new(RequestId::parse(b"r").unwrap(), trace.clone(), now);
        call.extensions_mut().insert(RequestContext::new(Parts { is_repetition, ..parts }));
        assert_eq!(Repeat::<_, Response<()>, Failure>::is_repetition(&rules(), &call), is_repetition);
    }
}

#[test]
fn settings_are_checked_and_followed() {
    for config in [
        RepeatConfig { statuses: vec![200], ..RepeatConfig::default() },
        RepeatConfig { statuses: vec![600], ..RepeatConfig::default() },
        RepeatConfig { attempt_header: "x attempt".to_owned(), ..RepeatConfig::default() },
    ] {
        assert!(HttpRepeat::new(&config).is_err(), "{config:?}");
    }
    let config =
        RepeatConfig { statuses: vec![500], grpc_codes: vec![GrpcCode::Aborted], ..RepeatConfig::default() };
    let rules = HttpRepeat::new(&config).unwrap();
    assert_eq!(rules.next(&sent(Method::GET), Ok::<_, &Failure>(&answer(500, &[]))), AGAIN);
    assert_eq!(rules.next(&sent(Method::GET), Ok::<_, &Failure>(&answer(503, &[]))), Next::Return);
    assert_eq!(rules.next(&grpc(), Ok::<_, &Failure>(&answer(200, &[("grpc-status", "10")]))), AGAIN);
    assert_eq!(rules.next(&grpc(), Ok::<_, &Failure>(&answer(200, &[("grpc-status", "14")]))), Next::Return);
}

/// The parts together, as a retry has them: answered before half of the body was read, then with a status in trailers.
#[tokio::test]
async fn a_streamed_grpc_call_is_sent_whole_each_time_and_repeated_for_a_status_in_trailers() {
    let rules = HttpRepeat::new(&RepeatConfig::default()).unwrap().reached(|_| true);
    let received = std::sync::Mutex::new(Vec::new());
    let mut service =
        PeekLayer::new().layer(service_fn(async |request: Request<ReplayBody<ScriptedBody>>| {
            let attempt = request
                .headers()
                .get("grpc-previous-rpc-attempts")
                .map_or(1, |earlier| earlier.as_bytes()[0] - b'0' + 1);
            let mut body = request.into_body();
            if attempt == 1 {
                let _half = body.frame().await;
                received.lock().unwrap().push(None);
            } else {
                let whole = body.collect().await.unwrap().to_bytes();
                received.lock().unwrap().push(Some(whole));
            }
            let trailers = HeaderMap::from_iter([(
                HeaderName::from_static("grpc-status"),
                HeaderValue::from_static(if attempt < 3 { "14" } else { "0" }),
            )]);
            let mut answer = Response::new(ScriptedBody::new([Step::Pending, Step::Trailers(trailers)]));
            answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            if attempt == 1 {
                answer = Response::new(ScriptedBody::new([]));
                *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            }
            Ok::<_, Infallible>(answer)
        }));
    let stream = ScriptedBody::new([Step::Data("an ".into()), Step::Pending, Step::Data("order".into())]);
    let mut request = Request::post("/orders.Orders/Place").body(ReplayBody::new(stream, 1_024)).unwrap();
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));

    let mut attempt = 1;
    let answer = loop {
        let again = Repeat::<_, Response<()>, Failure>::again(&rules, &request).unwrap();
        let answer = service.ready().await.unwrap().call(request).await.unwrap();
        if rules.next(&again, Ok::<_, &Failure>(&answer)) == Next::Return {
            break answer;
        }
        attempt += 1;
        request = again;
        Repeat::<_, Response<()>, Failure>::number(&rules, &mut request, attempt);
    };
    assert_eq!(attempt, 3);
    let trailers = answer.into_body().collect().await.unwrap().trailers().cloned();
    assert_eq!(trailers.unwrap()["grpc-status"], "0");
    let whole = Some(Bytes::from_static(b"an order"));
    assert_eq!(*received.lock().unwrap(), [None, whole.clone(), whole]);
}
