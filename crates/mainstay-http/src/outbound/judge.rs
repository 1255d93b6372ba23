//! What an answer says about the service that gave it.
//!
//! ```
//! use mainstay_core::call::{CallError, Judge, Verdict};
//! use mainstay_http::outbound::judge::{HttpJudge, JudgeConfig};
//!
//! let judge = HttpJudge::new(&JudgeConfig::default())?;
//! let verdict = |status: u16| {
//!     let answer = http::Response::builder().status(status).body(()).unwrap();
//!     judge.judge(Ok::<_, &CallError<std::io::Error>>(&answer))
//! };
//! assert_eq!(verdict(404), Verdict::Success); // it did its work
//! assert_eq!(verdict(500), Verdict::Failure);
//! assert_eq!(verdict(429), Verdict::Overloaded { retry_after: None });
//! # Ok::<(), garde::Report>(())
//! ```
//!
//! Of an answer of gRPC's the status counts, wherever it is found so far: in the headers ("Trailers-Only"), or in
//! trailers that [`Peek`](super::peek::Peek) saw. Where it is still to come, the answer is a success for now, and
//! [`BodyEnd`](super::settle::BodyEnd) judges the trailers. An answer to a gRPC call that is none of gRPC's (a proxy's 502) is
//! judged by its HTTP status. Errors are judged as [`ErrorsFail`] does.
//!
//! Judging allocates nothing.

use std::time::SystemTime;

use garde::Validate;
use http::{HeaderMap, Response, StatusCode};
use mainstay_core::call::{CallFailure, ErrorsFail, Judge, Verdict};
use serde::{Deserialize, Serialize};

use super::grpc::{self, Codes, GrpcCode, Pushback};
use super::peek::PeekedTrailers;
use super::retry_after;

/// Settings of [`HttpJudge`].
///
/// What is not named by any of them is a success: the service did its work, also where that was to say no.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct JudgeConfig {
    /// HTTP statuses of 500 to 599 that say nothing against the service. 501 and 505 by default: they are about what the caller
    /// asked for.
    #[garde(inner(range(min = 500, max = 599)))]
    pub successes: Vec<u16>,
    /// HTTP statuses of 400 to 499 that are failures nevertheless; 429 means "overloaded" without being named. None by
    /// default.
    #[garde(inner(range(min = 400, max = 499)))]
    pub failures: Vec<u16>,
    /// The gRPC statuses that are failures. By default UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE and DATA_LOSS: by gRPC's
    /// "Status codes and their use" those that the service or the way to it brings about. linkerd counts PERMISSION_DENIED
    /// too; here it is the caller's. RESOURCE_EXHAUSTED means "overloaded" without being named.
    #[garde(skip)]
    pub grpc_failures: Vec<GrpcCode>,
}

/// Judges answers of HTTP and gRPC. See the [module](self).
///
/// 429, and 503 that says when to come back, mean [overloaded](Verdict::Overloaded), and so do gRPC's RESOURCE_EXHAUSTED and
/// an UNAVAILABLE with pushback. The time is passed on as it was said: whoever waits for it decides what is too long.
#[derive(Clone, Copy, Debug)]
pub struct HttpJudge {
    successes: Statuses,
    failures: Statuses,
    pub(super) grpc: GrpcJudge,
}

/// Judges what gRPC says at the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct GrpcJudge {
    failures: Codes,
}

/// A set of 100 statuses that begin with the same digit.
#[derive(Clone, Copy, Debug)]
struct Statuses(u128);

// === impl JudgeConfig ===

impl Default for JudgeConfig {
    fn default() -> Self {
        Self {
            successes: vec![501, 505],
            failures: Vec::new(),
            grpc_failures: vec![
                GrpcCode::Unknown,
                GrpcCode::DeadlineExceeded,
                GrpcCode::Internal,
                GrpcCode::Unavailable,
                GrpcCode::DataLoss,
            ],
        }
    }
}

// === impl HttpJudge ===

impl HttpJudge {
    /// The judge with these settings.
    ///
    /// # Errors
    ///
    /// A status is not of the hundred to which it must belong.
    pub fn new(config: &JudgeConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        Ok(Self::of(config))
    }

    fn of(config: &JudgeConfig) -> Self {
        Self {
            successes: Statuses::of(&config.successes),
            failures: Statuses::of(&config.failures),
            grpc: GrpcJudge { failures: Codes::of(&config.grpc_failures) },
        }
    }

