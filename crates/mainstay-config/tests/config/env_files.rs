//! `.env` files: where they are read from, when, and what is said of them.

use std::{env, fs};

use mainstay_config::{Loaded, Loader};

use crate::{MINIMAL, Settings, folder, found, load, loader};

const FILES: [(&str, &str); 4] =
    [("default.toml", MINIMAL), ("development.toml", ""), ("staging.toml", ""), ("production.toml", "")];

fn files(more: &[(&str, &str)]) -> tempfile::TempDir {
    folder(&[&FILES, more].concat())
}

fn name(loader: Loader) -> String {
    load(loader).expect("settings").settings.server.name
}

#[test]
fn a_line_is_a_variable_that_knows_its_place() {
    let text = "# ours\nexport ORDERS__SERVER__NAME='the one' # quoted\n\nORDERS__LIMITS__CONNECTIONS = 007\n\
                OTHERS__SERVER__NAME=x\nORDERS_SERVER__NAME=x\nHOME=/nowhere\n";
    let folder = files(&[(".env", text)]);
    let loaded: Loaded<Settings> = load(loader().directory(Some(folder.path().to_owned()))).unwrap();
    assert_eq!(loaded.settings.server.name, "the one");
    assert_eq!(loaded.settings.limits.connections, 7);
    let source = |key: &str| {
        let source = loaded.source_of(key).unwrap();
        source.replace(&*folder.path().to_string_lossy(), "config")
    };
    assert_eq!(source("server.name"), "config/.env:2:29");
    assert_eq!(source("limits.connections"), "config/.env:4:31");
    let last = loaded.sources().pop().unwrap();
    assert!(last.ends_with("/.env"), "a file is one source: {last}");
    assert!(env::var_os("ORDERS__SERVER__NAME").is_none(), "the process environment stays as it is");
}

#[test]
fn the_default_is_every_profile_but_production() {
    let folder =
        files(&[(".env", "ORDERS__SERVER__NAME=any"), (".env.staging", "ORDERS__SERVER__NAME=staging")]);
    let given =
        |profile: &str| loader().profile(Some(profile.to_owned())).directory(Some(folder.path().to_owned()));
    assert_eq!(name(given("development")), "any");
    assert_eq!(name(given("staging")), "staging");
    assert_eq!(name(given("production")), "anonymous");
    assert_eq!(name(given("production").env_files_in(&["production"])), "any");
    assert_eq!(name(given("staging").env_files_in(&["production"])), "anonymous");
}

#[test]
fn another_folder_may_be_named_and_is_then_the_only_one() {
    let (config, other) = (
        files(&[(".env", "ORDERS__SERVER__NAME=config")]),
        folder(&[(".env", "ORDERS__LIMITS__CONNECTIONS=7")]),
    );
    let loaded =
        load(loader().directory(Some(config.path().to_owned())).env_files(other.path())).unwrap().settings;
    assert_eq!((loaded.server.name.as_str(), loaded.limits.connections), ("anonymous", 7));

    let embedded = [("default.toml", MINIMAL), ("development.toml", "")];
    let loaded = load(loader().embedded(&embedded).env_files(other.path())).unwrap().settings;
    assert_eq!(loaded.limits.connections, 7);

    let missing =
        load(loader().embedded(&embedded).env_files("/nowhere")).unwrap_err().problems()[0].to_string();
    assert!(
        missing.ends_with("the configuration folder does not exist (/nowhere from env_files)"),
        "{missing}"
    );
}

#[test]
fn mistakes_are_reported_together_with_their_places() {
    let text = "ORDERS__SERVER__NAME\nORDERS__SERVER__NAME='a'b\nORDERS__A=1\nORDERS__A=2\nORDERS__A__B=3\n\
                ORDERS__X__=1\nORDERS__SERVER__NAME_FILE=\nORDERS__LAST=\"open\nORDERS__B=1\n";
    let folder = files(&[(".env", text), (".env.development", "1=2")]);
    insta::assert_snapshot!(found(loader(), &folder), @"
    expected `=` after the variable's name (config/.env:1:21)
    expected the line's end after the closing quote (config/.env:2:25)
    a: set twice, and the order of variables says nothing (config/.env:3:11 and config/.env:4:11)
    a: cannot be a single value and have keys of its own (config/.env:3:11 and config/.env:5:14)
    a: cannot be a single value and have keys of its own (config/.env:4:11 and config/.env:5:14)
    the variable's name has an empty level between double underscores (config/.env:6:13)
    expected the path of a file that holds the value, found nothing (config/.env:7:27)
    a quote that is not closed (config/.env:8:14)
    expected a variable's name: letters, digits and `_` (config/.env.development:1:1)
    ");
}

#[test]
fn a_file_of_other_things_does_not_fill_the_screen() {
    let folder = files(&[(".env", &"no assignment\n".repeat(1000))]);
    let report = found(loader(), &folder);
    assert_eq!(report.lines().count(), 11, "{report}");
    assert!(report.contains("990 more lines that cannot be read (config/.env)"), "{report}");
}

#[test]
fn values_are_converted_and_a_wrong_one_names_its_place() {
    let folder = files(&[(".env", "\nORDERS__LIMITS__CONNECTIONS=many\n")]);
    let report = found(loader(), &folder);
    assert!(report.contains("limits.connections: expected u32, found text (config/.env:2:29)"), "{report}");
}

#[test]
fn what_is_needed_before_the_file_is_read_cannot_be_set_in_it() {
    let folder = files(&[(".env", "ORDERS_PROFILE=staging\nORDERS_CONFIG_DIR=/etc\n")]);
    insta::assert_snapshot!(found(loader(), &folder), @"
    ORDERS_PROFILE is needed before this file is read: set it in the environment (config/.env:1:16)
    ORDERS_CONFIG_DIR is needed before this file is read: set it in the environment (config/.env:2:19)
    ");
    // The same file may serve other tools, which set the environment from it.
    let folder = files(&[(".env", "ORDERS_PROFILE=staging\nORDERS__SERVER__NAME=x")]);
    let given = Loader::new("orders").environment([("ORDERS_PROFILE", "staging")]);
    assert_eq!(name(given.directory(Some(folder.path().to_owned()))), "x");
}

#[test]
fn a_file_that_cannot_be_read_is_not_taken_for_absent() {
    let check = |break_it: &dyn Fn(&std::path::Path), expected: &str| {
        let folder = files(&[]);
        break_it(&folder.path().join(".env"));
        let report = found(loader(), &folder);
        assert!(report.ends_with(&format!("{expected} (config/.env)")), "{report}");
    };
    check(&|file| fs::create_dir(file).unwrap(), "is a folder, expected a file");
    check(&|file| fs::write(file, b"A=\xff").unwrap(), "is not UTF-8");
    check(&|file| fs::write(file, vec![b'\n'; 8 * 1024 * 1024 + 1]).unwrap(), "is longer than 8192 KiB");
    #[cfg(unix)]
    check(&|file| std::os::unix::fs::symlink("nowhere", file).unwrap(), "is a link to nothing");
}

#[test]
fn a_file_with_a_byte_order_mark_and_crlf_is_read() {
    let folder = files(&[(".env", "\u{feff}ORDERS__SERVER__NAME=x\r\nORDERS__LIMITS__CONNECTIONS=7\r\n")]);
    let settings = load(loader().directory(Some(folder.path().to_owned()))).unwrap().settings;
    assert_eq!((settings.server.name.as_str(), settings.limits.connections), ("x", 7));
}
