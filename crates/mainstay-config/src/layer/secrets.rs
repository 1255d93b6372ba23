//! Folders of secret files, one value a file, as Kubernetes mounts them and systemd hands out credentials.
//!
//! A file's name is its key, in one of two forms: as a variable, `PAYMENT__API_KEY`, with or without the
//! application's prefix, when it holds `__` or no small letter; and else with dots, `payment.api_key`.
//!
//! Kubernetes replaces the files of a mount all at once, by turning the link `..data` to another folder. That link is
//! followed once and everything is read behind it, so that no file is from before and another from after.

use std::fs;
use std::path::{Path as FilePath, PathBuf};

use super::document::DEPTH;
use super::text::{Assignment, secret};
use super::{Origin, Path, disk, printable};
use crate::problem::{Problem, closest};
use crate::shape::{Asked, Known};

/// A folder, and who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// The application or its variable did: everything in it is meant for this application.
    Named { folder: PathBuf, by: String },
    /// systemd did, for whatever the process may run: only what is known to be a setting counts.
    Credentials { folder: PathBuf },
}

// === impl Secrets ===

impl Secrets {
    /// One assignment for each file, by name. `prefix` is `ORDERS__`.
    pub(crate) fn read(&self, prefix: &str, known: Asked<'_>) -> Vec<Result<Assignment, Problem>> {
        let folder = self.folder();
        let names = match names(folder) {
            Ok((behind, names)) => names.into_iter().map(move |name| (behind.join(&name), name)),
            // The variable is inherited by processes that the folder is not for.
            Err(reason) => {
                let Self::Named { by, .. } = self else { return Vec::new() };
                let source = format!("{} from {by}", Origin::File(folder.to_owned()));
                return vec![Err(Problem::new(format!("the folder of secrets {reason}")).source(source))];
            }
        };
        names
            // Folders are somebody else's: `lost+found`, another mount.
            .filter(|(behind, _)| !behind.is_dir())
            .filter_map(|(behind, name)| {
                // Shown under the name that it was found by, which stays the same from one `..data` to the next.
                let file = folder.join(&name);
                let counted = match name.to_str() {
                    Some(name) => self.key(name, prefix, known),
                    None => Err("the file's name is not UTF-8".to_owned()),
                };
                let wrong = |reason: String| Problem::new(reason).at(&Origin::File(file.clone()));
                let path = match (counted, self) {
                    (Ok(Some(path)), _) => path,
                    (Ok(None), _) | (Err(_), Self::Credentials { .. }) => return None,
                    (Err(reason), Self::Named { .. }) => return Some(Err(wrong(reason))),
                };
                let read = secret(&behind).map_err(|reason| wrong(reason).about(&path));
                Some(read.map(|text| Assignment::secret(path, file, text)))
            })
            .collect()
    }

    pub(crate) fn folder(&self) -> &FilePath {
        match self {
            Self::Named { folder, .. } | Self::Credentials { folder } => folder,
        }
    }

    /// The key that a file of this name holds, or `None` when it is not for this application.
    fn key(&self, name: &str, prefix: &str, known: Asked<'_>) -> Result<Option<Path>, String> {
        let own = name.strip_prefix(prefix);
        let is_variable = own.is_some() || name.contains("__") || !name.chars().any(char::is_lowercase);
        let path: Path = if is_variable {
            own.unwrap_or(name).split("__").map(str::to_lowercase).collect()
        } else {
            name.split('.').map(str::to_owned).collect()
        };
        if path.iter().any(String::is_empty) {
            return Err("the file's name has an empty level".to_owned());
        }
        if path.len() > DEPTH {
            return Err(format!("the file's name has more than {DEPTH} levels"));
        }
        match (self, known(&path)) {
            (_, Known::Yes) | (Self::Named { .. }, Known::Open) => Ok(Some(path)),
            (Self::Named { .. }, Known::No(names)) => {
                let last = path.last().map_or("", String::as_str);
                let meant = closest(last, names.iter().copied());
                let meant = meant.map(|meant| format!(", did you mean `{}`?", printable(meant)));
                Err(format!(
                    "no setting has the key that this file is named after{}",
                    meant.unwrap_or_default()
                ))
            }
            // Whatever begins with the prefix is meant for this application, though the type cannot tell.
            (Self::Credentials { .. }, Known::Open) => Ok(own.is_some().then_some(path)),
            (Self::Credentials { .. }, Known::No(_)) => Ok(None),
        }
    }
}

/// The folder to read from, and the names in it that may be files of secrets, sorted.
fn names(folder: &FilePath) -> Result<(PathBuf, Vec<std::ffi::OsString>), String> {
    let failed = |error: std::io::Error| disk::reason(folder, error.kind()).to_owned();
    if !fs::metadata(folder).map_err(failed)?.is_dir() {
        return Err("is not a folder".to_owned());
    }
    let data = folder.join("..data");
    let behind = if disk::is_absent(&data) {
        folder.to_owned()
    } else {
        fs::canonicalize(&data).map_err(|_| "has a `..data` that leads nowhere".to_owned())?
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(&behind).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        // `..data` and what it leads to, and files like `.keep`.
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort();
    Ok((behind, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secrets: &Secrets, name: &str, known: Known) -> Option<String> {
        let key = secrets.key(name, "ORDERS__", &|_| known);
        key.ok().flatten().map(|path| path.join("."))
    }

    #[test]
    fn a_name_is_a_key_in_one_of_two_forms() {
        let named = Secrets::Named { folder: "/secrets".into(), by: "secrets".to_owned() };
        for (name, expected) in [
            ("password", Some("password")),
            ("payment.api_key", Some("payment.api_key")),
            ("payment.api-Key", Some("payment.api-Key")),
            ("PASSWORD", Some("password")),
            ("PAYMENT__API_KEY", Some("payment.api_key")),
            ("payment__api_key", Some("payment.api_key")),
            ("ORDERS__PAYMENT__API_KEY", Some("payment.api_key")),
            ("ORDERS__PASSWORD", Some("password")),
            ("payment..key", None),
            ("payment.", None),
            ("PAYMENT__", None),
        ] {
            assert_eq!(key(&named, name, Known::Yes).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn credentials_count_only_when_they_are_known_or_carry_the_prefix() {
        let credentials = Secrets::Credentials { folder: "/run/credentials/orders".into() };
        assert!(key(&credentials, "password", Known::Yes).is_some());
        assert!(key(&credentials, "ORDERS__LABELS__A", Known::Open).is_some());
        assert!(key(&credentials, "labels.a", Known::Open).is_none());
        assert!(key(&credentials, "tls.pem", Known::No(&[])).is_none());
    }
}
