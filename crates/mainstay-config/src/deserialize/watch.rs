//! What one run over the tree does differently, and what it saw on the way.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::layer::Path;

/// The ordinary run has a default one: it changes nothing, so that what comes out is what the sources say.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Values that are invented, by key.
    pub(super) stand_ins: BTreeMap<Path, StandInState>,
    /// Keys that are passed over.
    pub(super) removed: BTreeSet<Path>,
    /// Keys that cannot be read at all and therefore come after their siblings.
    pub(super) last: BTreeSet<Path>,
    /// Keys whose values are text, whatever their tag says.
    pub(crate) texts: BTreeSet<Path>,
    path: RefCell<Path>,
    seen: RefCell<Seen>,
}

/// An invented value.
#[derive(Debug, Clone, Copy)]
pub(super) struct StandInState {
    /// Which of the plausible values is offered.
    pub(super) attempt: usize,
    /// Whether no source has a value here, as opposed to a wrong one.
    pub(super) absent: bool,
    /// What an enum is known to accept.
    pub(super) hint: Option<&'static str>,
}

/// What the types asked for.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// Where a [`Secret`](crate::Secret) was asked for.
    pub(crate) secrets: BTreeSet<Path>,
    /// Where a struct was asked for, with the names of its fields, aliases included.
    pub(crate) structs: BTreeMap<Path, &'static [&'static str]>,
    /// Where a list or a map was asked for, whose parts may be secrets.
    pub(crate) lists: BTreeSet<Path>,
    /// Where an enum or anything at all was asked for, so that text and tables may both be right.
    pub(crate) choices: BTreeSet<Path>,
    /// The stand-in that was last asked for anything at all.
    pub(super) anything: Option<Path>,
    pub(super) last_key: Path,
    expected: Option<String>,
}

// === impl Watch ===

impl Watch {
    pub(super) fn enter(&self, level: &str) {
        self.path.borrow_mut().push(level.to_owned());
    }

    pub(super) fn leave(&self) {
        self.path.borrow_mut().pop();
    }

    pub(super) fn path(&self) -> Path {
        self.path.borrow().clone()
    }

    /// Whether this run is the ordinary one.
    pub(super) fn is_plain(&self) -> bool {
        self.stand_ins.is_empty() && self.removed.is_empty() && self.last.is_empty()
    }

    pub(super) fn stand_in_here(&self) -> Option<StandInState> {
        if self.stand_ins.is_empty() {
            return None;
        }
        self.stand_ins.get(&*self.path.borrow()).copied()
    }

    pub(super) fn is_last_here(&self) -> bool {
        !self.last.is_empty() && self.last.contains(&*self.path.borrow())
    }

    pub(super) fn is_text_here(&self) -> bool {
        if self.texts.is_empty() {
            return false;
        }
        let path = self.path.borrow();
        (1..=path.len()).any(|length| self.texts.contains(&path[..length]))
    }

    pub(super) fn saw_struct(&self, fields: &'static [&'static str]) {
        self.seen.borrow_mut().structs.insert(self.path(), fields);
    }

    pub(super) fn saw_list(&self) {
        self.seen.borrow_mut().lists.insert(self.path());
    }

    pub(super) fn saw_choice(&self) {
        self.seen.borrow_mut().choices.insert(self.path());
    }

    pub(super) fn saw_secret(&self) {
        let mut seen = self.seen.borrow_mut();
        seen.expected = None;
        seen.secrets.insert(self.path.borrow().clone());
    }

    pub(super) fn saw_anything(&self) {
        self.seen.borrow_mut().anything = Some(self.path());
    }

    pub(super) fn saw_key(&self, key: &str) {
        let mut path = self.path();
        path.push(key.to_owned());
        self.seen.borrow_mut().last_key = path;
    }

    pub(super) fn expects(&self, expected: Option<&str>) {
        self.seen.borrow_mut().expected = expected.map(str::to_owned);
    }

    pub(super) fn expected(&self) -> Option<String> {
        self.seen.borrow_mut().expected.take()
    }

    /// Ready for another run; what was seen stays known.
    pub(super) fn again(&self) {
        self.path.borrow_mut().clear();
        self.seen.borrow_mut().anything = None;
    }

    /// Whether an enum was read here whose tag was wrong, so that it is not known which variant was meant.
    pub(super) fn is_guess(&self, path: &[String]) -> bool {
        let below = |other: &Path| other.len() > path.len() && other.starts_with(path);
        self.seen.borrow().choices.contains(path)
            && self.stand_ins.iter().any(|(other, state)| !state.absent && below(other))
    }

    pub(super) fn last_key(&self) -> Path {
        self.seen.borrow().last_key.clone()
    }

    pub(super) fn anything(&self) -> Option<Path> {
        self.seen.borrow().anything.clone()
    }

    pub(crate) fn seen(self) -> Seen {
        self.seen.into_inner()
    }
}

// === impl Seen ===

impl Seen {
    /// Whether the value at this key is a secret, holds one, or is part of one.
    pub(crate) fn is_secret(&self, path: &[String]) -> bool {
        self.secrets.iter().any(|secret| secret.starts_with(path) || path.starts_with(secret))
    }
}
