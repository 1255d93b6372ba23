//! Ids: UUIDv7, so that they sort by the time they were made, written in one form only.

use uuid::Uuid;

/// The text is no id.
#[derive(Debug, thiserror::Error)]
#[error("{given:?} is no id, expected a UUID like 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct InvalidId {
    given: String,
}

/// Takes the hyphenated lower-case form alone: the database compares ids as text.
pub(crate) fn parse(text: &str) -> Result<Uuid, InvalidId> {
    let invalid = || InvalidId { given: text.chars().take(40).collect() };
    let id = Uuid::try_parse(text).map_err(|_| invalid())?;
    if id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text { Ok(id) } else { Err(invalid()) }
}

/// Declares an id of one kind of thing.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, sea_orm::DeriveValueType)]
        #[sea_orm(value_type = "String")]
        pub struct $name(uuid::Uuid);

        impl std::str::FromStr for $name {
            type Err = crate::id::InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                crate::id::parse(text).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        crate::text::text_value!($name);
    };
}

pub(crate) use id;

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_id_has_one_form() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(parse(id).unwrap().to_string(), id);

        for other in [id.to_uppercase(), id.replace('-', ""), format!("{{{id}}}"), format!("urn:uuid:{id}")] {
            assert!(parse(&other).is_err(), "{other}");
        }
    }
}
