//! How long a call may take, and how far it may be extended: by what its caller says, if that is believed.

use std::time::{Duration, Instant};

use http::{HeaderName, Request};
use mainstay_core::{Deadline, Trust};

use super::decide::only;
use crate::deadline::{Covers, DeadlineConfig, Limits, Plan};
use crate::form::is_grpc;
use crate::headers::GRPC_TIMEOUT;
use crate::{grpc_timeout, millis};

#[derive(Clone, Debug)]
pub(super) struct TimeAllowed {
    plan: Plan,
    header: Option<HeaderName>,
}

// === impl TimeAllowed ===

impl TimeAllowed {
    pub(super) fn new(config: &DeadlineConfig) -> Self {
        Self { plan: Plan::new(config), header: config.header.clone() }
    }

    /// The deadline, and how far a handler may move it.
    pub(super) fn decide<B>(
        &self,
        request: &Request<B>,
        trust: Trust,
        now: Instant,
    ) -> (Option<Deadline>, Option<Deadline>) {
        let limits = self.plan.limits(request);
        let allowed = time_allowed(self.asked(request), trust, &limits);
        let after = |length| Deadline::after(now, length);
        (allowed.map(|(length, _)| after(length)), allowed.map(|(_, latest)| after(latest)))
    }

    /// What the caller says: `grpc-timeout` in a gRPC call, else the configured header. Sent twice, it says nothing.
    fn asked<B>(&self, request: &Request<B>) -> Option<Duration> {
        let headers = request.headers();
        if is_grpc(headers) {
            grpc_timeout::parse(only(headers, &GRPC_TIMEOUT)?.as_bytes())
        } else {
            millis::parse(only(headers, self.header.as_ref()?)?.as_bytes())
        }
    }
}

/// The caller may always ask for less, and a trusted one for more, up to the maximum; that is also how far it can be
/// extended, but never beyond the time for which the caller says that it waits.
fn time_allowed(asked: Option<Duration>, trust: Trust, limits: &Limits) -> Option<(Duration, Duration)> {
    if limits.covers == Covers::Nothing {
        return asked.map(|asked| (asked, asked));
    }
    let most = if trust.is_trusted() { limits.maximum } else { limits.default };
    let length = asked.map_or(limits.default, |asked| asked.min(most));
    let latest = asked.map_or(limits.maximum, |asked| asked.min(limits.maximum));
    Some((length, latest))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use http::Request;
    use mainstay_core::{Deadline, Trust};

    use super::TimeAllowed;
    use crate::deadline::{Covers, DeadlineConfig, RouteDeadline};

    /// Seconds until the deadline, and until the latest one, of a request with these header lines.
    fn decided(config: &DeadlineConfig, trust: Trust, path: &str, lines: &[&str]) -> Option<(f64, f64)> {
        let mut request = Request::builder().uri(path);
        for line in lines {
            request = request.header("x-request-timeout-ms", *line);
        }
        let now = tokio::time::Instant::now().into_std();
        let (deadline, latest) = TimeAllowed::new(config).decide(&request.body(()).unwrap(), trust, now);
        let seconds = |deadline: Deadline, now: Instant| deadline.remaining(now).as_secs_f64();
        Some((seconds(deadline?, now), seconds(latest?, now)))
    }

    fn reading_the_header() -> DeadlineConfig {
        DeadlineConfig {
            header: Some(http::HeaderName::from_static("x-request-timeout-ms")),
            ..DeadlineConfig::default()
        }
    }

    #[test]
    fn the_header_is_clamped_by_trust_and_bounds_the_extension() {
        let config = reading_the_header();
        for (trust, lines, expected) in [
            (Trust::Untrusted, &[][..], (10.0, 60.0)),
            (Trust::Untrusted, &["1500"], (1.5, 1.5)),
            (Trust::Untrusted, &["30000"], (10.0, 30.0)),
            (Trust::Trusted, &["30000"], (30.0, 30.0)),
            (Trust::Trusted, &["9999999999"], (60.0, 60.0)),
        ] {
            assert_eq!(decided(&config, trust, "/", lines), Some(expected), "{trust:?} {lines:?}");
        }
    }

    #[test]
    fn what_is_malformed_or_sent_twice_or_not_configured_is_not_believed() {
        let config = reading_the_header();
        for lines in [&["0"][..], &[""], &["+5"], &["5ms"], &["1.5"], &["12345678901"], &["5", "5"]] {
            assert_eq!(decided(&config, Trust::Trusted, "/", lines), Some((10.0, 60.0)), "{lines:?}");
        }
        let unread = DeadlineConfig::default();
        assert_eq!(decided(&unread, Trust::Trusted, "/", &["5"]), Some((10.0, 60.0)));
    }

    #[test]
    fn the_first_route_that_matches_counts() {
        let route = |path: &str| RouteDeadline::new(path.parse().unwrap());
        let secs = |secs| Some(Duration::from_secs(secs));
        let config = DeadlineConfig {
            routes: vec![
                RouteDeadline {
                    methods: vec![http::Method::POST],
                    default: secs(1),
                    ..route("/reports/{id}")
                },
                RouteDeadline { default: secs(300), ..route("/reports/{id}") },
                RouteDeadline { maximum: secs(5), ..route("/short") },
                RouteDeadline { covers: Some(Covers::Nothing), ..route("/uploads/{*rest}") },
            ],
            ..reading_the_header()
        };
        let of = |path| decided(&config, Trust::Untrusted, path, &[]);
        assert_eq!(of("/reports/7"), Some((300.0, 300.0)));
        assert_eq!(of("/short"), Some((5.0, 5.0)));
        assert_eq!(of("/uploads/a/b"), None);
        assert_eq!(decided(&config, Trust::Untrusted, "/uploads/a", &["900"]), Some((0.9, 0.9)));
        assert_eq!(of("/other"), Some((10.0, 60.0)));
    }
}
