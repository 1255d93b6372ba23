//! `ratelimit-policy` and `ratelimit`, as draft-ietf-httpapi-ratelimit-headers-10 writes them: lists of structured fields
//! (RFC 9651) whose items are the policies' names.

use std::io::{Cursor, Write as _};

use http::{HeaderMap, HeaderValue};

use super::gcra::Standing;
use super::{MOST_POLICIES, RatePolicy, config};
use crate::headers::{RATELIMIT, RATELIMIT_POLICY};

/// Two numbers of at most twenty digits, quotes, `;r=`, `;t=` and a comma, around the name.
const MAX_ITEM: usize = config::MAX_NAME + 50;

/// Both fields of one answer.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) policy: HeaderValue,
    pub(super) limit: HeaderValue,
}

impl Fields {
    /// Appends: a limit further in has written its own, and a list may come in several lines.
    pub(super) fn append_to(self, headers: &mut HeaderMap) {
        headers.append(RATELIMIT_POLICY, self.policy);
        headers.append(RATELIMIT, self.limit);
    }
}

pub(super) fn policies(policies: &[RatePolicy]) -> HeaderValue {
    let items: Vec<_> = policies
        .iter()
        .map(|policy| format!("\"{}\";q={};w={}", policy.name, policy.quota, policy.window.as_secs()))
        .collect();
    HeaderValue::try_from(items.join(", ")).expect("names and numbers are header values")
}

/// One allocation, that of the value.
pub(super) fn standings<S: AsRef<str>>(standings: impl Iterator<Item = (S, Standing)>) -> HeaderValue {
    let mut text = Cursor::new([0; MOST_POLICIES * MAX_ITEM]);
    let mut separator = "";
    for (name, Standing { remaining, reset }) in standings {
        let name = name.as_ref();
        write!(text, "{separator}\"{name}\";r={remaining};t={reset}")
            .expect("sized for the longest names and numbers");
        separator = ", ";
    }
    let length = usize::try_from(text.position()).unwrap_or_default();
    HeaderValue::from_bytes(&text.get_ref()[..length]).expect("names and numbers are header values")
}

#[cfg(test)]
mod tests {
    use super::{MOST_POLICIES, Standing, standings};

    #[test]
    fn the_longest_field_fits() {
        let name = "n".repeat(super::config::MAX_NAME);
        let most = Standing { remaining: u64::MAX, reset: u64::MAX };
        let field = standings((0..MOST_POLICIES).map(|_| (name.as_str(), most)));
        assert!(field.to_str().unwrap().ends_with(&format!("\";r={};t={0}", u64::MAX)));
    }
}
