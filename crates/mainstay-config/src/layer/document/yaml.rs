//! YAML 1.2, by `serde-saphyr`, whose budget bounds what aliases may blow up to.
//!
//! Only what looks like one everywhere is a number: `0123` and `1_000` stay text, `no` and `on` do too.

use std::fmt;

use figment::value::{Dict, Empty, Tag, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Spanned};

use super::{DEPTH, Document, Path, Place, Places, SyntaxError};

struct Node {
    place: Place,
    tree: Tree,
}

enum Tree {
    Leaf(Value),
    OutOfRange,
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

pub(super) fn parse(text: &str) -> Result<Document, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    };
    let mut places = Vec::new();
    let data = match serde_saphyr::from_str_with_options::<Node>(text, options) {
        Ok(Node { tree: Tree::Table(entries), .. }) => table(entries, Some(&Vec::new()), &mut places)?,
        // A file of comments.
        Ok(Node { tree: Tree::Leaf(Value::Empty(..)), .. }) | Err(Error::Eof { .. }) => Dict::new(),
        Ok(Node { place, .. }) => {
            return Err(SyntaxError::new(place, "expected keys with values: the whole file is one table"));
        }
        Err(error) => return Err(refused(&error)),
    };
    Ok(Document { data, places: Places::sorted(places) })
}

/// In our own words, because the library's may quote the text.
fn refused(error: &Error) -> SyntaxError {
    let mut cause = error;
    while let Error::AliasError { error, .. } | Error::WithSnippet { error, .. } = cause {
        cause = error;
    }
    let place = error.location().map_or((1, 1), |location| place(location.line(), location.column()));
    SyntaxError::new(
        place,
        match cause {
            Error::DuplicateMappingKey { .. } => "duplicate key",
            Error::MultipleDocuments { .. } => "more than one document",
            Error::UnknownAnchor { .. } => "an alias without its anchor",
            Error::Budget { .. }
            | Error::AliasReplayCounterOverflow { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. } => {
                "too large or too deep, aliases counted as what they stand for"
            }
            _ => "is not valid YAML",
        },
    )
}

/// Without a `path` the table is part of a list, see the reader of TOML.
fn table(
    entries: Vec<(String, Node)>,
    path: Option<&Path>,
    places: &mut Vec<(Path, Place)>,
) -> Result<Dict, SyntaxError> {
    let mut data = Dict::new();
    for (key, node) in entries {
        let path = path.map(|path| [path.as_slice(), std::slice::from_ref(&key)].concat());
        let place = node.place;
        if data.insert(key, value(node, path.as_ref(), places)?).is_some() {
            return Err(SyntaxError::new(place, "duplicate key"));
        }
        if let Some(path) = path {
            places.push((path, place));
        }
    }
    Ok(data)
}

fn value(node: Node, path: Option<&Path>, places: &mut Vec<(Path, Place)>) -> Result<Value, SyntaxError> {
    Ok(match node.tree {
        Tree::Leaf(value) => value,
        Tree::OutOfRange => return Err(SyntaxError::new(node.place, "integer out of range")),
        Tree::Table(entries) => Value::Dict(Tag::Default, table(entries, path, places)?),
        Tree::List(items) => {
            let items = items.into_iter().map(|item| value(item, None, places));
            Value::Array(Tag::Default, items.collect::<Result<_, _>>()?)
        }
    })
}

fn place(line: u64, column: u64) -> Place {
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    (size(line).max(1), size(column).max(1))
}

// === impl Node ===

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Tree>::deserialize(deserializer)?;
        let at = spanned.referenced;
        Ok(Self { place: place(at.line(), at.column()), tree: spanned.value })
    }
}

// === impl Tree ===

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        // As the other formats have it, so that equal files are equal trees.
        Ok(Tree::Leaf(i64::try_from(value).map_or_else(|_| value.into(), Value::from)))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Tree, E> {
        Ok(Tree::OutOfRange)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Tree, E> {
        Ok(Tree::OutOfRange)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        // An integer that is too large comes as the float next to it, which nobody wrote.
        let is_whole = value.is_finite() && value.abs() >= 9e18;
        Ok(if is_whole { Tree::OutOfRange } else { Tree::Leaf(value.into()) })
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Empty(Tag::Default, Empty::None)))
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Tree, E> {
        self.visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut table = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            table.push(entry);
        }
        Ok(Tree::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Document {
        parse(text).unwrap_or_else(|error| panic!("{:?} {}", error.place, error.message))
    }

    #[test]
    fn every_kind_of_value_is_kept() {
        let document = parsed(
            "a: x\nb: -12\nc: 18446744073709551615\nd: -1.5\ne: true\nf: ~\ng: [1, {h: []}]\n0: 0\n\
             i: 0123\nj: no\nk: 1_000\nl: '7'\nm: |\n  two\n  lines\nn: 2026-01-02T03:04:05Z\n",
        );
        let shown = format!("{:?}", Value::from(document.data));
        insta::assert_snapshot!(shown, @r#"Dict({"0": Num(I64(0)), "a": String("x"), "b": Num(I64(-12)), "c": Num(U64(18446744073709551615)), "d": Num(F64(-1.5)), "e": Bool(true), "f": Empty(None), "g": Array([Num(I64(1)), Dict({"h": Array([])})]), "i": String("0123"), "j": String("no"), "k": String("1_000"), "l": String("7"), "m": String("two\nlines\n"), "n": String("2026-01-02T03:04:05Z")})"#);
        assert!(parsed("").data.is_empty());
        assert!(parsed("# nothing\n").data.is_empty());
    }

    #[test]
    fn values_know_their_line_and_column() {
        let document = parsed("# ümlaut\nserver:\n  name: 'ü'\n  port: 80\nother: {'ü': &a {x: 1}, b: *a}\n");
        assert_eq!(document.place(&["server", "port"]), (4, 9));
        assert_eq!(document.place(&["other", "b"]), (5, 28));
    }

    #[test]
    fn what_is_not_a_table_of_yaml_is_refused_with_its_place_and_not_shown() {
        for (text, place, message) in [
            ("hunter2", (1, 1), "expected keys with values: the whole file is one table"),
            ("- hunter2", (1, 1), "expected keys with values: the whole file is one table"),
            ("a: 1\nb: 2\na: hunter2", (3, 1), "duplicate key"),
            ("a: 1\n'a': hunter2", (2, 1), "duplicate key"),
            ("a: 1\n---\nb: hunter2", (3, 1), "more than one document"),
            ("a: *hunter2", (1, 4), "an alias without its anchor"),
            ("a: 'hunter2", (1, 4), "is not valid YAML"),
            ("a: {hunter2", (1, 4), "is not valid YAML"),
            ("a: 18446744073709551616", (1, 4), "integer out of range"),
        ] {
            let error = parse(text).err().expect(text);
            assert_eq!((error.place, error.message.as_str()), (place, message), "{text}");
        }
    }

    #[test]
    fn aliases_and_depth_have_a_budget() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
        for text in [bomb, deep] {
            let error = parse(&text).err().expect("refused");
            assert_eq!(error.message, "too large or too deep, aliases counted as what they stand for");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*|[\\[\\]{}\"':,&*!|>#?0-9a-z \n-]*") {
            let _result = parse(&text).map(|document| document.data);
        }
    }
}
