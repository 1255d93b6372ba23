//! What is never logged in clear: headers and query parameters that hold secrets.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};
use http::{HeaderName, HeaderValue};

/// What stands for a header's secret value.
pub(super) const REDACTED_HEADER: &str = "[redacted]";

/// What stands for a query parameter's secret value, in OpenTelemetry's spelling.
const REDACTED_PARAMETER: &str = "REDACTED";

/// OpenTelemetry's list (`url.query`, signed URLs of the big clouds), and what else is a secret wherever it stands.
const SECRET_PARAMETERS: [&str; 16] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
    "access_token",
    "api_key",
    "apikey",
    "client_secret",
    "id_token",
    "password",
    "refresh_token",
    "secret",
    "token",
];

/// Whether a header's value is shown as `[redacted]` even where the header is listed: credentials, and whatever a layer
/// marked as sensitive.
pub(super) fn is_secret(name: &HeaderName, value: &HeaderValue) -> bool {
    value.is_sensitive() || [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE].contains(name)
}

/// The query with the values of secret parameters replaced; keys are kept, and compared percent-decoded and without regard
/// to case, each time they occur. Allocates only where something is replaced.
pub(super) fn query<'a>(query: &'a str, more: &[String]) -> Cow<'a, str> {
    let secret = |pair: &str| {
        pair.split_once('=').is_some_and(|(key, value)| !value.is_empty() && is_secret_parameter(key, more))
    };
    if !query.split('&').any(secret) {
        return Cow::Borrowed(query);
    }
    let mut redacted = String::with_capacity(query.len());
    for (at, pair) in query.split('&').enumerate() {
        if at > 0 {
            redacted.push('&');
        }
        match pair.split_once('=') {
            Some((key, _)) if secret(pair) => {
                redacted.push_str(key);
                redacted.push('=');
                redacted.push_str(REDACTED_PARAMETER);
            }
            _ => redacted.push_str(pair),
        }
    }
    Cow::Owned(redacted)
}

fn is_secret_parameter(key: &str, more: &[String]) -> bool {
    let more = more.iter().map(String::as_str);
    SECRET_PARAMETERS.into_iter().chain(more).any(|secret| {
        let mut decoded = decoded(key.as_bytes());
        secret.bytes().all(|byte| decoded.next().is_some_and(|at| at.eq_ignore_ascii_case(&byte)))
            && decoded.next().is_none()
    })
}

/// Percent-decoded, byte by byte; `%` without two hexadecimal digits stands for itself.
fn decoded(mut text: &[u8]) -> impl Iterator<Item = u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    std::iter::from_fn(move || {
        if let [b'%', high, low, rest @ ..] = text
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            text = rest;
            return Some(high << 4 | low);
        }
        let (first, rest) = text.split_first()?;
        text = rest;
        Some(*first)
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::query;

    #[test]
    fn secrets_are_replaced_however_their_keys_are_spelled_and_as_often_as_they_come() {
        for (given, shown) in [
            ("a=1&sig=x&b=2", "a=1&sig=REDACTED&b=2"),
            ("SIG=x&sig=y&sig=", "SIG=REDACTED&sig=REDACTED&sig="),
            ("%73i%67=x=y&x-amz-signature=z", "%73i%67=REDACTED&x-amz-signature=REDACTED"),
            ("session=x", "session=REDACTED"),
        ] {
            assert_eq!(query(given, &["session".to_owned()]), shown);
        }
        for plain in ["", "sig", "signal=x", "a=sig&=x&&", "%sig=1", "%7=1&%=2&s%69=3"] {
            assert!(matches!(query(plain, &[]), Cow::Borrowed(same) if same == plain), "{plain}");
        }
    }
}
