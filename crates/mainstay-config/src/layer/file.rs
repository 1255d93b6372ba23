//! Configuration files by name, in the format that the end of their name says.

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;

use super::document::{Document, Format};
use super::{Layer, Origin, disk};
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
            Err(error) => Err(wrong(disk::reason(&path, error.kind()))),
        }
    }

    /// The path of a file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Reads `{name}.toml`, `.yaml`, `.yml` or `.json`, of which one has to be there.
    pub(crate) fn required(&self, name: &str) -> Result<Layer, Problem> {
        self.optional(name)?.ok_or_else(|| {
            let path = self.file(&format!("{name}.toml"));
            Problem::new(disk::reason(&path, std::io::ErrorKind::NotFound)).at(&Origin::File(path))
        })
    }

    /// The same of a file that may be absent. A link to nothing is not absent.
    pub(crate) fn optional(&self, name: &str) -> Result<Option<Layer>, Problem> {
        let mut path = self.file(name);
        let mut found = Vec::new();
        for (ending, format) in Format::ENDINGS {
            path.set_extension(ending);
            if !disk::is_absent(&path) {
                found.push((path.clone(), format));
            }
        }
        let Some((path, format)) = one_of(found, |(path, _)| Origin::File(path.clone()))? else {
            return Ok(None);
        };
        let text = disk::text(&path, disk::FILE_LIMIT);
        let origin = Origin::File(path);
        let text = text.map_err(|reason| Problem::new(reason).at(&origin))?;
        layer(origin, format, text.into()).map(Some)
    }
}

/// The file `{name}.toml`, `.yaml`, `.yml` or `.json` among those that were compiled in.
pub(crate) fn embedded(files: &[(&'static str, &'static str)], wanted: &str) -> Result<Layer, Problem> {
    let format = |name: &str| {
        let ending = name.strip_prefix(wanted)?.strip_prefix('.')?;
        Format::ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, format)| *format)
    };
    let found = files.iter().filter_map(|(name, text)| Some((*name, *text, format(name)?))).collect();
    match one_of(found, |(name, ..)| Origin::Embedded(name))? {
        Some((name, text, format)) => layer(Origin::Embedded(name), format, text.into()),
        None => Err(Problem::new(format!("there is no built-in {wanted}.toml"))),
    }
}

/// At most one file says what there is in one layer: of two, none is the obvious one to win.
fn one_of<T>(mut found: Vec<T>, origin: impl Fn(&T) -> Origin) -> Result<Option<T>, Problem> {
    if found.len() > 1 {
        let names: Vec<_> = found.iter().map(|file| origin(file).to_string()).collect();
        return Err(
            Problem::new("more than one file for the same layer, keep one").source(names.join(" and "))
        );
    }
    Ok(found.pop())
}

fn layer(origin: Origin, format: Format, text: Cow<'static, str>) -> Result<Layer, Problem> {
    match Document::parse(format, &text) {
        Ok(Document { data, places }) => Ok(Layer { origin, data, places, text: Some(text) }),
        Err(error) => Err(Problem::of(Code::Syntax, error.message).at(&origin).place(error.place)),
    }
}
