//! Values in files of their own: named by a variable, or in a folder by their names.

use std::fs;
use std::path::Path;

use mainstay_config::{Loader, Secret};

use crate::{findings, folder, loader};

#[derive(Debug, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
struct Shop {
    #[garde(dive)]
    #[serde(default)]
    payment: Payment,
    #[garde(skip)]
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Default, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields, default)]
struct Payment {
    #[garde(skip)]
    api_key: Option<Secret<String>>,
    #[garde(skip)]
    cert_file: Option<String>,
    #[garde(skip)]
    pin: u16,
}

fn key(loader: Loader) -> String {
    let loaded = loader.load::<Shop>().expect("settings");
    loaded.settings.payment.api_key.expect("a key").expose().clone()
}

/// What is found, with the folder's own path replaced.
fn report(loader: Loader, folder: &Path) -> String {
    findings(&loader.load::<Shop>().expect_err("a report"), folder, "secrets")
}

fn named(file: impl Into<std::ffi::OsString>) -> Loader {
    Loader::new("orders").environment([("ORDERS__PAYMENT__API_KEY_FILE", file)])
}

#[test]
fn a_variable_may_name_the_file_with_its_value() {
    let folder = folder(&[("key", "hunter2\n")]);
    let file = folder.path().join("key");
    let loaded = named(&file).load::<Shop>().unwrap();
    assert_eq!(loaded.settings.payment.api_key.as_ref().unwrap().expose(), "hunter2");
    let source = format!("{} from ORDERS__PAYMENT__API_KEY_FILE", file.display());
    assert_eq!(loaded.source_of("payment.api_key"), Some(source));
}

#[test]
fn exactly_one_line_end_is_taken_off() {
    for (text, expected) in [
        ("hunter2", "hunter2"),
        ("hunter2\n", "hunter2"),
        ("hunter2\r\n", "hunter2"),
        ("hunter2\n\n", "hunter2\n"),
        ("hunter2\r", "hunter2\r"),
        (" hunter2 \t\n", " hunter2 \t"),
        ("two\nlines\n", "two\nlines"),
        ("\n", ""),
        ("", ""),
    ] {
        let folder = folder(&[("payment.api_key", text)]);
        assert_eq!(key(named(folder.path().join("payment.api_key"))), expected, "{text:?}");
        assert_eq!(key(loader().secrets(folder.path())), expected, "{text:?}");
    }
}

#[test]
fn each_way_a_file_can_be_unreadable_is_told_apart() {
    let by_variable = |break_it: &dyn Fn(&Path)| {
        let folder = folder(&[]);
        let file = folder.path().join("payment.api_key");
        break_it(&file);
        report(named(&file), folder.path())
    };
    let existing = |what: &str| {
        format!(
            "payment.api_key: the file with its value {what} \
             (secrets/payment.api_key from ORDERS__PAYMENT__API_KEY_FILE)"
        )
    };
    assert_eq!(
        by_variable(&|_| ()),
        "payment.api_key: the file with its value does not exist (ORDERS__PAYMENT__API_KEY_FILE)",
        "what is not there may not have been a path at all, so it is not shown"
    );
    assert_eq!(by_variable(&|file| fs::create_dir(file).unwrap()), existing("is a folder, expected a file"));
    assert_eq!(by_variable(&|file| fs::write(file, b"\xff").unwrap()), existing("is not UTF-8"));
    assert_eq!(
        by_variable(&|file| fs::write(file, vec![b'x'; 64 * 1024 + 1]).unwrap()),
        existing("is longer than 64 KiB")
    );
    assert!(
        key({
            let folder = folder(&[("key", &"x".repeat(64 * 1024))]);
            let file = folder.keep().join("key");
            named(file)
        })
        .starts_with('x')
    );
    #[cfg(unix)]
    {
        let pipe = |file: &Path| {
            assert!(std::process::Command::new("mkfifo").arg(file).status().unwrap().success());
        };
        assert_eq!(by_variable(&pipe), existing("is not a regular file"));
        assert_eq!(
            by_variable(&|file| std::os::unix::fs::symlink("nowhere", file).unwrap()),
            existing("is a link to nothing")
        );
        let folder = folder(&[]);
        pipe(&folder.path().join("payment.api_key"));
        assert_eq!(
            report(loader().secrets(folder.path()), folder.path()),
            "payment.api_key: is not a regular file (secrets/payment.api_key)"
        );
    }
    assert_eq!(
        report(named(""), Path::new("/nowhere")),
        "expected the path of a file that holds the value, found nothing (ORDERS__PAYMENT__API_KEY_FILE)"
    );
}

#[test]
fn a_value_and_a_file_for_the_same_key_exclude_each_other() {
    let variables = [("ORDERS__PAYMENT__API_KEY", "a"), ("ORDERS__PAYMENT__API_KEY_FILE", "/nowhere")];
    let report = report(Loader::new("orders").environment(variables), Path::new("/nowhere"));
    assert!(
        report.contains(
            "payment.api_key: set by its value and by a file that holds it: one of the two has to go \
             (ORDERS__PAYMENT__API_KEY and ORDERS__PAYMENT__API_KEY_FILE)"
        ),
        "{report}"
    );
}

