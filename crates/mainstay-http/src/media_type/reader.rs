//! Reads tokens, quoted strings and parameters out of a header line (RFC 9110, section 5.6).

/// What is left of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

/// The parameters of a media type; after one that is malformed there are no more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters<'a>(Reader<'a>);

/// A parameter that is not `name=value`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Malformed;

/// A parameter's value as it stands in the line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Token(&'a [u8]),
    // What stands between the quotes, escapes and all.
    Quoted(&'a [u8]),
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) const fn new(line: &'a [u8]) -> Self {
        Self(line)
    }

    pub(super) const fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    /// Takes this byte if it is the next one.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        match self.0 {
            [first, rest @ ..] if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    pub(super) fn token(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| !is_token(*byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// What stands before the closing quote; the opening one was taken.
    fn quoted(&mut self) -> Option<&'a [u8]> {
        let mut escaped = false;
        let end = self.0.iter().position(|byte| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes
        })?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        Some(text)
    }

    fn parameter(&mut self) -> Option<(&'a [u8], Value<'a>)> {
        let name = self.token()?;
        if !self.take(b'=') {
            return None;
        }
        let value = if self.take(b'"') { Value::Quoted(self.quoted()?) } else { Value::Token(self.token()?) };
        Some((name, value))
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

// === impl Parameters ===

impl<'a> Parameters<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self(Reader::new(text))
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(&'a [u8], Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = &mut self.0;
        let mut separated = false;
        // Nothing between two semicolons, or behind the last, is allowed.
        loop {
            reader.skip_space();
            if !reader.take(b';') {
                break;
            }
            separated = true;
        }
        if reader.rest().is_empty() {
            return None;
        }
        let parameter = if separated { reader.parameter() } else { None };
        if parameter.is_none() {
            *reader = Reader::new(b"");
        }
        Some(parameter.ok_or(Malformed))
    }
}

// === impl Value ===

impl<'a> Value<'a> {
    /// Whether it says this, without regard to case: `charset`, which is what is asked for, has none.
    pub(super) fn is(&self, text: &[u8]) -> bool {
        let mut text = text.iter();
        self.bytes().all(|byte| text.next().is_some_and(|other| other.eq_ignore_ascii_case(&byte)))
            && text.next().is_none()
    }

    /// The value where it stands without quotes.
    pub(super) const fn token(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Token(text) => Some(text),
            Self::Quoted(_) => None,
        }
    }

    pub(super) fn unescaped(&self) -> Box<[u8]> {
        self.bytes().collect()
    }

    fn bytes(&self) -> impl Iterator<Item = u8> + use<'a> {
        let (text, is_quoted) = match *self {
            Self::Token(text) => (text, false),
            Self::Quoted(text) => (text, true),
        };
        let mut escaped = false;
        text.iter().copied().filter(move |byte| {
            escaped = is_quoted && *byte == b'\\' && !escaped;
            !escaped
        })
    }
}
