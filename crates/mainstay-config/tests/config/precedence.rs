//! Which source wins, and that the winner is known.

use mainstay_config::Loader;

use crate::{MINIMAL, folder, load, loader};

/// What `server.name` is, and where that came from, with these sources present.
fn check(
    files: &[(&str, &str)],
    variable: Option<&str>,
    argument: Option<&str>,
    expected: (&str, Option<&str>),
) {
    let (secrets, files): (Vec<_>, Vec<_>) =
        files.iter().copied().partition(|(name, _)| *name == "server.name");
    let (folder, secrets) = (folder(&files), folder(&secrets));
    let mut loader = Loader::new("orders")
        .directory(Some(folder.path().to_owned()))
        .secrets(secrets.path())
        .environment(variable.map(|value| ("ORDERS__SERVER__NAME", value)));
    if let Some(name) = argument {
        loader = loader.set(format!("server.name={name}"));
    }
    let loaded = load(loader).expect("settings");
    let source = loaded
        .source_of("server.name")
        .map(|source| source.replace(&*folder.path().to_string_lossy(), "config"))
        .map(|source| source.replace(&*secrets.path().to_string_lossy(), "secrets"));
    assert_eq!((loaded.settings.server.name.as_str(), source.as_deref()), expected);
}

#[test]
fn a_higher_source_wins_and_is_named() {
    let named = |name: &str| format!("{MINIMAL}name = '{name}'\n");
    let (default, profile, local) = (named("default"), named("profile"), named("local"));
    let empty = ("development.toml", "");
    let all = [
        ("default.toml", default.as_str()),
        ("development.toml", profile.as_str()),
        ("local.toml", local.as_str()),
    ];

    check(&[("default.toml", MINIMAL), empty], None, None, ("anonymous", None));
    check(&[all[0], empty], None, None, ("default", Some("config/default.toml:3:8")));
    check(&all[..2], None, None, ("profile", Some("config/development.toml:3:8")));
    check(&all, None, None, ("local", Some("config/local.toml:3:8")));
    let (any, own) = ("ORDERS__SERVER__NAME=any", "ORDERS__SERVER__NAME=own");
    let with = |more: &[(&'static str, &'static str)]| [&all, more].concat();
    let (env, env_own) = ((".env", any), (".env.development", own));
    let secret = ("server.name", "secret\n");
    check(&with(&[env]), None, None, ("any", Some("config/.env:1:22")));
    check(&with(&[env, env_own]), None, None, ("own", Some("config/.env.development:1:22")));
    check(&with(&[env, env_own, secret]), None, None, ("secret", Some("secrets/server.name")));
    let all = with(&[env, env_own, secret]);
    check(&all, Some("variable"), None, ("variable", Some("ORDERS__SERVER__NAME")));
    check(&all, Some("variable"), Some("argument"), ("argument", Some("--set server.name")));
}

#[test]
fn tables_merge_and_lists_replace() {
    let folder = folder(&[
        (
            "default.toml",
            "[server]\nlisten = '127.0.0.1:80'\n[limits]\nconnections = 7\nhosts = ['aa', 'bb']",
        ),
        ("development.toml", "[limits]\nhosts = ['cc']"),
    ]);
    let loaded = load(loader().directory(Some(folder.path().to_owned()))).unwrap();
    assert_eq!(loaded.settings.limits.connections, 7);
    assert_eq!(loaded.settings.limits.hosts, ["cc"]);
}

#[test]
fn the_folder_of_the_command_line_beats_the_variable_beats_the_built_in_files() {
    let files = |port: u16| {
        let text = format!("[server]\nlisten = '127.0.0.1:{port}'");
        folder(&[("default.toml", &text), ("development.toml", "")])
    };
    let (argument, variable) = (files(1), files(2));
    let embedded = [("default.toml", "[server]\nlisten = '127.0.0.1:3'"), ("development.toml", "")];
    let port = |loader: Loader| load(loader.embedded(&embedded)).unwrap().settings.server.listen.port();
    let named = || Loader::new("orders").environment([("ORDERS_CONFIG_DIR", variable.path())]);

    assert_eq!(port(named().directory(Some(argument.path().to_owned()))), 1);
    assert_eq!(port(named()), 2);
    assert_eq!(port(loader()), 3);
}

#[test]
fn the_sources_are_listed_lowest_first() {
    let loaded = load(
        loader()
            .embedded(&[("default.toml", MINIMAL), ("development.toml", "")])
            .environment([("ORDERS__LIMITS__CONNECTIONS", "3")])
            .set("limits.share=0.1"),
    )
    .unwrap();
    assert_eq!(
        loaded.sources(),
        [
            "built-in default.toml",
            "built-in development.toml",
            "ORDERS__LIMITS__CONNECTIONS",
            "--set limits.share"
        ]
    );
}

#[test]
fn local_toml_counts_for_development_only() {
    let folder = folder(&[
        ("default.toml", MINIMAL),
        ("production.toml", ""),
        ("local.toml", "[server]\nname = 'mine'"),
    ]);
    let loaded =
        load(loader().profile(Some("production".to_owned())).directory(Some(folder.path().to_owned())))
            .unwrap();
    assert_eq!(loaded.settings.server.name, "anonymous");
}
