//! Our lines are morgan's, byte for byte: `tests/data/morgan.json` holds what morgan 1.12.1 wrote.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use proptest::prelude::*;
use serde::Deserialize;

use super::{Exchange, LineFormat, LogFormat};

#[derive(Deserialize)]
struct Golden {
    formats: Vec<String>,
    golden: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    request: Asked,
    answer: Answered,
    lines: Vec<String>,
}

#[derive(Deserialize)]
struct Asked {
    method: String,
    url: String,
    version: String,
    address: Option<String>,
    headers: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Answered {
    status: Option<u16>,
    headers: Vec<(String, String)>,
    first: Option<u64>,
    total: u64,
    at: u64,
}

/// The texts are Latin-1, as Node holds headers.
fn map(headers: &[(String, String)]) -> HeaderMap {
    let value = |text: &str| {
        let bytes: Vec<u8> = text.chars().map(|at| u8::try_from(u32::from(at)).unwrap()).collect();
        HeaderValue::from_bytes(&bytes).unwrap()
    };
    headers.iter().map(|(name, text)| (HeaderName::try_from(name).unwrap(), value(text))).collect()
}

#[test]
fn every_line_is_what_morgan_writes() {
    let golden: Golden = serde_json::from_str(include_str!("../../../tests/data/morgan.json")).unwrap();
    assert!(golden.golden.len() > 30);
    for case in &golden.golden {
        let (request, response) = (map(&case.request.headers), map(&case.answer.headers));
        let exchange = Exchange {
            method: &case.request.method,
            url: &case.request.url,
            version: match &*case.request.version {
                "1.0" => Version::HTTP_10,
                "2.0" => Version::HTTP_2,
                _ => Version::HTTP_11,
            },
            remote_address: case.request.address.as_ref().map(|address| address.parse().unwrap()),
            request: &request,
            status: case.answer.status.map(|status| StatusCode::from_u16(status).unwrap()),
            response: &response,
            first_byte: case.answer.first.map(Duration::from_nanos),
            total: Duration::from_nanos(case.answer.total),
            now: UNIX_EPOCH + Duration::from_millis(case.answer.at),
        };
        for (format, line) in golden.formats.iter().zip(&case.lines) {
            assert_eq!(LineFormat::compile(format).unwrap().render(&exchange), *line, "{format}");
        }
    }
}

#[test]
fn what_morgan_would_stumble_over_later_is_refused_at_once() {
    for (format, error) in [
        (":method :nonsense", "`:nonsense` is no token of a log format"),
        (":req", "`:req` in a log format needs an argument: the name of a header"),
        (":res[a b]", "`:res[a b]` in a log format: expected the name of a header"),
        (":total-time[x]", "`:total-time[x]` in a log format: expected a number of digits from 0 to 100"),
        (":date[german]", "`:date[german]` in a log format: expected clf, iso or web"),
        ("a\nb", "a log format may not hold '\\n': one request is one line"),
    ] {
        assert_eq!(format.parse::<LogFormat>().unwrap_err().to_string(), error);
    }
}

#[test]
fn credentials_are_not_shown_even_when_asked_for() {
    let request = map(&[("authorization".into(), "Bearer x".into()), ("cookie".into(), "a=b".into())]);
    let line =
        LineFormat::compile(":req[authorization] :req[cookie]").unwrap().render(&exchange(&request, "/"));
    assert_eq!(line, "[redacted] [redacted]");
}

fn exchange<'a>(request: &'a HeaderMap, url: &'a str) -> Exchange<'a> {
    Exchange {
        method: "GET",
        url,
        version: Version::HTTP_11,
        remote_address: None,
        request,
        status: Some(StatusCode::OK),
        response: request,
        first_byte: Some(Duration::ZERO),
        total: Duration::MAX,
        now: UNIX_EPOCH,
    }
}

proptest! {
    #[test]
    fn one_request_is_one_bounded_line_whatever_the_bytes(
        format in "\\PC{0,20}(:req\\[x-y\\]|:url|:remote-user|:user-agent)\\PC{0,20}",
        value in prop::collection::vec(prop_oneof![Just(b'\t'), 0x20_u8..=0x7e, 0x80_u8..=0xff], 0..12_000),
        url in any::<String>(),
    ) {
        let mut request = HeaderMap::new();
        for name in ["x-y", "authorization", "user-agent"] {
            request.append(name, HeaderValue::from_bytes(&value).unwrap());
        }
        if let Ok(format) = LineFormat::compile(&format) {
            let line = format.render(&exchange(&request, &url));
            prop_assert!(!line.contains(super::breaks_lines), "{line:?}");
            prop_assert!(line.len() < 4 * (super::MAX_TOKEN + 8) + 200);
        }
    }
}
