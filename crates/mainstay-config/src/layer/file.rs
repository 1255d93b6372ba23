//! Reading a configuration file, and telling apart why one cannot be read.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::{Layer, Origin};
use crate::code::Code;
use crate::problem::Problem;

/// A folder whose files are read by exact name, without looking in any other.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`; `named_by` is what the report blames when it is not one.
    pub(crate) fn open(path: PathBuf, named_by: &str) -> Result<Self, Problem> {
        let wrong = |what: &str| {
            Problem::new(format!("the configuration folder {what}"))
                .source(format!("{} from {named_by}", Origin::File(path.clone())))
        };
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(Self(path)),
            Ok(_) => Err(wrong("is not a folder")),
            Err(error) => Err(wrong(reason(&path, error.kind()))),
        }
    }

    /// Reads a file that has to be there.
    pub(crate) fn required(&self, name: &str) -> Result<Layer, Problem> {
        let path = self.0.join(name);
        let wrong = |what: &str| Problem::new(what).at(&Origin::File(path.clone()));
        // Asked before it is opened, because opening a pipe would wait for its other end.
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return Err(wrong("is a folder, expected a file")),
            Ok(metadata) if !metadata.is_file() => return Err(wrong("is not a regular file")),
            Ok(_) => {}
            Err(error) => return Err(wrong(reason(&path, error.kind()))),
        }
        let bytes = fs::read(&path).map_err(|error| wrong(reason(&path, error.kind())))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?;
        layer(Origin::File(path), &text)
    }

    /// Reads a file that may be absent. A link to nothing is not absent.
    pub(crate) fn optional(&self, name: &str) -> Result<Option<Layer>, Problem> {
        match fs::symlink_metadata(self.0.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            _ => self.required(name).map(Some),
        }
    }
}

/// The file of this name among those that were compiled in.
pub(crate) fn embedded(files: &[(&'static str, &'static str)], wanted: &str) -> Result<Layer, Problem> {
    match files.iter().find(|(name, _)| *name == wanted) {
        Some((name, text)) => layer(Origin::Embedded(name), text),
        None => Err(Problem::new(format!("there is no built-in {wanted}"))),
    }
}

fn layer(origin: Origin, text: &str) -> Result<Layer, Problem> {
    match Document::parse(text) {
        Ok(Document { data, places }) => Ok(Layer { origin, data, places, text: Some(text.into()) }),
        Err(error) => Err(Problem::of(Code::Syntax, error.message).at(&origin).place(error.place)),
    }
}

fn reason(path: &Path, kind: ErrorKind) -> &'static str {
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
