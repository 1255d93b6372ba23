//! The report as text and as JSON.

use std::fmt::Write;

use crate::error::ConfigError;
use crate::problem::Problem;

mod json;
mod line;

pub(crate) use self::json::json;
pub(crate) use self::line::{key_place, line, value_place};

/// How many problems are written out. Who has more has one mistake that causes many.
const SHOWN: usize = 100;

/// How the report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Without colours.
    #[default]
    Plain,
    /// With the colours of an ANSI terminal. Whether standard error is one, and whether `NO_COLOR` is set, is for the
    /// caller to find out.
    Coloured,
}

impl Style {
    /// `text` in this colour; the codes are those of SGR.
    fn paint(self, colour: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
        }
    }
}

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const BLUE: &str = "1;34";
const GREEN: &str = "32";

pub(crate) fn text(error: &ConfigError, style: Style) -> String {
    let count =
        |warnings: bool| error.problems.iter().filter(|problem| problem.is_warning() == warnings).count();
    let (errors, warnings) = (count(false), count(true));
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let mut counts = plural(errors, "problem");
    if warnings > 0 {
        counts = format!("{counts}, {}", plural(warnings, "warning"));
    }
    let head = format!("the configuration of {} is not valid", error.app);
    let mut shown = format!("{}: {counts}", style.paint(RED, &head));
    if let Some(profile) = &error.profile {
        let from = profile.named_by.as_ref().map_or("by default".to_owned(), |by| format!("from {by}"));
        push(&mut shown, &format!(" (profile {}, {from})", profile.name));
    }
    push(&mut shown, "\n");
    for (number, problem) in (1..).zip(error.problems.iter().take(SHOWN)) {
        item(&mut shown, number, problem, style);
    }
    if let Some(more) = error.problems.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        push(&mut shown, &format!("\nand {more} more"));
    }
    if !error.notes.is_empty() {
        push(&mut shown, "\n");
    }
    for note in &error.notes {
        push(&mut shown, &format!("\nnote: {note}"));
    }
    if !error.sources.is_empty() {
        push(&mut shown, &format!("\n\nread, lowest first: {}", error.sources.join(", ")));
    }
    shown
}

fn item(shown: &mut String, number: usize, problem: &Problem, style: Style) {
    let (colour, kind) = if problem.is_warning() { (YELLOW, " warning:") } else { (RED, "") };
    let code = style.paint(colour, &format!("{}{kind}", problem.code()));
    push(shown, &format!("\n{number:>2}. {code} {}", problem.statement()));
    if let Some(place) = problem.where_it_is() {
        push(shown, &format!("\n    {} {place}", style.paint(BLUE, "-->")));
    }
    if let Some(line) = &problem.line {
        let bar = style.paint(BLUE, "|");
        let blank = " ".repeat(line.number.to_string().len().max(4));
        push(shown, &format!("\n{:>4} {bar} {}", line.number, line.text));
        let caret = style.paint(colour, &"^".repeat(line.width));
        push(shown, &format!("\n{blank} {bar} {}{caret}", " ".repeat(line.column - 1)));
    }
    if !problem.looked_in.is_empty() {
        push(shown, &format!("\n    looked in: {}", problem.looked_in.join(", ")));
    }
    for help in &problem.help {
        push(shown, &format!("\n    {} {help}", style.paint(GREEN, "help:")));
    }
}

fn push(shown: &mut String, text: &str) {
    shown.write_str(text).expect("a string takes everything");
}
