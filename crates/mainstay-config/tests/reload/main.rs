//! Settings that follow their files: every way in which a file comes to be replaced, and everything that must not happen.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use mainstay_config::reload::{Change, Live, Reload};
use mainstay_config::{Loader, Secret};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

#[derive(Debug, Deserialize, Serialize, garde::Validate)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[garde(range(min = 1, max = 100))]
    size: u16,
    #[garde(skip)]
    #[serde(default)]
    listen: u16,
    #[garde(skip)]
    #[serde(default)]
    token: Option<Secret<String>>,
}

#[test]
fn a_file_written_in_place_is_followed() {
    let (folder, live) = live("size = 1");
    write(&folder, "default.toml", "size = 2");
    assert_eq!(swapped(&live).changed, ["size"]);
    assert_eq!((live.load().size, live.generation()), (2, 1));
    assert!(matches!(live.reload_now(), Reload::Unchanged));
    assert_eq!(live.generation(), 1);
}

#[test]
fn a_file_replaced_by_a_rename_is_followed() {
    let (folder, live) = live("size = 1");
    for size in [2, 3] {
        write(&folder, ".default.toml.swp", &format!("size = {size}"));
        fs::rename(folder.path().join(".default.toml.swp"), folder.path().join("default.toml")).unwrap();
        assert_eq!(swapped(&live).changed, ["size"]);
        assert_eq!(live.load().size, size);
    }
}

#[test]
fn the_profiles_file_and_the_local_one_are_followed_too() {
    let (folder, live) = live("size = 1");
    write(&folder, "development.toml", "size = 2");
    assert_eq!(swapped(&live).changed, ["size"]);
    write(&folder, "local.toml", "size = 3\nlisten = 4");
    assert_eq!(swapped(&live).changed, ["listen", "size"]);
    fs::remove_file(folder.path().join("local.toml")).unwrap();
    assert_eq!(swapped(&live).changed, ["listen", "size"]);
    assert_eq!(live.load().size, 2);
}

#[test]
#[cfg(unix)]
fn a_mounted_volume_that_is_swapped_by_its_data_link_is_followed() {
    let folder = volume();
    let live = Live::<Settings>::new(loader(&folder)).unwrap();
    swap_volume(&folder, "..2026_01", "size = 2");
    assert_eq!(swapped(&live).changed, ["size"]);
    assert_eq!(live.load().size, 2);
    let sources: Vec<_> = live.effective().into_iter().filter_map(|setting| setting.source).collect();
    assert!(sources.iter().any(|source| source.ends_with("/default.toml:1:8")), "{sources:?}");
}

