//! An answer as bytes that a store keeps, and back.
//!
//! ```text
//! "MI1" status:u16 headers:u16 { name-length:u16 name value-length:u32 value } body-length:u32 body
//! ```
//!
//! Numbers are big-endian. The version is in the first three bytes: another one is not read, and counts as not kept.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, Response, StatusCode, response};

use crate::headers::{IDEMPOTENCY_REPLAYED, TRACEPARENT, TRACESTATE, X_CORRELATION_ID, X_REQUEST_ID};

const VERSION: &[u8] = b"MI1";

/// Not kept: what belongs to the connection, to the one exchange, or to the one caller.
const LEFT_OUT: [HeaderName; 13] = [
    CONNECTION,
    CONTENT_LENGTH,
    DATE,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    X_REQUEST_ID,
    X_CORRELATION_ID,
    TRACEPARENT,
    TRACESTATE,
    IDEMPOTENCY_REPLAYED,
];

/// `None` where a header is larger than any server sends.
pub(super) fn encode(head: &response::Parts, body: &[u8]) -> Option<Vec<u8>> {
    let kept = || head.headers.iter().filter(|(name, _)| !LEFT_OUT.contains(name));
    let mut bytes = VERSION.to_vec();
    bytes.extend(head.status.as_u16().to_be_bytes());
    bytes.extend(u16::try_from(kept().count()).ok()?.to_be_bytes());
    for (name, value) in kept() {
        bytes.extend(u16::try_from(name.as_str().len()).ok()?.to_be_bytes());
        bytes.extend(name.as_str().as_bytes());
        bytes.extend(u32::try_from(value.len()).ok()?.to_be_bytes());
        bytes.extend(value.as_bytes());
    }
    bytes.extend(u32::try_from(body.len()).ok()?.to_be_bytes());
    bytes.extend(body);
    Some(bytes)
}

/// The answer again, marked as a replay; `None` where the bytes are none of ours.
pub(super) fn decode(bytes: &[u8]) -> Option<Response<Bytes>> {
    let mut rest = bytes.strip_prefix(VERSION)?;
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::from_u16(u16::from_be_bytes(*take(&mut rest)?)).ok()?;
    for _ in 0..u16::from_be_bytes(*take(&mut rest)?) {
        let length = usize::from(u16::from_be_bytes(*take(&mut rest)?));
        let name = HeaderName::from_bytes(split(&mut rest, length)?).ok()?;
        let length = usize::try_from(u32::from_be_bytes(*take(&mut rest)?)).ok()?;
        let value = HeaderValue::from_bytes(split(&mut rest, length)?).ok()?;
        answer.headers_mut().try_append(name, value).ok()?;
    }
    let length = usize::try_from(u32::from_be_bytes(*take(&mut rest)?)).ok()?;
    if rest.len() != length {
        return None;
    }
    answer.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    *answer.body_mut() = Bytes::copy_from_slice(rest);
    Some(answer)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(taken)
}

fn split<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use http::Response;
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};
    use proptest::prop_assert_eq;

    use super::{decode, encode};

    #[test]
    fn what_belongs_to_one_exchange_is_left_out() {
        let answer = Response::builder()
            .status(201)
            .header("location", "/orders/1")
            .header("x-two", "a")
            .header("x-two", "b")
            .header("set-cookie", "session=hunter2")
            .header("x-request-id", "mine")
            .header("date", "now")
            .header("content-length", "2");
        let (head, ()) = answer.body(()).unwrap().into_parts();
        let replayed = decode(&encode(&head, b"{}").unwrap()).unwrap();
        assert_eq!((replayed.status().as_u16(), &replayed.body()[..]), (201, &b"{}"[..]));
        let mut headers: Vec<_> = replayed
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        headers.sort();
        assert_eq!(headers, ["idempotency-replayed: true", "location: /orders/1", "x-two: a", "x-two: b"]);
    }

    proptest! {
        #[test]
        fn every_answer_survives(
            status in 100_u16..600,
            headers in vec(("[a-z]{1,8}-x", vec(0x20_u8..0x7f, 0..20)), 0..8),
            body in vec(any::<u8>(), 0..200),
        ) {
            let mut answer = Response::builder().status(status);
            for (name, value) in &headers {
                answer = answer.header(name, value.as_slice());
            }
            let (head, ()) = answer.body(()).unwrap().into_parts();
            let replayed = decode(&encode(&head, &body).unwrap()).unwrap();
            prop_assert_eq!(replayed.status(), head.status);
            prop_assert_eq!(&replayed.body()[..], &body[..]);
            let mut expected = head.headers;
            expected.insert("idempotency-replayed", http::HeaderValue::from_static("true"));
            prop_assert_eq!(replayed.headers(), &expected);
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in vec(any::<u8>(), 0..200), versioned: bool) {
            if versioned {
                bytes.splice(0..0, *b"MI1");
            }
            drop(decode(&bytes));
        }
    }
}
