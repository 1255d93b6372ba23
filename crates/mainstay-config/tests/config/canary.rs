//! No secret comes out, whatever goes wrong with its source.

use std::ffi::OsString;

use mainstay_config::{Guard, Loader, Secret, Style};

use crate::{MINIMAL, Settings, folder, loader};

const CANARY: &str = "hunter2secret";

/// A type whose parser quotes what it was given, as many do.
#[derive(Debug)]
struct Quoting;

impl<'de> serde::Deserialize<'de> for Quoting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Err(serde::de::Error::custom(format!("cannot parse {text:?} in <{}>", text.to_uppercase())))
    }
}

#[derive(Debug, serde::Deserialize, garde::Validate)]
struct WithQuoting {
    #[garde(skip)]
    #[serde(rename = "value")]
    _value: Quoting,
}

#[derive(Debug, serde::Deserialize, garde::Validate)]
struct WithRule {
    #[garde(custom(quoting_rule))]
    value: String,
}

#[derive(Debug, serde::Deserialize, garde::Validate)]
struct WithNumber {
    #[garde(skip)]
    #[serde(rename = "value")]
    _value: Secret<u16>,
}

fn quoting_rule(value: &str, (): &()) -> garde::Result {
    Err(garde::Error::new(format!("{value} is too weak")))
}

fn check<T>(loader: Loader)
where
    T: std::fmt::Debug + serde::de::DeserializeOwned + garde::Validate<Context = ()>,
{
    let loader_shown = format!("{loader:?} {loader:#?}");
    let error = loader.load::<T>().expect_err("a report");
    let printed = [error.report(Style::Plain), error.report(Style::Coloured), error.to_json()];
    for shown in printed.into_iter().chain([loader_shown, format!("{error:?}"), format!("{error:#?}")]) {
        assert!(!shown.to_lowercase().contains("hunter2"), "{shown}");
    }
}

#[test]
fn no_value_of_a_file_is_ever_shown() {
    for text in [
        format!("password = {CANARY}"),
        format!("password = '{CANARY}"),
        format!("password = '{CANARY}'\npassword = '{CANARY}'"),
        format!("passwrd = '{CANARY}'\n{MINIMAL}"),
        format!("password = ['{CANARY}']\n{MINIMAL}"),
        format!("[server]\nlisten = '{CANARY}'"),
        format!("{MINIMAL}\n[limits]\nconnections = '{CANARY}'"),
        format!("{MINIMAL}\n[limits]\nhosts = '{CANARY}'"),
        format!("server = '{CANARY}'"),
        format!("[server]\nlisten.x = '{CANARY}'"),
        format!("password = '{CANARY}'"),
    ] {
        let folder = folder(&[("default.toml", &text), ("development.toml", "")]);
        check::<Settings>(loader().directory(Some(folder.path().to_owned())));
    }
}

#[test]
fn no_value_of_a_variable_or_argument_is_ever_shown() {
    for key in [
        "server.listen",
        "server",
        "limits.connections",
        "limits.share",
        "limits.hosts.x",
        "passwrd",
        "password.x",
    ] {
        let name = format!("ORDERS__{}", key.replace('.', "__").to_uppercase());
        let embedded = [("default.toml", MINIMAL), ("development.toml", "")];
        check::<Settings>(loader().embedded(&embedded).environment([(name, CANARY)]));
        check::<Settings>(loader().embedded(&embedded).set(format!("{key}={CANARY}")));
    }
    check::<Settings>(loader().set(CANARY));
    check::<Settings>(loader().environment([("ORDERS__A", CANARY), ("ORDERS__A__B", CANARY)]));
}

