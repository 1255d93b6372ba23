//! What an answer to a charge means: was the customer charged, or not, or does nobody know?
//!
//! Money is at stake, so only an answer that this provider's contract defines is believed. A 503 says that nothing was
//! charged; another 5xx may come from anything between here and there, after the charge, and proves nothing.

use http::StatusCode;
use mainstay::client::Attempts;

use super::wire::{Charged, Refused};

/// What became of a charge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Charged, under this name.
    Charged(String),
    /// Refused, for this reason.
    Declined(String),
    /// Certainly not charged, because of this.
    NotCharged(String),
    /// Nobody knows, because of this.
    Unknown(String),
}

impl Verdict {
    pub(super) fn of(status: StatusCode, body: &[u8]) -> Self {
        match status {
            StatusCode::CREATED => match serde_json::from_slice(body) {
                Ok(Charged { id }) => Self::Charged(id),
                Err(error) => Self::Unknown(format!("the provider answered {status} with {error}")),
            },
            StatusCode::PAYMENT_REQUIRED => {
                let refused: Refused = serde_json::from_slice(body).unwrap_or_default();
                Self::Declined(refused.reason.unwrap_or_else(|| "no reason given".to_owned()))
            }
            StatusCode::SERVICE_UNAVAILABLE => Self::NotCharged(format!("the provider answered {status}")),
            // Too slow to read the request, or still at work on it.
            StatusCode::REQUEST_TIMEOUT => Self::Unknown(format!("the provider answered {status}")),
            _ if status.is_client_error() => Self::NotCharged(format!("the provider answered {status}")),
            _ => Self::Unknown(format!("the provider answered {status}")),
        }
    }
}

impl Verdict {
    /// What the last answer proves of itself it does not prove of an attempt before it whose end nobody saw: only an answer that
    /// is the key's own outcome holds for all of them.
    pub(super) fn after(self, attempts: Attempts) -> Self {
        match self {
            Self::NotCharged(reason) if attempts.earlier_may_have_run => {
                Self::Unknown(format!("{reason}, and an earlier attempt may have charged"))
            }
            verdict => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_whose_end_nobody_saw_may_have_charged() {
        let after = |verdict: Verdict, earlier_may_have_run| {
            verdict.after(Attempts { count: 2, earlier_may_have_run })
        };
        let not_charged = || Verdict::NotCharged("503".into());
        assert_eq!(after(not_charged(), false), not_charged());
        assert!(matches!(after(not_charged(), true), Verdict::Unknown(_)));
        assert_eq!(after(Verdict::Charged("p1".into()), true), Verdict::Charged("p1".into()));
    }

    #[test]
    fn only_defined_answers_are_believed() {
        let verdict =
            |status: u16, body: &str| Verdict::of(StatusCode::from_u16(status).unwrap(), body.as_bytes());

        assert_eq!(verdict(201, r#"{"id":"p1","status":"succeeded"}"#), Verdict::Charged("p1".into()));
        assert_eq!(verdict(402, r#"{"status":"declined","reason":"no"}"#), Verdict::Declined("no".into()));
        assert_eq!(verdict(402, "nonsense"), Verdict::Declined("no reason given".into()));
        for not_charged in [400, 401, 404, 409, 422, 429, 503] {
            assert!(matches!(verdict(not_charged, ""), Verdict::NotCharged(_)), "{not_charged}");
        }
        for unknown in [200, 201, 302, 408, 500, 502, 504] {
            assert!(matches!(verdict(unknown, "nonsense"), Verdict::Unknown(_)), "{unknown}");
        }
    }
}
