//! What a type asked for while it was read, key by key.
//!
//! A type says with every call what it wants, and [`Secret`](crate::Secret) says its name. What is read without saying
//! (`#[serde(flatten)]`, untagged enums) is neither plain nor a secret, and has to be treated as if it were a secret.

use crate::layer::Path;

/// An item of a list: what holds for one item holds for all.
pub(crate) const ITEM: &str = "[]";

/// A tree of keys; nodes name each other by their place in the list, of which the first is the root.
#[derive(Debug, Clone)]
pub(crate) struct Outline {
    nodes: Vec<Node>,
}

/// One node of an [`Outline`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At(usize);

#[derive(Debug, Clone, Default)]
struct Node {
    name: Box<str>,
    parent: usize,
    children: Vec<usize>,
    /// The fields, aliases included, where a struct was asked for.
    fields: Option<&'static [&'static str]>,
    is_plain: bool,
    is_secret: bool,
    /// Whether a secret was asked for further down.
    holds_secret: bool,
    is_list: bool,
    is_choice: bool,
}

// === impl Outline ===

impl Outline {
    pub(crate) const ROOT: At = At(0);

    pub(super) fn above(&self, at: At) -> At {
        At(self.nodes[at.0].parent)
    }

    /// The node of this name below `at`, which is made if there is none.
    pub(super) fn enter(&mut self, at: At, name: &str) -> At {
        self.below(at, name).unwrap_or_else(|| {
            let new = self.nodes.len();
            self.nodes.push(Node { name: name.into(), parent: at.0, ..Node::default() });
            self.nodes[at.0].children.push(new);
            At(new)
        })
    }

    /// A value of a type that is no secret was asked for.
    pub(super) fn plain(&mut self, at: At) {
        self.nodes[at.0].is_plain = true;
    }

    pub(super) fn secret(&mut self, at: At) {
        let mut at = at.0;
        self.nodes[at].is_secret = true;
        while at != 0 {
            at = self.nodes[at].parent;
            self.nodes[at].holds_secret = true;
        }
    }

    pub(super) fn fields(&mut self, at: At, fields: &'static [&'static str]) {
        self.nodes[at.0].fields = Some(fields);
    }

    /// A list or a map was asked for, whose parts may be secrets.
    pub(super) fn list(&mut self, at: At) {
        self.nodes[at.0].is_list = true;
    }

    /// An enum or anything at all was asked for, so that text and tables may both be right.
    pub(super) fn choice(&mut self, at: At) {
        self.nodes[at.0].is_choice = true;
    }

    /// The node of this name below `at`.
    pub(crate) fn below(&self, at: At, name: &str) -> Option<At> {
        let children = &self.nodes[at.0].children;
        children.iter().copied().find(|child| *self.nodes[*child].name == *name).map(At)
    }

    /// The node of this key; an item `[3]` is that of all items.
    fn at(&self, path: &[String]) -> Option<At> {
        path.iter().try_fold(Self::ROOT, |at, level| self.below(at, general(level)))
    }

    /// The names of the fields, aliases included, if a struct was asked for at this key.
    pub(crate) fn fields_of(&self, path: &[String]) -> Option<&'static [&'static str]> {
        self.nodes[self.at(path)?.0].fields
    }

    pub(crate) fn fields_at(&self, at: At) -> Option<&'static [&'static str]> {
        self.nodes[at.0].fields
    }

    /// Whether the value at this key is a secret, holds one, or is part of one.
    pub(crate) fn is_secret(&self, path: &[String]) -> bool {
        let mut at = Self::ROOT;
        for level in path {
            if self.nodes[at.0].is_secret {
                return true;
            }
            match self.below(at, general(level)) {
                Some(below) => at = below,
                None => return false,
            }
        }
        self.nodes[at.0].is_secret || self.nodes[at.0].holds_secret
    }

    pub(crate) fn is_secret_at(&self, at: At) -> bool {
        self.nodes[at.0].is_secret
    }

    /// Whether the value was asked for by a type that is no secret; it may still be part of one.
    pub(crate) fn is_plain_at(&self, at: At) -> bool {
        self.nodes[at.0].is_plain
    }

    pub(crate) fn is_list(&self, path: &[String]) -> bool {
        self.at(path).is_some_and(|at| self.nodes[at.0].is_list)
    }

    pub(crate) fn is_choice(&self, path: &[String]) -> bool {
        self.at(path).is_some_and(|at| self.nodes[at.0].is_choice)
    }

    /// Every key at which a struct was asked for, with the names of its fields.
    pub(crate) fn structs(&self) -> impl Iterator<Item = (Path, &'static [&'static str])> {
        self.nodes.iter().enumerate().filter_map(|(index, node)| Some((self.path(index), node.fields?)))
    }

    fn path(&self, mut index: usize) -> Path {
        let mut path = Path::new();
        while index != 0 {
            path.push(self.nodes[index].name.to_string());
            index = self.nodes[index].parent;
        }
        path.reverse();
        path
    }
}

impl Default for Outline {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

fn general(level: &str) -> &str {
    let is_item = level.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if is_item.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit())) { ITEM } else { level }
}