#[test]
fn no_value_of_a_json_or_yaml_file_is_ever_shown() {
    for text in [
        format!("{{\"password\": {CANARY}}}"),
        format!("{{\"password\": '{CANARY}'}}"),
        format!("{{\"password\": \"{CANARY}}}"),
        format!("{{\"password\": \"\\q{CANARY}\"}}"),
        format!("{{\"password\": [\"{CANARY}\"], \"server\": {{\"listen\": \"127.0.0.1:80\"}}}}"),
        format!("{{\"server\": {{\"listen\": \"{CANARY}\"}}}}"),
        format!("{{\"server\": \"{CANARY}\"}}"),
        format!("{{\"password\": \"{CANARY}\", \"password\": \"{CANARY}\"}}"),
        CANARY.to_owned(),
        format!("password: {CANARY}\npassword: {CANARY}"),
        format!("password: '{CANARY}"),
        format!("password: *{CANARY}"),
        format!("password: !{CANARY} x"),
        format!("server: {CANARY}"),
        format!("server:\n  listen: {CANARY}"),
        format!("server:\n\t{CANARY}: x"),
        format!("a: b: {CANARY}"),
        format!("? {CANARY}: {{"),
    ] {
        for ending in ["json", "yaml"] {
            let name = format!("default.{ending}");
            let folder = folder(&[(name.as_str(), &text), ("development.toml", "")]);
            check::<Settings>(loader().directory(Some(folder.path().to_owned())));
        }
    }
}

#[test]
fn no_value_of_an_env_file_is_ever_shown() {
    for text in [
        CANARY.to_owned(),
        format!("export {CANARY}"),
        format!("ORDERS__PASSWORD {CANARY}"),
        format!("ORDERS__PASSWORD.X={CANARY}"),
        format!("ORDERS__PASSWORD='{CANARY}"),
        format!("ORDERS__PASSWORD=\"{CANARY}"),
        format!("ORDERS__PASSWORD='x'{CANARY}"),
        format!("ORDERS__PASSWORD=\"\\q{CANARY}\""),
        format!("ORDERS__PASSWORD={CANARY}\u{1}"),
        format!("ORDERS__PASSWORD={CANARY}\nORDERS__PASSWORD={CANARY}"),
        format!("ORDERS__PASSWORD={CANARY}\nORDERS__PASSWORD__X={CANARY}"),
        format!("ORDERS__PASSWORD_FILE={CANARY}"),
        format!("ORDERS__PASSWORD_FILE=/{CANARY}/x"),
        format!("ORDERS__PASSWRD={CANARY}"),
        format!("ORDERS__X__={CANARY}"),
        format!("ORDERS_PROFILE={CANARY}"),
        format!("ORDERS__LIMITS__CONNECTIONS={CANARY}"),
        format!("ORDERS__SERVER__LISTEN={CANARY}"),
    ] {
        let folder = folder(&[("default.toml", MINIMAL), ("development.toml", ""), (".env", &text)]);
        check::<Settings>(loader().directory(Some(folder.path().to_owned())));
    }
}

#[test]
fn no_value_of_a_secret_file_is_ever_shown() {
    let embedded = [("default.toml", MINIMAL), ("development.toml", "")];
    for name in ["passwrd", "server.listen", "limits.connections", "LIMITS__SHARE", "password.x", "a..b"] {
        let folder = folder(&[(name, CANARY)]);
        check::<Settings>(loader().embedded(&embedded).secrets(folder.path()));
    }
    let folder = folder(&[("key", CANARY)]);
    let file = folder.path().join("key");
    for key in ["SERVER", "SERVER__LISTEN", "LIMITS__CONNECTIONS", "PASSWRD", "PASSWORD__X"] {
        let variable = (format!("ORDERS__{key}_FILE"), file.clone());
        check::<Settings>(loader().embedded(&embedded).environment([variable]));
    }
    // The value itself where its file should be named.
    for value in [CANARY.to_owned(), format!("/{CANARY}/x"), format!("{}/{CANARY}", file.display())] {
        check::<Settings>(loader().embedded(&embedded).environment([("ORDERS__PASSWORD_FILE", value)]));
    }
}

