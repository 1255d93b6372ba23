//! What a service answers decides when it is asked again, and never whether a call may be carried out twice.

use std::io;
use std::time::{Duration, SystemTime};

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use arbitrary::Arbitrary;
use bytes::Bytes;
use http_body_util::Full;
use mainstay_core::call::{CallError, Hint, Judge, Next, Repeat, Verdict};
use mainstay_http::outbound::judge::HttpJudge;
use mainstay_http::outbound::peek::PeekedTrailers;
use mainstay_http::outbound::repeat::{HttpRepeat, RepeatConfig, inbound_repetition};
use mainstay_http::outbound::replay::ReplayBody;
use mainstay_http::outbound::retry_after;

/// An answer of any headers, and perhaps trailers that were seen before it was given.
#[derive(Arbitrary, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(u8, Vec<Piece>)>,
    trailers: Option<Vec<(u8, Vec<Piece>)>>,
    after_data: bool,
}

/// Random bytes alone hardly ever mean anything.
#[derive(Arbitrary, Debug)]
enum Piece {
    Byte(u8),
    Word(u8),
}

const NAMES: [&str; 8] = [
    "content-type",
    "date",
    "grpc-previous-rpc-attempts",
    "grpc-retry-pushback-ms",
    "grpc-status",
    "retry-after",
    "x-envoy-attempt-count",
    "x-request-attempt",
];

const WORDS: [&str; 16] = [
    "application/grpc",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "0",
    "1",
    "8",
    "14",
    "120",
    "2147483647",
    "18446744073709551616",
    "-1",
    "+5",
    " ",
];

const DATED: [&str; 3] =
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"];

/// Panics when a time is read that the text does not say, be it the text itself or one of HTTP's dates with changes.
pub fn check_retry_after(text: &[u8]) {
    check_time(text);
    for date in DATED {
        let mut changed = date.as_bytes().to_vec();
        for change in text.chunks_exact(2).take(4) {
            let place = usize::from(change[0]) % changed.len();
            changed[place] = change[1];
        }
        check_time(&changed);
    }
}

fn check_time(text: &[u8]) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let read = retry_after::parse(text, now);
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if is_number {
        let significant = text.iter().skip_while(|digit| **digit == b'0').count();
        let said = text
            .iter()
            .fold(0_u128, |sum, digit| sum.saturating_mul(10).saturating_add(u128::from(digit - b'0')));
        let seconds = u64::try_from(said).unwrap_or(u64::MAX);
        assert!(significant <= 20 || seconds == u64::MAX);
        assert_eq!(read, Some(Duration::from_secs(seconds)), "{text:?}");
    } else if read.is_some() {
        assert!((24..=33).contains(&text.len()), "{text:?} is no date");
        assert!(read < Some(Duration::from_secs(10_000 * 366 * 86_400)), "{text:?}");
    }
}

/// Panics when an answer brings a call to be carried out twice that must not be, or a time that nobody said.
pub fn check_answer(input: &Answer) {
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::from_u16(100 + input.status % 500).expect("three digits");
    *answer.headers_mut() = headers(&input.headers);
    if let Some(trailers) = &input.trailers {
        let trailers = headers(trailers);
        answer.extensions_mut().insert(PeekedTrailers { trailers, after_data: input.after_data });
    }
    inbound_repetition(answer.headers());

    let judged = HttpJudge::default().judge(Ok::<_, &CallError<io::Error>>(&answer));
    let status = answer.status().as_u16();
    assert_ne!(judged, Verdict::Ignored);
    assert!(!judged.is_failure() || matches!(status, 200 | 429 | 500..=599), "{status} is {judged:?}");

    let rules = HttpRepeat::new(&RepeatConfig::default()).expect("sound settings");
    let next = |method: Method, is_grpc: bool| {
        let mut request = Request::new(ReplayBody::new(Full::<Bytes>::default(), 0));
        *request.method_mut() = method;
        if is_grpc {
            request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        }
        rules.next(&request, Ok::<_, &CallError<io::Error>>(&answer))
    };
    assert_eq!(next(Method::POST, false), Next::Return);
    let get = next(Method::GET, false);
    assert_eq!(get != Next::Return, matches!(status, 408 | 425 | 429 | 502 | 503 | 504));
    assert!(!matches!(get, Next::Repeat(Hint::Exactly(_))), "pushback is gRPC's");

    let grpc = next(Method::POST, true);
    let may_repeat = match status {
        200 => {
            answer.headers().contains_key("grpc-status") || (input.trailers.is_some() && !input.after_data)
        }
        status => matches!(status, 429 | 502 | 503 | 504),
    };
    assert!(grpc == Next::Return || may_repeat, "{status} is {grpc:?}");
    if let Next::Repeat(Hint::Exactly(time)) = grpc {
        assert!(time <= Duration::from_millis(i32::MAX.unsigned_abs().into()));
    }
}

fn headers(lines: &[(u8, Vec<Piece>)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]);
        let value: Vec<u8> = value.iter().flat_map(Piece::bytes).copied().collect();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.append(name, value);
        }
    }
    headers
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Byte(byte) => std::slice::from_ref(byte),
            Self::Word(word) => WORDS[usize::from(*word) % WORDS.len()].as_bytes(),
        }
    }
}
