//! Whether a folder is as it was, and reading that nothing changed under.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// So often a read is tried again. A swap of all files takes one; more means that somebody keeps writing.
const TRIES: usize = 10;

/// What tells one state of some folders from another without reading their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Folder>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    /// Where the folder is behind all links.
    real: Option<PathBuf>,
    identity: Option<Identity>,
    /// Where `..data` leads, which swaps all files at once.
    data: Option<PathBuf>,
    entries: Vec<(OsString, Option<Identity>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    length: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: (u64, u64),
    /// Also when a file of equal length and date took the place, and when permissions changed.
    #[cfg(unix)]
    changed: (i64, i64),
}

/// Reads, and reads again when the stamp differs afterwards; `None` when it never stays.
pub(super) fn consistent<R, S: PartialEq>(
    mut stamp: impl FnMut() -> S,
    mut read: impl FnMut() -> R,
) -> Option<(R, S)> {
    let mut before = stamp();
    for _ in 0..TRIES {
        let result = read();
        let after = stamp();
        if before == after {
            return Some((result, after));
        }
        before = after;
    }
    None
}

// === impl Stamp ===

impl Stamp {
    pub(super) fn of(folders: &[PathBuf]) -> Self {
        Self(folders.iter().map(|path| Folder::of(path)).collect())
    }
}

impl Folder {
    fn of(path: &Path) -> Self {
        let names = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name());
        // Names that begin with two dots belong to the one who swaps; only where `..data` leads counts.
        let mut names: Vec<_> = names.filter(|name| !name.to_string_lossy().starts_with("..")).collect();
        names.sort_unstable();
        let entry = |name: OsString| {
            let identity = Identity::of(&path.join(&name));
            (name, identity)
        };
        Self {
            real: path.canonicalize().ok(),
            identity: Identity::of(path),
            data: path.join("..data").canonicalize().ok(),
            entries: names.into_iter().map(entry).collect(),
        }
    }
}

impl Identity {
    /// `None` for what is not there, or not to be looked at.
    fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: (metadata.dev(), metadata.ino()),
            #[cfg(unix)]
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_changed_while_it_was_read_is_read_again() {
        let (version, reads) = (Cell::new(0), Cell::new(0));
        let read = || {
            let first = version.get();
            reads.set(reads.get() + 1);
            if reads.get() < 3 {
                version.set(version.get() + 1);
            }
            (first, version.get())
        };
        assert_eq!(consistent(|| version.get(), read), Some(((2, 2), 2)));
    }

    #[test]
    fn what_never_stays_is_given_up() {
        let version = Cell::new(0);
        let read = || version.set(version.get() + 1);
        assert_eq!(consistent(|| version.get(), read), None);
        assert_eq!(version.get(), TRIES);
    }

    #[test]
    fn a_stamp_tells_a_file_that_took_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let file = folder.path().join("default.toml");
        fs::write(&file, "a = 1").unwrap();
        let first = Stamp::of(&folders);
        assert_eq!(Stamp::of(&folders), first);

        let date = file.metadata().unwrap().modified().unwrap();
        let next = folder.path().join("next");
        fs::write(&next, "a = 2").unwrap();
        fs::File::options().write(true).open(&next).unwrap().set_modified(date).unwrap();
        fs::rename(&next, &file).unwrap();
        assert_ne!(Stamp::of(&folders), first);
    }

    #[test]
    fn a_folder_that_is_not_there_has_a_stamp_too() {
        let folder = tempfile::tempdir().unwrap();
        let inner = [folder.path().join("inner")];
        let absent = Stamp::of(&inner);
        fs::create_dir(&inner[0]).unwrap();
        assert_ne!(Stamp::of(&inner), absent);
    }
}
