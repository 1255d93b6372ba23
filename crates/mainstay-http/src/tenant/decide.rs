//! Whose call it is, from all that was said: one name, none, or a reason to refuse.

use std::borrow::Cow;
use std::time::Duration;

use mainstay_core::{Reason, Rejection};

use super::source::Named;

/// Why a call is not let in. Its text never repeats what the call said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nobody names a tenant, and one is required.
    Missing,
    /// Two different ones are named.
    Ambiguous,
    /// What is named looks like no tenant.
    Malformed,
    /// The caller's own tenant is another one.
    Contradicted,
    /// There is no such tenant, or this caller may not act for it. One text for both: it tells nobody which tenants exist.
    Refused,
    /// The resolver could not say.
    Unresolved,
}

/// The one tenant that is named, if any is.
///
/// What is claimed is the truth about the caller, so a call that names another one is refused as not allowed; where nothing
/// is claimed, two names are a malformed call.
pub(super) fn agree<'a>(
    claims: impl IntoIterator<Item = &'a str>,
    sources: impl IntoIterator<Item = Named<'a>>,
) -> Result<Option<Cow<'a, str>>, Fault> {
    let mut claimed = None;
    for claim in claims {
        if claimed.is_some_and(|claimed| claimed != claim) {
            return Err(Fault::Contradicted);
        }
        claimed = Some(claim);
    }
    let mut decided = claimed.map(Cow::Borrowed);
    for named in sources {
        match (&decided, named?) {
            (_, None) => {}
            (None, named) => decided = named,
            (Some(decided), Some(named)) if *decided == named => {}
            (Some(_), Some(_)) if claimed.is_some() => return Err(Fault::Contradicted),
            (Some(_), Some(_)) => return Err(Fault::Ambiguous),
        }
    }
    Ok(decided)
}

// === impl Fault ===

impl Fault {
    pub(super) fn rejection(self) -> Rejection {
        match self {
            Self::Missing => Rejection::new(Reason::Invalid, "the call names no tenant"),
            Self::Ambiguous => Rejection::new(Reason::Invalid, "the call names two different tenants"),
            Self::Malformed => Rejection::new(
                Reason::Invalid,
                "the call names no valid tenant: 1 to 63 letters, digits, '-', '_' or '.' were expected",
            ),
            Self::Contradicted => {
                Rejection::new(Reason::Forbidden, "the call names another tenant than its caller's own")
            }
            Self::Refused => {
                Rejection::new(Reason::Forbidden, "the tenant is not served here, or not for this caller")
            }
            Self::Unresolved => Rejection::new(
                Reason::Unavailable,
                "whether the tenant is served cannot be told at the moment",
            )
            .with_retry_after(Duration::from_secs(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{Fault, agree};

    #[test]
    fn all_who_name_a_tenant_must_name_the_same() {
        let check = |claims: &[&str], named: &[Option<&str>], expected: Result<Option<&str>, Fault>| {
            let sources = named.iter().map(|named| Ok(named.map(Cow::Borrowed)));
            let decided = agree(claims.iter().copied(), sources);
            assert_eq!(decided.as_ref().map(Option::as_deref), expected.as_ref().map(|text| *text));
        };
        check(&[], &[], Ok(None));
        check(&[], &[None, None], Ok(None));
        check(&[], &[None, Some("acme"), Some("acme")], Ok(Some("acme")));
        check(&[], &[Some("acme"), None, Some("globex")], Err(Fault::Ambiguous));
        check(&["acme"], &[None], Ok(Some("acme")));
        check(&["acme", "acme"], &[Some("acme")], Ok(Some("acme")));
        check(&["acme"], &[Some("globex")], Err(Fault::Contradicted));
        check(&["acme", "globex"], &[], Err(Fault::Contradicted));
        check(&[], &[Some("acme"), Some("ACME")], Err(Fault::Ambiguous));
    }

    #[test]
    fn nonsense_in_one_source_is_not_made_good_by_another() {
        let sources = [Ok(Some(Cow::Borrowed("acme"))), Err(Fault::Malformed)];
        assert_eq!(agree([], sources), Err(Fault::Malformed));
        assert_eq!(agree(["acme"], [Err(Fault::Ambiguous)]), Err(Fault::Ambiguous));
    }
}
