//! The secret that the provider knows us by.

use std::fmt;

use http::HeaderValue;

/// The key that authorizes our calls. It never shows in a log.
#[derive(Clone)]
pub struct ApiKey(HeaderValue);

/// The text is no key. It is not repeated.
#[derive(Debug, thiserror::Error)]
#[error("expected an api key of visible ASCII characters")]
pub struct InvalidApiKey(());

impl ApiKey {
    /// Takes the text as a bearer token.
    pub fn parse(key: &str) -> Result<Self, InvalidApiKey> {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidApiKey(()));
        }
        let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| InvalidApiKey(()))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(super) fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::ApiKey;

    #[test]
    fn a_key_does_not_show() {
        let key = ApiKey::parse("secret").unwrap();

        assert_eq!(key.authorization(), "Bearer secret");
        assert!(!format!("{key:?} {:?}", key.authorization()).contains("secret"));
        for wrong in ["", "two words", "line\nbreak"] {
            assert!(ApiKey::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
