//! Each code of the table in the crate's documentation, by a smallest example.

use std::collections::BTreeSet;

use mainstay_config::{Guard, Loader, Problem, Secret};

use crate::loader;

#[derive(Debug, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "what matters is what is refused")]
struct Small {
    #[garde(range(max = 9))]
    #[serde(default, alias = "count")]
    copies: u8,
    #[garde(skip)]
    #[serde(default)]
    level: Level,
    #[garde(skip)]
    #[serde(default)]
    part: Part,
    #[garde(skip)]
    #[serde(default = "none")]
    token: Secret<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    #[default]
    Low,
    High,
}

#[derive(Debug, Default, serde::Deserialize)]
#[allow(dead_code, reason = "see above")]
struct Part {
    size: u8,
}

fn none() -> Secret<String> {
    Secret::new(String::new())
}

fn with(text: &'static str) -> Loader {
    loader().embedded(&[("default.toml", text), ("development.toml", ""), ("production.toml", "")])
}

fn codes(loader: Loader) -> Vec<String> {
    let code = |problem: &Problem| problem.code().to_owned();
    match loader.load::<Small>() {
        Ok(loaded) => loaded.warnings().iter().map(code).collect(),
        Err(error) => error.problems().iter().map(code).collect(),
    }
}

fn production(loader: Loader) -> Loader {
    loader.profile(Some("production".to_owned()))
}

#[test]
fn every_code_of_the_table_has_an_example_and_every_example_its_code() {
    let variable = |name: &str, value: &str| with("").environment([(name, value)]);
    let two = |first: (&str, &str), second: (&str, &str)| with("").environment([first, second]);
    let examples = [
        ("MC001", loader().directory(Some("/nowhere/at/all".into()))),
        ("MC002", with("copies = ")),
        ("MC003", variable("APP_ENV", "prodution")),
        ("MC004", with("").set("copies")),
        ("MC005", variable("ORDERS__COPIES", "many")),
        ("MC006", variable("ORDERS__LEVEL", "hihg")),
        ("MC007", with("[part]")),
        ("MC008", with("cpies = 1")),
        ("MC009", variable("ORDERS__CPIES", "1")),
        ("MC009", variable("ORDERS_COPIES", "1")),
        ("MC009", variable("ORDERS_PROFLIE", "production")),
        ("MC010", two(("ORDERS__COPIES", "1"), ("ORDERS__copies", "2"))),
        ("MC010", with("copies = 1\ncount = 2")),
        ("MC010", with("copies = 1\nCopies = 2")),
        ("MC011", with("part = 1").environment([("ORDERS__PART__SIZE", "2")])),
        ("MC012", with("copies = 10")),
        ("MC013", production(with("token = 'changeme'")).guard(Guard::secret(["token"]))),
        ("MC013", with("").guard(Guard::off(["debgu"]))),
        ("MC014", with("copies = 'many'").environment([("ORDERS__COPIES", "1")])),
        ("MC015", variable("ORDERS_PORT", "tcp://10.0.0.1:80")),
    ];
    let mut seen = BTreeSet::new();
    for (code, loader) in examples {
        assert_eq!(codes(loader), [code]);
        seen.insert(code);
    }
    let documented: BTreeSet<&str> = include_str!("../../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `MC")?.split('`').next().map(|_| &line[7..12]))
        .collect();
    assert_eq!(seen, documented);
}

#[test]
fn a_guard_counts_in_its_profiles() {
    let weak = || with("token = 'aaaaaaaaaaaaaaaaaaaaaaaa'").guard(Guard::secret(["token"]));
    assert!(codes(weak()).is_empty());
    assert_eq!(codes(production(weak())), ["MC013"]);
    let everywhere = with("token = 'short'").guard(Guard::secret(["token"]).only_in(&["development"]));
    assert_eq!(codes(everywhere), ["MC013"]);
    let own = Guard::secret(["token"]).at_least(3).never(["ours"]);
    assert_eq!(codes(production(with("token = 'ours'")).guard(own.clone())), ["MC013"]);
    assert!(codes(production(with("token = 'theirs'")).guard(own)).is_empty());
    let given = || Guard::given(["copies"]);
    assert_eq!(codes(production(with("")).guard(given())), ["MC013"]);
    assert_eq!(codes(production(with("copies = 1")).guard(given())), ["MC013"]);
    assert!(codes(production(with("copies = 1")).guard(given()).set("copies=2")).is_empty());
}

#[test]
fn warnings_do_not_keep_the_program_from_starting() {
    let loaded = with("token = ['hunter2']\ncopies = 'many'")
        .environment([("ORDERS__COPIES", "1"), ("ORDERS__TOKEN", "x"), ("ORDERS_SERVICE_HOST", "10.0.0.1")])
        .load::<Small>()
        .unwrap();
    let warnings: Vec<_> = loaded.warnings().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warnings.join("\n"), @"
    MC014 token: overridden, and wrong all the same: expected a string, found [redacted] (built-in default.toml:1:9)
    MC014 copies: overridden, and wrong all the same: expected u8, found text (built-in default.toml:2:10)
    MC015 injected by Kubernetes for a Service, and not read (ORDERS_SERVICE_HOST)
    ");
    assert_eq!(loaded.settings.copies, 1);
}

#[test]
fn words_of_the_world_are_escaped_and_cut() {
    #[derive(Debug, serde::Deserialize, garde::Validate)]
    struct Loud {
        #[garde(custom(shout))]
        #[serde(rename = "copies")]
        _copies: u8,
    }
    fn shout(_: &u8, (): &()) -> garde::Result {
        Err(garde::Error::new(format!("\u{1b}[2J\n{}", "a".repeat(10_000))))
    }
    let shown = with("copies = 1").load::<Loud>().unwrap_err().to_string();
    assert!(
        shown.contains(r"\u{1b}[2J\naaa") && shown.len() < 1_000 && shown.lines().count() < 12,
        "{shown}"
    );
}

#[test]
fn many_problems_are_counted_and_not_all_written_out() {
    let text: String = (0..500).map(|number| format!("key{number} = 1\n")).collect();
    let folder = crate::folder(&[("default.toml", &text), ("development.toml", "")]);
    let error = loader().directory(Some(folder.path().to_owned())).load::<Small>().unwrap_err();
    let shown = error.to_string();
    assert!(
        shown.contains("\nand ") && shown.contains("more may be wrong") && shown.lines().count() < 500,
        "{shown}"
    );
}
