//! Finding and reading the sources.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{Loader, profile};
use crate::code::Code;
use crate::layer::{self, Folder, Layer};
use crate::problem::Problem;

impl Loader {
    pub(super) fn choose_profile(&self, environment: &[(OsString, OsString)]) -> Result<String, Problem> {
        let own = format!("{}_PROFILE", self.prefix());
        let named = match &self.profile {
            Some(name) => Some((name.clone(), "--profile".to_owned())),
            None => [own.as_str(), "APP_ENV"]
                .iter()
                .find_map(|name| Some((variable(environment, name)?, (*name).to_owned())))
                .map(|(value, name)| match value.into_string() {
                    Ok(value) => Ok((value, name)),
                    Err(_) => {
                        let what = "the variable's value is not UTF-8";
                        Err(Problem::of(Code::Profile, what).source(name))
                    }
                })
                .transpose()?,
        };
        profile::choose(&self.profiles, named)
    }

    /// All layers, lowest first. What cannot be read is a problem and no layer.
    pub(super) fn read(
        &self,
        profile: Option<&str>,
        environment: &[(OsString, OsString)],
        problems: &mut Vec<Problem>,
    ) -> Vec<Layer> {
        let mut names = vec!["default.toml".to_owned()];
        names.extend(profile.map(|profile| format!("{profile}.toml")));

        let mut layers = Vec::new();
        if let Some((path, named_by)) = self.named_directory(environment) {
            if let Some(folder) = keep(Folder::open(path, &named_by), problems) {
                for name in names {
                    layers.extend(keep(folder.required(&name), problems));
                }
                if profile == Some("development") {
                    layers.extend(keep(folder.optional("local.toml"), problems).flatten());
                }
            }
        } else if !self.embedded.is_empty() {
            for name in names {
                layers.extend(keep(layer::embedded(&self.embedded, &name), problems));
            }
        }

        let mut texts = layer::variables(&format!("{}__", self.prefix()), environment);
        texts.extend(layer::arguments(&self.arguments));
        let texts: Vec<_> = texts.into_iter().filter_map(|text| keep(text, problems)).collect();
        problems.extend(layer::conflicts(&texts));
        layers.extend(texts.into_iter().map(|(_, layer)| layer));
        layers
    }

    fn named_directory(&self, environment: &[(OsString, OsString)]) -> Option<(PathBuf, String)> {
        let name = format!("{}_CONFIG_DIR", self.prefix());
        if let Some(path) = &self.directory {
            return Some((path.clone(), "--config-dir".to_owned()));
        }
        if let Some(path) = variable(environment, &name) {
            return Some((path.into(), name));
        }
        // A link to nothing exists, and is reported when it is opened.
        let usual = self.usual_directory.as_ref().filter(|path| path.symlink_metadata().is_ok())?;
        Some((usual.clone(), "the working directory".to_owned()))
    }
}

/// The value, or `None` and the problem in the list.
pub(super) fn keep<T>(result: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

fn variable(environment: &[(OsString, OsString)], wanted: &str) -> Option<OsString> {
    environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
}
