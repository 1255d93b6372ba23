//! The ids of a call: one for this hop, one for the whole chain.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::str;

use uuid::Builder;

/// The longest id that is adopted from a caller, in bytes.
const MAX_LENGTH: usize = 128;
/// How long a UUID is in its usual form, `01890a5d-ac96-774b-bcce-b302099a8057`.
const UUID_LENGTH: u8 = 36;

/// The id of one request: a UUIDv7 of our own, or a trusted caller's word for it.
///
/// Kept in place, 129 bytes, without a heap allocation. A text of up to 128 letters, digits and `-_.~:/+=@` is an id;
/// anything else is refused by [`parse`](Self::parse), so an id can be put into a header and a log line as it is. It is
/// not safe in a path or a URL without encoding: `/`, `+` and `=` are allowed, because Base64 has them.
///
/// ```
/// use mainstay_core::RequestId;
///
/// let made = RequestId::v7(1_732_406_400_000, [0xab; 10]); // time and randomness are the caller's
/// assert_eq!(made.as_str(), "01935b77-d400-7bab-abab-abababababab");
///
/// let adopted = RequestId::parse(b"build-42/step.7")?;
/// assert_eq!(adopted.to_string(), "build-42/step.7");
/// assert!(RequestId::parse(b"two words").is_err());
/// # Ok::<(), mainstay_core::InvalidId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Text);

/// The id of the whole chain of calls that one cause set off; every hop passes it on unchanged.
///
/// The first hop makes it from its own [`RequestId`]. The same texts are allowed as there.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CorrelationId(Text);

/// Why a caller's text is not taken as an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidId {
    /// There is no text at all.
    Empty,
    /// The text is longer than 128 bytes.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A byte that is no letter, digit or one of `-_.~:/+=@`.
    Character {
        /// The byte.
        byte: u8,
        /// Where it stands, counted from 0.
        position: usize,
    },
}

/// The text of an id, in place. Only ever ASCII, because nothing else gets past [`Text::parse`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Text {
    length: u8,
    bytes: [u8; MAX_LENGTH],
}

// === impl RequestId ===

impl RequestId {
    /// A new UUIDv7 (RFC 9562, section 5.7), in lower case with hyphens; ids sort by the millisecond they were made in.
    ///
    /// `unix_millis` is the wall clock, of which 48 bits count; of the 80 random bits 74 are used.
    pub fn v7(unix_millis: u64, random: [u8; 10]) -> Self {
        let uuid = Builder::from_unix_timestamp_millis(unix_millis, &random).into_uuid();
        let mut bytes = [0; MAX_LENGTH];
        uuid.hyphenated().encode_lower(&mut bytes);
        Self(Text { length: UUID_LENGTH, bytes })
    }

    /// Takes a caller's text as the id, or says why it is none.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidId> {
        Text::parse(text).map(Self)
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

// === impl CorrelationId ===

impl CorrelationId {
    /// Takes a caller's text as the id, or says why it is none.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidId> {
        Text::parse(text).map(Self)
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<RequestId> for CorrelationId {
    /// The first hop's request id becomes the chain's id.
    fn from(request_id: RequestId) -> Self {
        Self(request_id.0)
    }
}

// === impl Text ===

impl Text {
    fn parse(text: &[u8]) -> Result<Self, InvalidId> {
        if text.is_empty() {
            return Err(InvalidId::Empty);
        }
        let length = u8::try_from(text.len()).ok().filter(|length| usize::from(*length) <= MAX_LENGTH);
        let Some(length) = length else {
            return Err(InvalidId::TooLong { length: text.len() });
        };
        if let Some(position) = text.iter().position(|byte| !is_id_byte(*byte)) {
            return Err(InvalidId::Character { byte: text[position], position });
        }
        let mut bytes = [0; MAX_LENGTH];
        bytes[..text.len()].copy_from_slice(text);
        Ok(Self { length, bytes })
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("only ASCII is ever stored")
    }
}

const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':' | b'/' | b'+' | b'=' | b'@')
}

// === how they print ===

impl Display for RequestId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestId").field(&self.as_str()).finish()
    }
}

impl Display for CorrelationId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CorrelationId").field(&self.as_str()).finish()
    }
}

impl Display for InvalidId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the id is empty"),
            Self::TooLong { length } => {
                write!(f, "the id has {length} bytes, at most {MAX_LENGTH} are taken")
            }
            Self::Character { byte, position } => {
                write!(
                    f,
                    "byte 0x{byte:02x} at position {position} of the id is no letter, digit or one of -_.~:/+=@"
                )
            }
        }
    }
}

impl Error for InvalidId {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CorrelationId, InvalidId, RequestId};

    #[test]
    fn a_made_id_is_a_uuid_version_7_that_carries_its_millisecond() {
        let id = RequestId::v7(1_732_406_400_123, [0xff; 10]);
        let uuid = uuid::Uuid::parse_str(id.as_str()).unwrap();
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        assert_eq!(uuid.get_timestamp().unwrap().to_unix(), (1_732_406_400, 123_000_000));
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let (earlier, later) = (RequestId::v7(1_000, [0xff; 10]), RequestId::v7(1_001, [0; 10]));
        assert!(earlier.as_str() < later.as_str());
    }

    #[test]
    fn texts_that_could_harm_a_header_a_log_or_a_url_are_refused_with_the_reason() {
        assert_eq!(RequestId::parse(b""), Err(InvalidId::Empty));
        assert_eq!(RequestId::parse(&[b'a'; 129]), Err(InvalidId::TooLong { length: 129 }));
        assert_eq!(RequestId::parse(&[b'a'; 16_384]), Err(InvalidId::TooLong { length: 16_384 }));
        assert!(RequestId::parse(&[b'a'; 128]).is_ok());
        for (text, byte, position) in [
            (&b"a b"[..], b' ', 1),
            (b"\ta", b'\t', 0),
            (b"a,b", b',', 1),
            (b"caf\xc3\xa9", 0xc3, 3),
            (b"x\"", b'"', 1),
        ] {
            assert_eq!(RequestId::parse(text), Err(InvalidId::Character { byte, position }));
        }
        let message = RequestId::parse(b"a b").unwrap_err().to_string();
        assert_eq!(message, "byte 0x20 at position 1 of the id is no letter, digit or one of -_.~:/+=@");
    }

    #[test]
    fn the_first_hop_names_the_chain() {
        let id = RequestId::v7(1_000, [3; 10]);
        assert_eq!(CorrelationId::from(id).as_str(), id.as_str());
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_comes_out_as_it_went_in(text in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(id) = RequestId::parse(&text) {
                prop_assert_eq!(id.as_str().as_bytes(), &text[..]);
                prop_assert!(id.as_str().chars().all(|c| c.is_ascii_graphic()));
                prop_assert_eq!(format!("{id:?}"), format!("RequestId({:?})", id.as_str()));
            }
        }
    }
}
