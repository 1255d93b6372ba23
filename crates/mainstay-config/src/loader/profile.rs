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

/// The first declared profile, or the named one if it is declared; `named` comes with what named it.
pub(super) fn choose(declared: &[String], named: Option<(String, String)>) -> Result<String, Problem> {
    let Some((name, named_by)) = named else { return Ok(declared[0].clone()) };
    if declared.contains(&name) {
        return Ok(name);
    }
    let known = || declared.iter().map(String::as_str);
    let meant = closest(&name, known()).map(|meant| format!("did you mean `{meant}`?"));
    let message = format!("unknown profile `{}`, expected one of {}", printable(&name), list(known()));
    Err(Problem::of(Code::Profile, message).source(named_by).help(meant))
}
