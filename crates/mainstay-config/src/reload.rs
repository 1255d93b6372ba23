//! Settings that follow their files while the process runs.
//!
//! ```
//! use mainstay_config::Loader;
//! use mainstay_config::reload::{Live, Reload};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, Serialize, garde::Validate)]
//! struct Settings {
//!     #[garde(skip)]
//!     listen: String,
//!     #[garde(range(max = 100))]
//!     workers: u16,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let write = |text: &str| std::fs::write(folder.path().join("default.toml"), text);
//! write("listen = '127.0.0.1:80'\nworkers = 4")?;
//! std::fs::write(folder.path().join("development.toml"), "")?;
//!
//! let loader = Loader::new("orders").directory(Some(folder.path().to_owned()));
//! let live = Live::<Settings>::new(loader)?.restart_only(&["listen"]);
//! live.subscribe(|reload| eprintln!("{reload}"));
//! // A server would say `.watch()?` here; a test takes the step itself.
//!
//! write("listen = '0.0.0.0:80'\nworkers = 8")?;
//! let Reload::Swapped(change) = live.reload_now() else { panic!("it is valid and differs") };
//! assert_eq!(change.changed, ["listen", "workers"]);
//! assert_eq!(change.needs_restart, ["listen"]);
//! assert_eq!(live.load().workers, 8);
//!
//! write("listen = '0.0.0.0:80'\nworkers = 800")?;
//! assert!(matches!(live.reload_now(), Reload::Refused(_)));
//! assert_eq!(live.load().workers, 8);
//! # Ok(())
//! # }
//! ```
//!
//! What is watched is the folder of the files, so that a file may be written in place, replaced by a rename (as editors
//! do) or swapped with all others through Kubernetes' `..data` link. Every few seconds the folder is also looked at
//! without having been told to: for file systems that tell nothing, and for a folder that was replaced itself. A step
//! reads all sources; when the folder has changed meanwhile, it reads again, so that files of two versions are never
//! mixed. The new settings pass all the checks of the first load, or the old ones stay.
//!
//! Variables and arguments are those of the start: they do not change while a process runs. Without a folder there is
//! nothing to follow.
//!
//! A file that is written in place may be read half-written, when its writer pauses; if that half is valid by itself, it
//! is taken until the rest is there. Replace files by renaming.

use std::any::type_name;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use garde::Validate;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::decide::{Decision, Snapshot, decide};
use self::stamp::{Stamp, consistent};
use self::watch::Watch;
use crate::{ConfigError, Loader, Problem, Setting};

mod decide;
mod stamp;
mod watch;

/// The settings as they are now.
///
/// Ask for them once for each piece of work, so that it sees one version from its beginning to its end. Dropping this
/// ends the watching, and waits until a step in progress is over.
#[must_use = "dropping it ends the watching"]
pub struct Live<T> {
    shared: Arc<Shared<T>>,
    watch: Option<Watch>,
}

/// What became of one look at the sources. `Display` gives it as text for the log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reload {
    /// The settings are the ones in force.
    Unchanged,
    /// The settings differ and are valid: they are in force now.
    Swapped(Change),
    /// The sources are not valid: the settings in force stay.
    Refused(Arc<ConfigError>),
    /// The files kept changing while they were read: the settings in force stay until the next look.
    Unsettled,
}

/// What has changed with the settings now in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// How many versions were in force before this one.
    pub generation: u64,
    /// The keys whose values differ from the previous version, secrets included.
    pub changed: Vec<String>,
    /// The restart-only keys whose values differ from those that the process started with.
    pub needs_restart: Vec<String>,
}

type Subscriber = Arc<dyn Fn(&Reload) + Send + Sync>;

struct Shared<T> {
    loader: Loader,
    hasher: RandomState,
    folders: Vec<PathBuf>,
    profile: String,
    warnings: Vec<Problem>,
    settings: ArcSwap<T>,
    generation: AtomicU64,
    /// Held for a whole step, so that two steps cannot overtake each other, but never while subscribers are called.
    history: Mutex<History>,
    subscribers: Mutex<Vec<Subscriber>>,
}

struct History {
    started: Arc<Snapshot>,
    in_force: Arc<Snapshot>,
    stamp: Stamp,
    restart_only: Vec<String>,
    /// The report that subscribers were given, so that they are given it once.
    refused: Option<String>,
}

// === impl Live ===

impl<T> Live<T>
where
    T: DeserializeOwned + Serialize + Validate<Context = ()>,
{
    /// Loads once. Nothing is watched before [`watch`](Live::watch).
    ///
    /// # Errors
    ///
    /// [`ConfigError`], as for [`Loader::load`].
    ///
    /// # Panics
    ///
    /// As [`Loaded::effective`](crate::Loaded::effective) does: the settings are compared as TOML.
    pub fn new(loader: Loader) -> Result<Self, ConfigError> {
        let loader = loader.with_environment_of_now();
        let folders: Vec<_> = loader.folder().into_iter().collect();
        // Taken first: what changes from here on is seen by the next step.
        let stamp = Stamp::of(&folders);
        let hasher = RandomState::new();
        let loaded = loader.clone().load::<T>()?;
        let snapshot = Arc::new(Snapshot::new(loaded.effective(), loader.digests::<T>(&hasher)));
        let history = History {
            started: Arc::clone(&snapshot),
            in_force: snapshot,
            stamp,
            restart_only: Vec::new(),
            refused: None,
        };
        let shared = Shared {
            loader,
            hasher,
            folders,
            profile: loaded.profile,
            warnings: loaded.warnings,
            settings: ArcSwap::from_pointee(loaded.settings),
            generation: AtomicU64::new(0),
            history: Mutex::new(history),
            subscribers: Mutex::new(Vec::new()),
        };
        Ok(Self { shared: Arc::new(shared), watch: None })
    }

    /// Looks at the sources now, and tells what became of it; subscribers are told as well.
    pub fn reload_now(&self) -> Reload {
        self.shared.step(false).unwrap_or(Reload::Unchanged)
    }
}