#[test]
fn a_key_that_ends_in_file_is_set_by_the_variable_of_its_name() {
    let check = |variables: &[(&str, &str)]| {
        let loader = Loader::new("orders").environment(variables.iter().copied());
        loader.load::<Shop>().map(|loaded| loaded.settings.payment.cert_file)
    };
    assert_eq!(check(&[("ORDERS__PAYMENT__CERT_FILE", "/tls/cert")]).unwrap().as_deref(), Some("/tls/cert"));
    let folder = folder(&[("path", "/from/a/file\n")]);
    let file = folder.path().join("path").display().to_string();
    assert_eq!(
        check(&[("ORDERS__PAYMENT__CERT_FILE_FILE", &file)]).unwrap().as_deref(),
        Some("/from/a/file")
    );
    // A level of its own is a key, too.
    let loader =
        Loader::new("orders").environment([("ORDERS__LABELS__FILE", "x"), ("ORDERS__LABELS___FILE", "y")]);
    let labels = loader.load::<Shop>().unwrap().settings.labels;
    assert_eq!((labels["file"].as_str(), labels["_file"].as_str()), ("x", "y"));
}

#[test]
fn a_folder_gives_one_value_for_each_file() {
    let folder = folder(&[
        ("payment.api_key", "hunter2\n"),
        ("PAYMENT__PIN", "0123\n"),
        ("ORDERS__LABELS__A", "1"),
        ("labels.B-c", "2"),
        (".keep", ""),
    ]);
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    fs::create_dir(folder.path().join("labels.dir")).unwrap();
    let variable = Loader::new("orders").environment([("ORDERS_SECRETS_DIR", folder.path())]);
    for loader in [loader().secrets(folder.path()), variable.secrets(folder.path())] {
        let loaded = loader.load::<Shop>().unwrap();
        assert_eq!(loaded.settings.payment.pin, 123);
        assert_eq!(loaded.settings.payment.api_key.as_ref().unwrap().expose(), "hunter2");
        assert_eq!(loaded.settings.labels.len(), 2);
        let source = folder.path().join("PAYMENT__PIN").display().to_string();
        assert_eq!(loaded.source_of("payment.pin"), Some(source));
    }
}

#[test]
fn files_in_a_named_folder_are_meant_and_unknown_ones_are_problems() {
    let one = folder(&[("payment.api_kye", "hunter2"), ("payment..x", "hunter2"), ("payment.pin", "x")]);
    insta::assert_snapshot!(report(loader().secrets(one.path()), one.path()), @"
    the file's name has an empty level (secrets/payment..x)
    no setting has the key that this file is named after, did you mean `api_key`? (secrets/payment.api_kye)
    payment.pin: expected u16, found text (secrets/payment.pin)
    ");
    let other = folder(&[("PAYMENT__PIN", "1")]);
    let one = folder(&[("payment.pin", "2")]);
    let report = report(loader().secrets(one.path()).secrets(other.path()), one.path());
    assert!(report.starts_with("payment.pin: set twice"), "{report}");
    assert!(report.contains("/PAYMENT__PIN)"), "{report}");
}

#[test]
fn a_named_folder_has_to_be_one() {
    let folder = folder(&[("file", "")]);
    let check = |name: &str| report(loader().secrets(folder.path().join(name)), folder.path());
    assert_eq!(check("nowhere"), "the folder of secrets does not exist (secrets/nowhere from secrets)");
    assert_eq!(check("file"), "the folder of secrets is not a folder (secrets/file from secrets)");
    let variable = Loader::new("orders").environment([("ORDERS_SECRETS_DIR", folder.path().join("nowhere"))]);
    assert_eq!(
        report(variable, folder.path()),
        "the folder of secrets does not exist (secrets/nowhere from ORDERS_SECRETS_DIR)"
    );
}

#[test]
fn credentials_of_systemd_count_as_far_as_they_are_settings() {
    let folder = folder(&[
        ("payment.api_key", "hunter2"),
        ("tls.pem", "x"),
        ("payment.other", "x"),
        ("labels.a", "x"),
        ("ORDERS__LABELS__B", "b"),
        ("a..b", "x"),
    ]);
    let given = |folder: &Path| Loader::new("orders").environment([("CREDENTIALS_DIRECTORY", folder)]);
    let loaded = given(folder.path()).load::<Shop>().unwrap();
    assert_eq!(loaded.settings.payment.api_key.unwrap().expose(), "hunter2");
    assert_eq!(loaded.settings.labels.into_iter().collect::<Vec<_>>(), [("b".to_owned(), "b".to_owned())]);
    // The variable is inherited by processes that the folder is not for.
    given(Path::new("/nowhere")).load::<Shop>().unwrap();
}

#[test]
#[cfg(unix)]
fn a_mount_of_kubernetes_is_read_behind_one_look_at_its_link() {
    use std::os::unix::fs::symlink;
    let mount = folder(&[]);
    let at = |name: &str| mount.path().join(name);
    for (version, key) in [("..2026_01", "old"), ("..2026_02", "new")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("payment.api_key"), key).unwrap();
    }
    symlink("..2026_02", at("..data")).unwrap();
    symlink("..data/payment.api_key", at("payment.api_key")).unwrap();
    let loaded = loader().secrets(mount.path()).load::<Shop>().unwrap();
    assert_eq!(loaded.source_of("payment.api_key"), Some(at("payment.api_key").display().to_string()));
    assert_eq!(loaded.settings.payment.api_key.unwrap().expose(), "new");

    fs::remove_dir_all(at("..2026_02")).unwrap();
    assert_eq!(
        report(loader().secrets(mount.path()), mount.path()),
        "the folder of secrets has a `..data` that leads nowhere (secrets from secrets)"
    );
}
