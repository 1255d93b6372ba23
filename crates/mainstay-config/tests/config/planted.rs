//! Mistakes planted at random are all found, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use mainstay_config::{Loader, Secret};
use proptest::prelude::*;
use url::Url;

use crate::folder;

#[derive(Debug, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "what matters is what is refused")]
struct Garden {
    #[garde(skip)]
    number: u16,
    #[garde(skip)]
    switch: bool,
    #[garde(skip)]
    address: IpAddr,
    #[garde(skip)]
    choice: Choice,
    #[garde(skip)]
    optional: Option<i32>,
    #[garde(skip)]
    secret: Secret<u64>,
    #[garde(skip)]
    list: Vec<u8>,
    #[garde(dive)]
    shed: Shed,
}

#[derive(Debug, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct Shed {
    #[garde(range(max = 100))]
    height: i64,
    #[garde(skip)]
    place: Url,
    #[garde(skip)]
    tools: BTreeMap<String, u8>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Choice {
    Rose,
    Tulip,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    Variables,
    Arguments,
    File,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Planted {
    Nothing,
    Wrong,
    Missing,
    Unknown,
    Typo,
}

/// Key, a good value, a wrong one, the code for the wrong one, whether it is required.
const KEYS: [(&str, &str, &str, &str, bool); 9] = [
    ("number", "80", "many", "MC005", true),
    ("switch", "true", "perhaps", "MC005", true),
    ("address", "127.0.0.1", "nowhere", "MC005", true),
    ("choice", "rose", "weed", "MC006", true),
    ("optional", "-3", "three", "MC005", false),
    ("secret", "4711", "hunter2", "MC005", true),
    ("list", "1,2", "none at all", "MC005", true),
    ("shed.height", "7", "101", "MC012", true),
    ("shed.place", "http://a/", "over there", "MC005", true),
];

fn planted() -> impl Strategy<Value = Planted> {
    use Planted::{Missing, Nothing, Typo, Unknown, Wrong};
    prop_oneof![
        4 => Just(Nothing),
        2 => Just(Wrong),
        2 => Just(Missing),
        1 => Just(Unknown),
        1 => Just(Typo),
    ]
}

fn variable(key: &str) -> String {
    format!("ORDERS__{}", key.replace('.', "__").to_uppercase())
}

/// Typed as a file has it, where a variable has only text.
fn file(given: &[(String, String)]) -> String {
    let line = |(key, value): &(String, String)| match value.as_str() {
        "1,2" => format!("{key} = [1, 2]\n"),
        "none at all" => format!("{key} = ['none at all']\n"),
        "true" => format!("{key} = true\n"),
        number if number.parse::<i64>().is_ok() => format!("{key} = {number}\n"),
        text => format!("{key} = '{text}'\n"),
    };
    given.iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_planted_mistake_is_found_and_none_is_invented(
        plants in proptest::collection::vec(planted(), KEYS.len()),
        source in prop_oneof![Just(Source::Variables), Just(Source::Arguments), Just(Source::File)],
    ) {
        let mut given = vec![("shed.tools.rake".to_owned(), "1".to_owned())];
        let mut expected = BTreeSet::new();
        let unknown = if source == Source::File { "MC008" } else { "MC009" };
        for ((key, good, wrong, code, required), plant) in KEYS.into_iter().zip(plants) {
            match plant {
                Planted::Nothing => given.push((key.to_owned(), good.to_owned())),
                Planted::Wrong => {
                    given.push((key.to_owned(), wrong.to_owned()));
                    let key = if key == "list" { "list[0]" } else { key };
                    expected.insert((code.to_owned(), key.to_owned()));
                }
                Planted::Missing if required => {
                    expected.insert(("MC007".to_owned(), key.to_owned()));
                }
                Planted::Missing => {}
                Planted::Unknown => {
                    given.push((key.to_owned(), good.to_owned()));
                    given.push((format!("{key}quitedifferent"), "x".to_owned()));
                    expected.insert((unknown.to_owned(), format!("{key}quitedifferent")));
                }
                // The misspelt key explains the missing one.
                Planted::Typo => {
                    given.push((format!("{key}x"), good.to_owned()));
                    expected.insert((unknown.to_owned(), format!("{key}x")));
                }
            }
        }
        let mut loader = Loader::new("orders").environment([("HOME", "")]);
        let folder = folder(&[("default.toml", &file(&given)), ("development.toml", "")]);
        match source {
            Source::Variables => {
                loader = loader.environment(given.iter().map(|(key, value)| (variable(key), value.clone())));
            }
            Source::Arguments => {
                for (key, value) in &given {
                    loader = loader.set(format!("{key}={value}"));
                }
            }
            Source::File => loader = loader.directory(Some(folder.path().to_owned())),
        }
        let found: BTreeSet<_> = match loader.load::<Garden>() {
            Ok(_) => BTreeSet::new(),
            Err(error) => error
                .problems()
                .iter()
                .map(|problem| (problem.code().to_owned(), problem.key().unwrap_or_default().to_owned()))
                .collect(),
        };
        prop_assert_eq!(found, expected);
    }
}
