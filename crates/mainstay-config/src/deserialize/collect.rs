//! Going on behind a mistake: runs over the tree that put a stand-in where the last one failed.
//!
//! A serde type stops at its first mistake. So the run is repeated, each time with the last mistake out of the way: a
//! wrong or missing value gets a stand-in, an unknown key is passed over. It ends when a run goes through, or when
//! nothing more can be put out of the way. Only the mistakes are kept.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::stand_in::ATTEMPTS;
use super::watch::{StandInState, Watch};
use super::{Fault, Node, Outline, What};
use crate::layer::Path;

/// How often a tree is run over at most.
const RUNS: usize = 200;

/// What the runs found.
pub(crate) struct Collected<T> {
    /// What the last run made, with stand-ins in it: for rules to look at, never for the application.
    pub(crate) made: Option<T>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) outline: Outline,
    /// Where there are stand-ins.
    pub(crate) invented: BTreeSet<Path>,
    /// Where there is no knowing whether all is found.
    pub(crate) skipped: BTreeSet<Path>,
}

struct Run {
    faults: Vec<Fault>,
    skipped: BTreeSet<Path>,
}

/// Finds every mistake that the type sees in the tree.
///
/// `outline` is what is known of the type already.
pub(crate) fn collect<T: DeserializeOwned>(node: Node<'_>, outline: Outline) -> Collected<T> {
    let mut watch = Watch::collecting(outline);
    let mut run = Run { faults: Vec::new(), skipped: BTreeSet::new() };
    let mut made = None;
    for left in (0..RUNS).rev() {
        watch.again();
        let fault = match T::deserialize(Node { watch: &watch, ..node }) {
            Ok(value) => {
                made = Some(value);
                break;
            }
            Err(fault) => fault,
        };
        if !run.put_aside(fault, &mut watch) {
            break;
        }
        if left == 0 {
            run.skipped.insert(Path::new());
        }
    }
    // A section that is missing is not worth a line of its own beside the values in it that are missing.
    let missing: Vec<Path> = run.faults.iter().filter(|fault| is_missing(fault)).map(Fault::key).collect();
    run.faults.retain(|fault| {
        let key = fault.key();
        !is_missing(fault) || !missing.iter().any(|other| *other != key && other.starts_with(&key))
    });
    let invented = watch.stand_ins.keys().cloned().collect();
    Collected { made, faults: run.faults, outline: watch.outline(), invented, skipped: run.skipped }
}

fn is_missing(fault: &Fault) -> bool {
    matches!(fault.what, What::Missing(_))
}

impl Run {
    /// Keeps the fault, and changes the next run so that it does not come again. False when nothing can be changed.
    fn put_aside(&mut self, fault: Fault, watch: &mut Watch) -> bool {
        let key = match fault.what {
            What::Duplicate => watch.last_key(),
            _ => fault.key(),
        };
        // Where a value is invented because the given one was wrong, nothing is known of what is below.
        let unknown = watch.stand_ins.iter().any(|(path, state)| !state.absent && key.starts_with(path));

        if is_missing(&fault) {
            let unknown = unknown || watch.is_guess(&fault.path);
            if watch.stand_ins.contains_key(&key) {
                return self.give_up(fault.path, watch);
            }
            watch.stand_ins.insert(key, StandInState { attempt: 0, absent: !unknown, hint: None });
            if !unknown {
                self.faults.push(fault);
            }
            return true;
        }
        if fault.of_key || matches!(fault.what, What::Duplicate) {
            if !watch.removed.insert(key.clone()) {
                return self.give_up(key, watch);
            }
            watch.stand_ins.remove(&key);
            if !unknown {
                self.faults.push(Fault { path: key, ..fault });
            }
            return true;
        }
        let hint = match fault.what {
            What::UnknownVariant { known, .. } => known.first().copied(),
            _ => None,
        };
        let blamed =
            watch.stand_ins.keys().filter(|path| key.starts_with(path)).max_by_key(|path| path.len());
        // A type that takes anything (flattened, untagged) complains further up than where the stand-in is.
        let blamed = blamed.cloned().or_else(|| watch.anything().filter(|path| path.starts_with(&key)));
        if let Some(path) = blamed {
            if let Some(state) = watch.stand_ins.get_mut(&path)
                && state.attempt + 1 < ATTEMPTS
            {
                state.attempt += 1;
                state.hint = state.hint.or(hint);
                return true;
            }
            return self.give_up(path, watch);
        }
        if watch.last.iter().any(|path| path.starts_with(&key)) {
            return self.give_up(key, watch);
        }
        if watch.stand_ins.keys().any(|path| path.starts_with(&key)) {
            // It may well be the stand-in that is objected to.
            self.skipped.insert(key.clone());
        } else {
            self.faults.push(fault);
        }
        if key.is_empty() {
            self.skipped.insert(key);
            return false;
        }
        watch.stand_ins.insert(key, StandInState { attempt: 0, absent: false, hint });
        true
    }

    /// Lets what cannot be read come after its siblings, or if it does already, what it is part of.
    fn give_up(&mut self, mut path: Path, watch: &mut Watch) -> bool {
        if !watch.last.contains(&path) {
            self.skipped.insert(path.clone());
        }
        while watch.last.contains(&path) && !path.is_empty() {
            path.pop();
        }
        if path.is_empty() {
            return false;
        }
        watch.last.insert(path)
    }
}