    fn judge_answer<B>(&self, answer: &Response<B>) -> Verdict {
        if answer.status() == StatusCode::OK
            && let Some(verdict) = self.grpc.judge_answer(answer)
        {
            return verdict;
        }
        let status = answer.status().as_u16();
        let comes_back = || retry_after::of(answer.headers(), SystemTime::now);
        match status {
            429 => Verdict::Overloaded { retry_after: comes_back() },
            500..=599 if self.successes.contain(status) => Verdict::Success,
            503 => match comes_back() {
                None => Verdict::Failure,
                retry_after => Verdict::Overloaded { retry_after },
            },
            500..=599 => Verdict::Failure,
            400..=499 if self.failures.contain(status) => Verdict::Failure,
            _ => Verdict::Success,
        }
    }
}

impl Default for HttpJudge {
    fn default() -> Self {
        Self::of(&JudgeConfig::default())
    }
}

impl<B, E: CallFailure> Judge<Response<B>, E> for HttpJudge {
    fn judge(&self, result: Result<&Response<B>, &E>) -> Verdict {
        match result {
            Ok(answer) => self.judge_answer(answer),
            Err(error) => ErrorsFail.judge(Err::<&Response<B>, _>(error)),
        }
    }
}

// === impl GrpcJudge ===

impl Default for GrpcJudge {
    fn default() -> Self {
        HttpJudge::default().grpc
    }
}

impl GrpcJudge {
    /// `None` of an answer that says no status, or none yet.
    fn judge_answer<B>(self, answer: &Response<B>) -> Option<Verdict> {
        let peeked = answer.extensions().get::<PeekedTrailers>().map(|peeked| &peeked.trailers);
        self.judge_status(answer.headers()).or_else(|| self.judge_status(peeked?))
    }

    /// The verdict on a call whose answer ended with these trailers, or without any: then nobody knows, which is
    /// gRPC's UNKNOWN.
    pub(super) fn judge_end(self, trailers: Option<&HeaderMap>) -> Verdict {
        trailers
            .and_then(|trailers| self.judge_status(trailers))
            .unwrap_or_else(|| self.judge_code(GrpcCode::Unknown, None))
    }

    fn judge_status(self, headers: &HeaderMap) -> Option<Verdict> {
        Some(match grpc::status(headers)? {
            Ok(()) => Verdict::Success,
            Err(code) => self.judge_code(code, grpc::pushback(headers)),
        })
    }

    fn judge_code(self, code: GrpcCode, pushback: Option<Pushback>) -> Verdict {
        let retry_after = match pushback {
            Some(Pushback::After(time)) => Some(time),
            Some(Pushback::Never) | None => None,
        };
        match code {
            GrpcCode::ResourceExhausted => Verdict::Overloaded { retry_after },
            GrpcCode::Unavailable if retry_after.is_some() && self.failures.contains(code) => {
                Verdict::Overloaded { retry_after }
            }
            code if self.failures.contains(code) => Verdict::Failure,
            _ => Verdict::Success,
        }
    }
}

// === impl Statuses ===

impl Statuses {
    fn of(statuses: &[u16]) -> Self {
        Self(statuses.iter().fold(0, |set, status| set | 1 << (status % 100)))
    }

