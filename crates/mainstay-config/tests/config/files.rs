//! Files that are missing, unreadable or not what they should be are told apart.

use std::fs;

use crate::{MINIMAL, folder, loader, report};

#[test]
fn each_way_a_file_can_be_unreadable_is_told_apart() {
    let check = |break_it: &dyn Fn(&std::path::Path)| {
        let folder = folder(&[("default.toml", MINIMAL), ("development.toml", "")]);
        let file = folder.path().join("default.toml");
        fs::remove_file(&file).unwrap();
        break_it(&file);
        let report = report(loader(), &folder);
        let mut lines = report.lines().skip(2);
        let what = lines.next().unwrap().trim().to_owned();
        what + lines.next().unwrap()
    };
    assert_eq!(check(&|_| ()), "1. MC001 does not exist    --> config/default.toml");
    assert_eq!(
        check(&|file| fs::create_dir(file).unwrap()),
        "1. MC001 is a folder, expected a file    --> config/default.toml"
    );
    assert_eq!(
        check(&|file| fs::write(file, b"a = '\xff'").unwrap()),
        "1. MC001 is not UTF-8    --> config/default.toml"
    );
    assert_eq!(
        check(&|file| fs::write(file, "[server").unwrap()),
        "1. MC002 unclosed table, expected `]`    --> config/default.toml:1:8"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, symlink};
        assert_eq!(
            check(&|file| symlink("nowhere", file).unwrap()),
            "1. MC001 is a link to nothing    --> config/default.toml"
        );
        let denied = |file: &std::path::Path| {
            fs::write(file, MINIMAL).unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o000)).unwrap();
        };
        // The administrator may read everything, so nothing would be refused.
        let probe = folder(&[("probe", "")]);
        denied(&probe.path().join("probe"));
        if fs::read(probe.path().join("probe")).is_err() {
            assert_eq!(
                check(&denied),
                "1. MC001 cannot be read: permission denied    --> config/default.toml"
            );
        }
    }
}

#[test]
#[cfg(unix)]
fn a_local_file_may_be_absent_but_not_a_link_to_nothing() {
    let folder = folder(&[("default.toml", MINIMAL), ("development.toml", "")]);
    std::os::unix::fs::symlink("nowhere", folder.path().join("local.toml")).unwrap();
    assert!(report(loader(), &folder).contains("is a link to nothing\n    --> config/local.toml"));
}

#[test]
fn all_unreadable_files_and_variables_are_reported_at_once() {
    let folder = folder(&[("default.toml", "a = \nb = 1"), ("development.toml", "a = 1\na = 2")]);
    let loader = loader()
        .environment([("ORDERS__A", "1"), ("ORDERS__A__B", "2"), ("ORDERS__X__", "3"), ("ORDERS__a", "4")])
        .set("no-assignment")
        .set("a..b=1");
    insta::assert_snapshot!(report(loader, &folder), @"
    the configuration of orders is not valid: 8 problems (profile development, by default)

     1. MC004 --set number 1 is not of the form key.path=value
     2. MC004 --set number 2 has an empty level in its key
     3. MC002 string values must be quoted, expected literal string
        --> config/default.toml:1:5
     4. MC002 duplicate key
        --> config/development.toml:2:1
     5. MC010 a: set twice, and the order of variables says nothing
        --> ORDERS__A and ORDERS__a
     6. MC011 a: cannot be a single value and have keys of its own
        --> ORDERS__A and ORDERS__A__B
     7. MC004 the variable's name has an empty level between double underscores
        --> ORDERS__X__
     8. MC011 a: cannot be a single value and have keys of its own
        --> ORDERS__a and ORDERS__A__B

    note: missing values are not listed, as they may be in what could not be read: config/default.toml, config/development.toml

    read, lowest first: ORDERS__A, ORDERS__A__B, ORDERS__a
    ");
}

#[test]
fn a_named_folder_has_to_be_one() {
    let folder = folder(&[("file", "")]);
    let check = |name: &str| {
        let error = loader()
            .environment([("ORDERS_CONFIG_DIR", folder.path().join(name))])
            .load::<crate::Settings>()
            .unwrap_err();
        error.to_string().replace(&*folder.path().to_string_lossy(), "config")
    };
    insta::assert_snapshot!(check("nowhere"), @"
        the configuration of orders is not valid: 1 problem (profile development, by default)

         1. MC001 the configuration folder does not exist
            --> config/nowhere from ORDERS_CONFIG_DIR

        note: missing values are not listed, as they may be in what could not be read: config/nowhere from ORDERS_CONFIG_DIR
        ");
    insta::assert_snapshot!(check("file"), @"
    the configuration of orders is not valid: 1 problem (profile development, by default)

     1. MC001 the configuration folder is not a folder
        --> config/file from ORDERS_CONFIG_DIR

    note: missing values are not listed, as they may be in what could not be read: config/file from ORDERS_CONFIG_DIR
    ");
}

#[test]
fn built_in_files_have_to_cover_the_profile() {
    let error = loader()
        .profile(Some("production".to_owned()))
        .embedded(&[("default.toml", MINIMAL), ("development.toml", "")])
        .load::<crate::Settings>()
        .unwrap_err();
    assert!(error.to_string().contains("there is no built-in production.toml"), "{error}");
}

#[test]
fn files_are_not_looked_for_above_the_folder() {
    let folder = folder(&[("default.toml", MINIMAL), ("development.toml", "")]);
    fs::create_dir(folder.path().join("inner")).unwrap();
    let error = loader().directory(Some(folder.path().join("inner"))).load::<crate::Settings>().unwrap_err();
    assert_eq!(error.to_string().matches("does not exist").count(), 2, "{error}");
}
