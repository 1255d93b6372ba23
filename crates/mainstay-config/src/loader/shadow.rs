//! Values that are overridden and wrong: nobody notices them until whatever overrides them goes away.

use figment::value::Tag;
use serde::de::DeserializeOwned;

use super::findings::View;
use crate::code::Code;
use crate::deserialize::{Node, Watch, collect};
use crate::problem::Problem;

/// Warnings for overridden values that their type refuses.
///
/// The tree is read again for each source, with its values in the place of those that override them; what comes of it is
/// dropped.
pub(super) fn warnings<T: DeserializeOwned>(view: &View<'_>) -> Vec<Problem> {
    let merged = view.merged;
    let mut problems = Vec::new();
    for (group, data) in merged.overridden() {
        // Only values that were merged have a tag.
        let is_text =
            |tag: Tag| if tag.is_default() { merged.is_text_group(group) } else { merged.is_text(tag) };
        let watch = Watch::looking_away();
        let root = Node { value: &merged.tree, instead: Some(&data), is_text: &is_text, watch: &watch };
        if T::deserialize(root).is_ok() {
            continue;
        }
        let found = collect::<T>(root, view.outline.clone());
        let view = View { outline: &found.outline, ..*view };
        for fault in found.faults {
            let key = fault.key();
            if let Some(layer) = merged.overridden_layer(group, &key).filter(|_| !fault.of_key) {
                problems.push(view.misfit(&fault, Some(layer)).code_of(Code::Shadowed));
            }
        }
    }
    for problem in &mut problems {
        problem.message = format!("overridden, and wrong all the same: {}", problem.message).into();
    }
    problems
}
