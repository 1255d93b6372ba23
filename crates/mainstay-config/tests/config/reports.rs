//! The reports as their readers see them.

use crate::{MINIMAL, folder, load, loader, report};

const FULL: &str =
    "[server]\nlisten = '127.0.0.1:80'\n\n[limits]\nconnections = 50000\nshare = 1.5\nhosts = ['aa', 'b']\n";

#[test]
fn a_missing_value_says_where_to_set_it() {
    let folder = folder(&[("default.toml", ""), ("production.toml", "[server]\nname = 'x'")]);
    let loader = loader().profile(Some("production".to_owned()));
    insta::assert_snapshot!(report(loader, &folder), @"
    the configuration of orders is not valid: 1 problem (profile production, from --profile)

     1. MC007 server.listen: required, and no source sets it
        looked in: ORDERS__SERVER__LISTEN, config/production.toml, config/default.toml
        help: set ORDERS__SERVER__LISTEN, or `server.listen` in config/production.toml

    read, lowest first: config/default.toml, config/production.toml
    ");
}

#[test]
fn a_missing_value_without_files_names_the_variable() {
    insta::assert_snapshot!(load(loader()).unwrap_err(), @"
    the configuration of orders is not valid: 1 problem (profile development, by default)

     1. MC007 server.listen: required, and no source sets it
        looked in: ORDERS__SERVER__LISTEN
        help: set ORDERS__SERVER__LISTEN
    ");
}

#[test]
fn a_value_of_the_wrong_type_names_its_exact_source() {
    let folder = folder(&[("default.toml", FULL), ("development.toml", "\n[limits]\nconnections = 'many'")]);
    insta::assert_snapshot!(report(loader(), &folder), @"
    the configuration of orders is not valid: 3 problems (profile development, by default)

     1. MC012 limits.share: greater than 1
        --> config/default.toml:6:9
       6 | share = 1.5
         |         ^^^
     2. MC012 limits.hosts[1]: length is lower than 2
        --> config/default.toml:7:9
       7 | hosts = ['aa', 'b'
         |                ^^^
     3. MC005 limits.connections: expected u32, found text
        --> config/development.toml:3:15
       3 | connections = 'many'
         |               ^^^^^^

    read, lowest first: config/default.toml, config/development.toml
    ");
    let variable = loader().environment([("ORDERS__LIMITS__CONNECTIONS", "-7")]);
    insta::assert_snapshot!(report(variable, &folder), @"
    the configuration of orders is not valid: 3 problems, 1 warning (profile development, by default)

     1. MC012 limits.share: greater than 1
        --> config/default.toml:6:9
       6 | share = 1.5
         |         ^^^
     2. MC012 limits.hosts[1]: length is lower than 2
        --> config/default.toml:7:9
       7 | hosts = ['aa', 'b'
         |                ^^^
     3. MC005 limits.connections: expected u32, found an integer that is not one
        --> ORDERS__LIMITS__CONNECTIONS
     4. MC014 warning: limits.connections: overridden, and wrong all the same: expected u32, found text
        --> config/development.toml:3:15
       3 | connections = 'many'
         |               ^^^^^^

    read, lowest first: config/default.toml, config/development.toml, ORDERS__LIMITS__CONNECTIONS
    ");
    let argument = loader().set("limits.connections=").set("server.listen=80");
    insta::assert_snapshot!(report(argument, &folder), @"
    the configuration of orders is not valid: 4 problems, 1 warning (profile development, by default)

     1. MC012 limits.share: greater than 1
        --> config/default.toml:6:9
       6 | share = 1.5
         |         ^^^
     2. MC012 limits.hosts[1]: length is lower than 2
        --> config/default.toml:7:9
       7 | hosts = ['aa', 'b'
         |                ^^^
     3. MC005 limits.connections: expected u32, found text
        --> --set limits.connections
     4. MC005 server.listen: invalid socket address syntax
        --> --set server.listen
     5. MC014 warning: limits.connections: overridden, and wrong all the same: expected u32, found text
        --> config/development.toml:3:15
       3 | connections = 'many'
         |               ^^^^^^

    read, lowest first: config/default.toml, config/development.toml, --set limits.connections, --set server.listen
    ");
}

#[test]
fn a_value_that_the_types_own_parser_refuses_gets_its_words() {
    let variable = loader().environment([("ORDERS__SERVER__LISTEN", "localhost:80")]);
    insta::assert_snapshot!(load(variable).unwrap_err(), @"
    the configuration of orders is not valid: 1 problem (profile development, by default)

     1. MC005 server.listen: invalid socket address syntax
        --> ORDERS__SERVER__LISTEN

    read, lowest first: ORDERS__SERVER__LISTEN
    ");
}

#[test]
fn an_unknown_key_gets_a_suggestion() {
    let folder = folder(&[("default.toml", MINIMAL), ("development.toml", "[server]\nlistn = 'x'")]);
    insta::assert_snapshot!(report(loader(), &folder), @"
    the configuration of orders is not valid: 1 problem (profile development, by default)

     1. MC008 server.listn: unknown key
        --> config/development.toml:2:1
        help: did you mean `server.listen`?

    read, lowest first: config/default.toml, config/development.toml
    ");
    let variable = loader()
        .environment([("ORDERS__TELEMETRY__LEVEL", "x")])
        .embedded(&[("default.toml", MINIMAL), ("development.toml", "")]);
    insta::assert_snapshot!(load(variable).unwrap_err(), @"
    the configuration of orders is not valid: 1 problem (profile development, by default)

     1. MC009 telemetry: the variable names a key that does not exist
        --> ORDERS__TELEMETRY__LEVEL
        help: expected one of `server`, `limits`, `password`

    read, lowest first: built-in default.toml, built-in development.toml, ORDERS__TELEMETRY__LEVEL
    ");
}

#[test]
fn all_broken_rules_are_reported_at_once() {
    let folder = folder(&[("default.toml", FULL), ("development.toml", "")]);
    let loader = loader().environment([("ORDERS__SERVER__NAME", "")]);
    insta::assert_snapshot!(report(loader, &folder), @"
    the configuration of orders is not valid: 4 problems (profile development, by default)

     1. MC012 limits.connections: greater than 10000
        --> config/default.toml:5:15
       5 | connections = 50000
         |               ^^^^^
     2. MC012 limits.share: greater than 1
        --> config/default.toml:6:9
       6 | share = 1.5
         |         ^^^
     3. MC012 limits.hosts[1]: length is lower than 2
        --> config/default.toml:7:9
       7 | hosts = ['aa', 'b'
         |                ^^^
     4. MC012 server.name: length is lower than 1
        --> ORDERS__SERVER__NAME

    read, lowest first: config/default.toml, config/development.toml, ORDERS__SERVER__NAME
    ");
}

#[test]
fn a_default_that_breaks_a_rule_is_called_one() {
    #[derive(Debug, serde::Deserialize, garde::Validate)]
    struct Sized {
        #[garde(range(min = 1))]
        #[serde(default)]
        size: u16,
    }
    insta::assert_snapshot!(loader().load::<Sized>().unwrap_err(), @"
    the configuration of orders is not valid: 1 problem (profile development, by default)

     1. MC012 size: lower than 1
        --> a default, as no source sets it
    ");
}

#[test]
fn a_renamed_key_finds_its_source() {
    #[derive(Debug, serde::Deserialize, garde::Validate)]
    #[serde(rename_all = "kebab-case")]
    struct Renamed {
        #[garde(range(max = 3))]
        most_of_them: u16,
    }
    let loader = loader().embedded(&[("default.toml", "most-of-them = 4"), ("development.toml", "")]);
    insta::assert_snapshot!(loader.load::<Renamed>().unwrap_err(), @"
    the configuration of orders is not valid: 1 problem (profile development, by default)

     1. MC012 most-of-them: greater than 3
        --> built-in default.toml:1:16
       1 | most-of-them = 4
         |                ^

    read, lowest first: built-in default.toml, built-in development.toml
    ");
}

#[test]
fn keys_of_the_world_cannot_move_the_cursor() {
    let folder = folder(&[("default.toml", MINIMAL), ("development.toml", "\"a\\n\\u001b[2Jb\" = 1")]);
    let report = report(loader(), &folder);
    assert_eq!(report.lines().count(), 7, "{report}");
    assert!(!report.contains('\u{1b}'), "{report}");
}
