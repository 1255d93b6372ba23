//! What differs between two versions of the settings, and whether that asks for a swap: no files, no threads.

use std::collections::{BTreeMap, BTreeSet};

use crate::Setting;
use crate::loader::Digests;

/// How a secret looks among the effective settings, where nothing tells two of them apart.
const REDACTED: &str = "[redacted]";

/// One version of the settings, as far as comparing it needs.
pub(super) struct Snapshot {
    effective: Vec<Setting>,
    digests: Digests,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Keep,
    Swap { changed: Vec<String>, needs_restart: Vec<String> },
}

/// Valid new settings are put in force when anything in them differs. A restart is needed for what differs from the start,
/// so that it is still named after the next swap, and no longer when the old value is back.
pub(super) fn decide(
    started: &Snapshot,
    in_force: &Snapshot,
    new: &Snapshot,
    restart_only: &[String],
) -> Decision {
    let changed = new.differs_from(in_force);
    if changed.is_empty() {
        return Decision::Keep;
    }
    let is_restart_only = |key: &String| restart_only.iter().any(|only| is_at_or_below(key, only));
    let needs_restart = new.differs_from(started).into_iter().filter(is_restart_only).collect();
    Decision::Swap { changed: changed.into_iter().collect(), needs_restart }
}

// === impl Snapshot ===

impl Snapshot {
    pub(super) fn new(effective: Vec<Setting>, digests: Digests) -> Self {
        Self { effective, digests }
    }

    pub(super) fn effective(&self) -> &[Setting] {
        &self.effective
    }

    /// The keys whose effective values differ, and those of secrets whose sources do.
    ///
    /// A source that says the same in other words (`1s`, `1000ms`) does not count. What is not among the effective
    /// settings (left out when serialised, or read under another name) counts by its source.
    fn differs_from(&self, other: &Self) -> BTreeSet<String> {
        let (old, new) = (other.shown(), self.shown());
        let mut keys: BTreeSet<String> = differing(&old, &new).map(|key| (*key).to_owned()).collect();
        for source in differing(&other.digests, &self.digests) {
            let shown = [&new, &old].into_iter().find_map(|side| {
                let at_or_above = |key: &&&str| is_at_or_below(source, key);
                side.keys().find(at_or_above).map(|key| (*key, side[key].contains(REDACTED)))
            });
            match shown {
                Some((key, true)) => keys.insert(key.to_owned()),
                Some((_, false)) => continue,
                None => keys.insert(source.clone()),
            };
        }
        keys
    }

    fn shown(&self) -> BTreeMap<&str, &str> {
        self.effective.iter().map(|setting| (setting.key.as_str(), setting.value.as_str())).collect()
    }
}

fn differing<'a, K: Ord, V: PartialEq>(
    old: &'a BTreeMap<K, V>,
    new: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = &'a K> {
    let gone = old.keys().filter(|key| !new.contains_key(key));
    gone.chain(new.iter().filter(|(key, value)| old.get(key) != Some(value)).map(|(key, _)| key))
}

fn is_at_or_below(key: &str, above: &str) -> bool {
    key.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::{Decision, Snapshot, decide};
    use crate::Setting;

    fn snapshot(effective: &[(&str, &str)], digests: &[(&str, u64)]) -> Snapshot {
        let setting = |(key, value): &(&str, &str)| Setting {
            key: (*key).into(),
            value: (*value).into(),
            source: None,
        };
        let digests = digests.iter().map(|(key, digest)| ((*key).to_owned(), *digest)).collect();
        Snapshot::new(effective.iter().map(setting).collect(), digests)
    }

    fn swap(changed: &[&str], needs_restart: &[&str]) -> Decision {
        let owned = |keys: &[&str]| keys.iter().copied().map(str::to_owned).collect();
        Decision::Swap { changed: owned(changed), needs_restart: owned(needs_restart) }
    }

    #[test]
    fn the_same_settings_are_kept() {
        let before = snapshot(&[("size", "1")], &[("size", 7)]);
        assert_eq!(decide(&before, &before, &before, &[]), Decision::Keep);
    }

    #[test]
    fn the_same_value_in_other_words_is_no_change() {
        let before = snapshot(&[("wait", "\"1s\"")], &[("wait", 7)]);
        let after = snapshot(&[("wait", "\"1s\"")], &[("wait", 8)]);
        assert_eq!(decide(&before, &before, &after, &[]), Decision::Keep);
    }

    #[test]
    fn what_differs_appears_or_goes_is_named() {
        let before = snapshot(&[("a", "1"), ("b", "1"), ("c", "1")], &[]);
        let after = snapshot(&[("b", "2"), ("c", "1"), ("d", "1")], &[]);
        assert_eq!(decide(&before, &before, &after, &[]), swap(&["a", "b", "d"], &[]));
    }

    #[test]
    fn a_secret_that_shows_nothing_is_known_by_its_source() {
        let check = |key: &str, value: &str, source: &str, named: &str| {
            let before = snapshot(&[(key, value)], &[(source, 7)]);
            let after = snapshot(&[(key, value)], &[(source, 8)]);
            assert_eq!(decide(&before, &before, &after, &[]), swap(&[named], &[]));
        };
        check("db.password", "\"[redacted]\"", "db.password", "db.password");
        check("db.keys", "[\"[redacted]\"]", "db.keys", "db.keys");
        check("db", "\"[redacted]\"", "db.user.name", "db");
        // Under another name, or not shown at all.
        check("db.password", "\"[redacted]\"", "db.pwd", "db.pwd");
    }

    #[test]
    fn a_secret_that_is_set_for_the_first_time_has_changed() {
        let before = snapshot(&[("token", "\"[redacted]\"")], &[]);
        let after = snapshot(&[("token", "\"[redacted]\"")], &[("token", 8)]);
        assert_eq!(decide(&before, &before, &after, &[]), swap(&["token"], &[]));
    }

    #[test]
    fn a_restart_is_needed_until_the_value_of_the_start_is_back() {
        let of = |listen, size| snapshot(&[("server.listen", listen), ("size", size)], &[]);
        let only = ["server".to_owned()];
        let (first, second, third, fourth) = (of("80", "1"), of("81", "1"), of("81", "2"), of("80", "2"));
        let restart = ["server.listen"];
        assert_eq!(decide(&first, &first, &second, &only), swap(&["server.listen"], &restart));
        assert_eq!(decide(&first, &second, &third, &only), swap(&["size"], &restart));
        assert_eq!(decide(&first, &third, &fourth, &only), swap(&["server.listen"], &[]));
    }

    #[test]
    fn a_restart_only_key_is_a_whole_level() {
        let (before, after) = (snapshot(&[("servers", "1")], &[]), snapshot(&[("servers", "2")], &[]));
        assert_eq!(decide(&before, &before, &after, &["server".to_owned()]), swap(&["servers"], &[]));
    }
}
