//! gRPC's status codes, and where an answer says one.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use crate::headers::{GRPC_RETRY_PUSHBACK_MS, GRPC_STATUS};

/// The ways in which a gRPC call fails, by the names and numbers of gRPC's "Status codes and their use".
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum GrpcCode {
    /// The caller gave the call up.
    Cancelled = 1,
    /// A failure without a name: an exception in a handler, a status of another system.
    Unknown = 2,
    /// The caller's argument is wrong whatever the state of the system.
    InvalidArgument = 3,
    /// The deadline passed first; the work may or may not have been done.
    DeadlineExceeded = 4,
    /// What was asked for is not there.
    NotFound = 5,
    /// What was to be made is there already.
    AlreadyExists = 6,
    /// The caller is known, and may not.
    PermissionDenied = 7,
    /// A quota is used up, or the system is full.
    ResourceExhausted = 8,
    /// The system is not in the state that the call needs.
    FailedPrecondition = 9,
    /// The call lost against another one; to be repeated from further up.
    Aborted = 10,
    /// Past the end of what there is.
    OutOfRange = 11,
    /// No such method.
    Unimplemented = 12,
    /// An invariant of the service is broken.
    Internal = 13,
    /// The service is away for the moment.
    Unavailable = 14,
    /// Data are lost for good.
    DataLoss = 15,
    /// The caller is not known.
    Unauthenticated = 16,
}

/// A set of [`GrpcCode`]s, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Codes(u32);

/// What a service says with `grpc-retry-pushback-ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushback {
    After(Duration),
    /// A negative number, or nothing that can be read (gRPC's proposal A6).
    Never,
}

/// The status in headers or trailers, if they hold one. What is no code that gRPC knows counts as UNKNOWN, as gRPC's
/// specification asks.
pub(super) fn status(headers: &HeaderMap) -> Option<Result<(), GrpcCode>> {
    let number =
        std::str::from_utf8(headers.get(GRPC_STATUS)?.as_bytes()).ok().and_then(|text| text.parse().ok());
    Some(match number {
        Some(0) => Ok(()),
        number => Err(number.and_then(GrpcCode::numbered).unwrap_or(GrpcCode::Unknown)),
    })
}

/// What the service says about when to come back, if it says something.
pub(super) fn pushback(headers: &HeaderMap) -> Option<Pushback> {
    let text = headers.get(GRPC_RETRY_PUSHBACK_MS)?.as_bytes();
    let millis = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'));
    Some(match millis.and_then(|text| text.parse::<i32>().ok()).map(u64::try_from) {
        Some(Ok(millis)) => Pushback::After(Duration::from_millis(millis)),
        Some(Err(_)) | None => Pushback::Never,
    })
}

// === impl GrpcCode ===

impl GrpcCode {
    const ALL: [Self; 16] = [
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The number on the wire, 1 to 16.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code that stands for an answer which is none of gRPC's ("HTTP to gRPC Status Code Mapping").
    pub(super) const fn of_http(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::Internal,
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::FORBIDDEN => Self::PermissionDenied,
            StatusCode::NOT_FOUND => Self::Unimplemented,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    fn numbered(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

// === impl Codes ===

impl Codes {
    pub(super) fn of(codes: &[GrpcCode]) -> Self {
        Self(codes.iter().fold(0, |set, code| set | 1 << code.number()))
    }

    pub(super) const fn contains(self, code: GrpcCode) -> bool {
        self.0 & (1 << code.number()) != 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Codes, GrpcCode, Pushback, pushback, status};

    fn header(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_status_is_read_by_number_and_what_is_none_is_unknown() {
        assert_eq!(status(&HeaderMap::new()), None);
        assert_eq!(status(&header("grpc-status", "0")), Some(Ok(())));
        for code in GrpcCode::ALL {
            assert_eq!(status(&header("grpc-status", &code.number().to_string())), Some(Err(code)));
        }
        for strange in ["17", "256", "-1", "", "UNAVAILABLE", "1 4"] {
            assert_eq!(status(&header("grpc-status", strange)), Some(Err(GrpcCode::Unknown)), "{strange}");
        }
    }

    #[test]
    fn a_pushback_that_is_negative_or_cannot_be_read_means_never() {
        let read = |value| pushback(&header("grpc-retry-pushback-ms", value));
        assert_eq!(pushback(&HeaderMap::new()), None);
        assert_eq!(read("0"), Some(Pushback::After(Duration::ZERO)));
        assert_eq!(read("1500"), Some(Pushback::After(Duration::from_millis(1_500))));
        for never in ["-1", "-0x1", "+5", "soon", "", "5 ", "2147483648", "99999999999999999999"] {
            assert_eq!(read(never), Some(Pushback::Never), "{never}");
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set = Codes::of(&[GrpcCode::Unavailable, GrpcCode::Cancelled]);
        for code in GrpcCode::ALL {
            assert_eq!(set.contains(code), matches!(code, GrpcCode::Unavailable | GrpcCode::Cancelled));
        }
    }

    #[test]
    fn settings_name_codes_as_grpc_does() {
        assert_eq!(serde_json::to_string(&GrpcCode::DeadlineExceeded).unwrap(), "\"DEADLINE_EXCEEDED\"");
    }
}
