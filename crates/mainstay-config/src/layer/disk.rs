//! Reading a file once, and telling apart why one cannot be read.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Configuration files and `.env` files.
pub(super) const FILE_LIMIT: u64 = 8 * 1024 * 1024;

/// Files that hold one secret.
pub(super) const SECRET_LIMIT: u64 = 64 * 1024;

/// The text of a regular file, or what is wrong with it in the words of the report.
pub(super) fn text(path: &Path, limit: u64) -> Result<String, String> {
    let of_a_file = |metadata: &fs::Metadata| {
        if metadata.is_dir() {
            Err("is a folder, expected a file".to_owned())
        } else if metadata.is_file() {
            Ok(())
        } else {
            Err("is not a regular file".to_owned())
        }
    };
    let failed = |error: std::io::Error| reason(path, error.kind()).to_owned();
    // Asked before it is opened, because opening a pipe would wait for its other end; and again of what was opened.
    of_a_file(&fs::metadata(path).map_err(failed)?)?;
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    of_a_file(&metadata)?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or_default() + 1);
    // One byte more than allowed tells what is too long, however long the file said it was.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(format!("is longer than {} KiB", limit / 1024));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}

/// Whether there is nothing of this name. A link to nothing is something.
pub(super) fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

pub(super) fn reason(path: &Path, kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) => {
            "is a link to nothing"
        }
        ErrorKind::NotFound => "does not exist",
        ErrorKind::PermissionDenied => "cannot be read: permission denied",
        ErrorKind::NotADirectory => "cannot be reached: a part of its path is not a folder",
        _ => "cannot be read",
    }
}