impl<T> Live<T>
where
    T: DeserializeOwned + Serialize + Validate<Context = ()> + Send + Sync + 'static,
{
    /// Starts the thread that follows the folder. Where the system cannot tell of changes, it looks every few seconds.
    ///
    /// # Errors
    ///
    /// The system's, when there is no room for another thread.
    pub fn watch(mut self) -> io::Result<Self> {
        if self.watch.is_none() && !self.shared.folders.is_empty() {
            let shared = Arc::clone(&self.shared);
            let step = move |unasked: bool| shared.step(unasked).is_some();
            self.watch = Some(Watch::start(self.shared.folders.clone(), step)?);
        }
        Ok(self)
    }
}

impl<T> Live<T> {
    /// Names keys that are read only once, at the start. A table's key stands for all in it. Changes to them are named in
    /// [`Change::needs_restart`]; the settings are swapped all the same, as a whole.
    pub fn restart_only(self, keys: &[&str]) -> Self {
        lock(&self.shared.history).restart_only = keys.iter().copied().map(str::to_owned).collect();
        self
    }

    /// Calls this, without any lock held, whenever new settings are in force, when a report differs from the one before,
    /// and when the files are valid again: what an operator wants to read in the log.
    ///
    /// It is called on the watching thread, or by [`reload_now`](Live::reload_now). While it runs, nothing is followed.
    pub fn subscribe(&self, subscriber: impl Fn(&Reload) + Send + Sync + 'static) {
        lock(&self.shared.subscribers).push(Arc::new(subscriber));
    }

    /// The settings in force: one atomic load, without a lock.
    pub fn load(&self) -> Arc<T> {
        self.shared.settings.load_full()
    }

    /// The profile in force. What names it is read once, at the start.
    pub fn profile(&self) -> &str {
        &self.shared.profile
    }

    /// What was suspicious at the first load, as [`Loaded::warnings`](crate::Loaded::warnings) gives it.
    pub fn warnings(&self) -> &[Problem] {
        &self.shared.warnings
    }

    /// How many times the settings were swapped.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Every setting in force with its source, as [`Loaded::effective`](crate::Loaded::effective) gives them.
    pub fn effective(&self) -> Vec<Setting> {
        lock(&self.shared.history).in_force.effective().to_vec()
    }
}

/// Shows no settings.
impl<T> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("settings", &type_name::<T>())
            .field("generation", &self.generation())
            .field("watched", &self.watch.is_some())
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl<T> Shared<T>
where
    T: DeserializeOwned + Serialize + Validate<Context = ()>,
{
    /// One look; `None` when it was `unasked` and the folder has not changed.
    fn step(&self, unasked: bool) -> Option<Reload> {
        let mut history = lock(&self.history);
        if unasked && Stamp::of(&self.folders) == history.stamp {
            return None;
        }
        let (reload, is_news) = self.look(&mut history);
        drop(history);
        if is_news {
            let subscribers = lock(&self.subscribers).clone();
            subscribers.iter().for_each(|subscriber| subscriber(&reload));
        }
        Some(reload)
    }

    /// What became of it, and whether subscribers do not know it yet.
    fn look(&self, history: &mut History) -> (Reload, bool) {
        let read = || (self.loader.clone().load::<T>(), self.loader.digests::<T>(&self.hasher));
        let Some(((loaded, digests), stamp)) = consistent(|| Stamp::of(&self.folders), read) else {
            return (Reload::Unsettled, false);
        };
        history.stamp = stamp;
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                let report = Some(error.to_string());
                let is_news = history.refused != report;
                history.refused = report;
                return (Reload::Refused(Arc::new(error)), is_news);
            }
        };
        let was_refused = history.refused.take().is_some();
        let new = Snapshot::new(loaded.effective(), digests);
        match decide(&history.started, &history.in_force, &new, &history.restart_only) {
            Decision::Keep => (Reload::Unchanged, was_refused),
            Decision::Swap { changed, needs_restart } => {
                history.in_force = Arc::new(new);
                self.settings.store(Arc::new(loaded.settings));
                let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
                (Reload::Swapped(Change { generation, changed, needs_restart }), true)
            }
        }
    }
}

/// A step that panicked leaves the history as it was, or with a newer stamp at most.
fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Reload ===

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("the configuration is valid and as it is in force"),
            Self::Swapped(change) => {
                write!(f, "new settings are in force, changed: {}", change.changed.join(", "))?;
                match change.needs_restart.as_slice() {
                    [] => Ok(()),
                    keys => write!(f, "; needs a restart: {}", keys.join(", ")),
                }
            }
            Self::Refused(error) => write!(f, "the settings in force stay: {error}"),
            Self::Unsettled => f.write_str("the configuration kept changing while it was read"),
        }
    }
}
