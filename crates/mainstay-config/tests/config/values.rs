//! What a variable's text becomes, by the type that it is for.

use std::collections::BTreeMap;
use std::net::IpAddr;

use mainstay_config::{Loader, Secret};
use serde::de::DeserializeOwned;

/// One value of any type, so that each row of a table can choose its own.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct One<T> {
    value: T,
}

impl<T> garde::Validate for One<T> {
    type Context = ();
    fn validate_into(&self, (): &(), _: &mut dyn FnMut() -> garde::Path, _: &mut garde::Report) {}
}

fn variable<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let loader = Loader::new("orders").environment([("ORDERS__VALUE", text)]);
    loader.load::<One<T>>().map(|loaded| loaded.settings.value).map_err(|error| error.to_string())
}

fn file<T: DeserializeOwned>(text: &'static str) -> Result<T, String> {
    let loader = Loader::new("orders")
        .environment([("HOME", "")])
        .embedded(&[("default.toml", text), ("development.toml", "")]);
    loader.load::<One<T>>().map(|loaded| loaded.settings.value).map_err(|error| error.to_string())
}

#[test]
fn text_stays_as_it_is_for_a_string() {
    for text in ["0123", "+5", "1e5", "true", "[a,b]", "\"quoted\"", " spaced ", "", "a, b", "line\nline"] {
        assert_eq!(variable::<String>(text).unwrap(), text);
        assert_eq!(variable::<Secret<String>>(text).unwrap().expose(), text);
        assert_eq!(variable::<Option<String>>(text).unwrap().as_deref(), Some(text));
    }
}

#[test]
fn text_becomes_the_number_that_the_type_asks_for() {
    assert_eq!(variable::<u16>("0080"), Ok(80));
    assert_eq!(variable::<i8>(" -3 "), Ok(-3));
    assert_eq!(variable::<u64>("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(variable::<i128>("-170141183460469231731687303715884105728"), Ok(i128::MIN));
    assert_eq!(variable::<u128>("340282366920938463463374607431768211455"), Ok(u128::MAX));
    assert_eq!(variable::<f64>("0.1").map(f64::to_bits), Ok(0.1_f64.to_bits()));
    assert_eq!(variable::<f64>("1e5"), Ok(1e5));
    assert_eq!(variable::<Option<u16>>("8"), Ok(Some(8)));
    for text in ["1e5", "", "65536", "-1", "0x10", "80a", "1_000"] {
        assert!(variable::<u16>(text).unwrap_err().contains("expected u16"), "{text}");
    }
}

#[test]
fn text_becomes_a_boolean_from_a_fixed_list() {
    for text in ["true", "TRUE", "yes", "On", "1"] {
        assert_eq!(variable::<bool>(text), Ok(true), "{text}");
    }
    for text in ["false", "No", "off", "0"] {
        assert_eq!(variable::<bool>(text), Ok(false), "{text}");
    }
    for text in ["", "2", "t", "enabled"] {
        assert!(
            variable::<bool>(text).unwrap_err().contains("true, false, yes, no, on, off, 1, 0"),
            "{text}"
        );
    }
}

#[test]
fn text_becomes_a_list_at_commas() {
    assert_eq!(variable::<Vec<String>>("a, b ,c"), Ok(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
    assert_eq!(variable::<Vec<u16>>(""), Ok(vec![]));
    assert_eq!(variable::<(bool, IpAddr)>("yes,::1"), Ok((true, IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]))));
    assert!(variable::<Vec<u16>>("1,x").unwrap_err().contains("value[1]: expected u16, found text"));
}

#[test]
fn a_variable_reaches_into_a_map() {
    let loader = Loader::new("orders").environment([("ORDERS__VALUE__EU__PORT", "80")]);
    let loaded = loader.load::<One<BTreeMap<String, BTreeMap<String, u16>>>>().unwrap();
    assert_eq!(loaded.settings.value["eu"]["port"], 80);
}

#[test]
fn values_of_files_are_not_converted() {
    assert_eq!(file::<u16>("value = 80"), Ok(80));
    assert_eq!(file::<f64>("value = 1"), Ok(1.0));
    for (text, expected) in [
        (file::<u16>("value = '80'").map(drop), "expected u16, found text"),
        (file::<bool>("value = 1").map(drop), "expected a boolean, found an integer"),
        (file::<String>("value = 123").map(drop), "expected a string, found an integer"),
        (file::<Vec<String>>("value = 'a,b'").map(drop), "expected a sequence, found text"),
    ] {
        assert!(text.as_ref().unwrap_err().contains(expected), "{text:?}");
    }
}

#[test]
fn enums_are_read_from_variables_and_files() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Store {
        Memory,
        File { path: String },
    }
    assert_eq!(variable::<Store>("memory"), Ok(Store::Memory));
    assert_eq!(file::<Store>("value.file.path = 'x'"), Ok(Store::File { path: "x".to_owned() }));
    let error = variable::<Store>("hunter2").unwrap_err();
    assert!(
        error.contains("expected one of `memory`, `file`, found other text\n    --> ORDERS__VALUE"),
        "{error}"
    );
}
