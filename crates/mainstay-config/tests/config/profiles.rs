//! How the profile is chosen, and that a wrong one is never silently the default.

use mainstay_config::Loader;

use crate::{MINIMAL, load};

const FILES: [(&str, &str); 4] =
    [("default.toml", MINIMAL), ("development.toml", ""), ("staging.toml", ""), ("production.toml", "")];

fn profile(argument: Option<&str>, variables: &[(&str, &str)]) -> Result<String, String> {
    let loader = Loader::new("orders")
        .environment(variables.iter().copied())
        .profile(argument.map(str::to_owned))
        .embedded(&FILES);
    load(loader).map(|loaded| loaded.profile).map_err(|error| error.to_string())
}

#[test]
fn the_command_line_beats_the_own_variable_beats_the_common_one_beats_the_default() {
    let both = [("APP_ENV", "staging"), ("ORDERS_PROFILE", "production")];
    assert_eq!(profile(None, &[]).unwrap(), "development");
    assert_eq!(profile(None, &both[..1]).unwrap(), "staging");
    assert_eq!(profile(None, &both).unwrap(), "production");
    assert_eq!(profile(Some("development"), &both).unwrap(), "development");
}

#[test]
fn an_unknown_profile_is_refused_with_those_that_exist() {
    insta::assert_snapshot!(profile(None, &[("APP_ENV", "prodution")]).unwrap_err(), @"
    the configuration of orders is not valid: 1 problem

     1. MC003 unknown profile `prodution`, expected one of `development`, `staging`, `production`
        --> APP_ENV
        help: did you mean `production`?

    read, lowest first: built-in default.toml
    ");
    insta::assert_snapshot!(profile(Some(""), &[]).unwrap_err(), @"
    the configuration of orders is not valid: 1 problem

     1. MC003 unknown profile ``, expected one of `development`, `staging`, `production`
        --> --profile

    read, lowest first: built-in default.toml
    ");
    insta::assert_snapshot!(profile(None, &[("ORDERS_PROFILE", "../../etc/passwd\u{1b}")]).unwrap_err(), @r"
    the configuration of orders is not valid: 1 problem

     1. MC003 unknown profile `../../etc/passwd\u{1b}`, expected one of `development`, `staging`, `production`
        --> ORDERS_PROFILE

    read, lowest first: built-in default.toml
    ");
}

#[test]
fn a_name_in_another_case_or_with_space_is_unknown() {
    for name in ["Production", "production ", " production"] {
        assert!(profile(Some(name), &[]).unwrap_err().contains("unknown profile"), "{name:?}");
    }
}

#[test]
#[should_panic(expected = "`../etc` cannot be the name of a profile")]
fn a_profile_cannot_be_declared_under_a_name_that_leaves_the_folder() {
    let _loader = Loader::new("orders").profiles(&["development", "../etc"]);
}