#[test]
fn what_is_not_valid_is_refused_and_told_once() {
    let (folder, live) = live("size = 1");
    let told = told(&live);
    for (text, expected) in [("size = 101", "size"), ("size = ", "default.toml"), ("sise = 2", "sise")] {
        write(&folder, "default.toml", text);
        for _ in 0..2 {
            let Reload::Refused(error) = live.reload_now() else { panic!("{text} is not valid") };
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert_eq!((live.load().size, live.generation()), (1, 0));
    }
    fs::remove_file(folder.path().join("default.toml")).unwrap();
    assert!(matches!(live.reload_now(), Reload::Refused(_)));
    assert_eq!(live.load().size, 1);

    write(&folder, "default.toml", "size = 1");
    assert!(matches!(live.reload_now(), Reload::Unchanged));
    assert!(matches!(live.reload_now(), Reload::Unchanged));
    write(&folder, "default.toml", "size = 2");
    assert_eq!(swapped(&live).generation, 1);
    let told: Vec<_> = told.try_iter().map(|text| text.lines().next().unwrap().to_owned()).collect();
    let refused = "the settings in force stay: the configuration of orders is not valid: 1 problem (profile development, by default)";
    assert_eq!(
        told,
        [
            refused,
            refused,
            refused,
            refused,
            "the configuration is valid and as it is in force",
            "new settings are in force, changed: size"
        ]
    );
}

#[test]
fn keys_that_need_a_restart_are_named_until_they_are_back() {
    let (folder, live) = live("size = 1\nlisten = 80");
    let live = live.restart_only(&["listen"]);
    let check = |text: &str, changed: &[&str], needs_restart: &[&str]| {
        write(&folder, "default.toml", text);
        let change = swapped(&live);
        assert_eq!((change.changed, change.needs_restart), (owned(changed), owned(needs_restart)));
    };
    check("size = 1\nlisten = 81", &["listen"], &["listen"]);
    check("size = 2\nlisten = 81", &["size"], &["listen"]);
    check("size = 2\nlisten = 80", &["listen"], &[]);
}

#[test]
fn a_changed_secret_is_noticed_and_never_shown() {
    let (folder, live) = live("size = 1\ntoken = 'hunter2'");
    write(&folder, "default.toml", "size = 1\ntoken = 'hunter3'");
    let change = swapped(&live);
    assert_eq!(change.changed, ["token"]);
    assert_eq!(live.load().token.as_ref().unwrap().expose(), "hunter3");
    let shown = format!("{change:?} {live:?} {:?}", live.effective());
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn a_reader_keeps_the_version_that_it_asked_for() {
    let (folder, live) = live("size = 1");
    let before = live.load();
    write(&folder, "default.toml", "size = 2");
    swapped(&live);
    assert_eq!((before.size, live.load().size), (1, 2));
}

#[test]
fn without_a_folder_there_is_nothing_to_follow() {
    let loader = Loader::new("orders").environment([("ORDERS__SIZE", "7")]);
    let live = Live::<Settings>::new(loader).unwrap().watch().unwrap();
    assert!(matches!(live.reload_now(), Reload::Unchanged));
    assert!(format!("{live:?}").contains("watched: false"), "{live:?}");
}

#[test]
fn a_subscriber_may_use_the_settings_that_it_is_told_of() {
    let (folder, live) = live("size = 1");
    let live = Arc::new(live);
    let weak = Arc::downgrade(&live);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_by = Arc::clone(&seen);
    live.subscribe(move |reload| {
        let live = Weak::upgrade(&weak).unwrap();
        // Whatever it calls, no lock is held that it would wait for.
        let again = live.reload_now();
        live.subscribe(|_| ());
        seen_by.lock().unwrap().push(format!("{reload}; {again}; {}", live.load().size));
    });
    write(&folder, "default.toml", "size = 2");
    swapped(&live);
    assert_eq!(
        *seen.lock().unwrap(),
        ["new settings are in force, changed: size; the configuration is valid and as it is in force; 2"]
    );
}

#[test]
fn the_watcher_follows_each_way_of_replacing_a_file() {
    let (folder, live) = live("size = 1");
    let told = told(&live);
    let live = live.watch().unwrap();

    write(&folder, "default.toml", "size = 2");
    wait_for(&told, "changed: size");
    assert_eq!(live.load().size, 2);

    write(&folder, "next", "size = 3");
    fs::rename(folder.path().join("next"), folder.path().join("default.toml")).unwrap();
    wait_for(&told, "changed: size");
    assert_eq!(live.load().size, 3);

    write(&folder, "default.toml", "size = 300");
    wait_for(&told, "the settings in force stay");
    assert_eq!(live.load().size, 3);
}

#[test]
#[cfg(unix)]
fn the_watcher_follows_a_mounted_volume() {
    let folder = volume();
    let live = Live::<Settings>::new(loader(&folder)).unwrap();
    let told = told(&live);
    let live = live.watch().unwrap();
    for (place, size) in [("..2026_01", 2), ("..2026_02", 3)] {
        swap_volume(&folder, place, &format!("size = {size}"));
        wait_for(&told, "changed: size");
        assert_eq!(live.load().size, size);
    }
}

#[test]
fn the_watcher_finds_a_folder_that_was_replaced_and_then_hears_of_it_again() {
    let outer = TempDir::new().unwrap();
    let inner = outer.path().join("config");
    let fill = |path: &Path, text: &str| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("development.toml"), "").unwrap();
        fs::write(path.join("default.toml"), text).unwrap();
    };
    fill(&inner, "size = 1");
    let loader = Loader::new("orders").environment([("HOME", "/nowhere")]).directory(Some(inner.clone()));
    let live = Live::<Settings>::new(loader).unwrap();
    let told = told(&live);
    let live = live.watch().unwrap();

    fill(&outer.path().join("next"), "size = 2");
    fs::rename(&inner, outer.path().join("old")).unwrap();
    fs::rename(outer.path().join("next"), &inner).unwrap();
    wait_for(&told, "changed: size");
    fs::write(inner.join("default.toml"), "size = 3").unwrap();
    wait_for(&told, "changed: size");
    assert_eq!(live.load().size, 3);
}

