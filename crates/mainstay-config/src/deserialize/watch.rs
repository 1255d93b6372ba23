//! What one run over the tree does differently, and what it saw on the way.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::outline::{At, ITEM, Outline};
use crate::layer::Path;

/// The ordinary run has a default one: it changes nothing, so that what comes out is what the sources say.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Values that are invented, by key.
    pub(super) stand_ins: BTreeMap<Path, StandInState>,
    /// Keys that are passed over.
    pub(super) removed: BTreeSet<Path>,
    /// Keys that cannot be read at all and therefore come after their siblings.
    pub(super) last: BTreeSet<Path>,
    /// What the types ask for; `None` in a run of which only the end counts.
    outline: Option<RefCell<Outline>>,
    at: Cell<At>,
    /// The exact key, which only a collecting run has to know all the time. A fault of the ordinary run gets its key on
    /// its way out.
    path: Option<RefCell<Path>>,
    /// The stand-in that was last asked for anything at all.
    anything: RefCell<Option<Path>>,
    last_key: RefCell<Path>,
    expected: RefCell<Option<String>>,
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

// === impl Watch ===

impl Default for Watch {
    fn default() -> Self {
        Self {
            stand_ins: BTreeMap::new(),
            removed: BTreeSet::new(),
            last: BTreeSet::new(),
            outline: Some(RefCell::default()),
            at: Cell::new(Outline::ROOT),
            path: None,
            anything: RefCell::default(),
            last_key: RefCell::default(),
            expected: RefCell::default(),
        }
    }
}

impl Watch {
    /// For runs that go on behind mistakes; `outline` is what is known already.
    pub(crate) fn collecting(outline: Outline) -> Self {
        let outline = Some(RefCell::new(outline));
        Self { outline, path: Some(RefCell::default()), ..Self::default() }
    }

    /// For a run of which only the end counts.
    pub(crate) fn looking_away() -> Self {
        Self { outline: None, ..Self::default() }
    }

    fn note(&self, note: impl FnOnce(&mut Outline, At)) {
        if let Some(outline) = &self.outline {
            note(&mut outline.borrow_mut(), self.at.get());
        }
    }

    pub(super) fn enter(&self, key: &str) {
        self.note(|outline, at| self.at.set(outline.enter(at, key)));
        if let Some(path) = &self.path {
            path.borrow_mut().push(key.to_owned());
        }
    }

    pub(super) fn enter_item(&self, index: usize) {
        self.note(|outline, at| self.at.set(outline.enter(at, ITEM)));
        if let Some(path) = &self.path {
            path.borrow_mut().push(item(index));
        }
    }

    pub(super) fn leave(&self) {
        self.note(|outline, at| self.at.set(outline.above(at)));
        if let Some(path) = &self.path {
            path.borrow_mut().pop();
        }
    }

    /// The exact key in a collecting run.
    pub(super) fn path(&self) -> Path {
        self.path.as_ref().map(|path| path.borrow().clone()).unwrap_or_default()
    }

    /// Whether this run changes nothing.
    pub(super) fn is_plain(&self) -> bool {
        self.stand_ins.is_empty() && self.removed.is_empty() && self.last.is_empty()
    }

    pub(super) fn stand_in_here(&self) -> Option<StandInState> {
        if self.stand_ins.is_empty() {
            return None;
        }
        self.stand_ins.get(&self.path()).copied()
    }

    pub(super) fn is_last_here(&self) -> bool {
        !self.last.is_empty() && self.last.contains(&self.path())
    }

    pub(super) fn saw_plain(&self) {
        self.note(Outline::plain);
    }

    pub(super) fn saw_struct(&self, fields: &'static [&'static str]) {
        self.note(|outline, at| outline.fields(at, fields));
    }

    pub(super) fn saw_list(&self) {
        self.note(Outline::list);
    }

    pub(super) fn saw_choice(&self) {
        self.note(Outline::choice);
    }

    pub(super) fn saw_secret(&self) {
        self.expected.take();
        self.note(Outline::secret);
    }

    pub(super) fn saw_anything(&self) {
        self.anything.replace(Some(self.path()));
    }

    pub(super) fn saw_key(&self, key: &str) {
        if let Some(path) = &self.path {
            let mut path = path.borrow().clone();
            path.push(key.to_owned());
            self.last_key.replace(path);
        }
    }

    pub(super) fn expects(&self, expected: Option<&str>) {
        self.expected.replace(expected.map(str::to_owned));
    }

    pub(super) fn expected(&self) -> Option<String> {
        self.expected.take()
    }

    /// Ready for another run; what was seen stays known.
    pub(super) fn again(&self) {
        self.at.set(Outline::ROOT);
        if let Some(path) = &self.path {
            path.borrow_mut().clear();
        }
        self.anything.take();
    }

    /// Whether an enum was read here whose tag was wrong, so that it is not known which variant was meant.
    pub(super) fn is_guess(&self, path: &[String]) -> bool {
        let below = |other: &Path| other.len() > path.len() && other.starts_with(path);
        self.outline.as_ref().is_some_and(|outline| outline.borrow().is_choice(path))
            && self.stand_ins.iter().any(|(other, state)| !state.absent && below(other))
    }

    pub(super) fn last_key(&self) -> Path {
        self.last_key.borrow().clone()
    }

    pub(super) fn anything(&self) -> Option<Path> {
        self.anything.borrow().clone()
    }

    pub(crate) fn outline(self) -> Outline {
        self.outline.map(RefCell::into_inner).unwrap_or_default()
    }
}

/// `[3]`
pub(super) fn item(index: usize) -> String {
    format!("[{index}]")
}
