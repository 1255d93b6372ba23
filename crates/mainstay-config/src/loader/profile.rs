//! Which profile is in force.

use crate::code::Code;
use crate::layer::printable;
use crate::problem::{Problem, closest, list};

/// See [`Loader::profiles`](crate::Loader::profiles).
pub(super) fn assert_names(names: &[&str]) {
    assert!(!names.is_empty(), "an application has at least one profile");
    for name in names {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let is_file_name =
            !name.is_empty() && name.chars().all(plain) && !["default", "local"].contains(name);
        assert!(is_file_name, "`{name}` cannot be the name of a profile");
    }
}

/// The profile in force.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) name: String,
    /// What named it: a variable or an argument. `None` where nothing did, and the first declared one is in force.
    pub(crate) named_by: Option<String>,
}

/// The first declared profile, or the named one if it is declared; `named` comes with what named it.
pub(super) fn choose(declared: &[String], named: Option<(String, String)>) -> Result<Profile, Problem> {
    let Some((name, named_by)) = named else {
        return Ok(Profile { name: declared[0].clone(), named_by: None });
    };
    if declared.contains(&name) {
        return Ok(Profile { name, named_by: Some(named_by) });
    }
    let known = || declared.iter().map(String::as_str);
    let meant = closest(&name, known()).map(|meant| format!("did you mean `{meant}`?"));
    let message = format!("unknown profile `{}`, expected one of {}", printable(&name), list(known()));
    Err(Problem::of(Code::Profile, message).source(named_by).help(meant))
}
