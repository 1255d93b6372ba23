//! What is compared, and what each of ours may cost at most.

use std::hint::black_box;
use std::path::Path;

use config::{Config, Environment, File};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use mainstay_config::Loader;
use mainstay_config::reload::Live;

use super::settings::Settings;
use crate::ceiling::Ceiling;

/// One row of the table.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    /// None: not ours to hold.
    pub(super) ceiling: Option<Ceiling>,
    load: fn(&Path) -> Settings,
}

pub(super) const OURS: &str = "ours";
pub(super) const FIGMENT: &str = "figment";

pub(super) const VARIANTS: [Variant; 4] = [
    Variant { name: OURS, ceiling: Some(Ceiling { instructions: 920_000, allocations: 1_100 }), load: ours },
    Variant { name: FIGMENT, ceiling: None, load: figment },
    Variant { name: "figment, defaults as a source", ceiling: None, load: figment_with_defaults },
    Variant { name: "config-rs", ceiling: None, load: config_rs },
];

/// Reading one value of settings that follow their files: an `Arc` taken by its own count, and given back.
pub(super) const LIVE: Ceiling = Ceiling { instructions: 72, allocations: 0 };

// === impl Variant ===

impl Variant {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        const { &VARIANTS }.iter().find(|variant| variant.name == name)
    }

    pub(super) fn load(&self, folder: &Path) -> Settings {
        (self.load)(folder)
    }
}

/// So many reads of a live value.
pub(super) fn live(folder: &Path) -> impl FnMut(u64) {
    let live = Live::<Settings>::new(loader(folder)).expect("the settings are valid");
    move |reads| {
        for _ in 0..reads {
            black_box(live.load());
        }
    }
}

fn ours(folder: &Path) -> Settings {
    loader(folder).load().expect("the settings are valid").settings
}

fn loader(folder: &Path) -> Loader {
    Loader::new("bench").profile(Some("production".to_owned())).directory(Some(folder.to_owned()))
}

fn figment(folder: &Path) -> Settings {
    on_top_of(Figment::new(), folder)
}

fn figment_with_defaults(folder: &Path) -> Settings {
    on_top_of(Figment::from(Serialized::defaults(Settings::default())), folder)
}

fn on_top_of(figment: Figment, folder: &Path) -> Settings {
    figment
        .merge(Toml::file_exact(folder.join("default.toml")))
        .merge(Toml::file_exact(folder.join("production.toml")))
        .merge(Env::prefixed("BENCH__").split("__"))
        .extract()
        .expect("the settings are valid")
}

fn config_rs(folder: &Path) -> Settings {
    Config::builder()
        .add_source(File::from(folder.join("default.toml")))
        .add_source(File::from(folder.join("production.toml")))
        .add_source(Environment::with_prefix("BENCH").prefix_separator("__").separator("__"))
        .build()
        .expect("the sources are sound")
        .try_deserialize()
        .expect("the settings are valid")
}
