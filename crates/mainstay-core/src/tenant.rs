//! Whose call it is.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

/// The longest tenant name, in bytes: as long as a label of a host's name.
const MAX_LENGTH: usize = 63;

/// The tenant that a call belongs to: 1 to 63 letters, digits, `-`, `_` or `.`, not beginning with a mark.
///
/// Names are compared as they are written: `ACME` is not `acme`. A parsed value is safe in a log line, a metric label, a path and a header. It says nothing on whether such a tenant
/// exists: that is for the application to decide. Cloning is one atomic increment.
///
/// ```
/// use mainstay_core::TenantId;
///
/// assert_eq!(TenantId::parse("acme")?.as_str(), "acme");
/// assert!(TenantId::parse("../etc").is_err());
/// # Ok::<(), mainstay_core::InvalidTenantId>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

/// The text is no tenant name; the message says what one looks like, and never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTenantId(());

impl TenantId {
    /// Takes the text as a tenant's name. Allocates the shared text once.
    pub fn parse(text: &str) -> Result<Self, InvalidTenantId> {
        let starts_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        let is_clean =
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if starts_well && is_clean && text.len() <= MAX_LENGTH {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidTenantId(()))
        }
    }

    /// The tenant's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for TenantId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Display for InvalidTenantId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a tenant is 1 to {MAX_LENGTH} letters, digits, '-', '_' or '.', and begins with a letter or digit"
        )
    }
}

impl Error for InvalidTenantId {}

#[cfg(test)]
mod tests {
    use super::TenantId;

    #[test]
    fn a_tenant_is_one_plain_word() {
        let longest = "a".repeat(63);
        for good in ["acme", "globex-2", "a.b_c", "7", longest.as_str()] {
            assert_eq!(TenantId::parse(good).map(|tenant| tenant.to_string()), Ok(good.to_owned()));
        }
        let too_long = "a".repeat(64);
        for bad in ["", "-acme", ".hidden", "a b", "a/b", "acmé", "a\nb", too_long.as_str()] {
            assert!(TenantId::parse(bad).is_err(), "{bad:?} was taken for a tenant");
        }
    }
}