#[test]
fn words_of_a_type_or_rule_that_quote_the_value_are_withheld() {
    let given = || loader().environment([("ORDERS__VALUE", CANARY)]);
    check::<WithQuoting>(given());
    check::<WithRule>(given());
    check::<WithNumber>(given());
    insta::assert_snapshot!(given().load::<WithQuoting>().unwrap_err(), @"
    the configuration of orders is not valid: 1 problem (profile development, by default)

     1. MC005 value: not accepted (the reason is withheld, as it repeats the value)
        --> ORDERS__VALUE

    note: further checks of `value` were skipped
    note: the rules of the settings were not checked, nor what is missing beside what was skipped

    read, lowest first: ORDERS__VALUE
    ");
    insta::assert_snapshot!(given().load::<WithRule>().unwrap_err(), @"
    the configuration of orders is not valid: 1 problem (profile development, by default)

     1. MC012 value: not accepted (the reason is withheld, as it repeats the value)
        --> ORDERS__VALUE

    read, lowest first: ORDERS__VALUE
    ");
    insta::assert_snapshot!(given().load::<WithNumber>().unwrap_err(), @"
    the configuration of orders is not valid: 1 problem (profile development, by default)

     1. MC005 value: expected u16, found [redacted]
        --> ORDERS__VALUE

    read, lowest first: ORDERS__VALUE
    ");
}

#[test]
#[cfg(unix)]
fn a_value_that_is_not_text_is_not_shown_either() {
    use std::os::unix::ffi::OsStringExt;
    let value = OsString::from_vec([CANARY.as_bytes(), b"\xff"].concat());
    for name in ["ORDERS__SERVER__LISTEN", "ORDERS_PROFILE"] {
        let given = || loader().environment([(name, value.clone())]);
        check::<Settings>(given());
        let error = given().load::<Settings>().unwrap_err().to_string();
        assert!(error.contains(&format!("the variable's value is not UTF-8\n    --> {name}")), "{error}");
    }
}

#[test]
fn loaded_settings_show_no_secret() {
    let loaded = loader()
        .environment([("ORDERS__PASSWORD", CANARY)])
        .embedded(&[("default.toml", MINIMAL), ("development.toml", "")])
        .load::<Settings>()
        .unwrap();
    assert!(!format!("{loaded:?}").contains(CANARY));
    assert_eq!(loaded.settings.password.expose(), CANARY);
}

#[test]
fn neither_guards_nor_warnings_show_a_value() {
    let text = format!("password = ['{CANARY}']\nlimits.connections = '{CANARY}'\n{MINIMAL}");
    let folder = folder(&[("default.toml", &text), ("production.toml", "")]);
    let given = || {
        loader()
            .profile(Some("production".to_owned()))
            .directory(Some(folder.path().to_owned()))
            .environment([("ORDERS__PASSWORD", CANARY), ("ORDERS__LIMITS__CONNECTIONS", "7")])
    };
    let loaded = given().load::<Settings>().unwrap();
    let shown = format!("{loaded:?} {:?}", loaded.warnings().iter().map(ToString::to_string));
    assert!(loaded.warnings().len() == 2 && !shown.contains("hunter2"), "{shown}");

    let guard = Guard::secret(["password"]).never([CANARY]);
    assert!(!format!("{guard:?}").contains("hunter2"));
    check::<Settings>(given().guard(guard));
}

#[test]
fn a_secret_in_the_place_of_a_list_of_secrets_is_not_shown() {
    #[derive(Debug, serde::Deserialize, garde::Validate)]
    struct Vault {
        #[garde(skip)]
        _items: Vec<Secret<String>>,
        #[garde(skip)]
        _names: std::collections::BTreeMap<String, Secret<String>>,
    }
    let text = "_items = 'hunter2canary'\n_names = 'hunter2canary'";
    let loader = Loader::new("vault").embedded(&[("default.toml", text), ("development.toml", "")]);
    let error = loader.load::<Vault>().unwrap_err();
    let said = format!("{error}\n{error:?}\n{}", error.to_json());
    assert!(error.problems().len() == 2 && !said.contains("hunter2canary"), "{said}");
}
