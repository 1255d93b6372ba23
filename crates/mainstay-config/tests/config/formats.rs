//! Files in TOML, JSON and YAML mean the same.

use std::fs;

use crate::{MINIMAL, folder, found, load, loader};

const JSON: &str =
    "{\n  \"server\": { \"listen\": \"127.0.0.1:80\" },\n  \"limits\": { \"hosts\": [\"aa\"] }\n}\n";

#[test]
fn every_layer_may_be_written_in_json() {
    let folder = folder(&[
        ("default.json", JSON),
        ("development.toml", "[limits]\nconnections = 7"),
        ("local.json", "\u{feff}{\"server\": {\"name\": \"mine\"}}\r\n"),
    ]);
    let loaded = load(loader().directory(Some(folder.path().to_owned()))).unwrap();
    assert_eq!(loaded.settings.server.name, "mine");
    assert_eq!(loaded.settings.limits.connections, 7);
    assert_eq!(loaded.settings.limits.hosts, ["aa"]);
    let source = loaded.source_of("limits.hosts").unwrap();
    assert!(source.ends_with("/default.json:3:24"), "{source}");

    let embedded = [("default.json", JSON), ("development.json", "{}")];
    let loaded = load(loader().embedded(&embedded)).unwrap();
    assert_eq!(loaded.source_of("limits.hosts").as_deref(), Some("built-in default.json:3:24"));
}

#[test]
fn mistakes_in_json_have_their_place() {
    let folder = folder(&[
        ("default.json", "{\"server\": 1,\n \"server\": 2}"),
        ("development.json", "{\"limits\": {\"connections\": 007}}"),
    ]);
    insta::assert_snapshot!(found(loader(), &folder), @"
    duplicate key (config/default.json:2:2)
    a number that begins with 0 (config/development.json:1:28)
    ");
    fs::write(folder.path().join("default.json"), JSON).unwrap();
    fs::write(folder.path().join("development.json"), "{\"limits\": {\"connections\": \"7\"}}").unwrap();
    insta::assert_snapshot!(found(loader(), &folder), @"limits.connections: expected u32, found text (config/development.json:1:28)");
}

#[test]
fn the_line_of_a_mistake_is_shown_in_every_format() {
    let json = "\u{feff}{\"server\": {\"listen\": \"127.0.0.1:80\"},\n \"limits\": {\n  \"connections\": \"a\\\"b\"\n}}";
    let folder = folder(&[("default.json", json), ("development.toml", "")]);
    let report = |folder: &tempfile::TempDir| {
        let report = load(loader().directory(Some(folder.path().to_owned()))).unwrap_err().to_string();
        report.lines().filter(|line| line.contains(" | ")).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(report(&folder), @r#"
    3 |   "connections": "a\"b"
      |                  ^^^^^^
    "#);
    for (value, shown) in [("-1 # no", "-1"), ("hunter2hunter2hunter2", "hunter2hunter2hunter2")] {
        let text = format!("server: {{listen: \"127.0.0.1:80\"}}\nlimits:\n  connections: {value}\n");
        fs::remove_file(folder.path().join("default.json")).ok();
        fs::write(folder.path().join("default.yaml"), text).unwrap();
        if cfg!(feature = "yaml") {
            assert!(
                report(&folder).starts_with(&format!("   3 |   connections: {shown}\n")),
                "{}",
                report(&folder)
            );
        }
    }
    // What goes on over several lines is not shown, nor a table or a list.
    for value in ["|\n    many\n    lines", "{a: 1}", "[1]"] {
        let text = format!("server: {{listen: \"127.0.0.1:80\"}}\nlimits:\n  connections: {value}\n");
        fs::write(folder.path().join("default.yaml"), text).unwrap();
        if cfg!(feature = "yaml") {
            assert_eq!(report(&folder), "");
        }
    }
}

#[test]
fn two_files_for_one_layer_are_a_problem() {
    let folder = folder(&[
        ("default.toml", MINIMAL),
        ("default.json", JSON),
        ("development.toml", ""),
        ("local.json", "{}"),
        ("local.yml", ""),
        ("local.yaml", ""),
    ]);
    insta::assert_snapshot!(found(loader(), &folder), @"
    more than one file for the same layer, keep one (config/default.toml and config/default.json)
    more than one file for the same layer, keep one (config/local.yaml and config/local.yml and config/local.json)
    ");
    let embedded = [("default.toml", MINIMAL), ("default.json", JSON), ("development.toml", "")];
    let report = load(loader().embedded(&embedded)).unwrap_err().to_string();
    assert!(report.contains("built-in default.toml and built-in default.json"), "{report}");
}

#[test]
fn null_is_nothing_and_takes_back_what_a_lower_layer_says() {
    #[derive(Debug, serde::Deserialize, garde::Validate)]
    struct Optional {
        #[garde(skip)]
        proxy: Option<String>,
    }
    let load = |second: &'static str| {
        let files = [("default.toml", "proxy = 'http://proxy'"), ("development.json", second)];
        loader().embedded(&files).load::<Optional>().map(|loaded| loaded.settings.proxy)
    };
    assert_eq!(load("{}").unwrap().as_deref(), Some("http://proxy"));
    assert_eq!(load("{\"proxy\": null}").unwrap(), None);
    let files = [("default.json", "{\"server\": {\"listen\": null}}"), ("development.toml", "")];
    let report = crate::load(loader().embedded(&files)).unwrap_err().to_string();
    assert!(report.contains("server.listen: expected socket address, found nothing"), "{report}");
}

#[test]
fn a_file_that_is_too_long_is_not_read() {
    let folder =
        folder(&[("default.toml", MINIMAL), ("development.toml", &"#\n".repeat(4 * 1024 * 1024 + 1))]);
    let report = found(loader(), &folder);
    assert!(report.ends_with("is longer than 8192 KiB (config/development.toml)"), "{report}");
}

#[test]
#[cfg(not(feature = "yaml"))]
fn yaml_is_not_passed_over_when_it_cannot_be_read() {
    let folder = folder(&[("default.yaml", "a: 1"), ("development.toml", "")]);
    let report = found(loader(), &folder);
    assert!(report.contains("YAML is not read"), "{report}");
}

#[test]
#[cfg(feature = "yaml")]
fn every_layer_may_be_written_in_yaml() {
    let folder = folder(&[
        ("default.yaml", "server:\n  listen: 127.0.0.1:80\nlimits: {hosts: [aa]}\n"),
        ("development.yml", "# nothing yet\n"),
        ("local.yaml", "server:\n  name: 0123\n"),
    ]);
    let loaded = load(loader().directory(Some(folder.path().to_owned()))).unwrap();
    assert_eq!(loaded.settings.server.name, "0123");
    let source = loaded.source_of("limits.hosts").unwrap();
    assert!(source.ends_with("/default.yaml:3:17"), "{source}");

    fs::write(folder.path().join("local.yaml"), "limits:\n  connections: many\n").unwrap();
    let report = found(loader(), &folder);
    assert!(
        report.contains("limits.connections: expected u32, found text (config/local.yaml:2:16)"),
        "{report}"
    );
}