    const fn contain(self, status: u16) -> bool {
        self.0 & (1 << (status % 100)) != 0
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use http::{HeaderMap, Response};
    use mainstay_core::call::{CallError, Judge, Verdict};
    use mainstay_core::{Reason, Rejection};
    use mainstay_testkit::alloc::count_allocations;

    use super::{GrpcCode, HttpJudge, JudgeConfig};
    use crate::outbound::peek::PeekedTrailers;

    const OVERLOADED: Verdict = Verdict::Overloaded { retry_after: None };

    fn overloaded(millis: u64) -> Verdict {
        Verdict::Overloaded { retry_after: Some(Duration::from_millis(millis)) }
    }

    fn verdict(answer: &Response<()>) -> Verdict {
        HttpJudge::default().judge(Ok::<_, &CallError<io::Error>>(answer))
    }

    fn answer(status: u16, headers: &[(&str, &str)]) -> Response<()> {
        let answer = Response::builder().status(status);
        headers.iter().fold(answer, |answer, (name, value)| answer.header(*name, *value)).body(()).unwrap()
    }

    #[test]
    fn the_table_of_http() {
        for success in [101, 200, 204, 302, 304, 400, 401, 404, 408, 409, 425, 499, 501, 505, 600, 999] {
            assert_eq!(verdict(&answer(success, &[])), Verdict::Success, "{success}");
        }
        for failure in [500, 502, 503, 504, 507, 511, 599] {
            assert_eq!(verdict(&answer(failure, &[])), Verdict::Failure, "{failure}");
        }
        assert_eq!(verdict(&answer(429, &[])), OVERLOADED);
        assert_eq!(verdict(&answer(429, &[("retry-after", "2")])), overloaded(2_000));
        assert_eq!(verdict(&answer(503, &[("retry-after", "2")])), overloaded(2_000));
        assert_eq!(verdict(&answer(503, &[("retry-after", "soon")])), Verdict::Failure);
        assert_eq!(verdict(&answer(500, &[("retry-after", "2")])), Verdict::Failure);
        assert_eq!(verdict(&answer(302, &[("retry-after", "2")])), Verdict::Success);
    }

    #[test]
    fn the_table_of_grpc_in_headers_and_in_trailers_that_were_peeked() {
        for code in 0..=20 {
            let expected = match code {
                2 | 4 | 13 | 14 | 15 | 17.. => Verdict::Failure,
                8 => OVERLOADED,
                _ => Verdict::Success,
            };
            let number = code.to_string();
            let in_headers = answer(200, &[("content-type", "application/grpc"), ("grpc-status", &number)]);
            assert_eq!(verdict(&in_headers), expected, "{code}");

            let mut in_trailers = answer(200, &[("content-type", "application/grpc")]);
            assert_eq!(verdict(&in_trailers), Verdict::Success, "it is still to come");
            for after_data in [false, true] {
                let trailers =
                    HeaderMap::from_iter([("grpc-status".parse().unwrap(), number.parse().unwrap())]);
                in_trailers.extensions_mut().insert(PeekedTrailers { trailers, after_data });
                assert_eq!(verdict(&in_trailers), expected, "{code}");
            }
        }
        let pushed = |code, pushback| {
            verdict(&answer(200, &[("grpc-status", code), ("grpc-retry-pushback-ms", pushback)]))
        };
        assert_eq!(pushed("8", "1500"), overloaded(1_500));
        assert_eq!(pushed("14", "1500"), overloaded(1_500));
        assert_eq!(pushed("14", "-1"), Verdict::Failure);
        assert_eq!(pushed("13", "1500"), Verdict::Failure);
        assert_eq!(pushed("5", "1500"), Verdict::Success);
    }

    #[test]
    fn an_answer_to_grpc_that_is_none_of_grpc_is_judged_by_its_status() {
        assert_eq!(verdict(&answer(502, &[("content-type", "text/html")])), Verdict::Failure);
        assert_eq!(verdict(&answer(503, &[("grpc-status", "0")])), Verdict::Failure);
    }

    #[test]
    fn settings_move_statuses_between_the_classes() {
        let config = JudgeConfig {
            successes: vec![500],
            failures: vec![408, 429],
            grpc_failures: vec![GrpcCode::Aborted, GrpcCode::ResourceExhausted],
        };
        let judge = HttpJudge::new(&config).unwrap();
        let verdict = |answer: &Response<()>| judge.judge(Ok::<_, &CallError<io::Error>>(answer));
        assert_eq!(verdict(&answer(500, &[])), Verdict::Success);
        assert_eq!(verdict(&answer(501, &[])), Verdict::Failure);
        assert_eq!(verdict(&answer(408, &[])), Verdict::Failure);
        assert_eq!(verdict(&answer(400, &[])), Verdict::Success);
        assert_eq!(verdict(&answer(200, &[("grpc-status", "10")])), Verdict::Failure);
        assert_eq!(
            verdict(&answer(200, &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "5")])),
            Verdict::Success
        );
        assert_eq!(verdict(&answer(429, &[])), OVERLOADED);

        for wrong in [vec![499], vec![600]] {
            assert!(HttpJudge::new(&JudgeConfig { successes: wrong, ..JudgeConfig::default() }).is_err());
        }
        assert!(HttpJudge::new(&JudgeConfig { failures: vec![500], ..JudgeConfig::default() }).is_err());
    }

    #[test]
    fn judging_allocates_nothing() {
        let busy = answer(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        let pushed = answer(200, &[("grpc-status", "8"), ("grpc-retry-pushback-ms", "5")]);
        let judge = HttpJudge::default();
        let counted = count_allocations(|| {
            for answer in [&busy, &pushed] {
                assert!(judge.judge(Ok::<_, &CallError<io::Error>>(answer)).is_failure());
            }
        });
        assert_eq!(counted.count, 0);
    }

    #[test]
    fn errors_are_failures_and_refusals_of_ours_say_nothing() {
        let judged =
            |error: CallError<io::Error>| HttpJudge::default().judge(Err::<&Response<()>, _>(&error));
        assert_eq!(judged(CallError::service(io::Error::other("reset"))), Verdict::Failure);
        assert_eq!(
            judged(Rejection::new(Reason::Unavailable, "the circuit is open").into()),
            Verdict::Ignored
        );
        assert_eq!(judged(Rejection::new(Reason::DeadlineExceeded, "too late").into()), Verdict::Failure);
    }
}
