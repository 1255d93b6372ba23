//! All checks of what was read: types, keys, rules, guards. None of them keeps another from running.

use std::collections::BTreeSet;
use std::ffi::OsString;

use garde::Validate;
use serde::de::DeserializeOwned;

use super::findings::View;
use super::{Loader, rules, shadow};
use crate::boot::Boot;
use crate::code::Code;
use crate::deserialize::{Collected, Node, Outline, Watch, collect};
use crate::layer::{Merged, joined};
use crate::problem::{Problem, Spot};

/// What came of the checks.
pub(super) struct Checked<T> {
    /// The settings, if the ordinary reading gives any.
    pub(super) settings: Option<T>,
    /// What the problems do not cover.
    pub(super) notes: Vec<String>,
    /// What is known of the keys, also of those that only the collecting passes came to.
    pub(super) outline: Outline,
}

impl Loader {
    /// Everything that can be found out, however much of it is wrong.
    pub(super) fn check<T>(
        &self,
        merged: &Merged,
        profile: Option<&str>,
        environment: &[(OsString, OsString)],
        problems: &mut Vec<Problem>,
    ) -> Checked<T>
    where
        T: DeserializeOwned + Validate,
        T::Context: From<Boot>,
    {
        let is_text = |tag| merged.is_text(tag);
        let watch = Watch::default();
        let root = Node { value: &merged.tree, instead: None, is_text: &is_text, watch: &watch };
        let (settings, found) = match T::deserialize(root) {
            Ok(settings) => (Some(settings), None),
            Err(_) => (None, Some(collect::<T>(root, Outline::default()))),
        };
        let Collected { made, faults, outline, invented, skipped } = found.unwrap_or_else(|| Collected {
            made: None,
            faults: Vec::new(),
            outline: watch.outline(),
            invented: BTreeSet::new(),
            skipped: BTreeSet::new(),
        });
        let prefix = self.prefix();
        let view = View { merged, outline: &outline, prefix: &prefix };

        if settings.is_none() || !problems.is_empty() || !view.is_orderly(environment) {
            problems.extend(view.clashes());
            problems.extend(view.twins());
            let misfits = view.of_faults(&faults, problems);
            problems.extend(misfits);
            problems.extend(view.strays(&faults));
            problems.extend(view.near_misses(environment));
        }

        let mut notes = withdraw_missing(problems);
        notes.extend(
            skipped
                .iter()
                .filter(|path| !path.is_empty())
                .map(|path| format!("further checks of `{}` were skipped", joined(path))),
        );
        if skipped.iter().any(Vec::is_empty) {
            notes.push("more may be wrong than is listed".to_owned());
        }
        match (settings.as_ref().or(made.as_ref()), self.context::<T>(profile)) {
            (Some(settings), Some(context)) => {
                if let Err(report) = settings.validate_with(&context) {
                    problems.extend(rules::broken(&report, merged, &outline, &invented));
                }
            }
            (None, _) => notes.push(
                "the rules of the settings were not checked, nor what is missing beside what was skipped"
                    .to_owned(),
            ),
            (_, None) => notes.push("the rules were not checked, as they depend on the profile".to_owned()),
        }
        let refused: Vec<_> = self
            .guards
            .iter()
            .flat_map(|guard| guard.refusals(merged, &outline, &self.profiles, profile))
            .filter(|refusal| !problems.iter().any(|known| known.is_misfit() && known.key == refusal.key))
            .collect();
        problems.extend(refused);
        problems.extend(shadow::warnings::<T>(&view));
        Checked { settings, notes, outline }
    }

    /// What the rules may know. A context that holds nothing cannot depend on the profile.
    fn context<T>(&self, profile: Option<&str>) -> Option<T::Context>
    where
        T: Validate,
        T::Context: From<Boot>,
    {
        let holds_nothing = size_of::<T::Context>() == 0;
        let profile = profile.or_else(|| holds_nothing.then_some(""))?;
        Some(Boot { app: self.app.clone(), profile: profile.to_owned() }.into())
    }
}

/// What is missing may be in a source that could not be read.
fn withdraw_missing(problems: &mut Vec<Problem>) -> Vec<String> {
    let unread: Vec<String> = problems
        .iter()
        .filter(|problem| problem.code.hides_values())
        .filter_map(|problem| Some(problem.spots.first()?.to_string_without_place()))
        .collect();
    let variables: Vec<String> = problems
        .iter()
        .filter(|problem| problem.code == Code::Text)
        .flat_map(|problem| problem.spots.iter().map(ToString::to_string))
        .collect();
    let is_hidden = problems.iter().any(|problem| problem.code.hides_values());
    let before = problems.len();
    problems.retain(|problem| {
        problem.code != Code::Missing
            || !is_hidden && !problem.looked_in.iter().any(|place| variables.contains(place))
    });
    if before == problems.len() || !is_hidden {
        return Vec::new();
    }
    let because = if unread.is_empty() { "a source".to_owned() } else { unread.join(", ") };
    vec![format!("missing values are not listed, as they may be in what could not be read: {because}")]
}

impl Spot {
    fn to_string_without_place(&self) -> String {
        match self {
            Self::Source(origin, _) => origin.to_string(),
            Self::Words(_) => self.to_string(),
        }
    }
}