#[test]
fn dropping_it_ends_the_thread_even_from_a_subscriber() {
    let (folder, live) = live("size = 1");
    let told = told(&live);
    drop(live.watch().unwrap());
    // The thread held the subscribers, so they are gone with it.
    write(&folder, "default.toml", "size = 2");
    assert!(told.recv_timeout(WAIT).is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected));

    let (folder, live) = self::live("size = 1");
    let held = Arc::new(Mutex::new(None));
    let (ended, end) = mpsc::channel();
    let hold = Arc::clone(&held);
    live.subscribe(move |_| {
        drop(hold.lock().unwrap().take());
        ended.send(()).unwrap();
    });
    let live = live.watch().unwrap();
    *held.lock().unwrap() = Some(live);
    write(&folder, "default.toml", "size = 2");
    end.recv_timeout(WAIT).unwrap();
    assert!(end.recv_timeout(WAIT).is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected));
}

/// Nothing here takes so long; a machine that is very busy might.
const WAIT: Duration = Duration::from_secs(30);

fn live(default: &str) -> (TempDir, Live<Settings>) {
    let folder = TempDir::new().expect("it is ours to change");
    write(&folder, "default.toml", default);
    write(&folder, "development.toml", "");
    let live = Live::new(loader(&folder)).expect("it is ours to change");
    (folder, live)
}

fn loader(folder: &TempDir) -> Loader {
    Loader::new("orders").environment([("HOME", "/nowhere")]).directory(Some(folder.path().to_owned()))
}

fn write(folder: &TempDir, name: &str, text: &str) {
    fs::write(folder.path().join(name), text).expect("it is ours to change");
}

fn swapped(live: &Live<Settings>) -> Change {
    let reload = live.reload_now();
    let change = if let Reload::Swapped(change) = &reload { Some(change.clone()) } else { None };
    change.unwrap_or_else(|| unreachable!("new settings, and not: {reload}"))
}

fn told(live: &Live<Settings>) -> Receiver<String> {
    let (sender, told) = mpsc::channel();
    // Whoever stopped listening is told in vain.
    live.subscribe(move |reload| sender.send(reload.to_string()).unwrap_or_default());
    told
}

/// Whatever is told before may be a file that was only half written when it was read.
fn wait_for(told: &Receiver<String>, expected: &str) {
    while !told.recv_timeout(WAIT).expect("the watcher tells of it").contains(expected) {}
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().copied().map(str::to_owned).collect()
}

/// A volume as Kubernetes mounts it: each file is a link through `..data`, which is a link to the folder of one version.
#[cfg(unix)]
fn volume() -> TempDir {
    let folder = TempDir::new().expect("it is ours to change");
    swap_volume(&folder, "..2026_00", "size = 1");
    for name in ["default.toml", "development.toml"] {
        let target = Path::new("..data").join(name);
        std::os::unix::fs::symlink(target, folder.path().join(name)).expect("it is ours to change");
    }
    folder
}

#[cfg(unix)]
fn swap_volume(folder: &TempDir, place: &str, default: &str) {
    let version = folder.path().join(place);
    fs::create_dir(&version).expect("it is ours to change");
    fs::write(version.join("default.toml"), default).expect("it is ours to change");
    fs::write(version.join("development.toml"), "").expect("it is ours to change");
    std::os::unix::fs::symlink(place, folder.path().join("..data_tmp")).expect("it is ours to change");
    fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).expect("it is ours to change");
}
