//! Why a setting has its value: every source that sets it, and which one won.

use std::collections::BTreeMap;

use mainstay_config::{Loader, Secret, Standing};
use serde::{Deserialize, Serialize};

use crate::{folder, loader};

#[derive(Debug, Deserialize, Serialize, garde::Validate)]
#[serde(deny_unknown_fields)]
struct Shown {
    #[garde(skip)]
    #[serde(default)]
    database: String,
    #[garde(skip)]
    #[serde(default = "five")]
    retries: u8,
    #[garde(skip)]
    #[serde(default)]
    hosts: Vec<String>,
    #[garde(skip)]
    token: Option<Secret<String>>,
    #[garde(skip)]
    #[serde(default)]
    tokens: Vec<Secret<String>>,
    #[garde(skip)]
    #[serde(default)]
    peers: Vec<Peer>,
    #[garde(skip)]
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[garde(skip)]
    #[serde(default)]
    mode: Mode,
    #[garde(skip)]
    loose: Option<Loose>,
    #[garde(skip)]
    flat: Option<Outer>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Peer {
    name: String,
    key: Option<Secret<String>>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Off,
    At {
        level: u8,
        pin: Secret<String>,
    },
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Loose {
    Hidden { password: Secret<String> },
}

#[derive(Debug, Deserialize, Serialize)]
struct Outer {
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Debug, Deserialize, Serialize)]
struct Inner {
    password: Secret<String>,
}

fn five() -> u8 {
    5
}

fn explain(loader: Loader, key: &str) -> String {
    let loaded = loader.load::<Shown>().expect("valid");
    loaded.explain(key).map_or_else(|| "nothing\n".to_owned(), |explanation| explanation.to_string())
}

#[test]
fn every_candidate_is_listed_with_its_place_and_the_winner_says_what_it_beats() {
    let folder = folder(&[("default.toml", "\nretries = 1"), ("development.toml", "retries = 2")]);
    let given = || {
        loader()
            .directory(Some(folder.path().to_owned()))
            .environment([("ORDERS__RETRIES", "3")])
            .set("retries=4")
            .set("retries=6")
    };
    let shown = explain(given(), "retries").replace(&*folder.path().to_string_lossy(), "config");
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    insta::assert_snapshot!(shown, @r#"retries, lowest source first: 1 config/default.toml:2:11 beaten 2 config/development.toml:1:11 beaten "3" ORDERS__RETRIES beaten "4" --set retries beaten "6" --set retries wins: the later argument beats the earlier"#);

    let explanation = given().load::<Shown>().unwrap().explain("retries").unwrap();
    assert_eq!(explanation.candidates.len(), 5);
    assert!(matches!(explanation.candidates[4].standing, Standing::Wins(Some(_))));
}

#[test]
fn what_no_source_sets_is_the_types_default() {
    insta::assert_snapshot!(explain(loader(), "retries"), @r"
    retries, set by no source:
      5  default of the type
    ");
    assert_eq!(explain(loader(), "token"), "nothing\n");
    assert_eq!(explain(loader(), "retreis"), "nothing\n");
}

#[test]
fn a_value_below_a_table_that_a_higher_source_replaced_says_so() {
    let embedded =
        [("default.toml", "mode.at = { level = 1, pin = 'hunter2' }"), ("development.toml", "mode = 'off'")];
    let shown = explain(loader().embedded(&embedded), "mode.at.level");
    assert!(shown.contains("replaced as a whole by a higher source"), "{shown}");
    let shown = explain(loader().embedded(&embedded), "mode");
    assert!(
        shown.contains(r#""off"  built-in development.toml:1:8  wins: the only source of this key"#),
        "{shown}"
    );
    assert!(!explain(loader().embedded(&embedded), "mode.at.pin").contains("hunter2"));
}

#[test]
fn a_table_is_explained_by_its_keys() {
    let embedded = [("default.toml", "[headers]\na = '1'\nb = '2'"), ("development.toml", "")];
    let loaded = loader().embedded(&embedded).load::<Shown>().unwrap();
    assert_eq!(loaded.keys_of("headers"), ["headers.a", "headers.b"]);
    assert_eq!(loaded.keys_of("retries"), ["retries"]);
    assert!(loaded.keys_of("retreis").is_empty());
}

#[test]
fn no_secret_is_explained_whatever_the_source_and_the_shape() {
    let text = "
        database = 'postgres://app:hunter2@db/orders'
        hosts = ['https://hunter2@a', 'b']
        token = 'hunter2'
        tokens = ['hunter2']
        loose.password = 'hunter2'
        flat.password = 'hunter2'
        [[peers]]
        name = 'a'
        key = 'hunter2'
        [mode.at]
        level = 3
        pin = 'hunter2'
    ";
    let above = "peers = [{ name = 'b' }]\ntokens = []\n[headers]";
    let loaded = loader()
        .embedded(&[("default.toml", text), ("development.toml", above)])
        .environment([
            ("ORDERS__TOKEN", "hunter2"),
            ("ORDERS__TOKENS", "a,hunter2"),
            ("ORDERS__MODE__AT__PIN", "hunter2"),
            ("ORDERS__DATABASE", "postgres://app:hunter2@other/orders"),
        ])
        .set("token=hunter2")
        .set("flat.password=hunter2")
        .load::<Shown>()
        .unwrap();

    let mut all = format!("{loaded:?}");
    for key in ["database", "hosts", "token", "tokens", "loose", "flat", "peers", "mode"] {
        let keys = loaded.keys_of(key);
        assert!(!keys.is_empty(), "{key}");
        for key in keys {
            let explanation = loaded.explain(&key).unwrap();
            all += &format!("{explanation} {explanation:?}");
        }
    }
    all += &format!("{:?}", loaded.effective());
    // What is held in plain text is the application's own to show; the rest of the line is ours.
    let held = format!("{:?}", loaded.settings);
    let all = all.replace(&held, "");
    assert!(!all.contains("hunter2"), "{all}");
    assert!(all.contains(r#""postgres://[redacted]@db/orders""#), "{all}");
    assert!(all.contains(r#"["https://[redacted]@a", "b"]"#), "{all}");
    // The shadowed list has a key that the winner's items do not have: nobody said that it is none.
    let peers = loaded.explain("peers").unwrap();
    assert_eq!(peers.candidates[0].value, r#"[{ key = "[redacted]", name = "a" }]"#);
}
