//! Finding and reading the sources.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Loader;
use super::profile::{self, Profile};
use crate::code::Code;
use crate::layer::{self, Assignment, Folder, Layer, Secrets};
use crate::problem::Problem;
use crate::shape::Asked;

type Text = Result<Assignment, Problem>;

impl Loader {
    pub(super) fn choose_profile(&self, environment: &[(OsString, OsString)]) -> Result<Profile, Problem> {
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
        known: Asked<'_>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Layer> {
        let names = || ["default"].into_iter().chain(profile);

        let mut layers = Vec::new();
        let mut folder = None;
        if let Some((path, named_by)) = self.named_directory(environment) {
            folder = keep(Folder::open(path, &named_by), problems);
            if let Some(folder) = &folder {
                for name in names() {
                    layers.extend(keep(folder.required(name), problems));
                }
                if profile == Some("development") {
                    layers.extend(keep(folder.optional("local"), problems).flatten());
                }
            }
        } else if !self.embedded.is_empty() {
            for name in names() {
                layers.extend(keep(layer::embedded(&self.embedded, name), problems));
            }
        }

        let mut texts = self.env_files_of(folder, profile, environment, known, problems);
        let prefix = self.variables();
        let secrets = self.secret_folders(environment);
        texts.push(secrets.iter().flat_map(|folder| folder.read(&prefix, known)).collect());
        texts.push(layer::variables(&prefix, environment, known));
        texts.push(layer::arguments(&self.arguments));
        let mut kept = |text| keep(text, problems);
        let texts: Vec<Vec<_>> =
            texts.into_iter().map(|source| source.into_iter().filter_map(&mut kept).collect()).collect();
        problems.extend(layer::conflicts(&texts));
        layers.extend(texts.into_iter().flat_map(|source| layer::layers(source, problems)));
        layers
    }

    /// `.env` and `.env.{profile}`, as far as they exist.
    fn env_files_of(
        &self,
        folder: Option<Folder>,
        profile: Option<&str>,
        environment: &[(OsString, OsString)],
        known: Asked<'_>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Vec<Text>> {
        let Some(profile) = profile.filter(|profile| self.reads_env_files(profile)) else {
            return Vec::new();
        };
        let folder = match &self.env_files {
            Some(path) => keep(Folder::open(path.clone(), "env_files"), problems),
            None => folder,
        };
        let elsewhere = ["PROFILE", "CONFIG_DIR", "SECRETS_DIR"].map(|what| {
            let name = format!("{}_{what}", self.prefix());
            let value = variable(environment, &name);
            (name, value)
        });
        let names = [".env".to_owned(), format!(".env.{profile}")];
        let files = folder.iter().flat_map(|folder| names.iter().map(|name| folder.file(name)));
        files.filter_map(|file| layer::env_file(&file, &self.variables(), &elsewhere, known)).collect()
    }

    fn reads_env_files(&self, profile: &str) -> bool {
        match &self.env_files_in {
            Some(profiles) => profiles.iter().any(|listed| listed == profile),
            None => profile != "production",
        }
    }

    fn secret_folders(&self, environment: &[(OsString, OsString)]) -> Vec<Secrets> {
        let own = format!("{}_SECRETS_DIR", self.prefix());
        let mut folders: Vec<(PathBuf, String)> =
            self.secrets.iter().map(|folder| (folder.clone(), "secrets".to_owned())).collect();
        folders.extend(variable(environment, &own).map(|folder| (folder.into(), own)));
        let mut secrets: Vec<Secrets> = Vec::new();
        for (folder, by) in folders {
            if secrets.iter().all(|known| known.folder() != folder) {
                secrets.push(Secrets::Named { folder, by });
            }
        }
        if let Some(folder) = variable(environment, "CREDENTIALS_DIRECTORY").map(PathBuf::from)
            && secrets.iter().all(|known| known.folder() != folder)
        {
            secrets.push(Secrets::Credentials { folder });
        }
        secrets
    }

    /// What the names of the variables that are settings begin with.
    fn variables(&self) -> String {
        format!("{}__", self.prefix())
    }

    pub(super) fn named_directory(&self, environment: &[(OsString, OsString)]) -> Option<(PathBuf, String)> {
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
