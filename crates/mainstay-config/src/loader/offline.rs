//! Checking every profile where its secrets are not at hand, as in CI.

use std::fmt;

use garde::Validate;
use serde::de::DeserializeOwned;

use super::check::Checked;
use super::{Loader, Profile};
use crate::boot::Boot;
use crate::code::Code;
use crate::error::ConfigError;
use crate::layer::{Merged, joined};
use crate::problem::Problem;
use crate::shape;

/// What [`Loader::check_profiles`] found. `Display` is a report of all profiles.
///
/// As an error it stands for "at least one profile is not valid".
#[derive(Debug)]
#[non_exhaustive]
pub struct ProfilesReport {
    /// One for each declared profile, in that order.
    pub profiles: Vec<ProfileCheck>,
}

/// What was found of one profile.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProfileCheck {
    /// Its name.
    pub profile: String,
    /// The keys without a value that were taken as supplied later, sorted.
    pub supplied: Vec<String>,
    /// What is wrong with everything else.
    pub result: Result<(), ConfigError>,
}

impl Loader {
    /// Keys (`payment.url`) that only the place of deployment knows, so that [`check_profiles`](Self::check_profiles)
    /// does not ask for them. Every [`Secret`](crate::Secret) is one without being named.
    pub fn supplied_later(mut self, keys: &[&str]) -> Self {
        self.supplied = keys.iter().copied().map(str::to_owned).collect();
        self
    }

    /// Checks every declared profile as [`load`](Self::load) would, as far as that goes without its secrets.
    ///
    /// A missing value that is a [`Secret`](crate::Secret), or that [`supplied_later`](Self::supplied_later) names, is
    /// taken as given; what is given is checked. The process environment is not read, as that of a CI runner says
    /// nothing of production: only what [`environment`](Self::environment), [`directory`](Self::directory) and
    /// [`set`](Self::set) gave counts, and of these the same for every profile.
    ///
    /// To find out which missing values are secrets, the settings are read several times with made-up values, which
    /// are never handed out. So `Deserialize` and rules of your own should do nothing but look at their argument. A
    /// rule that looks at a made-up value, or at a table with one in it, is not reported.
    ///
    /// # Errors
    ///
    /// The same report, when a profile is not valid.
    pub fn check_profiles<T>(&self) -> Result<ProfilesReport, ProfilesReport>
    where
        T: DeserializeOwned + Validate,
        T::Context: From<Boot>,
    {
        let profiles = self.profiles.iter().map(|profile| self.check_profile::<T>(profile)).collect();
        let report = ProfilesReport { profiles };
        if report.is_valid() { Ok(report) } else { Err(report) }
    }

    fn check_profile<T>(&self, profile: &str) -> ProfileCheck
    where
        T: DeserializeOwned + Validate,
        T::Context: From<Boot>,
    {
        let environment = self.environment.clone().unwrap_or_default();
        let mut problems = Vec::new();
        let layers = self.read(Some(profile), &environment, &shape::known::<T>, &mut problems);
        let merged = Merged::new(layers);
        let sources = merged.layers().iter().map(|layer| layer.origin.to_string()).collect();
        let Checked { notes, outline, .. } =
            self.check::<T>(&merged, Some(profile), &environment, &mut problems);

        let mut supplied = Vec::new();
        problems.retain(|problem| {
            let Some(path) = problem.path.as_deref().filter(|_| problem.code == Code::Missing) else {
                return true;
            };
            let is_later = outline.is_secret(&path.0) || self.is_supplied_later(&path.0);
            if is_later {
                supplied.push(joined(&path.0));
            }
            !is_later
        });
        supplied.sort();
        problems.sort_by_cached_key(|problem| (problem.is_warning(), problem.order()));
        let profile = profile.to_owned();
        let result = if problems.iter().all(Problem::is_warning) {
            Ok(())
        } else {
            let app = self.app.clone();
            let named_by = Some("the check of all profiles".to_owned());
            let profile = Some(Box::new(Profile { name: profile.clone(), named_by }));
            Err(ConfigError { app, profile, problems, notes, sources })
        };
        ProfileCheck { profile, supplied, result }
    }

    fn is_supplied_later(&self, path: &[String]) -> bool {
        (1..=path.len()).any(|length| self.supplied.contains(&joined(&path[..length])))
    }
}

// === impl ProfilesReport ===

impl ProfilesReport {
    /// Whether every profile is valid.
    pub fn is_valid(&self) -> bool {
        self.profiles.iter().all(|check| check.result.is_ok())
    }

    /// The exit code for a process that ends because of this: 78, `EX_CONFIG` of sysexits.h.
    pub fn exit_code(&self) -> u8 {
        78
    }
}

impl fmt::Display for ProfilesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, check) in self.profiles.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match &check.result {
                Ok(()) => write!(f, "{}: valid", check.profile)?,
                Err(error) => write!(f, "{}: {error}", check.profile)?,
            }
            if !check.supplied.is_empty() {
                write!(f, "\n  to be supplied: {}", check.supplied.join(", "))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ProfilesReport {}
