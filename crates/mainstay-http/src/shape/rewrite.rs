//! The rules, compiled: a list of steps, each of which looks up one header.

use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue};

/// All steps for one side, in the order in which they are taken.
#[derive(Clone, Debug)]
pub(super) struct Rewrite {
    steps: Box<[Step]>,
}

/// One header, and what happens to it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) header: HeaderName,
    pub(super) change: Change,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Deny,
    Rename(Amend, HeaderName),
    Remove,
    Set(HeaderValue),
    Amend(Amend, Option<HeaderValue>),
}

/// What becomes of each value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amend {
    pub(super) trim: bool,
    pub(super) lower_case: bool,
}

/// The header that a rule does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denied(pub(super) HeaderName);

// === impl Rewrite ===

impl Rewrite {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        Self { steps: steps.into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether a rule is for this header, or renames onto it; a text, as making a name of it would allocate.
    pub(super) fn names(&self, header: &str) -> bool {
        self.steps.iter().any(|Step { header: ruled, change }| {
            let target = if let Change::Rename(_, target) = change { target } else { ruled };
            [ruled, target].iter().any(|name| name.as_str().eq_ignore_ascii_case(header))
        })
    }

    /// Takes every step, up to one that denies.
    pub(super) fn apply(&self, headers: &mut HeaderMap) -> Result<(), Denied> {
        for Step { header, change } in &self.steps {
            match change {
                Change::Deny if headers.contains_key(header) => return Err(Denied(header.clone())),
                Change::Deny => {}
                Change::Rename(amend, target) => rename(headers, header, target, *amend),
                Change::Remove => {
                    headers.remove(header);
                }
                Change::Set(value) => set(headers, header, value),
                Change::Amend(amend, default) => {
                    amend_lines(headers, header, *amend);
                    if let Some(default) = default
                        && !headers.contains_key(header)
                    {
                        set(headers, header, default);
                    }
                }
            }
        }
        Ok(())
    }
}

/// A map can hold 24,576 names; one that is full stays as it is, which is better than to panic.
fn set(headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
    drop(headers.try_insert(name, value.clone()));
}

fn rename(headers: &mut HeaderMap, header: &HeaderName, target: &HeaderName, amend: Amend) {
    for mut line in take_lines(headers, header) {
        amend.amend(&mut line);
        // There is room: at least as many lines were taken out.
        let _was_there = headers.try_append(target, line);
    }
}

/// Takes all lines of a header out of the map, in their order. Allocates only where there are several.
pub(super) fn take_lines(
    headers: &mut HeaderMap,
    header: &HeaderName,
) -> impl Iterator<Item = HeaderValue> + use<> {
    let (mut first, mut others) = (None, Vec::new());
    // Looked up before: an entry makes room for a line that may never come.
    if headers.contains_key(header)
        && let Ok(Entry::Occupied(entry)) = headers.try_entry(header)
    {
        let (_, mut lines) = entry.remove_entry_mult();
        first = lines.next();
        others.extend(lines);
    }
    first.into_iter().chain(others)
}

/// Leaves the map alone where no line needs to change.
fn amend_lines(headers: &mut HeaderMap, header: &HeaderName, amend: Amend) {
    if headers.get_all(header).iter().any(|line| amend.changes(line.as_bytes()))
        && let Ok(Entry::Occupied(mut entry)) = headers.try_entry(header)
    {
        for line in entry.iter_mut() {
            amend.amend(line);
        }
    }
}

// === impl Amend ===

impl Amend {
    fn changes(self, text: &[u8]) -> bool {
        self.trim && trimmed(text).len() < text.len()
            || self.lower_case && text.iter().any(u8::is_ascii_uppercase)
    }

    /// Changes the value where that is needed: one allocation. Bytes that are not ASCII, and the mark that the value is
    /// sensitive, stay.
    fn amend(self, value: &mut HeaderValue) {
        if !self.changes(value.as_bytes()) {
            return;
        }
        let text = if self.trim { trimmed(value.as_bytes()) } else { value.as_bytes() };
        let text = if self.lower_case { text.to_ascii_lowercase() } else { text.to_vec() };
        let mut amended = HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
            .expect("a part of a header's value, in lower case or not, is a header's value");
        amended.set_sensitive(value.is_sensitive());
        *value = amended;
    }
}

/// Without the white space of RFC 9110, section 5.6.3: a value can hold no other.
fn trimmed(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}
